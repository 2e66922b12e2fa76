//! From a file's bytes, which a person, an editor or PowerShell made, to text; from an offset in that
//! text to the line and column that a person looks for; from foreign text to what a terminal may
//! see, and from the system's errors to the style of a message.

use std::fmt;
use std::io::{self, Read};

/// Where in a text, both counted from 1; the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    line: usize,
    column: usize,
}

impl Position {
    /// The position of the byte `offset` of `text`; an offset past the end is the end.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        Self {
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What is wrong with a text, and where; never what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub what: &'static str,
    pub at: Position,
}

impl Fault {
    /// At the byte `offset` of `text`.
    pub fn of(what: &'static str, text: &str, offset: usize) -> Self {
        Self { what, at: Position::of(text, offset) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.at)
    }
}

/// Reads to the end, but not more than `limit` bytes, in as few system calls as a usual file takes:
/// std would begin with reads of 32 bytes, and a large buffer costs more calls in musl's allocator.
pub fn read_up_to(mut from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut part = [0; 8 << 10];
    while bytes.len() < limit {
        let wanted = part.len().min(limit - bytes.len());
        match from.read(&mut part[..wanted]) {
            Ok(0) => break,
            Ok(amount) => bytes.extend_from_slice(&part[..amount]),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(bytes)
}

/// Decodes UTF-8 with or without a byte order mark, and UTF-16 with one: what PowerShell 5's `>`
/// writes (UTF-16 LE) and Notepad may (UTF-8 with BOM).
pub fn decode(bytes: &[u8]) -> Result<String, Fault> {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => decode_utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => decode_utf8(rest),
        _ => decode_utf8(bytes),
    }
}

fn decode_utf8(bytes: &[u8]) -> Result<String, Fault> {
    let fault_at = |offset| Fault::of("not UTF-8 text", &String::from_utf8_lossy(bytes), offset);
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|fault| fault_at(fault.valid_up_to()))
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Fault> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    let fault_at_end = |text: &str| Fault::of("not UTF-16 text", text, text.len());
    for character in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        match character {
            Ok(character) => text.push(character),
            Err(_) => return Err(fault_at_end(&text)),
        }
    }
    if odd.is_empty() { Ok(text) } else { Err(fault_at_end(&text)) }
}

/// Foreign text as a terminal may see it: printable ASCII, '?' for the rest, cut at 200.
pub fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let shown = text.trim().chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' });
    let cut = if text.trim().chars().count() > LONGEST { "[cut]" } else { "" };
    shown.take(LONGEST).chain(cut.chars()).collect()
}

/// A line of ours that may hold a file's name: no control character reaches the terminal.
pub fn harmless(line: &str) -> String {
    line.replace(char::is_control, "?")
}

/// A system's reason in the style of a message: lower case, no full stop. rustls's word for a
/// connection that ends early is an essay with a link.
pub fn reason(why: &io::Error) -> String {
    if why.kind() == io::ErrorKind::UnexpectedEof {
        return "closed by the other side".to_owned();
    }
    // Windows ends its sentence before the number.
    let text = why.to_string().replace(". (os error ", " (os error ");
    let mut characters = text.trim_end_matches('.').chars();
    characters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_windows_writes() {
        assert_eq!(decode(b"\xEF\xBB\xBF{}").unwrap(), "{}");
        assert_eq!(decode(b"\xFF\xFE{\0\xE9\0}\0").unwrap(), "{é}");
        assert_eq!(decode(b"\xFE\xFF\0{\0}").unwrap(), "{}");
        assert_eq!(decode(b"\xFF\xFE\x3D\xD8\x00\xDE").unwrap(), "😀");
    }

    #[test]
    fn says_where_text_ends() {
        assert_eq!(decode(b"{\n \xFF}").unwrap_err().to_string(), "not UTF-8 text (line 2, column 2)");
        assert_eq!(decode(b"\xFF\xFE{\0}").unwrap_err().what, "not UTF-16 text");
        assert_eq!(decode(b"\xFF\xFE\0\xD8").unwrap_err().what, "not UTF-16 text");
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(Position::of("é,x", 3).to_string(), "line 1, column 3");
        assert_eq!(Position::of("a\nb", 99).to_string(), "line 2, column 2");
    }
}
