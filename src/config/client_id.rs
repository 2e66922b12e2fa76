//! The client id, as it comes from files, `echo` and base64: impossible characters are refused, and likely mistakes
//! cause a warning, as in a client secret or a refresh token.

use crate::failure::InvalidValue;

/// RFC 6749, appendix A.1: a client id is printable.
pub fn parse(text: &str) -> Result<String, InvalidValue> {
    let is_unprintable = |c: &char| c.is_control() || *c == '\u{FEFF}';
    let Some(unprintable) = text.chars().find(is_unprintable) else { return Ok(text.to_owned()) };
    let what = match unprintable {
        '\n' | '\r' => "a newline".to_owned(),
        '\t' => "a tab".to_owned(),
        '\u{FEFF}' => "a byte order mark".to_owned(),
        other => format!("the control character U+{:04X}", u32::from(other)),
    };
    let place = if text.ends_with(unprintable) { "ends with" } else { "contains" };
    let hint =
        "a client id has only printable characters (RFC 6749, A.1); echo and base64 add a newline, printf %s does not";
    Err(InvalidValue::usage(&format!("the client id {place} {what}"), hint))
}

/// A likely mistake, although the text may be meant that way.
pub fn oddity(text: &str) -> Option<&'static str> {
    let is_quote = |c: char| matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201F}');
    if text.ends_with(char::is_whitespace) {
        Some("ends with white space")
    } else if text.starts_with(char::is_whitespace) {
        Some("begins with white space")
    } else if text.starts_with(is_quote) && text.ends_with(is_quote) && text.chars().count() > 1 {
        Some("is in quotes")
    } else if text.starts_with(is_quote) || text.ends_with(is_quote) {
        Some("begins or ends with a quote")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_printable() {
        for text in ["id\n", "id\r\n", "i\td", "\u{FEFF}id", "id\0", "id\u{7F}", "id\u{85}", "i\u{1B}[31md"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        for text in ["id", "5f2a7c1e-0d2b", "a b", " id ", "\"id\"", "ключ"] {
            assert_eq!(parse(text).ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn warns_of_likely_mistakes() {
        for (text, wanted) in [
            ("id", None),
            ("a b", None),
            ("it's", None),
            ("id ", Some("ends with white space")),
            ("id\u{A0}", Some("ends with white space")),
            (" id", Some("begins with white space")),
            ("\"id\"", Some("is in quotes")),
            ("'id'", Some("is in quotes")),
            ("\u{201C}id\u{201D}", Some("is in quotes")),
            ("id\"", Some("begins or ends with a quote")),
        ] {
            assert_eq!(oddity(text), wanted, "{text:?}");
        }
    }
}
