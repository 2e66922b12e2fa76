//! Keeps secrets out of what is shown of a server's text.
//!
//! A server may echo a token, in whole or in part, as it is or as something else made it: percent-encoded in
//! either case, escaped for JSON or HTML, in base64 or hexadecimal, broken by line ends or dots. So the
//! text is decoded in all these ways, and whatever decodes to eight characters in a row of a secret, or to the
//! whole of a shorter one, is masked where it stands. Only what may be shown is looked at, so a large body
//! costs nothing.

use std::cell::OnceCell;
use std::collections::HashSet;

use crate::secret::Secret;
use crate::terminal;

/// This many consecutive characters of a secret are masked.
const RUN: usize = 8;

/// So are this many consecutive letters and digits, whatever other characters stand between them.
const SPACED_RUN: usize = 12;

/// No token is shorter.
const MIN_TOKEN: usize = 20;

/// No more of a text is ever shown, however much of it is masked.
const MAX_SEARCHED: usize = 4 << 10;

/// The secrets that no message may show.
#[derive(Default)]
pub struct Mask {
    secrets: Vec<Secret>,
    searches: OnceCell<Searches>,
}

/// Every run of `length` characters in the secrets, and every shorter secret as a whole; in lower case.
struct Runs {
    length: usize,
    texts: HashSet<Vec<u8>>,
    /// The lengths of those that are shorter.
    shorter: Vec<usize>,
}

/// A decoded byte, and from where to where its code stands in the text.
#[derive(Clone, Copy)]
struct Decoded {
    byte: u8,
    from: usize,
    to: usize,
}

impl Mask {
    pub fn add(&mut self, secret: Secret) {
        self.secrets.push(secret);
        self.searches = OnceCell::new();
    }

    /// These secrets and others.
    pub fn and(&self, others: impl Iterator<Item = Secret>) -> Self {
        Self { secrets: self.secrets.iter().map(Secret::copy).chain(others).collect(), searches: OnceCell::new() }
    }

    /// Whether a text is one of the secrets, as a whole.
    pub fn holds(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| secret.is_same(&Secret::new(text)))
    }

    /// A server's text as it may be shown: secrets masked, nothing but printable ASCII, at most 200
    /// characters.
    pub fn printable(&self, text: &str) -> String {
        terminal::printable(&self.masked(text))
    }

    /// As [`Self::printable`], for a text that was not understood: anything as long as a token is masked, too.
    pub fn excerpt(&self, text: &str) -> String {
        self.printable_without(text, |word| word.len() >= MIN_TOKEN)
    }

    /// As [`Self::printable`], for the words of an error: what looks like a token is masked, too, but an id is not.
    pub fn description(&self, text: &str) -> String {
        let is_id = |word: &str| word.len() == 36 && word.bytes().filter(|&byte| byte == b'-').count() == 4;
        self.printable_without(text, |word| word.len() >= MIN_TOKEN && has_digit(word) && !is_id(word))
    }

    fn printable_without(&self, text: &str, is_hidden: impl Fn(&str) -> bool) -> String {
        let mut shown = String::new();
        for word in text.split_inclusive(|character: char| !is_of_token(character)) {
            let long = word.trim_end_matches(|character: char| !is_of_token(character));
            let is_hidden = is_hidden(long);
            shown += if is_hidden { "[masked]" } else { word };
            shown += if is_hidden { &word[long.len()..] } else { "" };
        }
        self.printable(&shown)
    }

    fn masked(&self, text: &str) -> String {
        let end = text.floor_char_boundary(MAX_SEARCHED);
        let searches = self.searches.get_or_init(|| self.make_searches());
        let mut is_secret = vec![false; end];
        let plain: Vec<_> =
            text.bytes().take(end).enumerate().map(|(at, byte)| Decoded { byte, from: at, to: at + 1 }).collect();
        // What was encoded twice is seen after the second decoding.
        let once = unescaped(&plain);
        let twice = unescaped(&once);
        for layer in [plain, once, twice] {
            searches.mark(&layer, &mut is_secret);
            for decoded in base64_decoded(&layer).into_iter().chain(hex_decoded(&layer)) {
                searches.mark(&unescaped(&decoded), &mut is_secret);
                searches.mark(&decoded, &mut is_secret);
            }
        }
        let mut masked = String::new();
        let mut was_secret = false;
        for (at, character) in text[..end].char_indices() {
            match is_secret[at] {
                false => masked.push(character),
                true if !was_secret => masked.push_str("[masked]"),
                true => {}
            }
            was_secret = is_secret[at];
        }
        masked
    }

    #[expect(clippy::disallowed_methods, reason = "searched for, to be masked")]
    fn make_searches(&self) -> Searches {
        let mut searches = Searches { runs: Runs::new(RUN), spaced_runs: Runs::new(SPACED_RUN) };
        for secret in &self.secrets {
            let bytes = secret.expose().to_ascii_lowercase().into_bytes();
            let spaced: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
            searches.runs.add(&bytes);
            if spaced.len() >= SPACED_RUN {
                searches.spaced_runs.add(&spaced);
            }
        }
        searches
    }
}

/// What to search for; made at first use, because most runs need none.
struct Searches {
    runs: Runs,
    /// Of letters and digits alone.
    spaced_runs: Runs,
}

impl Searches {
    fn mark(&self, layer: &[Decoded], is_secret: &mut [bool]) {
        self.runs.mark(layer, is_secret);
        let spaced: Vec<_> = layer.iter().copied().filter(|decoded| decoded.byte.is_ascii_alphanumeric()).collect();
        self.spaced_runs.mark(&spaced, is_secret);
    }
}

impl Runs {
    fn new(length: usize) -> Self {
        Self { length, texts: HashSet::new(), shorter: Vec::new() }
    }

    fn add(&mut self, secret: &[u8]) {
        if secret.is_empty() {
            return;
        }
        if secret.len() < self.length {
            self.shorter.push(secret.len());
        }
        self.texts.extend(secret.windows(self.length.min(secret.len())).map(<[u8]>::to_vec));
    }

    fn mark(&self, layer: &[Decoded], is_secret: &mut [bool]) {
        let bytes: Vec<u8> = layer.iter().map(|decoded| decoded.byte.to_ascii_lowercase()).collect();
        for &length in self.shorter.iter().chain([&self.length]) {
            for (at, run) in bytes.windows(length).enumerate() {
                if self.texts.contains(run) {
                    is_secret[layer[at].from..layer[at + length - 1].to].fill(true);
                }
            }
        }
    }
}

/// Whether a text has a word that could be a token.
pub fn may_hold_token(text: &str) -> bool {
    text.split(|character| !is_of_token(character))
        .any(|word| word.len() >= MIN_TOKEN || word.len() >= SPACED_RUN && has_digit(word))
}

pub fn has_digit(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

/// The characters of a bearer token (RFC 6750, section 2.1), without those that also separate words.
fn is_of_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_~+".contains(character)
}

/// Without percent-encoding, form-encoding's '+', and the escapes of JSON, C and HTML.
fn unescaped(layer: &[Decoded]) -> Vec<Decoded> {
    let mut decoded = Vec::with_capacity(layer.len());
    let mut rest = layer;
    while let Some((first, behind)) = rest.split_first() {
        let (length, byte) = escape(rest).unwrap_or((1, if first.byte == b'+' { b' ' } else { first.byte }));
        decoded.push(Decoded { byte, from: first.from, to: rest[length - 1].to });
        rest = if length == 1 { behind } else { &rest[length..] };
    }
    decoded
}

/// The escape sequence at the start: how long it is, and for which byte it stands.
fn escape(layer: &[Decoded]) -> Option<(usize, u8)> {
    let text: Vec<u8> = layer.iter().take(10).map(|decoded| decoded.byte).collect();
    let number = |from: usize, to: usize, base: u32| -> Option<u8> {
        let digits = std::str::from_utf8(text.get(from..to)?).ok()?;
        u8::try_from(u32::from_str_radix(digits, base).ok()?).ok()
    };
    match text.as_slice() {
        [b'%', ..] => Some((3, number(1, 3, 16)?)),
        [b'\\', b'u', ..] => Some((6, number(2, 6, 16)?)),
        [b'\\', b'x', ..] => Some((4, number(2, 4, 16)?)),
        [b'\\', b'n' | b'r' | b't', ..] => Some((2, b' ')),
        [b'\\', byte, ..] => Some((2, *byte)),
        [b'&', b'#', b'x' | b'X', ..] => entity_end(&text).and_then(|end| Some((end + 1, number(3, end, 16)?))),
        [b'&', b'#', ..] => entity_end(&text).and_then(|end| Some((end + 1, number(2, end, 10)?))),
        [b'&', ..] => {
            const ENTITIES: [(&[u8], u8); 8] = [
                (b"&amp;", b'&'),
                (b"&lt;", b'<'),
                (b"&gt;", b'>'),
                (b"&quot;", b'"'),
                (b"&apos;", b'\''),
                (b"&plus;", b'+'),
                (b"&sol;", b'/'),
                (b"&equals;", b'='),
            ];
            let entity = ENTITIES.iter().find(|(name, _)| text.starts_with(name));
            entity.map(|(name, byte)| (name.len(), *byte))
        }
        _ => None,
    }
}

fn entity_end(text: &[u8]) -> Option<usize> {
    text.iter().position(|&byte| byte == b';')
}

/// What each run of base64, in either alphabet, decodes to from each of four places: it may begin inside
/// another text. Line ends inside count for nothing (RFC 2045, section 6.8).
fn base64_decoded(layer: &[Decoded]) -> Vec<Vec<Decoded>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    decoded_runs(layer, value, 4, |group, decoded| {
        let bits = group.iter().fold(0_u32, |bits, (value, _)| bits << 6 | u32::from(*value));
        let bytes = (bits << (6 * (4 - group.len()))).to_be_bytes();
        for (at, &byte) in bytes[1..group.len()].iter().enumerate() {
            decoded.push(Decoded { byte, from: group[at].1.from, to: group[at + 1].1.to });
        }
    })
}

fn hex_decoded(layer: &[Decoded]) -> Vec<Vec<Decoded>> {
    let value = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    decoded_runs(layer, value, 2, |group, decoded| {
        if let [(high, first), (low, last)] = group {
            decoded.push(Decoded { byte: high << 4 | low, from: first.from, to: last.to });
        }
    })
}

/// Every run of digits, decoded group by group, from each place at which the first group can begin.
fn decoded_runs(
    layer: &[Decoded],
    value: impl Fn(u8) -> Option<u8>,
    group_size: usize,
    decode: impl Fn(&[(u8, Decoded)], &mut Vec<Decoded>),
) -> Vec<Vec<Decoded>> {
    let mut found = Vec::new();
    let visible = layer.iter().filter(|decoded| !decoded.byte.is_ascii_whitespace());
    let digits: Vec<_> = visible.map(|decoded| (value(decoded.byte), *decoded)).collect();
    for run in digits.split(|(value, _)| value.is_none()) {
        let run: Vec<_> = run.iter().filter_map(|(value, decoded)| Some(((*value)?, *decoded))).collect();
        for offset in 0..group_size.min(run.len()) {
            let mut decoded = Vec::new();
            run[offset..].chunks(group_size).for_each(|group| decode(group, &mut decoded));
            found.push(decoded);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secret: &str, text: &str) -> String {
        let mut mask = Mask::default();
        mask.add(Secret::new(secret));
        mask.printable(text)
    }

    #[test]
    fn masks_whatever_decodes_to_a_secret() {
        let secret = "se+cr/et=Token~1é";
        for encoded in [
            "se+cr/et=Token~1é",
            "SE+CR/ET=TOKEN~1",
            "se%2bcr%2fet%3dToken%7e1",
            "se%2Bcr%2Fet%3DToken~1",
            "se%252Bcr%252Fet%253DToken",
            "%73%65%2b%63%72%2f%65%74%3d",
            "se\\u002bcr\\/et\\u003dToken",
            "se\\x2bcr/et\\x3dToken",
            "se&#43;cr&#x2F;et&#61;Token",
            "se&plus;cr&sol;et&equals;Token",
            "c2UrY3IvZXQ9VG9rZW5+McOp",
            "c2UrY3IvZXQ9VG9rZW5-McOp",
            "xyzc2UrY3IvZXQ9VG9rZW5-",
            "aWQ6c2UrY3IvZXQ9VG9rZW4",
            "aWQ6c2UlMkJjciUyRmV0JTNEVG9rZW4=",
            "73652b63722f65743d546f6b656e7e31",
            "73652B63722F65743D546F6B656E",
            "se+cr/et=Tok",
            "r/et=Token~1",
            "s e + c r / e t = T o k e n ~ 1",
            "se+c.r/et=.Tok.en~1",
            "se+cr/\\net=Token~1",
        ] {
            let shown = masked(secret, &format!("bad [{encoded}], sorry"));
            assert!(
                shown.starts_with("bad [") && shown.contains("[masked]") && shown.ends_with("sorry"),
                "{encoded}: {shown}"
            );
            let left: String = shown.replace("[masked]", "");
            assert!(left.len() <= "bad [], sorry".len() + 5, "{encoded}: {shown}");
        }
    }

    #[test]
    fn leaves_everything_else() {
        for (secret, text) in [
            ("Canary7-old-refresh", "the expired refresh token, an old refresh"),
            ("se+cr/et=Token~1", "se+cr/e, en~1, %zz &nothing; \\q dGVzdA=="),
            ("ab", "a b, b a"),
            ("", "anything"),
        ] {
            assert_eq!(masked(secret, text), text);
        }
        assert_eq!(masked("hunter2", "bad hunter2, HUNTER2, hunter"), "bad [masked], [masked], hunter");
    }

    #[test]
    fn a_long_text_is_cut_and_a_long_secret_found() {
        let secret = "Ab+/=~".repeat(7_000);
        assert_eq!(masked(&secret, &format!("bad {secret}")), "bad [masked]");
        assert_eq!(masked("abcdefgh", &"x".repeat(1 << 20)), format!("{}[cut]", "x".repeat(200)));
    }
}
