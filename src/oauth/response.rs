//! A response of the token endpoint (RFC 6749, section 5). Pure.
//!
//! A successful response in which tokens can be found counts as tokens, however odd it is: the server has spent the
//! refresh token for them. So does one with an error status that has a new access token and a new refresh token, as
//! a PHP program sends that fails after its output. Any other response is judged by whether it may hold some.

use super::error_response::ErrorResponse;
use super::mask::{Mask, may_hold_token};
use super::search::{self, FormEnd, Found};
use crate::json::Object;
use crate::member_names::{Subject, TimeMeaning, meaning};
use crate::secret::Secret;
use crate::text;

/// A token response: its members as the server wrote them, at least one token among them.
pub struct TokenResponse {
    /// Without an access token, without those that tell its times, too.
    pub members: Object,
    pub has_access_token: bool,
    /// None if the server sent none, or an empty one (Azure, PayPal): the old one stays.
    pub refresh_token: Option<Secret>,
    /// Warnings about oddities, printable.
    pub warnings: Vec<String>,
    /// Covers the new tokens, too.
    pub mask: Mask,
}

/// The body of a response, by what is known of its end.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    Whole(&'a [u8]),
    /// Nothing says whether this is all. JSON shows its own end, a form does not.
    Unmarked(&'a [u8]),
    CutOff(&'a [u8]),
}

/// What an error response has that brings new tokens.
const CONTRADICTION: &str = "new tokens, though it is an error response";

/// Why a response brought no tokens.
pub enum NoTokens {
    Rejected(ErrorResponse),
    /// Neither an error nor anything that could hold a token: an empty body, a page, the beginning of an object.
    Nothing {
        what: &'static str,
    },
    /// New tokens, but the status and what stands around them say that they are none.
    Contradictory {
        what: &'static str,
    },
    /// Not understood, and it may hold tokens.
    NotUnderstood {
        what: &'static str,
        said: Option<String>,
    },
}

impl TokenResponse {
    pub fn read(status: u16, body: Body<'_>, mask: &Mask) -> Result<Self, NoTokens> {
        let (Body::Whole(bytes) | Body::Unmarked(bytes) | Body::CutOff(bytes)) = body;
        let text = readable(bytes);
        let text = text.trim();
        if text.is_empty() {
            return Err(NoTokens::Nothing { what: "an empty body" });
        }
        let form_end = if let Body::Whole(_) = body { FormEnd::Known } else { FormEnd::Lost };
        let is_new = |found: &Found, name| {
            let token = found.members.string(name);
            token.is_some_and(|token| !search::is_placeholder(&token) && !mask.holds(&token))
        };
        let names_error = || {
            let object = search::first_object(text, form_end);
            object.is_some_and(|object| ErrorResponse::read(200, &object, mask).is_some())
        };
        let has_news = |found: &Found| is_new(found, "access_token") || is_new(found, "refresh_token");
        match search::find_tokens(text, form_end, mask) {
            Some(found) if (200..300).contains(&status) && (has_news(&found) || !names_error()) => {
                Ok(Self::new(status, found, mask))
            }
            Some(found) if is_new(&found, "refresh_token") && (found.has_both || !names_error()) => {
                // The page that says "not found" may have an example.
                match found.has_both && !names_error() && !text.starts_with('<') {
                    true => Ok(Self::new(status, found, mask)),
                    false => Err(NoTokens::Contradictory { what: CONTRADICTION }),
                }
            }
            None if !(200..300).contains(&status)
                && search::names_both_tokens(text)
                && !text.starts_with('<')
                && search::may_hold_refresh_token(text, mask)
                && !names_error() =>
            {
                Err(NoTokens::Contradictory { what: CONTRADICTION })
            }
            // Its own text may not be shown.
            Some(found) if has_news(&found) => Err(unreadable(text, body, mask)),
            _ => Err(read_error(status, text, form_end, mask).unwrap_or_else(|| unreadable(text, body, mask))),
        }
    }

    fn new(status: u16, found: Found, mask: &Mask) -> Self {
        let Found { members, is_cut, is_scattered, .. } = found;
        let token = |name| members.string(name).filter(|token| !search::is_placeholder(token)).map(Secret::new);
        let (access_token, refresh_token) = (token("access_token"), token("refresh_token"));
        let mask = mask.and(access_token.iter().chain(&refresh_token).map(Secret::copy));
        // One that is missing counts as Bearer, as in golang/oauth2; its case does not matter (section 5.1).
        let kind = members.string("token_type").filter(|kind| !kind.is_empty() && !kind.eq_ignore_ascii_case("bearer"));
        let mut warnings: Vec<_> = kind
            .map(|kind| format!("token_type is \"{}\", not \"Bearer\"", mask.printable(&kind)))
            .into_iter()
            .collect();
        if !(200..300).contains(&status) {
            warnings.push(format!("HTTP status {status}, but with new tokens; they were stored"));
        }
        let mut warn = |is_so: bool, warning: &str| warnings.extend(is_so.then(|| warning.to_owned()));
        warn(is_cut, "the response is truncated or malformed after the tokens; the tokens were stored");
        warn(is_scattered, "the access token and the refresh token were in different parts of the response");
        let is_placeholder =
            refresh_token.is_none() && members.string("refresh_token").is_some_and(|it| !it.is_empty());
        warn(is_placeholder, "the refresh_token of the response is a placeholder, and was not stored");
        // Azure AD B2C, for a client that requested no API's scope.
        warn(access_token.is_none(), "the response has no access_token; only its refresh token was stored");
        let members = if access_token.is_some() { members } else { without_access_token(&members) };
        Self { members, has_access_token: access_token.is_some(), refresh_token, warnings, mask }
    }
}

/// Whether a body is a complete JSON object.
pub fn is_whole_object(body: &[u8]) -> bool {
    search::objects(&readable(body)).next().is_some_and(|object| object.is_ok())
}

/// Without what stands for the access token, and what tells its times: beside the stored one they would be wrong.
fn without_access_token(members: &Object) -> Object {
    use Subject::{AccessToken, Extended};
    let others = members.iter().filter(|(name, _)| match meaning(name) {
        Some(TimeMeaning::End(subject, _) | TimeMeaning::Lifetime(subject, _)) => {
            !matches!(subject, AccessToken | Extended)
        }
        Some(TimeMeaning::Issued | TimeMeaning::Created) => false,
        Some(TimeMeaning::Unknown) | None => name != "access_token",
    });
    Object::of(others.map(|(name, value)| (name.into_owned(), value.to_owned())).collect())
}

/// A BOM, UTF-16, or a stray byte in some member must not cost a token.
fn readable(bytes: &[u8]) -> String {
    text::decode(bytes)
        .unwrap_or_else(|_| String::from_utf8_lossy(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)).into_owned())
}

fn read_error(status: u16, text: &str, form_end: FormEnd, mask: &Mask) -> Option<NoTokens> {
    let object = search::first_object(text, form_end);
    let is_text = object.is_none() && !text.starts_with(['{', '[']) && !is_page(text) && status >= 400;
    match object {
        Some(object) => ErrorResponse::read(status, &object, mask),
        None => is_text.then(|| ErrorResponse::read_text(text, mask)).flatten(),
    }
    .map(NoTokens::Rejected)
}

fn unreadable(text: &str, body: Body<'_>, mask: &Mask) -> NoTokens {
    let is_page = is_page(text);
    let is_xml = text.starts_with('<') && !is_page;
    let what = match () {
        // gzip's mark, or what is left of it in text.
        () if text.starts_with("\u{1f}\u{fffd}") => "a compressed body",
        () if is_page => "an HTML page",
        () if is_xml => "XML",
        () if search::find_tokens(text, FormEnd::Known, mask).is_some() => "a body that contains tokens",
        () if text == "{}" || search::objects(text).next().is_some_and(|object| object.is_ok()) => {
            "JSON without recognizable tokens"
        }
        () => "a body that is not a JSON object",
    };
    // The beginning of an object, or of a form, without a whole refresh token: there is nothing to save.
    let is_object_cut = !matches!(body, Body::Whole(_))
        && search::objects(text).next().is_some_and(|object| object.is_err())
        && !search::may_hold_refresh_token(text, mask);
    let is_form_cut = matches!(body, Body::CutOff(_)) && search::read_form(text, FormEnd::Known).is_some();
    let is_without_token = (is_page || is_xml && !may_hold_token(text)) && !search::names_token(text);
    if holds_nothing(text) || is_object_cut || is_form_cut || is_without_token {
        return NoTokens::Nothing { what };
    }
    NoTokens::NotUnderstood { what, said: (!is_page && !search::names_token(text)).then(|| mask.excerpt(text)) }
}

/// Whether a text is HTML, by its first element, and not other XML.
fn is_page(text: &str) -> bool {
    const FIRST: [&str; 14] =
        ["!doctype", "html", "head", "body", "title", "meta", "link", "script", "style", "h1", "p", "b", "br", "div"];
    let Some(rest) = text.strip_prefix('<') else { return false };
    let name = rest.split(|letter: char| letter.is_whitespace() || "/>".contains(letter)).next().unwrap_or_default();
    rest.starts_with("!--") || FIRST.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a text is empty of values: nothing is in it but the names of members, null, true, false and marks.
fn holds_nothing(text: &str) -> bool {
    let mut is_string = true;
    let mut parts = text.split('"').peekable();
    while let Some(part) = parts.next() {
        is_string = !is_string;
        let is_name = is_string && parts.peek().is_some_and(|next| next.trim_start().starts_with(':'));
        let mut words = part.split(|letter: char| letter.is_ascii_punctuation() || letter.is_whitespace());
        let is_word = |word: &str| !is_string && ["null", "true", "false"].contains(&word);
        if !is_name && words.any(|word| !word.is_empty() && !is_word(word)) {
            return false;
        }
    }
    // An escape may hide a quote.
    !text.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response that may hold tokens is never followed by another request, so it must be recognized.
    #[test]
    fn knows_what_may_hold_tokens() {
        let whole = |text: &'static str| Body::Whole(text.as_bytes());
        let cut = |text: &'static str| Body::CutOff(text.as_bytes());
        let unmarked = |text: &'static str| Body::Unmarked(text.as_bytes());
        for (body, may_hold) in [
            (whole(""), false),
            (whole(" \n"), false),
            (whole("{}"), false),
            (whole("null"), false),
            (whole("true"), false),
            (whole("{\"data\":null}"), false),
            (whole("{\"data\" : {}, \"ok\":true, \"x\":[\"\"]}"), false),
            (whole("{\"data\":\"x\"}"), true),
            (whole("{\"data\":7}"), true),
            (whole("nullx"), true),
            (whole("<html>log in</html>"), false),
            (whole("<html>accessToken</html>"), true),
            (whole("<?xml version=\"1.0\"?><r><renew>Canary7-new-refresh</renew></r>"), true),
            (whole("<?xml version=\"1.0\"?><r>busy</r>"), false),
            (whole("{\"result\":\"ok\"}"), true),
            (whole("{\"access_token\":\"A"), true),
            (cut("{\"access_token\":\"A"), false),
            (unmarked("{\"access_token\":\"A"), false),
            (cut("{\"access_token\":\"Canary7-new-access\",\"expires_in\":36"), false),
            (cut("{\"access_token\":\"A\",\"expires_in\":,\"refresh_token\":\"R\"}"), true),
            (cut("{\"access_token\":\"A\",\"scope\":\"a \"b\" c\",\"refresh_token\":\"R\"}"), true),
            (cut("{\"access_token\":\"A\",\"refresh_token\":{\"value\":\"Canary7-new-refresh\"},\"exp"), true),
            (cut("{\"access\":\"Canary7-new-access\",\"refresh\":\"Canary7-new-refresh\",\"user\":"), true),
            (cut("{\"access\":\"A\",\"refresh\":\"R\",\"user\":"), true),
            (cut("{\"access_token\":\"A\",\"refresh_token\":[\"R\"],\"exp"), true),
            (cut("{\"access_token\":\"A\",\"refresh_token\":{\"value\":\"R\"},\"exp"), true),
            (cut("{\"access_token\":\"A\",\"refresh_token_expires_in\":\"9\",\"refresh_token\":\"R"), false),
            (cut("{\"access_token\":\"A\",\"refresh_token\":{\"value\":\"R"), false),
            (cut("access_token=A&refresh_token=R"), false),
            (unmarked("access_token=A&refresh_token=R"), true),
            (whole("OK eyJ"), true),
        ] {
            let no_tokens = TokenResponse::read(200, body, &Mask::default()).err().unwrap();
            assert_eq!(matches!(no_tokens, NoTokens::NotUnderstood { .. }), may_hold, "{body:?}");
        }
    }
}
