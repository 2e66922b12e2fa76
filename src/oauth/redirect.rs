//! The line that a human pastes after a login in the browser: the whole address to which the authorization
//! server sent the browser (RFC 6749, sections 4.1.2 and 4.1.2.1), or the code alone.
//!
//! An address has to carry this login's state (section 10.12). A code alone cannot; then only the
//! verifier of PKCE protects the login. The `iss` parameter (RFC 9207) is not needed: a login knows one server.

use percent_encoding::percent_decode_str;

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

/// The code in a pasted line.
#[expect(clippy::disallowed_methods, reason = "read for the code in it")]
pub fn read_code(line: &Secret, state: &Secret) -> Result<Secret, NoCode> {
    let line = without_quotes(line.expose());
    if line.is_empty() {
        return Err(NoCode::Empty);
    }
    if line.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(NoCode::Unreadable);
    }
    match Response::read(line) {
        Some(response) => response.code(state.expose()),
        None if line.contains("://") => Err(NoCode::Missing),
        None if !line.is_ascii() => Err(NoCode::Unreadable),
        None => {
            let decoded = percent_decode_str(line).decode_utf8_lossy();
            // A whole address may be percent-encoded, as in another one's parameter.
            let is_address = decoded.contains("://") || decoded.contains("state=");
            match Response::read(&decoded).filter(|_| is_address) {
                Some(response) => response.code(state.expose()),
                None if is_address => Err(NoCode::Missing),
                None => Ok(Secret::new(decoded)),
            }
        }
    }
}

/// Without white space, quotes, a mail's angle brackets, and what a terminal adds around a paste.
fn without_quotes(line: &str) -> &str {
    let is_quote = |character: char| character.is_whitespace() || "\"'`<>\u{feff}“”‘’«»".contains(character);
    let mut rest = line;
    loop {
        let mut inner = rest.trim_matches(is_quote);
        inner = inner.strip_prefix("\u{1b}[200~").unwrap_or(inner);
        inner = inner.strip_suffix("\u{1b}[201~").unwrap_or(inner);
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
    /// None if the line has no parameters. They are in the query, or at some servers in the fragment.
    fn read(line: &str) -> Option<Self> {
        let (address, parameters) = match line.find(['?', '#']) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None if ["code=", "state=", "error="].iter().any(|start| line.starts_with(start)) => ("", line),
            None => return None,
        };
        // As copied from the source of a page.
        let parameters = parameters.replace("&amp;", "&");
        // Form-encoded (section 4.1.2), so '+' is a space.
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let parameters = parameters.split(['&', '#', '?']).filter_map(|parameter| parameter.split_once('='));
        let parameters = parameters.map(|(name, value)| (decode(name), decode(value))).collect();
        Some(Self { has_address: !address.is_empty(), parameters })
    }

    fn code(&self, state: &str) -> Result<Secret, NoCode> {
        if let Some(code) = self.one("error")? {
            let description = self.one("error_description")?;
            return Err(NoCode::Rejected { code: code.to_owned(), description: description.map(str::to_owned) });
        }
        let code = self.one("code")?;
        if code.is_none() && self.one("code_challenge")?.is_some() {
            return Err(NoCode::NotYetLoggedIn);
        }
        match self.one("state")? {
            Some(given) if given == state => {}
            Some(given) if state.starts_with(given) => return Err(NoCode::CutOff),
            Some(_) => return Err(NoCode::OtherState),
            None if code.is_none() => return Err(NoCode::Missing),
            None if self.has_address => return Err(NoCode::CutOff),
            None => {}
        }
        code.map(Secret::new).ok_or(NoCode::Missing)
    }

    /// The parameter of this name. An empty one counts as missing.
    fn one(&self, name: &'static str) -> Result<Option<&str>, NoCode> {
        let mut values = self.parameters.iter().filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(NoCode::Repeated(name)),
            (value, None) => Ok(value.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "test")]
    fn read(line: &str) -> Result<String, NoCode> {
        read_code(&Secret::new(line), &Secret::new("s-T_1")).map(|code| code.expose().to_owned())
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
            ("http://localhost/?code=c&state=s-T_1x", NoCode::OtherState),
            ("code=c&state=t", NoCode::OtherState),
            ("http%3A%2F%2Flocalhost%2F%3Fcode%3Dc%26state%3Dt", NoCode::OtherState),
            ("http%3A%2F%2Flocalhost%2F", NoCode::Missing),
            ("http%3A%2F%2Flocalhost%2F%3Fcode%3Dc%26sta", NoCode::CutOff),
            ("http%3A%2F%2Flocalhost%2F%3Ferror%3Daccess_denied", rejected("access_denied", None)),
            ("http://localhost/?code=c&code=d&state=s-T_1", NoCode::Repeated("code")),
            ("http://localhost/?code=c&state=s-T_1#code=c", NoCode::Repeated("code")),
            ("http://localhost/?code=c&state=t&state=s-T_1", NoCode::Repeated("state")),
            ("http://localhost/?error=a&error=b&state=s-T_1", NoCode::Repeated("error")),
            ("https://a.example/auth?response_type=code&state=s-T_1&code_challenge=x", NoCode::NotYetLoggedIn),
            ("http://localhost/?error=access_denied&state=s-T_1", rejected("access_denied", None)),
            ("http://localhost/?error=access_denied", rejected("access_denied", None)),
            (
                "http://localhost/#error=access_denied&error_description=The+user+said%20no&state=s-T_1",
                rejected("access_denied", Some("The user said no")),
            ),
            ("http://localhost/?error=server_error&code=c&state=s-T_1", rejected("server_error", None)),
        ] {
            assert_eq!(read(line), Err(wanted), "{line}");
        }
    }
}
