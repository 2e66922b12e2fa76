//! The search for leaked secrets.
//!
//! Every secret that a test uses holds the marker [`MARKER`] somewhere, so a leak is found
//! without knowing which secret it was, or how much of it. The marker is looked for as it is (in
//! any case), percent-encoded in any way, in base64 at each of the three alignments, in
//! hexadecimal, as a list of decimal bytes (what `{:?}` makes of bytes) and in UTF-16. Letters
//! and digits survive every form-encoding, so base64 of an encoded secret is found as well.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use percent_encoding::percent_decode;
use std::fmt::Write;

/// What every secret holds.
pub const MARKER: &str = "Canary7";

/// A secret, found where it does not belong.
#[derive(Debug, PartialEq, Eq)]
pub struct Leak {
    /// `as it is`, `in base64`, …
    pub form: &'static str,
    /// What stands around it.
    pub context: String,
}

/// The first leak in these bytes.
pub fn find(bytes: &[u8]) -> Option<Leak> {
    find_plain(bytes).or_else(|| {
        // Once decoded, a text may turn out to have been encoded twice.
        let mut encoded = bytes.to_vec();
        for _ in 0..3 {
            encoded = percent_decode(&encoded).collect();
            if let Some(leak) = find_plain(&encoded) {
                let form = "percent-encoded";
                return Some(Leak { form, ..leak });
            }
        }
        None
    })
}

fn find_plain(bytes: &[u8]) -> Option<Leak> {
    let lower = bytes.to_ascii_lowercase();
    let narrow: Vec<u8> = lower.iter().copied().filter(|&byte| byte != 0).collect();
    let marker = MARKER.to_ascii_lowercase();
    let hexadecimal = join(MARKER, "", |text, byte| write!(text, "{byte:02x}"));
    let in_any_case = [
        ("as it is", &lower, marker.clone()),
        ("in UTF-16", &narrow, marker.clone()),
        ("in hexadecimal", &lower, hexadecimal),
    ];
    for (form, haystack, needle) in in_any_case {
        if let Some(at) = position(haystack, needle.as_bytes()) {
            return Some(Leak::new(form, haystack, at));
        }
    }

    let decimal = |separator| join(MARKER, separator, |text, byte| write!(text, "{byte}"));
    let exact = base64_forms(MARKER.as_bytes())
        .into_iter()
        .chain(base64_forms(percent_encoded().as_bytes()))
        .map(|form| ("in base64", form))
        .chain([", ", ","].map(|separator| ("as decimal bytes", decimal(separator))));
    for (form, needle) in exact {
        if let Some(at) = position(bytes, needle.as_bytes()) {
            return Some(Leak::new(form, bytes, at));
        }
    }
    None
}

/// The characters of base64 that this text alone decides, for each place at which it can stand
/// in a longer text. Neither letters nor digits make the characters in which the URL-safe
/// alphabet differs; `base64_alphabets_agree` below holds that.
fn base64_forms(text: &[u8]) -> [String; 3] {
    [0, 1, 2].map(|offset| {
        let padded: Vec<u8> = [&vec![0; offset], text].concat();
        let encoded = BASE64_STANDARD_NO_PAD.encode(&padded);
        let first = (offset * 8).div_ceil(6);
        let end = padded.len() * 8 / 6;
        encoded[first..end].to_owned()
    })
}

/// The marker with every byte encoded.
fn percent_encoded() -> String {
    join(MARKER, "", |text, byte| write!(text, "%{byte:02X}"))
}

fn join(text: &str, separator: &str, write_byte: impl Fn(&mut String, u8) -> std::fmt::Result) -> String {
    let parts: Vec<String> = text
        .bytes()
        .map(|byte| {
            let mut part = String::new();
            write_byte(&mut part, byte).expect("a String takes everything");
            part
        })
        .collect();
    parts.join(separator)
}

/// Where a sequence of bytes first occurs.
pub fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

impl Leak {
    fn new(form: &'static str, haystack: &[u8], at: usize) -> Leak {
        let from = at.saturating_sub(30);
        let to = haystack.len().min(at + 60);
        let context = haystack[from..to].escape_ascii().to_string();
        Leak { form, context }
    }
}

fn form_of(text: impl AsRef<[u8]>) -> Option<&'static str> {
    find(text.as_ref()).map(|leak| leak.form)
}

#[test]
fn finds_a_secret_as_it_is() {
    assert_eq!(form_of("token: xCanary7y\n"), Some("as it is"));
    assert_eq!(form_of("TOKEN: XCANARY7Y\n"), Some("as it is"));
    assert_eq!(form_of("token: Canary 7, canary6, Canar\n"), None);
}

#[test]
fn finds_every_percent_encoding() {
    let upper = percent_encoded();
    assert_eq!(form_of(&upper), Some("percent-encoded"));
    assert_eq!(form_of(upper.to_lowercase()), Some("percent-encoded"));
    assert_eq!(form_of(upper.replace('%', "%25")), Some("percent-encoded"));
    for at in 0..MARKER.len() {
        let (before, rest) = MARKER.split_at(at);
        let mixed = format!("{before}%{:02x}{}", rest.as_bytes()[0], &rest[1..]);
        assert_eq!(form_of(&mixed), Some("percent-encoded"), "{mixed}");
    }
}

#[test]
fn finds_base64_at_every_alignment_and_before_every_ending() {
    for before in ["", "i", "id", "id:", "id:x", "5f2a7c1e-0d2b-4b6e:"] {
        for after in ["", "~", "~s", "~s/", "+secret=="] {
            for secret in [MARKER, &percent_encoded()] {
                let plain = format!("{before}{secret}{after}");
                for encoded in [
                    BASE64_STANDARD.encode(&plain),
                    base64::prelude::BASE64_URL_SAFE.encode(&plain),
                    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&plain),
                ] {
                    let line = format!("Authorization: Basic {encoded}\r\n");
                    assert_eq!(form_of(&line), Some("in base64"), "{plain}");
                }
            }
        }
    }
}

#[test]
fn finds_what_debug_output_makes_of_bytes() {
    assert_eq!(form_of(format!("{:?}", b"xCanary7y")), Some("as decimal bytes"));
    assert_eq!(form_of("784361 6e6172 793779"), None);
    assert_eq!(form_of("7843616E617279373779"), Some("in hexadecimal"));
    let wide: Vec<u8> = "Canary7".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(form_of(wide), Some("in UTF-16"));
}

#[test]
fn base64_alphabets_agree() {
    let forms = [base64_forms(MARKER.as_bytes()), base64_forms(percent_encoded().as_bytes())];
    for form in forms.as_flattened() {
        assert!(form.len() >= 8, "{form} is too short to be told from chance");
        assert!(form.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{form}");
    }
}
