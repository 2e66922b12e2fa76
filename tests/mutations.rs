//! Token files and token responses as no one would write them, by the hundred thousand.
//!
//! The program's own code reads what a seeded generator has mangled: bytes flipped, cut out, doubled,
//! exchanged between samples, words of JSON in the wrong place, other encodings. The same run meets the
//! same inputs every time. Of each input this holds:
//!
//! - reading it ends, and panics nowhere;
//! - a message about it is one of a few sentences of ours, with positions in them and no byte of it;
//! - what a server is quoted with is printable, short, and free of the request's secrets;
//! - if file and response can both be read, the merged document can be read again, has a refresh token
//!   (the response's, or the stored one), and every stored member still stands in its place: with the
//!   response's value if the response has it, with a new time of the same type if it is one, else to the letter.
//!
//! This is a module of the program, not of the suite: it reaches what the outside can't.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use crate::json::Object;
use crate::oauth::{Body, Client, ClientAuthentication, Grant, NoTokens, TokenRequest, TokenResponse};
use crate::secret::Secret;
use crate::token_set::TokenSet;

const FILES: usize = 130_000;
const RESPONSES: usize = 60_000;
const MERGES: usize = 15_000;

const FILE_SAMPLES: [&str; 9] = [
    "{\n  \"access_token\": \"Canary7-a\",\n  \"token_type\": \"Bearer\",\n  \"refresh_token\": \"Canary7-r\",\n  \"expires_in\": 28800\n}\n",
    "{\"refresh_token\":\"Canary7-r\",\"expires_at\":1700000000.25,\"expiry\":\"2026-01-02T03:04:05.678+02:00\",\"n\":1e400}",
    "{\r\n\t\"refresh_token\": \"\\u0043anary7\\ud83d\\ude00\",\r\n\t\"expires_on\": \"1700000000\",\r\n\t\"scope\": [\"a\", {\"b\": [null, true]}]\r\n}\r\n",
    "{\"accessToken\":\"Canary7-a\",\"refresh_token\":\"Canary7-r\",\"expiresAt\":\"2026-01-02 03:04:05Z\",\"expiry_date\":1700000000000}",
    "\u{feff}{ \"refresh_token\" : \"Canary7-é\u{2028}\" , \"\" : {} , \"ключ\" : -0.0 }",
    "{\"token\":\"Canary7-a\",\"refresh_token\":\"Canary7-r\",\"expiry\":\"2020-01-01T00:00:00.123456Z\",\"access_token_expiration\":\"2020-01-01 00:00:00\"}",
    "{\"accessToken\":\"Canary7-a\",\"refreshToken\":\"Canary7-r\",\"expires\":\"\\/Date(1577836800000+0200)\\/\",\"valid_until\":1.6E+9,\"created\":\"1600000000.5\",\"expires_in\":3600}",
    "{\"access_token\":\"Canary7-a\",\"refresh_token\":\"Canary7-r\",\".expires\":\"Sun, 13 Sep 2020 12:26:40 GMT\",\"issued_at\":\"Sun Sep  6 12:26:40 UTC 2020\",\"refresh_token_expires_at\":\"2020-09-13 14:26:40 +0200\"}",
    "{\"refresh_token\":\"Canary7-r\",\"a\":{\"refresh_token\":1,\"a\":{\"a\":{\"a\":[[[[[[[]]]]]]]}}},\"expires\":null}",
];

const RESPONSE_SAMPLES: [&str; 8] = [
    "{\"access_token\":\"Canary7-new\",\"token_type\":\"Bearer\",\"refresh_token\":\"Canary7-next\",\"expires_in\":28800,\"refresh_token_expires_in\":8640000}",
    "{\"access_token\":\"Canary7-new\",\"expires_in\":\"3600\",\"refresh_token\":\"\",\"scope\":[\"a\",\"b\"],\"expires_at\":1}",
    "{\"token_type\":\"mac\",\"access_token\":\"Canary7-new\",\"data\":{\"refresh_token\":\"Canary7-nested\"},\"ключ\":[1.0e-7]}",
    "{\"error\":\"invalid_grant\",\"error_description\":\"\\u001b[2J Canary7-r Canary7-secret\\r\\n\",\"reference_id\":\"\\u009b31m\"}",
    "{\"status\":\"BAD_REFRESH_TOKEN\",\"message\":\"x\",\"correlation_id\":\"\u{202e}abc\"}",
    "access_token=Canary7-new&refresh_token=Canary7%2Dnext&expires_in=5&token_type=bearer",
    "error=invalid_client&error_description=no+such%20client%0d%0a",
    "<html><body>Canary7-r</body></html>",
];

const WORDS: [&[u8]; 34] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\u00",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"00",
    b"NaN",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\r\n",
    b"\n",
    b" ",
    b"/*",
    b"&",
    b"=",
    b"\"refresh_token\":",
    b"\"access_token\":\"Canary7\"",
    b"\"expires_in\":18446744073709551616",
    b"\"expires_at\":\"\"",
    b"\x1b[31m",
];

/// The same numbers every time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap_or(0)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A sample, mangled up to three times.
    fn mangled(&mut self, samples: &[&str]) -> Vec<u8> {
        let mut bytes = self.pick(samples).as_bytes().to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + 1 + self.below(12)).min(bytes.len());
            match self.below(9) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap_or(0),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let doubled = bytes[at..end].repeat(1 + self.below(40));
                    bytes.splice(at..at, doubled);
                }
                4 => {
                    let other = self.pick(samples).as_bytes();
                    let from = self.below(other.len());
                    bytes.splice(at..end, other[from..].iter().copied());
                }
                5 => bytes.truncate(at),
                6 => bytes = in_utf16(&bytes, self.pick(&[u16::to_le_bytes, u16::to_be_bytes])),
                _ => {
                    let word = self.pick(&WORDS);
                    bytes.splice(at..at, word.iter().copied());
                }
            }
        }
        bytes
    }
}

fn in_utf16(bytes: &[u8], unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(unit).collect()
}

fn request() -> TokenRequest {
    let authentication = ClientAuthentication::SecretPost(Secret::new("Canary7-secret"));
    let client = Client { id: "id".into(), authentication };
    TokenRequest::new(&client, Grant::refresh_token(&Secret::new("Canary7-r")), &[])
}

/// A message, without the numbers in it.
fn sentence(message: &str) -> String {
    assert!(message.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{message:?}");
    message.replace(|character: char| character.is_ascii_digit(), "")
}

#[test]
fn mangled_token_files_are_read_or_refused_in_our_words() {
    let (mut dice, mut read, mut sentences) = (Dice(1), 0, BTreeSet::new());
    for _ in 0..FILES {
        match TokenSet::parse(&dice.mangled(&FILE_SAMPLES)) {
            Ok(_) => read += 1,
            Err(problem) => {
                sentences.insert(sentence(&problem.to_string()));
            }
        }
    }
    assert!(
        (FILES / 5..FILES / 5 * 4).contains(&read),
        "{read} of {FILES} were read: the mangling is too mild or too hard"
    );
    assert!((5..=20).contains(&sentences.len()), "{sentences:#?}");
}

#[test]
fn mangled_responses_are_understood_or_quoted_harmlessly() {
    let (mut dice, request) = (Dice(2), request());
    let (mut tokens, mut refusals, mut sentences) = (0, 0, BTreeSet::new());
    for _ in 0..RESPONSES {
        let response = dice.mangled(&RESPONSE_SAMPLES);
        let body = dice.pick(&[Body::Whole(&response), Body::Unmarked(&response), Body::CutOff(&response)]);
        match TokenResponse::read(dice.pick(&[200, 200, 400, 401, 503]), body, request.mask()) {
            Ok(response) => {
                tokens += 1;
                let has = |name| response.members.string(name).is_some_and(|token| !token.is_empty());
                assert!(has("access_token") || has("refresh_token"));
            }
            Err(NoTokens::Rejected(error)) => {
                refusals += 1;
                let said = error.to_string();
                assert!(said.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{said:?}");
                assert!(said.len() < 800 && !said.contains("Canary7-r ") && !said.contains("Canary7-secret"), "{said}");
            }
            Err(
                NoTokens::Nothing { what } | NoTokens::Contradictory { what } | NoTokens::NotUnderstood { what, .. },
            ) => {
                sentences.insert(sentence(what));
            }
        }
    }
    assert!(
        tokens > RESPONSES / 20 && refusals > RESPONSES / 20,
        "{tokens} tokens, {refusals} refusals of {RESPONSES}"
    );
    assert!((3..=7).contains(&sentences.len()), "{sentences:#?}");
}

#[test]
fn merging_what_is_mangled_loses_nothing_that_was_stored() {
    let (mut dice, request) = (Dice(3), request());
    let mut merged = 0;
    while merged < MERGES {
        let file = dice.mangled(&FILE_SAMPLES);
        let Ok(stored) = TokenSet::parse(&file) else { continue };
        let response = dice.mangled(&RESPONSE_SAMPLES[..3]);
        let body = Body::Whole(&response);
        let Ok(response) = TokenResponse::read(200, body, request.mask()) else { continue };
        merged += 1;
        let seconds = Duration::from_secs(1_700_000_000 + dice.below(1 << 30) as u64);
        judge(&stored, &response, &stored.refreshed(&response, UNIX_EPOCH + seconds));
    }
}

/// In the name of each member that tells a time, which may change, stands one of these.
const TIMES: [&str; 6] = ["expir", "valid", "issued", "created", "obtain", "received"];

/// A name's letters: a file may spell them in another way than a response.
fn letters(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase()
}

/// Whether a response's member of that name, or of the name that google-auth's files have for it, has this value.
fn is_from(response: &TokenResponse, name: &str, value: Option<&str>) -> bool {
    let name = if name == "token" { "accesstoken".to_owned() } else { letters(name) };
    response.members.iter().any(|(its, text)| letters(&its) == name && Some(text) == value)
}

/// What kind of JSON a value is, by its first character.
fn kind(value: &str) -> char {
    match value.chars().next().unwrap_or(' ') {
        '0'..='9' | '-' => '0',
        other => other,
    }
}

#[expect(clippy::disallowed_methods, reason = "canaries, compared")]
fn judge(stored: &TokenSet, response: &TokenResponse, merged: &TokenSet) {
    let (before, after) = (stored.document(usize::MAX), merged.document(usize::MAX));
    let (before, after) = (before.expose(), after.expose());
    let again = TokenSet::parse_of_any_size(after.as_bytes());
    assert!(again.is_ok_and(|again| again.is_same_document(merged)), "not read again as it was written:\n{after}");
    let wanted = response.refresh_token.as_ref().unwrap_or(stored.refresh_token());
    assert!(merged.refresh_token().is_same(wanted), "{before}\n{after}");

    let before_members = Object::parse(&before.into()).unwrap_or_else(|_| panic!("our own document: {before}"));
    let after_members = Object::parse(&after.into()).unwrap_or_else(|_| panic!("our own document: {after}"));
    let mut names = after_members.iter().map(|(name, _)| name);
    for (name, text) in before_members.iter() {
        assert_eq!(names.next().as_ref(), Some(&name), "not in its place:\n{before}\n{after}");
        let now = after_members.text(&name);
        let is_replaced = is_from(response, &name, now);
        // A time stays what it was, a number or a string; one that was null becomes a number, and one that the
        // response brings takes the file's form.
        let is_of_kind = now.is_some_and(|now| kind(now) == kind(text) || text == "null" && kind(now) == '0');
        let is_time = is_of_kind && TIMES.iter().any(|time| letters(&name).contains(time));
        assert!(now == Some(text) || is_replaced || is_time, "{name} was {text}, is {now:?}:\n{before}\n{after}");
    }
}
