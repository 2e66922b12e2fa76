//! Finds tokens in whatever a server sends.
//!
//! A token response is one JSON object with `access_token` and `refresh_token` (RFC 6749, section 5.1). In practice
//! it follows a PHP warning, is inside `body`, `data` or an array, is text in a JSON string, is in camelCase, is a
//! form, or is cut off after the tokens. So every place where an object may begin is tried:
//! `{` and then a quote; the outermost object that has both tokens, both new, counts. An object with the tokens that the
//! program had before, as in a copy of the request, gives way to one with a new token.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::mask::{Mask, has_digit, may_hold_token};
use super::meaning::{is_same_apart_from_marks, letters_and_digits};
use crate::json::{NamedValues, Object, quote, read_leniently, unquote};

/// Limits on the places that are tried, and on the bytes that are read in all of them, however many braces there are.
const MAX_STARTS: usize = 256;
const MAX_READ: usize = 32 << 20;

/// The members that this program reads, under the names of RFC 6749 and its kin; the tokens first.
const MEMBERS: [&str; 6] = ["access_token", "refresh_token", "token_type", "expires_in", "id_token", "scope"];
const ACCESS_TOKEN: usize = 0;
const REFRESH_TOKEN: usize = 1;
const TOKENS: usize = 2;

/// Other names of an access token, where nothing better has that name. The last one says so little that it counts only
/// beside a refresh token.
const OTHER_ACCESS_TOKEN_NAMES: [&str; 3] = ["oauthtoken", "authtoken", "token"];

/// What a member is worth as a token; of several under one name the best counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Null, empty or a placeholder.
    None,
    /// The token that the program had before: an echo, or one that stays.
    Known,
    /// It cannot be read, such as an object, and may hold a token.
    Odd,
    New,
}

/// An object with at least one token.
pub struct Found {
    /// Its members, those above under these names; tokens are strings.
    pub members: Object,
    /// The text ended inside the object, or is not JSON any more behind these members.
    pub is_cut: bool,
    pub has_both: bool,
    /// The two tokens stood in different objects.
    pub is_scattered: bool,
}

/// Whether a form may have lost its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormEnd {
    Known,
    Lost,
}

/// Tokens in a text, if it has any that can be understood. `known` holds those that are not new.
pub fn find_tokens(text: &str, form_end: FormEnd, known: &Mask) -> Option<Found> {
    let text = match unquote(text) {
        Some(inner) => Cow::Owned(inner),
        None => Cow::Borrowed(text),
    };
    find_in_objects(&text, known).or_else(|| find_in_form(&text, form_end, known))
}

fn find_in_form(text: &str, form_end: FormEnd, known: &Mask) -> Option<Found> {
    let members = understood(form_fields(text, form_end)?, known);
    let is_cut = form_end == FormEnd::Lost;
    let (access, refresh) = tokens_in(&members, known);
    // The refresh token may be what was cut off.
    let has_both = refresh.is_some() && access.is_some();
    (refresh.is_some() || !is_cut && access.is_some()).then_some(Found {
        members,
        is_cut,
        has_both,
        is_scattered: false,
    })
}

fn find_in_objects(text: &str, known: &Mask) -> Option<Found> {
    // A name may have an escape in it.
    if !names_token(text) && !text.contains("\\u00") && !letters_and_digits(text).contains("authtoken") {
        return None;
    }
    // The first object of each kind: with a new access token, with a new refresh token, with no new one.
    let (mut with_access, mut with_refresh, mut without_news) = (None, None, None);
    for members in starts(text).map(read_leniently) {
        let is_cut = members.is_err();
        let members = understood(members.unwrap_or_else(|beginning| beginning), known);
        let (access, refresh) = tokens_in(&members, known);
        // In a response that was cut off, an access token alone is not enough: a replay may bring both tokens.
        let may_lack_refresh = refresh.is_none() && (is_cut || has_odd_refresh_token(&members, known));
        let has_both = access.is_some() && refresh.is_some();
        let found = Found { members, is_cut, has_both, is_scattered: false };
        let kind = match (access, refresh) {
            (Some(Worth::New), Some(Worth::New)) => return Some(found),
            (Some(Worth::New), _) if !may_lack_refresh => &mut with_access,
            (_, Some(Worth::New)) => &mut with_refresh,
            (Some(_), _) if !may_lack_refresh => &mut without_news,
            _ => continue,
        };
        kind.get_or_insert(found);
    }
    // An access token that is known may still be the one beside a new refresh token.
    let with_access =
        with_access.or_else(|| without_news.take_if(|_| with_refresh.as_ref().is_some_and(|it| !it.has_both)));
    match (with_access, with_refresh) {
        (Some(access), Some(refresh)) => {
            let token = refresh.members.text("refresh_token").unwrap_or_default().to_owned();
            let members = access.members.with([("refresh_token".into(), token)].into_iter());
            Some(Found { members, is_cut: access.is_cut || refresh.is_cut, has_both: true, is_scattered: true })
        }
        (with_access, with_refresh) => with_access.or(with_refresh).or(without_news),
    }
}

/// Whether a text that is no JSON has a whole string that may be a new refresh token: one that is named so, also by the
/// object or array that it begins, or any that looks like a token and is not the value of another known member.
pub fn may_hold_refresh_token(text: &str, known: &Mask) -> bool {
    let is_of_token = |character: char| character.is_ascii_alphanumeric() || "-._~+/=\\".contains(character);
    let is_new = |string: &str, behind: &str| {
        let is_name = behind.trim_start().starts_with(':');
        let is_token = !string.is_empty() && string.chars().all(is_of_token) && !is_name;
        is_token && worth(&format!("\"{string}\""), known) == Worth::New
    };
    let is_refresh = |name: &str| {
        let name = letters_and_digits(name);
        name.contains("refresh") && !name.contains("expire")
    };
    let is_other = |name: &str| {
        MEMBERS.iter().any(|member| is_same_apart_from_marks(member, name)) || name.to_ascii_lowercase().ends_with("id")
    };
    let looks_like_one = |string: &str| may_hold_token(string) && has_digit(string);
    let leads_to_value =
        |between: &str| between.trim_start().starts_with(':') && between.trim_end().ends_with([':', '{', '[']);
    // In a string within a string, the quotes are escaped.
    let parts: Vec<&str> = text.split(['"', '\'']).map(|part| part.strip_suffix('\\').unwrap_or(part)).collect();
    let name_before = |at: usize| (at >= 2 && leads_to_value(parts[at - 1])).then(|| at - 2);
    (1..parts.len().saturating_sub(1)).filter(|&at| is_new(parts[at], parts[at + 1])).any(|at| {
        let name = name_before(at);
        let outer = name.and_then(name_before);
        let is_named = [name, outer].into_iter().flatten().any(|name| is_refresh(parts[name]));
        is_named || looks_like_one(parts[at]) && !name.is_some_and(|name| is_other(parts[name]))
    })
}

/// The object, or the form, that a text is.
pub fn first_object(text: &str, form_end: FormEnd) -> Option<Object> {
    objects(text).find_map(Result::ok).or_else(|| read_form(text, form_end))
}

/// Every object in a text; for one that is incomplete, the members before the fault.
pub fn objects(text: &str) -> impl Iterator<Item = Result<Object, Object>> {
    starts(text).map(Object::parse_leniently)
}

/// The text from each place on where an object may begin.
fn starts(text: &str) -> impl Iterator<Item = &str> {
    let braces = text.match_indices('{').map(|(at, _)| &text[at..]);
    let starts = braces.filter(|rest| rest[1..].trim_ascii_start().starts_with('"'));
    starts.take(MAX_STARTS.min(MAX_READ / text.len().max(1)))
}

/// Whether a text names a token, in any spelling.
pub fn names_token(text: &str) -> bool {
    if text.contains("access_token") {
        return true;
    }
    let letters = letters_and_digits(text);
    letters.contains("accesstoken") || letters.contains("refreshtoken")
}

/// Whether a text names both tokens, in any spelling.
pub fn names_both_tokens(text: &str) -> bool {
    let letters = letters_and_digits(text);
    letters.contains("accesstoken") && letters.contains("refreshtoken")
}

/// The object that these members are meant to be: members of other spellings (`accessToken`, `refresh-token`) have the
/// names of RFC 6749, unless something better has them already; a token that is a number becomes a string, as it
/// must be in a token file. Of a token that is there twice, one that is worth nothing or was known is left out.
fn understood(mut members: NamedValues, known: &Mask) -> Object {
    let mut best = [None; MEMBERS.len()];
    let mut rated = Vec::with_capacity(members.len());
    for (at, (name, value)) in members.iter_mut().enumerate() {
        let place = MEMBERS.iter().position(|member| is_same_apart_from_marks(member, name));
        let worth = match place {
            Some(..TOKENS) => {
                if value.starts_with(|first: char| first.is_ascii_digit()) {
                    *value = quote(value);
                }
                worth(value, known)
            }
            _ => Worth::New,
        };
        rated.push((place, worth));
        let Some(place) = place else { continue };
        let rating = (worth, name == MEMBERS[place], at);
        best[place] = best[place].max(Some(rating));
    }
    let worth_of = |place: usize| best[place].map_or(Worth::None, |(worth, ..)| worth);
    if worth_of(ACCESS_TOKEN) == Worth::None {
        let count = OTHER_ACCESS_TOKEN_NAMES.len() - usize::from(worth_of(REFRESH_TOKEN) == Worth::None);
        let is_one = |(name, value): &(String, String)| {
            let is_token = matches!(worth(value, known), Worth::Known | Worth::New);
            is_token && OTHER_ACCESS_TOKEN_NAMES[..count].contains(&letters_and_digits(name).as_str())
        };
        if let Some(at) = members.iter().position(is_one) {
            best[ACCESS_TOKEN] = Some((Worth::New, false, at));
            rated[at].0 = Some(ACCESS_TOKEN);
        }
    }
    let is_best = |at: usize| best.iter().flatten().any(|(.., best)| *best == at);
    let named =
        members.into_iter().zip(rated).enumerate().filter_map(|(at, ((name, value), (place, worth)))| match place {
            Some(place) if is_best(at) => Some((MEMBERS[place].to_owned(), value)),
            Some(place) if name == MEMBERS[place] || worth <= Worth::Known => None,
            _ => Some((name, value)),
        });
    Object::of(named.collect())
}

fn worth(value: &str, known: &Mask) -> Worth {
    match unquote(value) {
        // PHP's false is nothing.
        None if ["null", "false"].contains(&value) => Worth::None,
        None => Worth::Odd,
        Some(token) if is_placeholder(&token) => Worth::None,
        Some(token) if known.holds(&token) => Worth::Known,
        Some(_) => Worth::New,
    }
}

/// Whether a text stands where a token should, and is none: nothing, a word for nothing, or a mask.
pub fn is_placeholder(token: &str) -> bool {
    let token = token.trim();
    let token = token.trim_matches(|mark| "()[]<>".contains(mark));
    token.bytes().all(|byte| byte == b'*')
        || ["null", "undefined", "none", "nil", "n/a", "false", "redacted", "hidden", "unchanged"]
            .iter()
            .any(|word| token.eq_ignore_ascii_case(word))
}

/// What the access token and the refresh token of an object are worth, if there are such strings. The refresh token that
/// was sent does not count without an access token: the server only repeats the request.
fn tokens_in(object: &Object, known: &Mask) -> (Option<Worth>, Option<Worth>) {
    let token = |name| {
        let worth = worth(object.text(name)?, known);
        matches!(worth, Worth::Known | Worth::New).then_some(worth)
    };
    let access = token("access_token");
    (access, token("refresh_token").filter(|worth| access.is_some() || *worth == Worth::New))
}

/// Whether there is a refresh token that cannot be read: storing only the access token would lose it.
fn has_odd_refresh_token(object: &Object, known: &Mask) -> bool {
    object.text("refresh_token").is_some_and(|value| worth(value, known) == Worth::Odd)
}

/// A form, as old Facebook and GitHub without `Accept` send. If its end is lost, so is its last field.
pub fn read_form(text: &str, end: FormEnd) -> Option<Object> {
    form_fields(text, end).map(Object::of)
}

/// The fields of a form, each as name and JSON.
fn form_fields(text: &str, end: FormEnd) -> Option<NamedValues> {
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
        Some((name, value))
    });
    Some(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

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
            let found = find_tokens(&text, FormEnd::Known, &Mask::default()).unwrap_or_else(|| panic!("{text}"));
            let token = |name| found.members.string(name);
            assert_eq!(
                (token("access_token").as_deref(), token("refresh_token").as_deref()),
                (Some("A"), Some("R")),
                "{text}"
            );
        }
    }

    #[test]
    fn a_new_token_counts_before_a_known_one() {
        let mut known = Mask::default();
        known.add(Secret::new("A0"));
        known.add(Secret::new("R0"));
        let (old, new) =
            (r#"{"access_token":"A0","refresh_token":"R0"}"#, r#"{"access_token":"A","refresh_token":"R"}"#);
        for text in [
            format!(r#"{{"user":{old},"token":{new}}}"#),
            format!("[{old},{new}]"),
            format!("{old}\n{new}"),
            format!(r#"{{"access_token":"A","refresh_token":"R","user":{old}}}"#),
            r#"[{"access_token":"A","refresh_token":"R0"},{"access_token":"A","refresh_token":"R"}]"#.to_owned(),
            r#"{"access_token":"A","refresh_token":"R0","data":{"refresh_token":"R"}}"#.to_owned(),
            format!(r#"{{"access_token":"A","user":{old},"more":{{"refresh_token":"R"}}}}"#),
        ] {
            let found = find_tokens(&text, FormEnd::Known, &known).unwrap_or_else(|| panic!("{text}"));
            let token = |name| found.members.string(name);
            assert_eq!(
                (token("access_token").as_deref(), token("refresh_token").as_deref()),
                (Some("A"), Some("R")),
                "{text}"
            );
        }
        let found = find_tokens(&format!(r#"{{"access_token":"A","user":{old}}}"#), FormEnd::Known, &known).unwrap();
        assert_eq!(found.members.string("access_token").as_deref(), Some("A"));
    }

    #[test]
    fn takes_what_is_whole() {
        for (text, form_end, access, refresh) in [
            (r#"{"refresh_token":12345}"#, FormEnd::Known, None, Some("12345")),
            (r#"{"access_token":"A","refresh_token":""}"#, FormEnd::Known, Some("A"), Some("")),
            (r#"{"refresh_token":"R","access_token":"A"#, FormEnd::Known, None, Some("R")),
            ("refresh_token=R&access_token=A", FormEnd::Lost, None, Some("R")),
        ] {
            let found = find_tokens(text, form_end, &Mask::default()).unwrap();
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
            assert!(find_tokens(text, FormEnd::Lost, &Mask::default()).is_none(), "{text}");
        }
    }

    #[test]
    fn many_braces_cost_little() {
        let text = r#"{"a":"#.repeat(200_000);
        assert!(find_tokens(&text, FormEnd::Known, &Mask::default()).is_none());
    }
}
