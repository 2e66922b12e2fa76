//! What a token file says, and the rule by which a token response changes it. Pure.
//!
//! A token set is the whole document, not only its tokens: members that this program does not
//! know belong to someone else and stay as they are.

mod expiry;

use std::borrow::Cow;
use std::time::SystemTime;

use crate::json::{Layout, Object};
use crate::oauth::TokenResponse;
use crate::secret::Secret;
use crate::text::{self, Fault};

/// The largest token file that is read.
pub const LARGEST: usize = 1 << 20;

/// A token file's content: one JSON object with a refresh token.
pub struct TokenSet {
    members: Object,
    layout: Layout,
    refresh_token: Secret,
    access_token: Option<Secret>,
}

impl TokenSet {
    /// Reads a token file's bytes, in any encoding that [`text::decode`] knows.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if let Some(within) = bytes.get(..LARGEST).filter(|_| bytes.len() > LARGEST) {
            return Err(Fault::of("larger than 1 MiB", &String::from_utf8_lossy(within), usize::MAX));
        }
        Self::parse_of_any_size(bytes)
    }

    /// Reads what this program itself wrote: a reply may have made it larger than it may be read.
    pub fn parse_of_any_size(bytes: &[u8]) -> Result<Self, Fault> {
        let text = text::decode(bytes)?.into();
        let members = Object::parse(&text)?;
        let Some(at) = members.offset("refresh_token") else {
            let opening_brace = text.find('{').unwrap_or(0);
            return Err(Fault::of("no refresh_token in the object", &text, opening_brace));
        };
        match members.string("refresh_token") {
            None => Err(Fault::of("refresh_token is not a string", &text, at)),
            Some(token) if token.is_empty() => Err(Fault::of("refresh_token is empty", &text, at)),
            Some(_) => Ok(Self::new(members, Layout::of(&text))),
        }
    }

    fn new(members: Object, layout: Layout) -> Self {
        Self {
            refresh_token: Secret::new(members.string("refresh_token").unwrap_or_default()),
            access_token: members.string("access_token").filter(|token| !token.is_empty()).map(Secret::new),
            members,
            layout,
        }
    }

    pub fn refresh_token(&self) -> &Secret {
        &self.refresh_token
    }

    pub fn access_token(&self) -> Option<&Secret> {
        self.access_token.as_ref()
    }

    /// Whether both hold the same two tokens, whatever else they say.
    pub fn has_tokens_of(&self, other: &TokenSet) -> bool {
        let same_access_token = match (&self.access_token, &other.access_token) {
            (Some(one), Some(another)) => one.is_same(another),
            (None, None) => true,
            _ => false,
        };
        same_access_token && self.refresh_token.is_same(&other.refresh_token)
    }

    /// When the access token ends, if an absolute expiry member says so; the earliest, should
    /// several disagree. A relative `expires_in` alone tells nothing: the file's age is unknown.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.access_token.as_ref()?;
        let stored = self.members.iter().filter(|(name, _)| expiry::NAMES.contains(&name.as_ref()));
        stored.filter_map(|(_, value)| expiry::read(value)).map(|(at, _)| at).min()
    }

    /// This token set after a token response to a request that was sent at `requested_at`.
    pub fn refreshed(&self, response: &TokenResponse, requested_at: SystemTime) -> Self {
        let members = merge(&self.members, response, requested_at);
        Self::new(members, self.layout.clone())
    }

    /// The file's new content: UTF-8 in the file's own style; on one line, if only so it can be read again.
    pub fn document(&self) -> Secret {
        Secret::new(self.text())
    }

    /// The length of [`Self::document`] in bytes.
    pub fn document_length(&self) -> usize {
        self.text().len()
    }

    fn text(&self) -> String {
        let text = self.members.write(&self.layout);
        if text.len() <= LARGEST {
            return text;
        }
        let compact = self.members.write(&Layout::COMPACT) + "\n";
        if compact.len() <= LARGEST { compact } else { text }
    }

    /// Whether both are the same document, member for member.
    pub fn is_same_document(&self, other: &TokenSet) -> bool {
        self.members.iter().eq(other.members.iter())
    }
}

/// The merge rule.
///
/// 1. The response's members replace the stored ones of the same name, or join at the end; but
///    `error*` never, and a missing or empty `refresh_token` leaves the stored one.
/// 2. Absolute expiry members that the file already has are set to `requested_at` plus
///    `expires_in`, each in its own form, unless the response carried them itself. A file that has
///    none gets `expires_at`, in epoch seconds. Without `expires_in` they stay.
/// 3. Everything else stays, to the letter.
fn merge(stored: &Object, response: &TokenResponse, requested_at: SystemTime) -> Object {
    let counts = |name: &str| match name {
        "refresh_token" => response.refresh_token.is_some(),
        _ => !name.starts_with("error"),
    };
    let replies = response.members.iter().filter(|(name, _)| counts(name));
    let replies = replies.map(|(name, value)| (name, value.to_owned()));
    let expires_at = response.expires_in.and_then(|lifetime| requested_at.checked_add(lifetime));
    let expiries = expires_at.map_or_else(Vec::new, |at| expiries(stored, response, at));
    stored.with(replies.chain(expiries))
}

/// The absolute expiry members that the response does not carry itself, all for the same instant.
fn expiries(stored: &Object, response: &TokenResponse, at: SystemTime) -> Vec<(Cow<'static, str>, String)> {
    let mut is_told = response.members.text("expires_at").is_some();
    let mut expiries = Vec::new();
    for (name, value) in stored.iter() {
        let Some(name) = expiry::NAMES.into_iter().find(|known| *known == name) else { continue };
        let Some((_, form)) = expiry::read(value) else { continue };
        is_told = true;
        if response.members.text(name).is_none() {
            expiries.push((name.into(), form.write(at)));
        }
    }
    if !is_told {
        expiries.push(("expires_at".into(), expiry::Form::Seconds.write(at)));
    }
    expiries
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::oauth::{Client, ClientAuthentication, RefreshRequest};

    fn merged(stored: &str, reply: &str) -> String {
        let client = Client { id: "id".into(), authentication: ClientAuthentication::None };
        let request = RefreshRequest::new(&client, &Secret::new("r"), &[]);
        let response = request.read(200, crate::oauth::Body::Whole(reply.as_bytes())).ok().unwrap();
        let stored = Object::parse(&stored.into()).ok().unwrap();
        let merged = merge(&stored, &response, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        merged.write(&Layout::of("{\"one line\":1}")).replace("\n  ", "").replace('\n', "")
    }

    #[test]
    fn the_merge_rule() {
        for (why, stored, reply, wanted) in [
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
                r#"{"refresh_token": "r","expiry": "2023-11-14T22:15:00Z","expiresAt": "2023-11-14T22:15:00Z","access_token": "A","expires_in": 100}"#,
            ),
            (
                "the server's own word",
                r#"{"refresh_token":"r","expires_on":1}"#,
                r#"{"access_token":"A","expires_in":100,"expires_on":"7"}"#,
                r#"{"refresh_token": "r","expires_on": "7","access_token": "A","expires_in": 100}"#,
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
                r#"{"refresh_token": "r","expires_at": 1700000100,"access_token": "A","expires_in": 100}"#,
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
            assert_eq!(merged(stored, reply), wanted, "{why}");
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
        let large = vec![b' '; LARGEST + 1];
        assert_eq!(TokenSet::parse(&large).err().unwrap().to_string(), "larger than 1 MiB (line 1, column 1048577)");
    }

    #[test]
    fn trusts_the_earliest_expiry_of_a_token_that_is_there() {
        let expires_at = |text: &str| TokenSet::parse(text.as_bytes()).ok().unwrap().expires_at();
        assert_eq!(
            expires_at(r#"{"refresh_token":"r","access_token":"a","expires_at":200,"expires_on":"100"}"#),
            Some(UNIX_EPOCH + Duration::from_secs(100))
        );
        assert_eq!(expires_at(r#"{"refresh_token":"r","expires_at":200}"#), None);
        assert_eq!(expires_at(r#"{"refresh_token":"r","access_token":"a","expires_in":200}"#), None);
    }
}
