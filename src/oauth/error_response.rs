//! An error response (RFC 6749, section 5.2), wherever a server puts the error.
//!
//! The code is in `error`, or is its first word, or a member of it if it is an object; in the first of `errors`; or in
//! `code`, `type` or `status` at the top. Descriptions have a dozen names. All are collected, and `meaning` decides.
//! Everything that is shown is masked and printable.

use std::fmt;

use super::mask::{Mask, may_hold_token};
use super::meaning::{Meaning, letters_and_digits};
use super::search::names_both_tokens;
use crate::json::{Layout, Object, elements, unquote};

/// An error, its texts printable and free of the request's secrets.
pub struct ErrorResponse {
    pub code: Option<String>,
    pub description: Option<String>,
    /// The id that the server's support needs; not secret.
    pub reference: Option<String>,
    pub meaning: Meaning,
}

/// The texts of an object, the weightiest first.
#[derive(Default)]
struct ErrorTexts {
    codes: Vec<String>,
    words: Vec<String>,
    /// Numbers that say what the words say.
    numbers: Vec<String>,
    /// It says explicitly that this is an error.
    is_explicit: bool,
    /// A value of it has room for a token.
    may_hold_token: bool,
}

/// The names of members, without case and separators.
const CODES: [&str; 12] = [
    "error",
    "errorcode",
    "errortype",
    "code",
    "type",
    "name",
    "status",
    "result",
    "reason",
    "errcode",
    "err",
    "suberror",
];

const WORDS: [&str; 16] = [
    "errordescription",
    "errorhint",
    "errormessage",
    "errormsg",
    "errorsummary",
    "errmsg",
    "message",
    "developermessage",
    "usermessage",
    "msg",
    "detail",
    "details",
    "description",
    "title",
    "faultstring",
    "hint",
];

const REFERENCES: [&str; 6] = ["referenceid", "traceid", "correlationid", "requestid", "debugid", "errorid"];

impl ErrorResponse {
    /// The error in an object without tokens. None if the status is a success and the object names no error.
    pub fn read(status: u16, object: &Object, mask: &Mask) -> Option<Self> {
        let said = ErrorTexts::by(object);
        let meaning = Meaning::of(&said.codes, &[said.words.as_slice(), &said.numbers].concat());
        // Docusign says internal_server_error to a client that it does not accept; 401 says so (RFC 6749, section 5.2).
        let meaning = if status == 401 && meaning == Meaning::Failed { Meaning::Unknown } else { meaning };
        // Words that say something of tokens may be the tokens.
        let may_be_tokens = || said.may_hold_token && names_both_tokens(&object.write(&Layout::COMPACT));
        let is_error = said.is_explicit || meaning != Meaning::Unknown && !may_be_tokens();
        if (200..300).contains(&status) && !is_error {
            return None;
        }
        let code = said.codes.iter().map(|code| mask.printable(code)).find(|code| !code.is_empty());
        let description = Some(mask.description(&said.description(code.as_deref()))).filter(|text| !text.is_empty());
        let reference = REFERENCES.iter().find_map(|known| {
            let (name, value) = object.iter().find(|(name, _)| letters_and_digits(name) == *known)?;
            Some(format!("{} {}", mask.printable(&name), mask.printable(&unquote(value)?)))
        });
        // If nothing is recognized, show the server's own text.
        let description = description.or_else(|| code.is_none().then(|| mask.excerpt(&object.write(&Layout::COMPACT))));
        Some(Self { code, description, reference, meaning })
    }

    /// The error in a text that is neither JSON nor HTML, if it is a known one.
    pub fn read_text(text: &str, mask: &Mask) -> Option<Self> {
        let first_word = text.split([' ', ':', ',']).next().unwrap_or_default().to_owned();
        let meaning = Meaning::of(&[first_word], &[text.to_owned()]);
        let description = Some(mask.excerpt(text));
        (meaning != Meaning::Unknown).then_some(Self { code: None, description, reference: None, meaning })
    }
}

impl ErrorTexts {
    fn by(object: &Object) -> Self {
        let object = &with_squeezed_names(object);
        let is_false = |value: &str| ["false", "0"].contains(&value.trim_matches('"').to_ascii_lowercase().as_str());
        let is_explicit = ["ok", "success"].iter().any(|name| object.text(name).is_some_and(is_false));
        let mut said = Self { is_explicit, ..Self::default() };
        said.take(object);
        for name in ["error", "errors", "fault", "detail", "data"] {
            let Some(value) =
                object.text(name).filter(|value| !["null", "[]", "{}", "false", "0", "\"\""].contains(value))
            else {
                continue;
            };
            said.is_explicit |= !["detail", "data"].contains(&name);
            let parts = if value.starts_with('[') { elements(value) } else { vec![value] };
            for part in parts {
                if let Ok(part) = Object::parse_leniently(part) {
                    said.take_part(&with_squeezed_names(&part));
                } else if let Some(text) = unquote(part).filter(|_| name != "error") {
                    said.words.push(text);
                }
            }
        }
        said.is_explicit |= ["errorcode", "errcode", "errno", "errortype"]
            .iter()
            .any(|name| object.text(name).is_some_and(|value| !["0", "null", "\"\""].contains(&value)));
        // An error without a code, or with a number of the server's own. In what has room for a token, that is not enough.
        said.may_hold_token =
            object.iter().any(|(name, value)| !REFERENCES.contains(&name.as_ref()) && may_hold_token(value));
        let names_error = || object.iter().filter_map(|(_, value)| unquote(value)).any(|text| names_error(&text));
        let is_coded = || {
            let is_success = |code: &str| code.len() == 3 && code.starts_with('2');
            let is_fault = |code: &str| {
                !is_success(code) && !["", "0", "ok", "success"].contains(&code.to_ascii_lowercase().as_str())
            };
            object.text("code").is_some_and(|code| is_fault(code.trim_matches('"'))) && !said.words.is_empty()
        };
        said.is_explicit |= !said.may_hold_token && (names_error() || is_coded());
        said
    }

    /// A part of `errors`: the field that it complains of belongs to its code (Strava), and so does a member that has
    /// the name of a field (ASP.NET, Laravel).
    fn take_part(&mut self, part: &Object) {
        self.take(part);
        let fields = ["field", "fieldname", "resource"].iter().filter_map(|name| part.string(name));
        if let Some(code) = part.string("code") {
            self.words.extend(fields.map(|field| format!("{field}: {code}")));
        }
        let is_field = |name: &str, value: &str| value.starts_with('[') && !WORDS.contains(&name);
        for (name, value) in part.iter().filter(|(name, value)| is_field(name, value)) {
            let texts = elements(value).into_iter().filter_map(unquote);
            self.words.extend(texts.map(|text| format!("{name}: {text}")));
        }
    }

    fn take(&mut self, object: &Object) {
        for name in CODES {
            let Some(text) = object.string(name).filter(|text| !text.is_empty()) else { continue };
            // "invalid_grant: Token is expired"; the type of a problem may be a URL (RFC 9457, section 3.1.1).
            let word = text.split([':', ' ', '.']).next().unwrap_or_default();
            let last = text.rsplit(['/', '#', ':', '.']).next().unwrap_or_default();
            let is_long = text.len() > word.len();
            self.codes.push(text.clone());
            if is_long {
                self.codes.extend([word, last].map(str::to_owned));
                self.words.push(text);
            }
        }
        let words = WORDS.iter().filter_map(|name| words_of(object.text(name)?));
        self.words.extend(words.filter(|text| !text.is_empty()));
        if let Some(codes) = object.text("errorcodes") {
            // Microsoft Entra's numbers, as its descriptions name them.
            self.numbers.extend(elements(codes).iter().map(|number| format!("AADSTS{number}")));
        }
        // A status in words may be a code, but "error" is not one.
        self.codes.retain(|code| {
            !["error", "errors", "fail", "failed", "failure", "aboutblank"].contains(&letters_and_digits(code).as_str())
        });
    }
}

fn with_squeezed_names(object: &Object) -> Object {
    Object::of(object.iter().map(|(name, value)| (letters_and_digits(&name), value.to_owned())).collect())
}

/// The words of a member: a string, the `value` of an object (OData), or the strings of an array (NestJS).
fn words_of(value: &str) -> Option<String> {
    match value.as_bytes().first()? {
        b'{' => Object::parse_leniently(value).ok()?.string("value"),
        b'[' => Some(elements(value).into_iter().filter_map(unquote).collect::<Vec<_>>().join("; ")),
        _ => unquote(value),
    }
}

fn names_error(text: &str) -> bool {
    let text = letters_and_digits(text);
    text.contains("error") || text.starts_with("fail")
}

impl ErrorTexts {
    /// All texts once, except what the code says already.
    fn description(&self, code: Option<&str>) -> String {
        let mut description = String::new();
        for words in self.words.iter().map(|words| words.trim()) {
            if !code.is_some_and(|code| code.contains(words)) && !description.contains(words) {
                let separator = if description.is_empty() { "" } else { "; " };
                description += separator;
                description += words;
            }
        }
        description
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server says ")?;
        let texts: Vec<String> = self.code.iter().chain(&self.description).map(|text| format!("\"{text}\"")).collect();
        f.write_str(&texts.join(": "))?;
        match &self.reference {
            Some(reference) => write!(f, " ({reference})"),
            None => Ok(()),
        }
    }
}
