//! The URLs of an authorization server, and the one that it redirects a browser to.
//!
//! Only its parser builds a `TokenEndpoint`. So each one is https, or http to a
//! literal loopback address; no user, password or fragment in it (RFC 6749, section 3.2). The same holds for an
//! `AuthorizationEndpoint` (section 3.1). Pure: no name is looked up here.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::Uri;
use http::uri::Scheme;

use crate::failure::{InvalidValue, choose};

/// The two public environments of Docusign. Every region logs in at the same host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    Demo,
    Production,
}

impl Environment {
    fn token_endpoint(self) -> &'static str {
        match self {
            Self::Demo => "https://account-d.docusign.com/oauth/token",
            Self::Production => "https://account.docusign.com/oauth/token",
        }
    }

    fn authorization_endpoint(self) -> &'static str {
        match self {
            Self::Demo => "https://account-d.docusign.com/oauth/auth",
            Self::Production => "https://account.docusign.com/oauth/auth",
        }
    }

    pub fn parse(name: &str) -> Result<Self, InvalidValue> {
        choose(name, &[("demo", Self::Demo), ("production", Self::Production)])
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Production => "production",
        }
    }

    pub fn host(self) -> &'static str {
        self.token_endpoint().split('/').nth(2).unwrap_or_default()
    }
}

/// An RFC 6749 token endpoint, checked.
#[derive(Debug)]
pub struct TokenEndpoint(Uri);

impl TokenEndpoint {
    pub fn for_environment(environment: Environment) -> Self {
        Self(Uri::from_static(environment.token_endpoint()))
    }

    pub fn parse(url: &str) -> Result<Self, InvalidValue> {
        let hint = "a refresh token is sent only over https, or over http to 127.0.0.1 or [::1]";
        Self::parse_safe(url, "write it as https://account.docusign.com/oauth/token", hint)
    }

    fn parse_safe(url: &str, example: &str, safe: &str) -> Result<Self, InvalidValue> {
        let not_a_url = |why| Err(InvalidValue::usage(why, example));
        let uri: Uri = match url.parse() {
            Ok(uri) if url.is_ascii() => uri,
            _ => return not_a_url("not a URL"),
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return not_a_url("not a whole URL");
        };
        if authority.as_str().contains('@') {
            return not_a_url("the URL contains a user or password");
        }
        if url.contains('#') {
            return not_a_url("the URL contains a fragment (RFC 6749, section 3)");
        }
        // The parser accepts a port that is out of range, and text before it.
        let port = &authority.as_str()[authority.host().len()..];
        let is_port = |digits: &str| digits.parse::<u16>().is_ok_and(|port| port != 0) && !digits.starts_with('+');
        if authority.host().is_empty() || !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
            return not_a_url("the URL has no host or an invalid port");
        }
        if !is_host(authority.host()) {
            return not_a_url("the URL's IPv6 address is invalid; a zone, as in %eth0, is not supported");
        }
        let is_https = scheme == "https";
        let endpoint = Self(uri);
        match is_https || endpoint.is_plain() && endpoint.address().is_some_and(|address| address.is_loopback()) {
            true => Ok(endpoint),
            false => Err(InvalidValue::configuration("not https", safe)),
        }
    }

    /// Where Docusign and servers like it keep the account list: `/oauth/userinfo` for `/oauth/token`.
    pub fn userinfo(&self) -> Option<Uri> {
        let (directory, _) = self.0.path().rsplit_once('/')?;
        let scheme = self.0.scheme()?.clone();
        let authority = self.0.authority()?.clone();
        Uri::builder().scheme(scheme).authority(authority).path_and_query(format!("{directory}/userinfo")).build().ok()
    }

    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// As written; an IPv6 address stands in its brackets.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    /// The host, if it is a literal address.
    fn address(&self) -> Option<IpAddr> {
        self.host().trim_matches(['[', ']']).parse().ok()
    }

    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_plain() { 80 } else { 443 })
    }

    /// Plain http: to a literal loopback address only, and never through a proxy.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTP)
    }

    /// Which of Docusign's environments this is, if one.
    pub fn docusign(&self) -> Option<Environment> {
        [Environment::Demo, Environment::Production]
            .into_iter()
            .find(|known| self.host().eq_ignore_ascii_case(known.host()))
    }
}

/// Whether this can be a URL's host: what is in brackets must be an IPv6 address without a zone, which is only of use on
/// this machine (RFC 6874). Otherwise it would be looked up as a name.
pub fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty(),
    }
}

/// Whether a text begins with a URI's scheme (RFC 3986, section 3.1).
pub fn has_scheme(text: &str) -> bool {
    let scheme = text.find(':').map_or("", |end| &text[..end]).as_bytes();
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|next| next.is_ascii_alphanumeric() || b"+-.".contains(next))
}

/// An RFC 6749 authorization endpoint: where a human logs in, with a browser.
#[derive(Debug)]
pub struct AuthorizationEndpoint(String);

impl AuthorizationEndpoint {
    pub fn for_environment(environment: Environment) -> Self {
        Self(environment.authorization_endpoint().to_owned())
    }

    pub fn parse(url: &str) -> Result<Self, InvalidValue> {
        let example = "write it as https://account.docusign.com/oauth/auth";
        let safe = "a login goes over https, or over http to 127.0.0.1 or [::1]";
        TokenEndpoint::parse_safe(url, example, safe).map(|_| Self(url.to_owned()))
    }

    /// As given, with its query.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the authorization server sends the browser after a login. Servers compare it character by character, so
/// it is never normalized.
#[derive(Debug)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Any URI with a scheme, also an application's own or `urn:ietf:wg:oauth:2.0:oob`; but without a
    /// fragment (RFC 6749, section 3.1.2).
    pub fn parse(uri: &str) -> Result<Self, InvalidValue> {
        let is_printable = uri.bytes().all(|byte| byte.is_ascii_graphic());
        let query = uri.split_once('?').map_or("", |(_, query)| query);
        let is_answer = |parameter: &str| "code= state= error=".split(' ').any(|name| parameter.starts_with(name));
        let what = match has_scheme(uri) && is_printable {
            false => "not a whole URI",
            true if uri.contains('#') => "the URI contains a fragment (RFC 6749, section 3.1.2)",
            true if query.split('&').any(is_answer) => "the URI contains a code, state or error",
            true => return Ok(Self(uri.to_owned())),
        };
        Err(InvalidValue::usage(what, "write it as http://localhost/, exactly as it is registered"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RedirectUri {
    fn default() -> Self {
        Self("http://localhost/".to_owned())
    }
}

/// Without its query, which at some servers holds a key.
impl fmt::Display for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_plain() { "http" } else { "https" };
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}{}", self.0.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_may_be_sent_to() {
        for (url, whole, host, port) in [
            (
                "https://account.docusign.com/oauth/token",
                "https://account.docusign.com/oauth/token",
                "account.docusign.com",
                443,
            ),
            ("HTTPS://Example.org:8443", "https://Example.org:8443/", "Example.org", 8443),
            ("https://example.org?tenant=a", "https://example.org/?tenant=a", "example.org", 443),
            ("http://127.0.0.1:8080/t", "http://127.0.0.1:8080/t", "127.0.0.1", 8080),
            ("http://[::1]/t", "http://[::1]/t", "[::1]", 80),
        ] {
            let endpoint = TokenEndpoint::parse(url).unwrap();
            assert_eq!((endpoint.uri().to_string().as_str(), endpoint.host(), endpoint.port()), (whole, host, port));
        }
    }

    #[test]
    fn refuses_everything_else() {
        for url in [
            "",
            "example.org",
            "ftp://example.org/",
            "http://example.org/",
            "http://localhost/t",
            "http://127.0.0.1.example.org/",
            "https://user:pass@example.org/",
            "https://example.org/#f",
            "https:///t",
            "https://:80/t",
            "https://example.org:0/",
            "https://example.org:99999/",
            "https://example.org:+80/",
            "https://exämple.org/",
            "https://example.org/a b",
            "https://[::1/",
            "https://[::1]x/",
            "https://[fe80::1%25eth0]/t",
            "https://[fe80::1%eth0]/t",
            "https://[1.2.3.4]/t",
            "https://example.org/\u{1b}",
            "http://0.0.0.0/",
        ] {
            assert!(TokenEndpoint::parse(url).is_err(), "{url}");
            assert!(AuthorizationEndpoint::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn userinfo_is_next_to_the_token_endpoint() {
        for (url, wanted) in [
            ("https://account.docusign.com/oauth/token", "https://account.docusign.com/oauth/userinfo"),
            ("http://127.0.0.1:8080/token?tenant=a", "http://127.0.0.1:8080/userinfo"),
            ("https://example.org", "https://example.org/userinfo"),
        ] {
            let userinfo = TokenEndpoint::parse(url).unwrap().userinfo().unwrap();
            assert_eq!(userinfo.to_string(), wanted);
        }
    }

    #[test]
    fn a_redirect_uri_has_a_scheme_and_nothing_that_the_server_adds() {
        for uri in [
            "http://localhost/",
            "https://a.example/cb?x=1&barcode=1",
            "com.example.app:/cb",
            "urn:ietf:wg:oauth:2.0:oob",
        ] {
            assert_eq!(RedirectUri::parse(uri).unwrap().as_str(), uri);
        }
        for uri in [
            "",
            "localhost",
            "/cb",
            "http://localhost/#f",
            "http://localhost/ x",
            "http://löcalhost/",
            "1:x",
            ":x",
            "http://localhost/cb?code=x",
            "http://localhost/cb?a=b&state=x",
            "a:/?error=",
        ] {
            assert!(RedirectUri::parse(uri).is_err(), "{uri}");
        }
    }
}
