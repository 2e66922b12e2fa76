//! What an interrupted run left under the name of a draft: nothing, a blank file, a part of something, or a
//! whole token set.

use std::io;
use std::path::Path;

use crate::token_file::disk::{self, FILL};
use crate::token_set::TokenSet;

pub enum Leftover {
    Nothing,
    /// Not one byte of content.
    Blank,
    /// Not a token set, but perhaps a part of one.
    Partial(Vec<u8>),
    Complete(Complete),
}

/// A whole draft, without the fill that may follow its content.
pub struct Complete {
    pub content: Vec<u8>,
    pub tokens: TokenSet,
}

impl Leftover {
    /// Reads what is there. No link is followed.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(disk::read_if_there(path)?.map_or(Self::Nothing, Self::of))
    }

    fn of(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(content_length(&bytes));
        if bytes.is_empty() {
            return Self::Blank;
        }
        match TokenSet::parse_of_any_size(&bytes) {
            Ok(tokens) => Self::Complete(Complete { content: bytes, tokens }),
            Err(_) => Self::Partial(bytes),
        }
    }
}

impl From<TokenSet> for Complete {
    #[expect(clippy::disallowed_methods, reason = "stored in a draft")]
    fn from(tokens: TokenSet) -> Self {
        Self { content: tokens.document(usize::MAX).expose().as_bytes().to_vec(), tokens }
    }
}

/// How much of a draft is content: what comes before the final fill, which a power cut may have turned into
/// zeros, and was newlines in version 0.1.0. A final newline belongs to the content.
fn content_length(bytes: &[u8]) -> usize {
    let is_fill = |byte: &u8| matches!(*byte, 0 | FILL) || byte.is_ascii_whitespace();
    let end = bytes.iter().rposition(|byte| !is_fill(byte)).map_or(0, |last| last + 1);
    match bytes[end..] {
        _ if end == 0 => 0,
        [b'\r', b'\n', ..] => end + 2,
        [b'\n', ..] => end + 1,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ends_where_the_fill_begins() {
        for (bytes, wanted) in [
            ("", 0),
            ("\n\n", 0),
            ("\x0C\0\x0C", 0),
            ("{}", 2),
            ("{}\n\x0C\x0C", 3),
            ("{}\r\n\0\0\x0C", 4),
            ("{}\n\n\n\n", 3),
            ("{}\0\n", 2),
            ("{\x0C}\n\0", 4),
        ] {
            assert_eq!(content_length(bytes.as_bytes()), wanted, "{bytes:?}");
        }
    }

    #[test]
    fn fill_within_the_content_never_parses() {
        let whole = r#"{"access_token": "a", "refresh_token": "r", "more": [1, 2]}"#;
        for at in 0..whole.len() - 1 {
            for fill in [FILL, 0] {
                let mut torn = whole.as_bytes().to_vec();
                torn[at] = fill;
                assert!(matches!(Leftover::of(torn), Leftover::Partial(_)), "{fill} at {at}");
            }
        }
        assert!(matches!(Leftover::of(whole.into()), Leftover::Complete(_)));
    }
}
