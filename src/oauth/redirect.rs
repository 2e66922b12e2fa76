//! The line that a human pastes after a login in the browser: the whole address to which the authorization
//! server sent the browser (RFC 6749, sections 4.1.2 and 4.1.2.1), or the code alone.
//!
//! An address has to carry this login's state (section 10.12). A code alone cannot; then only the
//! verifier of PKCE protects the login. The `iss` parameter (RFC 9207) is not needed: a login knows one server.
//!
//! Mail programs, chats and shells change what passes through them. A line is read in spite of that; but what is not
//! a code is never sent as one, since the server's answer would then blame the code.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use crate::endpoint::has_scheme;
use crate::secret::Secret;

/// Why a line has no code. Texts in it are the server's, and still have to be masked before they are shown.
#[derive(Debug, PartialEq)]
pub enum NoCode {
    Empty,
    /// Neither an address nor a code.
    Unreadable,
    /// The address that this program printed.
    NotYetLoggedIn,
    /// An address without a code.
    Missing,
    CutOff,
    OtherState,
    /// A parameter that is there more than once (section 3.1).
    Repeated(&'static str),
    /// An error response (section 4.1.2.1).
    Rejected {
        code: String,
        description: Option<String>,
    },
}

/// How often an address may have been percent-encoded as a parameter of another one.
const MAX_ENCODED: usize = 3;

/// Where an error stands; if not in `error`, at Facebook, and at Twitter for a user who declined.
const ERRORS: &str = "error error_reason error_code denied error_description error_message";

const DESCRIPTIONS: &str = "error_description error_message";

/// The code in a pasted line.
#[expect(clippy::disallowed_methods, reason = "read for the code in it")]
pub fn read_code(line: &Secret, state: &Secret, redirect_uri: &str) -> Result<Secret, NoCode> {
    // The path of a file.
    let mut has_address = line.expose().starts_with('.');
    let line = without_marks(line.expose());
    if line.is_empty() {
        return Err(NoCode::Empty);
    }
    if line.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(NoCode::Unreadable);
    }
    // A shell has put these before a separator.
    let mut text = line.replace(['\\', '^'], "");
    for _ in 0..=MAX_ENCODED {
        if is_address(&text, redirect_uri) {
            match Response::read(&text).code(state.expose()) {
                // It may be in an address within this one.
                Err(NoCode::Missing) => has_address = true,
                outcome => return outcome,
            }
        }
        text = decode(&text);
    }
    if has_address { Err(NoCode::Missing) } else { bare_code(line) }
}

/// A code, and nothing else.
fn bare_code(line: &str) -> Result<Secret, NoCode> {
    // In an address these are percent-encoded.
    let is_clean = line.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}[]\"<>\\|^`?#".contains(&byte));
    let code = decode(line);
    match is_clean && decode(&code) == code {
        true => Ok(Secret::new(code)),
        false => Err(NoCode::Unreadable),
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Whether a text is an address, or a part of one that is not its code.
fn is_address(text: &str, redirect_uri: &str) -> bool {
    let parts = |text| str::split(text, ['/', ':', '?']);
    let host = parts(text).next().unwrap_or_default();
    host == "localhost"
        || host.parse::<IpAddr>().is_ok()
        || !host.is_empty() && parts(redirect_uri).any(|part| part == host)
        || has_scheme(text)
        || ":// code= state= error=".split(' ').any(|part| text.contains(part))
}

/// Without what stands around an address in a text, or is added by a terminal around a paste. No code ends with it.
fn without_marks(line: &str) -> &str {
    const AROUND: &str = "\"'`<>.,();]|\u{1b}\u{feff}\u{200b}\u{200e}“”‘’«»";
    let is_around = |character: char| character.is_whitespace() || AROUND.contains(character);
    let mut rest = line;
    loop {
        let mut inner = rest.trim_matches(is_around);
        inner = inner.strip_prefix("[200~").unwrap_or(inner);
        inner = inner.strip_suffix("[201~").unwrap_or(inner);
        if inner == rest {
            return inner;
        }
        rest = inner;
    }
}

/// An authorization response.
struct Response {
    /// Whether an address precedes the parameters; otherwise they were copied without it.
    has_address: bool,
    parameters: Vec<(String, String)>,
}

impl Response {
    /// The parameters are in the query, or at some servers in the fragment.
    fn read(line: &str) -> Self {
        let (address, parameters) = match line.find(['?', '#']) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => ("", line),
        };
        // Form-encoded (section 4.1.2), so '+' is a space.
        let decode = |text: &str| decode(&text.replace('+', " "));
        // ';' ends the "&amp;" of a page's source, and in an older form of query stands for '&'.
        let parameters = parameters.split(['&', '#', '?', ';']).filter_map(|parameter| parameter.split_once('='));
        let parameters = parameters.map(|(name, value)| (decode(name), decode(value))).collect();
        Self { has_address: !address.is_empty(), parameters }
    }

    fn code(&self, state: &str) -> Result<Secret, NoCode> {
        let code = self.one("code")?;
        let error = self.first(if code.is_some() { "error" } else { ERRORS });
        if let Some(error) = error {
            let description = self.first(DESCRIPTIONS).filter(|description| *description != error);
            return Err(NoCode::Rejected { code: error.to_owned(), description: description.map(str::to_owned) });
        }
        if code.is_none() && self.first("code_challenge").is_some() {
            return Err(NoCode::NotYetLoggedIn);
        }
        match (code, self.one("state")?) {
            // Whatever a text adds to an address stands behind it.
            (Some(code), Some(given)) if given.starts_with(state) => Ok(Secret::new(code)),
            (_, Some(given)) if given != state && state.starts_with(given) => Err(NoCode::CutOff),
            (None, _) => Err(NoCode::Missing),
            (_, Some(_)) => Err(NoCode::OtherState),
            (_, None) if self.has_address => Err(NoCode::CutOff),
            (Some(code), None) => Ok(Secret::new(code)),
        }
    }

    /// What the first of these parameters says that is there.
    fn first(&self, names: &str) -> Option<&str> {
        let given = |name| self.parameters.iter().find(|(key, value)| key == name && !value.is_empty());
        let (name, value) = names.split(' ').find_map(given)?;
        // The value of `denied` is a token.
        Some(if name == "denied" { name } else { value })
    }

    /// The parameter of this name. An empty one counts as missing. An address that was pasted twice has each one twice,
    /// the first with the beginning of the second address behind it.
    fn one(&self, name: &'static str) -> Result<Option<&str>, NoCode> {
        let mut shortest: Option<&str> = None;
        for (_, value) in self.parameters.iter().filter(|(key, value)| key == name && !value.is_empty()) {
            match shortest {
                Some(known) if value.starts_with(known) => {}
                Some(known) if !known.starts_with(value) => return Err(NoCode::Repeated(name)),
                _ => shortest = Some(value),
            }
        }
        Ok(shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "test")]
    fn read(line: &str) -> Result<String, NoCode> {
        read_code(&Secret::new(line), &Secret::new("s-T_1"), "https://a.example/cb")
            .map(|code| code.expose().to_owned())
    }

    #[test]
    fn finds_the_code() {
        for (line, wanted) in [
            ("http://localhost/?code=c&state=s-T_1", "c"),
            ("http://localhost/?state=s-T_1&code=c\r\n", "c"),
            ("  \"http://localhost/?code=c&state=s-T_1\" \n", "c"),
            ("'<http://localhost/?code=c&state=s-T_1>'", "c"),
            ("\u{feff}http://localhost/?code=c&state=s-T_1", "c"),
            ("\u{1b}[200~http://localhost/?code=c&state=s-T_1\u{1b}[201~", "c"),
            ("localhost/?code=c&state=s-T_1", "c"),
            ("com.example.app:/login?code=c&state=s-T_1", "c"),
            ("https://a.example/cb?tenant=a&code=c&state=s-T_1&iss=https%3A%2F%2Fa.example&session_state=x", "c"),
            ("http://localhost/#code=c&state=s-T_1", "c"),
            ("http://localhost/?tenant=a#code=c&state=s-T_1", "c"),
            ("http://localhost/?code=c&state=s-T_1#_=_", "c"),
            ("http://localhost/?code=a%2Fb%2bc%3D%3D&state=s%2DT_1", "a/b+c=="),
            ("http://localhost/?code=a+b&state=s-T_1", "a b"),
            ("http://localhost/?code=a=b&state=s-T_1", "a=b"),
            ("http://localhost/?error=&code=c&state=s-T_1", "c"),
            ("http://localhost/?code=c&amp;state=s-T_1", "c"),
            ("http%3A%2F%2Flocalhost%2F%3Fcode%3Da%252Fb%26state%3Ds-T_1", "a/b"),
            ("com.example.app%3A%2Flogin%3Fcode%3Dc%26state%3Ds-T_1", "c"),
            ("a%3Fb", "a?b"),
            ("?code=c&state=s-T_1", "c"),
            ("code=c&state=s-T_1", "c"),
            ("code=c", "c"),
            ("eyJ0eXAi.MQ_a-b~c/d+e==", "eyJ0eXAi.MQ_a-b~c/d+e=="),
            ("one%2Fuse", "one/use"),
            ("'c'\n", "c"),
            // Percent-encoded more than once, or within another address.
            ("http%253A%252F%252Flocalhost%252F%253Fcode%253Dc%2526state%253Ds-T_1", "c"),
            ("http://localhost/?code%3Da%252Fb%26state%3Ds-T_1", "a/b"),
            (
                "https://safe.example/?url=http%3A%2F%2Flocalhost%2F%3Fcode%3Da%252Fb%26state%3Ds-T_1&data=05%7C02%7C",
                "a/b",
            ),
            ("https://www.google.com/url?q=http://localhost/%3Fcode%3Dc%26state%3Ds-T_1&sa=D", "c"),
            (
                "about:neterror?e=connectionFailure&u=http%3A//localhost/%3Fcode%3Dc%26state%3Ds-T_1&d=Firefox%20can",
                "c",
            ),
            ("v%5E1.1%23i%5E1", "v^1.1#i^1"),
            // What a text has around an address.
            ("http://localhost/?code=c&state=s-T_1.", "c"),
            ("(http://localhost/?code=c&state=s-T_1),", "c"),
            ("http://localhost/?code=c&state=s-T_1/", "c"),
            ("http://localhost/?code=c&state=s-T_1_", "c"),
            ("http://localhost/?code=c&state=s-T_1%20", "c"),
            ("http://localhost/?code=c&state=s-T_1=", "c"),
            ("http://localhost/?code=c&state=s-T_1\u{200b}", "c"),
            ("<http://localhost/?code=c&state=s-T_1|localhost>", "c"),
            ("http://localhost/?state=s-T_1&code=c.", "c"),
            ("http://localhost/?state=s-T_1&code=c\u{200b});", "c"),
            ("[200~http://localhost/?state=s-T_1&code=c[201~", "c"),
            ("[http://localhost/?state=s-T_1&code=c](http://localhost/?state=s-T_1&code=c)", "c"),
            ("http://localhost/?code=c&state=s-T_1http://localhost/?code=c&state=s-T_1", "c"),
            ("http://localhost/?code=c&state=s-T_1#code=c", "c"),
            // What a separator becomes.
            ("http://localhost/?code=c&#38;state=s-T_1", "c"),
            ("http://localhost/?code=c&#x26;state=s-T_1", "c"),
            ("http://localhost/?code=c&AMP;state=s-T_1", "c"),
            ("http://localhost/?code=c&amp;amp;state=s-T_1", "c"),
            ("http://localhost/?code=c;state=s-T_1", "c"),
            ("http://localhost/?code=c^&state=s-T_1", "c"),
            ("http://localhost/\\?code\\=c\\&state\\=s-T_1", "c"),
        ] {
            assert_eq!(read(line), Ok(wanted.to_owned()), "{line}");
        }
    }

    #[test]
    fn says_why_there_is_none() {
        let rejected = |code: &str, description: Option<&str>| NoCode::Rejected {
            code: code.to_owned(),
            description: description.map(str::to_owned),
        };
        for (line, wanted) in [
            ("", NoCode::Empty),
            (" \r\n", NoCode::Empty),
            ("\"\"", NoCode::Empty),
            ("no thanks", NoCode::Unreadable),
            ("a\u{7}b", NoCode::Unreadable),
            ("ö", NoCode::Unreadable),
            ("http://localhost/", NoCode::Missing),
            ("http://localhost/?", NoCode::Missing),
            ("http://localhost/?code=&state=s-T_1", NoCode::Missing),
            ("http://localhost/?state=s-T_1", NoCode::Missing),
            ("http://localhost/?code=c", NoCode::CutOff),
            ("http://localhost/?code=c&sta", NoCode::CutOff),
            ("http://localhost/?code=c&state=", NoCode::CutOff),
            ("http://localhost/?code=c&state=s-T", NoCode::CutOff),
            ("http://localhost/?code=c&state=t", NoCode::OtherState),
            ("http://localhost/?state=s-T", NoCode::CutOff),
            ("code=c&state=t", NoCode::OtherState),
            ("http%3A%2F%2Flocalhost%2F%3Fcode%3Dc%26state%3Dt", NoCode::OtherState),
            ("http%3A%2F%2Flocalhost%2F", NoCode::Missing),
            ("http%3A%2F%2Flocalhost%2F%3Fcode%3Dc%26sta", NoCode::CutOff),
            ("http%3A%2F%2Flocalhost%2F%3Ferror%3Daccess_denied", rejected("access_denied", None)),
            ("http://localhost/?code=c&code=d&state=s-T_1", NoCode::Repeated("code")),
            ("http://localhost/?code=c&state=s-T_1#code=d", NoCode::Repeated("code")),
            ("http://localhost/?code=c&state=t&state=s-T_1", NoCode::Repeated("state")),
            ("http://localhost/?error=a&error=b&state=s-T_1", rejected("a", None)),
            ("https://a.example/auth?response_type=code&state=s-T_1&code_challenge=x", NoCode::NotYetLoggedIn),
            ("http://localhost/?error=access_denied&state=s-T_1", rejected("access_denied", None)),
            ("http://localhost/?error=access_denied", rejected("access_denied", None)),
            (
                "http://localhost/#error=access_denied&error_description=The+user+said%20no&state=s-T_1",
                rejected("access_denied", Some("The user said no")),
            ),
            ("http://localhost/?error=server_error&code=c&state=s-T_1", rejected("server_error", None)),
            ("http://localhost/?error_reason=user_denied&state=s-T_1", rejected("user_denied", None)),
            ("http://localhost/?denied=t0ken", rejected("denied", None)),
            ("http://localhost/?error_code=7&error_message=No+app", rejected("7", Some("No app"))),
            ("http://localhost/?error_description=No+app&state=s-T_1", rejected("No app", None)),
            // Addresses without parameters.
            ("localhost", NoCode::Missing),
            ("localhost/callback", NoCode::Missing),
            ("a.example/cb", NoCode::Missing),
            ("127.0.0.1:8080", NoCode::Missing),
            ("[::1]/", NoCode::Unreadable),
            ("about:blank", NoCode::Missing),
            ("code:abc", NoCode::Missing),
            ("./t.json", NoCode::Missing),
            ("https://a.example/signin?then=%2Fauth%3Fcode_challenge%3Dx%26state%3Ds-T_1", NoCode::NotYetLoggedIn),
            ("{\"code\":\"abc\",\"state\":\"x\"}", NoCode::Unreadable),
            ("c|d", NoCode::Unreadable),
            ("a%252Fb", NoCode::Unreadable),
        ] {
            assert_eq!(read(line), Err(wanted), "{line}");
        }
    }
}
