//! What may be shown on a terminal: no control character of a server's, a file's or a user's text gets there.

use std::io;

/// Text from elsewhere: printable ASCII, '?' for every other character, at most 200 of them.
pub fn printable(text: &str) -> String {
    const MAX_LENGTH: usize = 200;
    let shown = text.trim().chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' });
    let cut = if text.trim().chars().count() > MAX_LENGTH { "[cut]" } else { "" };
    shown.take(MAX_LENGTH).chain(cut.chars()).collect()
}

/// A line of this program's own, which may hold the name of a file: '?' for each control character.
pub fn escape_control(line: &str) -> String {
    line.replace(char::is_control, "?")
}

/// The system's reason in the style of a message: lower case, no full stop. Where a connection ends early,
/// rustls would print a paragraph with a link.
pub fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "closed by the other side".to_owned();
    }
    // Windows ends its sentence before the number.
    let text = error.to_string().replace(". (os error ", " (os error ");
    let mut characters = text.trim_end_matches('.').chars();
    characters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_is_shown() {
        assert_eq!(printable(" a\u{1b}[31m\u{9b}\u{202e}\nb "), "a?[31m???b");
        assert_eq!(printable(&"x".repeat(201)), "x".repeat(200) + "[cut]");
        assert_eq!(escape_control("t\u{1b}\n\u{9b}é.json"), "t???é.json");
    }

    #[test]
    fn reasons_read_like_messages() {
        for (text, wanted) in [
            ("No such file or directory (os error 2)", "no such file or directory (os error 2)"),
            ("Access is denied. (os error 5)", "access is denied (os error 5)"),
            ("It broke.", "it broke"),
        ] {
            assert_eq!(reason(&io::Error::other(text)), wanted);
        }
    }
}
