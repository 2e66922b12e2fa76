//! The names that a token file has for the members of a response. A file in camel case stays so, and an access token
//! named `token` (google-auth) is replaced under that name: otherwise the file would hold two, one of them expired.

use std::borrow::Cow;

use crate::json::Object;
use crate::member_names::plain;

const ACCESS_TOKEN: &str = "access_token";
const REFRESH_TOKEN: &str = "refresh_token";

/// The members of a response that a file may spell in another way. No other member is matched by resemblance.
const SPELLED: [&str; 8] = [
    ACCESS_TOKEN,
    REFRESH_TOKEN,
    "id_token",
    "token_type",
    "scope",
    "expires_in",
    "expires_at",
    "refresh_token_expires_in",
];

/// google-auth's name for it.
const GOOGLE_AUTH_NAME: &str = "token";

/// The members that hold the tokens, each as name and value.
#[derive(Default)]
pub struct Tokens<'a> {
    pub refresh_token: Option<Named<'a>>,
    pub access_token: Option<Named<'a>>,
}

type Named<'a> = (Cow<'a, str>, &'a str);

/// Finds the tokens, by the exact name or otherwise by another spelling, in one pass: a file may have many members.
pub fn tokens(members: &Object) -> Tokens<'_> {
    let mut tokens = Tokens::default();
    let mut google_auth_token = None;
    for (name, value) in members.iter() {
        let (place, exact) = match name.as_bytes().first() {
            Some(b'r' | b'R') => (&mut tokens.refresh_token, REFRESH_TOKEN),
            Some(b'a' | b'A') => (&mut tokens.access_token, ACCESS_TOKEN),
            Some(b't') if name == GOOGLE_AUTH_NAME && is_text(value) => {
                google_auth_token = Some((name, value));
                continue;
            }
            _ => continue,
        };
        if name == exact || place.is_none() && is_spelling(exact, &name) {
            *place = Some((name, value));
        }
    }
    tokens.access_token = tokens.access_token.or(google_auth_token);
    tokens
}

fn is_text(value: &str) -> bool {
    value.starts_with('"')
}

fn is_spelling(name: &str, other: &str) -> bool {
    let is_alike = |one: u8, another: Option<u8>| another.is_some_and(|another| one.eq_ignore_ascii_case(&another));
    // Most names differ in the first letter already.
    let may_be = name.bytes().next().is_some_and(|first| is_alike(first, other.bytes().next()));
    may_be && SPELLED.contains(&name) && plain(other).is_some_and(|plain_name| Some(plain_name) == plain(name))
}

/// Each of the response's members under the file's name for it. Of several names the exact one counts, then the
/// first; others are replaced as well if they hold the same.
pub fn under_stored_names<'a>(
    stored: &'a Object,
    response: impl Iterator<Item = (Cow<'a, str>, &'a str)>,
) -> Vec<(Cow<'a, str>, &'a str)> {
    let mut places: Vec<_> =
        response.map(|(name, value)| Place { name, value, exact: None, others: Vec::new() }).collect();
    let mut google_auth_token = None;
    for (name, value) in stored.iter() {
        // A name that the response uses itself counts for that member only.
        if let Some(place) = places.iter_mut().find(|place| place.name == name) {
            place.exact = Some(value);
        } else if let Some(place) = places.iter_mut().find(|place| is_spelling(&place.name, &name)) {
            place.others.push((name, value));
        } else if is_text(value) && name == GOOGLE_AUTH_NAME {
            google_auth_token = Some((name, value));
        }
    }
    // Behind every other spelling.
    if let Some(place) = places.iter_mut().find(|place| place.name == ACCESS_TOKEN) {
        place.others.extend(google_auth_token);
    }
    places.into_iter().flat_map(Place::fill).collect()
}

/// A member of the response, and the members of the file that it may be for.
struct Place<'a> {
    name: Cow<'a, str>,
    value: &'a str,
    /// What the file holds under the same name.
    exact: Option<&'a str>,
    /// Under other spellings.
    others: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Place<'a> {
    fn fill(self) -> Vec<(Cow<'a, str>, &'a str)> {
        let Self { name, value, exact, others } = self;
        let Some(old) = exact.or(others.first().map(|(_, old)| *old)) else {
            return vec![(name, value)];
        };
        let same = others.into_iter().filter(|(_, other)| *other == old).map(|(name, _)| (name, value));
        exact.map(|_| (name, value)).into_iter().chain(same).collect()
    }
}
