//! The content of a token file, and the rule by which a token response changes it. Pure.
//!
//! A token set is the whole document, not only its tokens: members that this program does not know belong to
//! others and stay unchanged.

mod calendar;
mod date_text;
mod expiry;
mod spelling;
mod timestamp;

use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::json::{Layout, Object, unquote};
use crate::member_names::Subject;
use crate::oauth::{Mask, TokenResponse};
use crate::secret::Secret;
use crate::text::{self, Fault};

/// The largest token file that is read. A file that comes within one response of it keeps its own members but gets
/// no new ones, so that everything that is written can be read.
pub const MAX_SIZE: usize = 4 << 20;

pub const TOO_LARGE: &str = "larger than 4 MiB";
pub const MISSING: &str = "no refresh_token in the object";
pub const EMPTY: &str = "refresh_token is empty";

/// The largest file that version 0.1.0 reads: a file that can be kept within it is.
const USUAL_SIZE: usize = 1 << 20;

/// The size of one response, or more.
const RESERVE: usize = 1 << 20;

/// By how much new tokens may be larger than the old ones.
const TOKEN_GROWTH: usize = 64 << 10;

/// What the new document may need in addition to the old one and the response: expiry members and a newline.
const MARGIN: usize = 4096;

/// The members of a token response that this program or any client of the server may need (RFC 6749, section
/// 5.1; OpenID Connect Core 3.1.3.3).
const ESSENTIAL: [&str; 7] =
    ["access_token", "refresh_token", "token_type", "expires_in", "scope", "id_token", "expires_at"];

/// A token file's content: one JSON object with a refresh token.
pub struct TokenSet {
    members: Object,
    layout: Layout,
    refresh_token: Secret,
    access_token: Option<Secret>,
    has_left_members_out: bool,
}

impl TokenSet {
    /// Reads a token file's bytes, in any encoding that [`text::decode`] knows.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        check_size(bytes)?;
        Self::parse_of_any_size(bytes)
    }

    /// Reads what a login may write to: a token file, a JSON object without tokens, or nothing but white space.
    pub fn parse_for_login(bytes: &[u8]) -> Result<Self, Fault> {
        check_size(bytes)?;
        let text = text::decode(bytes)?;
        let text = if text.trim_ascii().is_empty() { "{}".into() } else { text.into() };
        Ok(Self::new(Object::parse(&text)?, Layout::of(&text)))
    }

    /// The place for the tokens of a first login: a document without members.
    pub fn empty() -> Self {
        Self::new(Object::default(), Layout::of(""))
    }

    /// Reads a draft, however large.
    pub fn parse_of_any_size(bytes: &[u8]) -> Result<Self, Fault> {
        let text = text::decode(bytes)?.into();
        let members = Object::parse(&text)?;
        let tokens = spelling::tokens(&members);
        let Some((name, value)) = &tokens.refresh_token else {
            let opening_brace = text.find('{').unwrap_or(0);
            return Err(Fault::at(MISSING, &text, opening_brace));
        };
        let fault = |what| Err(Fault::at(what, &text, members.offset(name).unwrap_or(0)));
        match unquote(value) {
            None => fault("refresh_token is not a string"),
            Some(token) if token.is_empty() => fault(EMPTY),
            Some(_) => Ok(Self::new(members, Layout::of(&text))),
        }
    }

    fn new(members: Object, layout: Layout) -> Self {
        let spelling::Tokens { refresh_token, access_token } = spelling::tokens(&members);
        let token = |found: Option<(_, &str)>| found.and_then(|(_, value)| unquote(value));
        Self {
            refresh_token: Secret::new(token(refresh_token).unwrap_or_default()),
            access_token: token(access_token).filter(|token| !token.is_empty()).map(Secret::new),
            members,
            layout,
            has_left_members_out: false,
        }
    }

    pub fn has_refresh_token(&self) -> bool {
        !self.refresh_token.is_empty()
    }

    /// Empty if there is none, which happens only in a login.
    pub fn refresh_token(&self) -> &Secret {
        &self.refresh_token
    }

    pub fn access_token(&self) -> Option<&Secret> {
        self.access_token.as_ref()
    }

    /// Whether both hold the same two tokens, whatever else they hold.
    pub fn has_tokens_of(&self, other: &TokenSet) -> bool {
        self.has_access_token_of(other) && self.refresh_token.is_same(&other.refresh_token)
    }

    /// Whether both hold the same access token, or none.
    pub fn has_access_token_of(&self, other: &TokenSet) -> bool {
        match (&self.access_token, &other.access_token) {
            (Some(one), Some(another)) => one.is_same(another),
            (None, None) => true,
            _ => false,
        }
    }

    /// When the access token expires, if the members say so and it is plausible at `now`.
    pub fn expires_at(&self, now: SystemTime) -> Option<SystemTime> {
        self.access_token.as_ref()?;
        expiry::end_of_access_token(&self.members, now)
    }

    /// The same, in seconds since 1970.
    pub fn expires_at_seconds(&self, now: SystemTime) -> Option<u64> {
        Some(self.expires_at(now)?.duration_since(UNIX_EPOCH).ok()?.as_secs())
    }

    /// How long the access token of a response is valid, if the response says so.
    pub fn lifetime_in(response: &TokenResponse, now: SystemTime) -> Option<Duration> {
        expiry::end_in_response(Subject::AccessToken, &response.members, now)?.duration_since(now).ok()
    }

    /// Warnings about members, printable: their names, never their values.
    pub fn warnings(&self, mask: &Mask) -> Vec<String> {
        const MAX_NAMES: usize = 5;
        let names = expiry::not_understood(&self.members).take(MAX_NAMES).map(|name| mask.printable(&name));
        let odd = "looks like an expiry, but was not understood and is left unchanged";
        names.map(|name| format!("the member \"{name}\" {odd}")).collect()
    }

    /// This token set after a token response to a request that was sent at `requested_at`.
    pub fn refreshed(&self, response: &TokenResponse, requested_at: SystemTime) -> Self {
        let merged = Self::new(merge(&self.members, response, requested_at), self.layout.clone());
        if merged.members.compact_length() <= MAX_SIZE - RESERVE {
            return merged;
        }
        // What the response adds stands at the end.
        let members = merged.members.keep_first_and(self.members.count(), &ESSENTIAL);
        let has_left_members_out = members.count() < merged.members.count();
        Self { has_left_members_out, ..Self::new(members, self.layout.clone()) }
    }

    /// Whether this can grow by what new tokens may need, and still be read.
    pub fn has_room_for_tokens(&self) -> bool {
        self.members.compact_length() + TOKEN_GROWTH <= MAX_SIZE
    }

    /// This token set with the members that can be read at the beginning of a draft that was to replace it. None
    /// without a refresh token; without an access token, only the refresh token is of use.
    pub fn salvaged(&self, part: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(part);
        let part = Object::parse_leniently(&text).unwrap_or_else(|beginning| beginning);
        let tokens = spelling::tokens(&part);
        let is_filled = |value| unquote(value).is_some_and(|token| !token.is_empty());
        let (refresh_token, _) = tokens.refresh_token.filter(|(_, value)| is_filled(value))?;
        let has_both = tokens.access_token.is_some_and(|(_, value)| is_filled(value));
        let of_use = part.iter().filter(|(name, _)| has_both || *name == refresh_token);
        let members = self.members.with(of_use.map(|(name, value)| (name, value.to_owned())));
        Some(Self::new(members, self.layout.clone()))
    }

    /// This token set with further members, which replace those of the same name.
    pub fn with_members(&self, members: &[(&'static str, String)]) -> Self {
        let members = members.iter().map(|(name, value)| ((*name).into(), value.clone()));
        Self::new(self.members.with(members), self.layout.clone())
    }

    /// Whether the response had more members than there was room for.
    pub fn has_left_members_out(&self) -> bool {
        self.has_left_members_out
    }

    /// The greatest possible length of the document, in bytes, after a response of `max_response` bytes.
    pub fn max_length(&self, max_response: usize) -> usize {
        self.members.compact_length() + max_response + MARGIN
    }

    /// The usual length of the document, in bytes, after one more response: most of its members are there from the
    /// last one.
    pub fn usual_length(&self) -> usize {
        self.members.length(&self.layout) + TOKEN_GROWTH + MARGIN
    }

    /// The file's new content, in at most `room` bytes: UTF-8 in the file's own style; on one line where only that
    /// keeps it small.
    pub fn document(&self, room: usize) -> Secret {
        let pretty = self.members.write(&self.layout);
        if pretty.len() <= room.min(USUAL_SIZE) {
            return Secret::new(pretty);
        }
        let is_usual = self.members.compact_length() < USUAL_SIZE;
        let is_pretty = !is_usual && pretty.len() <= room.min(MAX_SIZE);
        Secret::new(if is_pretty { pretty } else { self.members.write(&Layout::COMPACT) + "\n" })
    }

    /// Whether the token file holds the exact text that this was read from. False for a changed token set.
    pub fn is_read_from(&self, token_file: impl Read) -> io::Result<bool> {
        self.members.is_read_from(token_file)
    }

    /// Whether both are the same document, member for member.
    pub fn is_same_document(&self, other: &TokenSet) -> bool {
        self.members.iter().eq(other.members.iter())
    }
}

fn check_size(bytes: &[u8]) -> Result<(), Fault> {
    match bytes.get(..MAX_SIZE) {
        Some(within) if bytes.len() > MAX_SIZE => {
            Err(Fault::at(TOO_LARGE, &String::from_utf8_lossy(within), usize::MAX))
        }
        _ => Ok(()),
    }
}

/// The merge rule.
///
/// 1. The response's members replace the stored ones of the same name, or are added at the end. Members named
///    `error*` are not stored, a missing or empty `refresh_token` leaves the stored one, and a time that is null
///    counts as missing. A member that the file has under another name (`accessToken`, or google-auth's `token`)
///    keeps that name.
/// 2. Members that hold when a token expires, or was issued, are updated from `requested_at` and the lifetimes in
///    the response, each in its own form, unless the response has them itself. A file without an expiry gets
///    `expires_at`, in seconds since 1970. Without a lifetime they stay.
/// 3. Everything else stays, to the byte.
fn merge(stored: &Object, response: &TokenResponse, requested_at: SystemTime) -> Object {
    let counts = |name: &str, value: &str| match name {
        "refresh_token" => response.refresh_token.is_some(),
        _ => !name.starts_with("error") && !expiry::is_silent(name, value),
    };
    let response_members = response.members.iter().filter(|(name, value)| counts(name, value));
    let response_members = spelling::under_stored_names(stored, response_members);
    let times = expiry::updates(stored, &response.members, &response_members, requested_at);
    let response_members = response_members.into_iter().map(|(name, value)| (name, value.to_owned()));
    stored.with(response_members.chain(times))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::oauth::Body;

    fn merged(stored: &str, response: &str) -> String {
        let response = TokenResponse::read(200, Body::Whole(response.as_bytes()), &Mask::default()).ok().unwrap();
        let stored = Object::parse(&stored.into()).ok().unwrap();
        let merged = merge(&stored, &response, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        merged.write(&Layout::of("{\"one line\":1}")).replace("\n  ", "").replace('\n', "")
    }

    #[test]
    fn the_merge_rule() {
        for (why, stored, response, wanted) in [
            (
                "rotated",
                r#"{"refresh_token":"r","access_token":"a"}"#,
                r#"{"access_token":"A","refresh_token":"R"}"#,
                r#"{"refresh_token": "R","access_token": "A"}"#,
            ),
            (
                "no refresh token",
                r#"{"refresh_token":"r"}"#,
                r#"{"access_token":"A"}"#,
                r#"{"refresh_token": "r","access_token": "A"}"#,
            ),
            (
                "an empty one",
                r#"{"refresh_token":"r"}"#,
                r#"{"access_token":"A","refresh_token":""}"#,
                r#"{"refresh_token": "r","access_token": "A"}"#,
            ),
            (
                "null",
                r#"{"refresh_token":"r"}"#,
                r#"{"access_token":"A","refresh_token":null}"#,
                r#"{"refresh_token": "r","access_token": "A"}"#,
            ),
            (
                "no error members",
                r#"{"refresh_token":"r"}"#,
                r#"{"access_token":"A","error":"","error_uri":"x"}"#,
                r#"{"refresh_token": "r","access_token": "A"}"#,
            ),
            (
                "whatever else it carries",
                r#"{"refresh_token":"r"}"#,
                r#"{"access_token":"A","scope":["a"],"id_token":"i"}"#,
                r#"{"refresh_token": "r","access_token": "A","scope": ["a"],"id_token": "i"}"#,
            ),
            (
                "expires_at is added",
                r#"{"refresh_token":"r"}"#,
                r#"{"access_token":"A","expires_in":100}"#,
                r#"{"refresh_token": "r","access_token": "A","expires_in": 100,"expires_at": 1700000100}"#,
            ),
            (
                "a string lifetime",
                r#"{"refresh_token":"r"}"#,
                r#"{"access_token":"A","expires_in":"100"}"#,
                r#"{"refresh_token": "r","access_token": "A","expires_in": "100","expires_at": 1700000100}"#,
            ),
            (
                "numbers stay numbers",
                r#"{"refresh_token":"r","expires_at":1,"expires":1600000000000}"#,
                r#"{"access_token":"A","expires_in":100}"#,
                r#"{"refresh_token": "r","expires_at": 1700000100,"expires": 1700000100000,"access_token": "A","expires_in": 100}"#,
            ),
            (
                "floats stay floats",
                r#"{"refresh_token":"r","expires_at":1600000000.25}"#,
                r#"{"access_token":"A","expires_in":100}"#,
                r#"{"refresh_token": "r","expires_at": 1700000100.0,"access_token": "A","expires_in": 100}"#,
            ),
            (
                "strings stay strings",
                r#"{"refresh_token":"r","expires_on":"1600000000"}"#,
                r#"{"access_token":"A","expires_in":100}"#,
                r#"{"refresh_token": "r","expires_on": "1700000100","access_token": "A","expires_in": 100}"#,
            ),
            (
                "RFC 3339",
                r#"{"refresh_token":"r","expiry":"2020-01-01T00:00:00.123+02:00","expiresAt":"2020-01-01T00:00:00Z"}"#,
                r#"{"access_token":"A","expires_in":100}"#,
                r#"{"refresh_token": "r","expiry": "2023-11-15T00:15:00.000+02:00","expiresAt": "2023-11-14T22:15:00Z","access_token": "A","expires_in": 100}"#,
            ),
            (
                "the server's own word",
                r#"{"refresh_token":"r","expires_on":1}"#,
                r#"{"access_token":"A","expires_in":100,"expires_on":"7"}"#,
                r#"{"refresh_token": "r","expires_on": 7,"access_token": "A","expires_in": 100}"#,
            ),
            (
                "no lifetime",
                r#"{"refresh_token":"r","expires_at":1}"#,
                r#"{"access_token":"A"}"#,
                r#"{"refresh_token": "r","expires_at": 1,"access_token": "A"}"#,
            ),
            (
                "an expiry in no known form",
                r#"{"refresh_token":"r","expires_at":"soon"}"#,
                r#"{"access_token":"A","expires_in":100}"#,
                r#"{"refresh_token": "r","expires_at": "soon","access_token": "A","expires_in": 100}"#,
            ),
            (
                "a name with an escape",
                r#"{"refresh\u005ftoken":"r"}"#,
                r#"{"access_token":"A","refresh_token":"R"}"#,
                r#"{"refresh\u005ftoken": "R","access_token": "A"}"#,
            ),
            (
                "unknown members",
                r#"{"x":{"refresh_token":1e400},"refresh_token":"r"}"#,
                r#"{"access_token":"A"}"#,
                r#"{"x": {"refresh_token":1e400},"refresh_token": "r","access_token": "A"}"#,
            ),
            (
                "a form",
                r#"{"refresh_token":"r"}"#,
                "access_token=A%2B+b&expires_in=%2B0100",
                r#"{"refresh_token": "r","access_token": "A+ b","expires_in": 100,"expires_at": 1700000100}"#,
            ),
        ] {
            assert_eq!(merged(stored, response), wanted, "{why}");
        }
    }

    #[test]
    fn refuses_what_is_no_token_file() {
        for (bytes, wanted) in [
            ("{}", "no refresh_token in the object (line 1, column 1)"),
            ("{\n\"refresh_token\": \"\"}", "refresh_token is empty (line 2, column 18)"),
            ("{\"refresh_token\":7}", "refresh_token is not a string (line 1, column 18)"),
            ("[]", "not a JSON object (line 1, column 1)"),
        ] {
            assert_eq!(TokenSet::parse(bytes.as_bytes()).err().unwrap().to_string(), wanted);
        }
        let large = vec![b' '; MAX_SIZE + 1];
        assert_eq!(TokenSet::parse(&large).err().unwrap().to_string(), "larger than 4 MiB (line 1, column 4194305)");
    }

    /// Of what token files hold in the wild: what a refresh makes of them. The request was sent at 1700000000,
    /// which is 2023-11-14T22:13:20Z, for a token of 100 seconds, if the response does not say otherwise.
    #[test]
    fn what_belongs_together_stays_together() {
        const RESPONSE: &str = r#"{"access_token":"A","refresh_token":"R","expires_in":100}"#;
        for (why, stored, response, wanted) in [
            (
                "google-auth",
                r#"{"token":"a","refresh_token":"r","scopes":["x"],"expiry":"2020-01-01T00:00:00.123456Z"}"#,
                r#"{"access_token":"A","expires_in":100}"#,
                r#"{"token": "A","refresh_token": "r","scopes": ["x"],"expiry": "2023-11-14T22:15:00.000000Z","expires_in": 100}"#,
            ),
            (
                "oauth2client",
                r#"{"access_token":"a","refresh_token":"r","token_expiry":"2020-01-01T00:00:00Z","invalid":false}"#,
                RESPONSE,
                r#"{"access_token": "A","refresh_token": "R","token_expiry": "2023-11-14T22:15:00Z","invalid": false,"expires_in": 100}"#,
            ),
            (
                "both names of one token",
                r#"{"token":"a","access_token":"a","refresh_token":"r","expires_at":1}"#,
                RESPONSE,
                r#"{"token": "A","access_token": "A","refresh_token": "R","expires_at": 1700000100,"expires_in": 100}"#,
            ),
            (
                "another token than the access token",
                r#"{"token":"x","access_token":"a","refresh_token":"r","expires_at":1}"#,
                RESPONSE,
                r#"{"token": "x","access_token": "A","refresh_token": "R","expires_at": 1700000100,"expires_in": 100}"#,
            ),
            (
                "not a token at all",
                r#"{"token":{"x":1},"refresh_token":"r","expires_at":1}"#,
                RESPONSE,
                r#"{"token": {"x":1},"refresh_token": "R","expires_at": 1700000100,"access_token": "A","expires_in": 100}"#,
            ),
            (
                "AWS SSO",
                r#"{"accessToken":"a","expiresAt":"2020-01-01T00:00:00Z","refreshToken":"r","registrationExpiresAt":"2020-01-01T00:00:00Z"}"#,
                RESPONSE,
                r#"{"accessToken": "A","expiresAt": "2023-11-14T22:15:00Z","refreshToken": "R","registrationExpiresAt": "2020-01-01T00:00:00Z","expires_in": 100}"#,
            ),
            (
                "Twurple",
                r#"{"accessToken":"a","refreshToken":"r","expiresIn":7,"obtainmentTimestamp":1600000000000}"#,
                RESPONSE,
                r#"{"accessToken": "A","refreshToken": "R","expiresIn": 100,"obtainmentTimestamp": 1700000000000,"expires_at": 1700000100}"#,
            ),
            (
                "Google's PHP library",
                r#"{"access_token":"a","expires_in":3599,"refresh_token":"r","created":1600000000}"#,
                RESPONSE,
                r#"{"access_token": "A","expires_in": 100,"refresh_token": "R","created": 1700000000,"expires_at": 1700000100}"#,
            ),
            (
                "the same once more",
                r#"{"access_token":"a","expires_in":100,"refresh_token":"r","created":1600000000,"expires_at":1600000100}"#,
                RESPONSE,
                r#"{"access_token": "A","expires_in": 100,"refresh_token": "R","created": 1700000000,"expires_at": 1700000100}"#,
            ),
            (
                "when the record was created",
                r#"{"access_token":"a","expires_in":100,"refresh_token":"r","created_at":1500000000,"expires_at":1600000100}"#,
                RESPONSE,
                r#"{"access_token": "A","expires_in": 100,"refresh_token": "R","created_at": 1500000000,"expires_at": 1700000100}"#,
            ),
            (
                "ortie, and Docusign's Postman collection",
                r#"{"refresh_token":"r","issued_at":1600000000,"received_at":"2020-01-01T00:00:00.000Z","expires_at":1}"#,
                RESPONSE,
                r#"{"refresh_token": "R","issued_at": 1700000000,"received_at": "2023-11-14T22:13:20.000Z","expires_at": 1700000100,"access_token": "A","expires_in": 100}"#,
            ),
            (
                "Salesforce tells when, but not how long",
                r#"{"refresh_token":"r","issued_at":"1600000000000"}"#,
                r#"{"access_token":"A","issued_at":"1700000000007"}"#,
                r#"{"refresh_token": "r","issued_at": "1700000000007","access_token": "A"}"#,
            ),
            (
                "ASP.NET",
                r#"{"refresh_token":"r",".issued":"Sun, 13 Sep 2020 12:26:40 GMT",".expires":"Sun, 13 Sep 2020 12:26:40 GMT"}"#,
                RESPONSE,
                r#"{"refresh_token": "R",".issued": "Tue, 14 Nov 2023 22:13:20 GMT",".expires": "Tue, 14 Nov 2023 22:15:00 GMT","access_token": "A","expires_in": 100}"#,
            ),
            (
                "the refresh token's end",
                r#"{"refresh_token":"r","refresh_token_expires_at":1600000000,"refreshTokenExpiresAt":"2020-01-01T00:00:00.000Z"}"#,
                r#"{"access_token":"A","refresh_token":"R","refresh_token_expires_in":1000}"#,
                r#"{"refresh_token": "R","refresh_token_expires_at": 1700001000,"refreshTokenExpiresAt": "2023-11-14T22:30:00.000Z","access_token": "A","refresh_token_expires_in": 1000}"#,
            ),
            (
                "Keycloak's name for it",
                r#"{"refresh_token":"r","refresh_expires_at":1600000000000}"#,
                r#"{"access_token":"A","refresh_expires_in":1000}"#,
                r#"{"refresh_token": "r","refresh_expires_at": 1700001000000,"access_token": "A","refresh_expires_in": 1000}"#,
            ),
            (
                "Keycloak, of one that does not end",
                r#"{"refresh_token":"r","refresh_expires_at":1600000000}"#,
                r#"{"access_token":"A","refresh_expires_in":0}"#,
                r#"{"refresh_token": "r","refresh_expires_at": 1600000000,"access_token": "A","refresh_expires_in": 0}"#,
            ),
            (
                "Intuit's name for it",
                r#"{"refresh_token":"r","x_refresh_token_expires_in":7,"refresh_token_expiry":"2020-01-01T00:00:00+00:00"}"#,
                r#"{"access_token":"A","x_refresh_token_expires_in":1000}"#,
                r#"{"refresh_token": "r","x_refresh_token_expires_in": 1000,"refresh_token_expiry": "2023-11-14T22:30:00+00:00","access_token": "A"}"#,
            ),
            (
                "of the refresh token nothing was told",
                r#"{"refresh_token":"r","refresh_token_expires_at":1600000000,"expires_at":1}"#,
                RESPONSE,
                r#"{"refresh_token": "R","refresh_token_expires_at": 1600000000,"expires_at": 1700000100,"access_token": "A","expires_in": 100}"#,
            ),
            (
                "Azure's extended lifetime",
                r#"{"refresh_token":"r","expires_on":"1600000000","ext_expires_on":"1600000000"}"#,
                r#"{"access_token":"A","expires_in":100,"ext_expires_in":1000}"#,
                r#"{"refresh_token": "r","expires_on": "1700000100","ext_expires_on": "1700001000","access_token": "A","expires_in": 100,"ext_expires_in": 1000}"#,
            ),
            (
                "null counts as missing",
                r#"{"refresh_token":"r","expires_at":1,"expires_in":7}"#,
                r#"{"access_token":"A","expires_in":100,"expires_at":null,"expires_on":null}"#,
                r#"{"refresh_token": "r","expires_at": 1700000100,"expires_in": 100,"access_token": "A"}"#,
            ),
            (
                "and neither is one that is stored",
                r#"{"refresh_token":"r","expires_at":null}"#,
                RESPONSE,
                r#"{"refresh_token": "R","expires_at": 1700000100,"access_token": "A","expires_in": 100}"#,
            ),
            (
                "the response tells the end alone",
                r#"{"refresh_token":"r","expires":"2020-01-01T00:00:00Z"}"#,
                r#"{"access_token":"A","expires_on":"1700000100"}"#,
                r#"{"refresh_token": "r","expires": "2023-11-14T22:15:00Z","access_token": "A","expires_on": "1700000100"}"#,
            ),
            (
                "the response tells the end in another form",
                r#"{"refresh_token":"r","expiresAt":"2020-01-01T00:00:00Z"}"#,
                r#"{"access_token":"A","expires_in":100,"expires_at":1700000100}"#,
                r#"{"refresh_token": "r","expiresAt": "2023-11-14T22:15:00Z","access_token": "A","expires_in": 100}"#,
            ),
            (
                "Zoho's milliseconds",
                r#"{"refresh_token":"r"}"#,
                r#"{"access_token":"A","expires_in_sec":100,"expires_in":100000}"#,
                r#"{"refresh_token": "r","access_token": "A","expires_in_sec": 100,"expires_in": 100000,"expires_at": 1700000100}"#,
            ),
            (
                "a lifetime is as the server writes it",
                r#"{"refresh_token":"r","expires_in":7,"expires_at":1}"#,
                r#"{"access_token":"A","expires_in":"100"}"#,
                r#"{"refresh_token": "r","expires_in": "100","expires_at": 1700000100,"access_token": "A"}"#,
            ),
            (
                "an exponent, a fraction and .NET",
                r#"{"refresh_token":"r","expires_at":1.6E9,"expires":"1600000000.5","expiry":"\/Date(1600000000000)\/"}"#,
                RESPONSE,
                r#"{"refresh_token": "R","expires_at": 1.7000001E9,"expires": "1700000100.0","expiry": "\/Date(1700000100000)\/","access_token": "A","expires_in": 100}"#,
            ),
            (
                "what is not understood is not written",
                r#"{"refresh_token":"r","expires":"soon","sessionExpiresAt":1600000000,"expires_at":"1"}"#,
                RESPONSE,
                r#"{"refresh_token": "R","expires": "soon","sessionExpiresAt": 1600000000,"expires_at": "1700000100","access_token": "A","expires_in": 100}"#,
            ),
        ] {
            assert_eq!(merged(stored, response), wanted, "{why}");
        }
    }

    #[test]
    fn believes_what_can_be_true() {
        const NOW: u64 = 1_700_000_000;
        // `NOW+7` in a file stands for the number. The result is the lifetime from then.
        for (members, left) in [
            (r#""expires_at":NOW+200,"expires_on":"NOW+100""#, Some(100)),
            (r#""expires_in":200"#, None),
            ("", None),
            (r#""expires_at":NOW+3600,"expires_in":3600"#, Some(3600)),
            (r#""expires_at":NOW+3660,"expires_in":3600"#, Some(3660)),
            (r#""expires_at":NOW+3661,"expires_in":3600"#, None),
            (r#""expires_at":NOW+3661,"expires_in":3600000,"expires_in_sec":3600"#, None),
            (r#""expires_at":NOW+3661,"expiry":"2023-11-14T22:15:00Z","expires_in":3600"#, Some(100)),
            (r#""expires_at":NOW+34560000"#, Some(34_560_000)),
            (r#""expires_at":NOW+315360000"#, None),
            (r#""expires_at":2147483647"#, None),
            (r#""expires_at":"9999-12-31T23:59:59.9999999Z""#, None),
            (r#""expires_at":"2023-11-14T22:15:00""#, None),
            (r#""expires_at":"2023-11-14T22:15:00","expires_on":NOW+50"#, Some(50)),
            (r#""expires_at_utc":"2023-11-14T22:15:00""#, Some(100)),
            (r#""expires_at":"soon""#, None),
            (r#""expires_at":null"#, None),
            (r#""expires_at":-1"#, Some(0)),
            (r#""refresh_token_expires_at":NOW+100"#, None),
            (r#""client_secret_expires_at":NOW+100"#, None),
            (r#""created":NOW+0,"expires_in":100"#, Some(100)),
            (r#""created":NOW+61,"expires_in":100"#, None),
            (r#""created":NOW+0"#, None),
            (r#""created_at":1500000000,"expires_in":100,"expires_at":NOW+50"#, Some(50)),
            (r#""issued_at":"NOW000","expires_in":"100""#, Some(100)),
        ] {
            let mut text = format!(r#"{{"refresh_token":"r","access_token":"a",{members}}}"#).replace(",}", "}");
            text = text.replace("NOW000", &format!("{NOW}000"));
            while let Some(at) = text.find("NOW+") {
                let digits: String = text[at + 4..].chars().take_while(char::is_ascii_digit).collect();
                let number = (NOW + digits.parse::<u64>().unwrap()).to_string();
                text = text.replacen(&format!("NOW+{digits}"), &number, 1);
            }
            let now = UNIX_EPOCH + Duration::from_secs(NOW);
            let end = TokenSet::parse(text.as_bytes()).ok().unwrap().expires_at(now);
            let found = end.map(|end| end.duration_since(now).map_or(0, |left| left.as_secs()));
            assert_eq!(found, left, "{members}");
        }
        let without_access_token = TokenSet::parse(br#"{"refresh_token":"r","expires_at":200}"#).ok().unwrap();
        assert_eq!(without_access_token.expires_at(UNIX_EPOCH), None);
    }

    #[test]
    fn names_what_it_does_not_understand() {
        for (members, names) in [
            (r#""expires_at":"soon""#, "expires_at"),
            (r#""expires":"""#, "expires"),
            (r#""expires":false"#, "expires"),
            (r#""expiry":{"seconds":1600000000}"#, "expiry"),
            (r#""expires_at":[2020,9,13]"#, "expires_at"),
            (r#""expires_on":"09/13/2020 12:26:40","expires_at":1"#, "expires_on"),
            (r#""refresh_token_expires_at":"later""#, "refresh_token_expires_at"),
            (r#""sessionExpiresAt":1600000000"#, "sessionExpiresAt"),
            (r#""expires_in":"soon""#, "expires_in"),
            (r#""expires_in":"soon","expires_in_sec":1"#, ""),
            (r#""expires_at":null,"expires_in":null,"expired":false,"expiry_reminder_sent":true"#, ""),
            (r#""expires_at":"2020-09-13 12:26:40""#, ""),
            (r#""client_secret_expires_at":0,"registrationExpiresAt":"x","created_at":"yesterday","scope":"soon""#, ""),
        ] {
            let text = format!(r#"{{"refresh_token":"r",{members}}}"#);
            let warnings = TokenSet::parse(text.as_bytes()).ok().unwrap().warnings(&Mask::default());
            let found: Vec<_> = warnings.iter().filter_map(|warning| warning.split('"').nth(1)).collect();
            assert_eq!(found.join(" "), names, "{members}");
        }
    }
}
