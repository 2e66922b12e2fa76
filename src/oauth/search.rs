//! Finds tokens in whatever a server sends.
//!
//! A token response is one JSON object with `access_token` and `refresh_token` (RFC 6749, section 5.1). In practice
//! it follows a PHP warning, is inside `body`, `data` or an array, is text in a JSON string, is in camelCase, is a
//! form, or is cut off after the tokens. So every place where an object may begin is tried:
//! `{` and then a quote; the outermost object that has both tokens counts.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::meaning::{is_same_squeezed, squeezed};
use crate::json::{Object, quote, unquote};

/// Limits on the places that are tried, and on the bytes that are read in all of them, however many braces there are.
const MAX_STARTS: usize = 256;
const MAX_READ: usize = 32 << 20;

/// The members that this program reads, under the names of RFC 6749 and its kin.
const MEMBERS: [&str; 6] = ["access_token", "refresh_token", "token_type", "expires_in", "id_token", "scope"];

/// An object with at least one token.
pub struct Found {
    /// Its members, those above under these names; tokens are strings.
    pub members: Object,
    /// The text ended inside the object, or is not JSON any more behind these members.
    pub is_cut: bool,
    /// The two tokens stood in different objects.
    pub is_scattered: bool,
}

/// Whether a form may have lost its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormEnd {
    Known,
    Lost,
}

/// Tokens in a text, if it has any that can be understood.
pub fn find_tokens(text: &str, form_end: FormEnd) -> Option<Found> {
    let text = match unquote(text) {
        Some(inner) => Cow::Owned(inner),
        None => Cow::Borrowed(text),
    };
    find_in_objects(&text).or_else(|| find_in_form(&text, form_end))
}

fn find_in_form(text: &str, form_end: FormEnd) -> Option<Found> {
    let members = read_form(text, form_end)?;
    let is_cut = form_end == FormEnd::Lost;
    // The refresh token may be what was cut off.
    let is_enough = has_token(&members, "refresh_token") || !is_cut && has_token(&members, "access_token");
    is_enough.then_some(Found { members, is_cut, is_scattered: false })
}

fn find_in_objects(text: &str) -> Option<Found> {
    // A name may have an escape in it.
    if !names_token(text) && !text.contains("\\u00") {
        return None;
    }
    let (mut with_access, mut with_refresh) = (None, None);
    for object in objects(text) {
        let (object, is_cut) = match object {
            Ok(whole) => (renamed(whole), false),
            Err(beginning) => (renamed(beginning), true),
        };
        match (has_token(&object, "access_token"), has_token(&object, "refresh_token")) {
            (true, true) => return Some(Found { members: object, is_cut, is_scattered: false }),
            // In a response that was cut off, an access token alone is not enough: a replay may bring both tokens.
            (true, false) if !is_cut && !has_odd_refresh_token(&object) => with_access = with_access.or(Some(object)),
            (false, true) => with_refresh = with_refresh.or(Some((object, is_cut))),
            _ => {}
        }
    }
    match (with_access, with_refresh) {
        (Some(members), Some((other, is_cut))) => {
            let token = other.text("refresh_token").unwrap_or_default().to_owned();
            let members = members.with([("refresh_token".into(), token)].into_iter());
            Some(Found { members, is_cut, is_scattered: true })
        }
        (Some(members), None) => Some(Found { members, is_cut: false, is_scattered: false }),
        (None, Some((members, is_cut))) => Some(Found { members, is_cut, is_scattered: false }),
        (None, None) => None,
    }
}

/// Every object in a text; for one that is incomplete, the members before the fault.
pub fn objects(text: &str) -> impl Iterator<Item = Result<Object, Object>> {
    let braces = text.match_indices('{');
    let starts = braces.filter(|(at, _)| text[at + 1..].trim_ascii_start().starts_with('"'));
    starts.take(MAX_STARTS.min(MAX_READ / text.len().max(1))).map(|(at, _)| Object::parse_leniently(&text[at..]))
}

/// Whether a text names a token, in any spelling.
pub fn names_token(text: &str) -> bool {
    if text.contains("access_token") {
        return true;
    }
    let squeezed = squeezed(text);
    squeezed.contains("accesstoken") || squeezed.contains("refreshtoken")
}

/// An object whose members of other spellings (`accessToken`, `refresh-token`) have the names of RFC 6749,
/// unless it has those already; a token that is a number becomes a string, as it must be in a token file.
fn renamed(object: Object) -> Object {
    let is_number = |value: &str| value.starts_with(|first: char| first.is_ascii_digit());
    // The usual case.
    if object.iter().all(|(name, value)| MEMBERS.contains(&&*name) && (name == "expires_in" || !is_number(value))) {
        return object;
    }
    let known = |name: &str| MEMBERS.into_iter().find(|known| is_same_squeezed(known, name));
    let members: Vec<(Cow<'static, str>, String)> = object
        .iter()
        .map(|(name, value)| {
            let known = known(&name).filter(|known| *known == name || object.text(known).is_none());
            let value = match known {
                Some("access_token" | "refresh_token") if is_number(value) => quote(value),
                _ => value.to_owned(),
            };
            (known.map_or_else(|| Cow::Owned(name.into_owned()), Cow::Borrowed), value)
        })
        .collect();
    Object::default().with(members.into_iter())
}

fn has_token(object: &Object, name: &str) -> bool {
    object.string(name).is_some_and(|token| !token.is_empty())
}

/// Whether there is a refresh token that cannot be read, such as an object: storing only the access token would
/// lose it.
fn has_odd_refresh_token(object: &Object) -> bool {
    object.text("refresh_token").is_some_and(|value| !value.starts_with('"') && value != "null")
}

/// A form, as old Facebook and GitHub without `Accept` send. If its end is lost, so is its last field.
pub fn read_form(text: &str, end: FormEnd) -> Option<Object> {
    const FIELDS: [&str; 3] = ["access_token=", "refresh_token=", "error="];
    let has_field = text.split('&').any(|field| FIELDS.iter().any(|name| field.starts_with(name)));
    if text.contains(char::is_whitespace) || text.contains('{') || !has_field {
        return None;
    }
    let text = match end {
        FormEnd::Known => text,
        FormEnd::Lost => text.rsplit_once('&')?.0,
    };
    let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    let fields = text.split('&').filter_map(|field| {
        let (name, value) = field.split_once('=')?;
        let (name, value) = (decode(name), decode(value));
        // "007" and "+7" are numbers, but not JSON's.
        let value = match value.parse::<u64>() {
            Ok(number) if name == "expires_in" => number.to_string(),
            _ => quote(&value),
        };
        Some((name.into(), value))
    });
    Some(Object::default().with(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_tokens_wherever_they_stand() {
        let both = r#"{"access_token":"A","refresh_token":"R"}"#;
        for text in [
            both.to_owned(),
            format!("Deprecated: App\\{{closure}}(): {{x}} {both}"),
            format!("{{ \"status\":0, \"body\":{both}}}"),
            format!("[{{\"data\":{{\"token\":[{both}]}}}}]"),
            format!("callback({both});"),
            quote(both),
            r#"{"accessToken":"A","refreshToken":"R"}"#.to_owned(),
            r#"{"AccessToken":"A","refresh-token":"R"}"#.to_owned(),
            "{\n \"access_token\" : \"A\", \"refresh_token\":\"R\"".to_owned(),
            format!("{{\"access_token\":\"other\",\"user\":{both}}}"),
            r#"{"access_token":"A","more":{"refresh_token":"R"}}"#.to_owned(),
            r#"{"status":"ok","body":{"refresh_token":"R","access_token":"A","expires"#.to_owned(),
            "access_token=A&refresh_token=R".to_owned(),
            "token_type=b&refresh_token=R&access_token=A".to_owned(),
        ] {
            let found = find_tokens(&text, FormEnd::Known).unwrap_or_else(|| panic!("{text}"));
            let token = |name| found.members.string(name);
            assert_eq!(
                (token("access_token").as_deref(), token("refresh_token").as_deref()),
                (Some("A"), Some("R")),
                "{text}"
            );
        }
    }

    #[test]
    fn takes_what_is_whole() {
        for (text, form_end, access, refresh) in [
            (r#"{"refresh_token":12345}"#, FormEnd::Known, None, Some("12345")),
            (r#"{"access_token":"A","refresh_token":""}"#, FormEnd::Known, Some("A"), Some("")),
            (r#"{"refresh_token":"R","access_token":"A"#, FormEnd::Known, None, Some("R")),
            ("refresh_token=R&access_token=A", FormEnd::Lost, None, Some("R")),
        ] {
            let found = find_tokens(text, form_end).unwrap();
            let token = |name| found.members.string(name);
            assert_eq!(
                (token("access_token").as_deref(), token("refresh_token").as_deref()),
                (access, refresh),
                "{text}"
            );
        }
        for text in [
            r#"{"access_token":"A","refresh_token":"R"#,
            r#"{"token":"A"}"#,
            r#"{"access_token":{}}"#,
            r#"{"access_token":"A","refresh_token":{"value":"R"}}"#,
            r#"{"access_token":"A","refresh_token":["R"]}"#,
            "<p>",
            "access_token=A",
        ] {
            assert!(find_tokens(text, FormEnd::Lost).is_none(), "{text}");
        }
    }

    #[test]
    fn many_braces_cost_little() {
        let text = r#"{"a":"#.repeat(200_000);
        assert!(find_tokens(&text, FormEnd::Known).is_none());
    }
}
