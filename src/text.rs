//! Decodes a file that a person, an editor or PowerShell wrote, and turns an offset in its text into a line and a
//! column. Pure.

use std::fmt;

/// Where in a text, both counted from 1; the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    line: usize,
    column: usize,
}

impl Position {
    /// The position of the byte `offset` of `text`; an offset past the end is the end.
    pub fn at(text: &str, offset: usize) -> Self {
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
    pub fn at(what: &'static str, text: &str, offset: usize) -> Self {
        Self { what, at: Position::at(text, offset) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.at)
    }
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
    let fault_at = |offset| Fault::at("not UTF-8 text", &String::from_utf8_lossy(bytes), offset);
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|fault| fault_at(fault.valid_up_to()))
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Fault> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    let fault_at_end = |text: &str| Fault::at("not UTF-16 text", text, text.len());
    for character in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        match character {
            Ok(character) => text.push(character),
            Err(_) => return Err(fault_at_end(&text)),
        }
    }
    if odd.is_empty() { Ok(text) } else { Err(fault_at_end(&text)) }
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
        assert_eq!(Position::at("é,x", 3).to_string(), "line 1, column 3");
        assert_eq!(Position::at("a\nb", 99).to_string(), "line 2, column 2");
    }
}
