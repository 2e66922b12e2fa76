//! A command as a human pastes it into a shell. Pure.
//!
//! Words that need no quotes get none. A POSIX shell takes everything between single quotes literally. Windows has
//! two shells, and no quotes that work for every character in both: within double quotes, cmd.exe still expands
//! `%NAME%`, and PowerShell `$` and backticks.

/// The words as one line.
pub fn command_line(words: &[String]) -> String {
    words.iter().map(|word| quoted_word(word)).collect::<Vec<_>>().join(" ")
}

/// One word, such as a file's name, for a command that is written out.
pub fn quoted_word(word: &str) -> String {
    if cfg!(windows) { quoted_for_windows(word) } else { quoted(word) }
}

fn quoted(word: &str) -> String {
    match is_plain(word, "-_./:=,+@%") {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn quoted_for_windows(word: &str) -> String {
    match is_plain(word, "-_./:\\") {
        true => word.to_owned(),
        false => format!("\"{}\"", word.replace('"', "\\\"")),
    }
}

fn is_plain(word: &str, marks: &str) -> bool {
    !word.is_empty() && word.chars().all(|character| character.is_ascii_alphanumeric() || marks.contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_change() {
        for (word, posix, windows) in [
            ("login", "login", "login"),
            ("", "''", "\"\""),
            ("/srv/a b.json", "'/srv/a b.json'", "\"/srv/a b.json\""),
            ("it's", r"'it'\''s'", "\"it's\""),
            ("$(id)", "'$(id)'", "\"$(id)\""),
            ("~/t", "'~/t'", "\"~/t\""),
            (r"C:\t.json", r"'C:\t.json'", r"C:\t.json"),
            ("https://a.example/t?x=1&y", "'https://a.example/t?x=1&y'", "\"https://a.example/t?x=1&y\""),
            ("tökens.json", "'tökens.json'", "\"tökens.json\""),
        ] {
            assert_eq!((quoted(word), quoted_for_windows(word)), (posix.to_owned(), windows.to_owned()), "{word}");
        }
    }
}
