//! A URL that a refresh token may be sent to.
//!
//! A `TokenEndpoint` is built only by its parser, so whoever holds one knows: https, or http to a
//! literal loopback address; no user, password or fragment in it (RFC 6749, section 3.2); nothing
//! but the characters of RFC 3986. Pure: no name is looked up here.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The two public environments of Docusign (facts: every region logs in at the same host).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    Demo,
    Production,
}

impl Environment {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "demo" => Some(Self::Demo),
            "production" => Some(Self::Production),
            _ => None,
        }
    }

    pub fn host(self) -> &'static str {
        match self {
            Self::Demo => "account-d.docusign.com",
            Self::Production => "account.docusign.com",
        }
    }
}

/// An RFC 6749 token endpoint, checked.
#[derive(Debug)]
pub struct TokenEndpoint {
    url: String,
    host: String,
    port: u16,
    scheme: Scheme,
}

/// Why a URL is no place for a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    NotAUrl(&'static str),
    /// Nor http to a literal loopback address.
    NotHttps,
}

/// How the request travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Https,
    /// To a literal loopback address only, and never through a proxy.
    HttpLoopback,
}

impl TokenEndpoint {
    pub fn of_environment(environment: Environment) -> Self {
        let host = environment.host();
        Self { url: format!("https://{host}/oauth/token"), host: host.to_owned(), port: 443, scheme: Scheme::Https }
    }

    /// Parses a URL; the error is the reason why it is refused, without the URL.
    pub fn parse(url: &str) -> Result<Self, Unfit> {
        let (scheme, rest) = url.split_once("://").ok_or(Unfit::NotAUrl("not a URL"))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Unfit::NotAUrl("a user or password in the URL"));
        }
        if path.contains('#') {
            return Err(Unfit::NotAUrl("a fragment in the URL (RFC 6749, section 3.2)"));
        }
        if !path.bytes().all(is_path_byte) {
            return Err(Unfit::NotAUrl("a character that a URL can't hold"));
        }
        let (host, port) = split_port(authority).map_err(Unfit::NotAUrl)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" if is_loopback(host) => Scheme::HttpLoopback,
            _ => return Err(Unfit::NotHttps),
        };
        let default_port = match scheme {
            Scheme::Https => 443,
            Scheme::HttpLoopback => 80,
        };
        Ok(Self {
            // A URL without a path asks for "/" (RFC 9110, section 4.2.3).
            url: if path.starts_with('/') {
                url.to_owned()
            } else {
                format!("{}/{path}", &url[..url.len() - path.len()])
            },
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(default_port),
            scheme,
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lower case; an IPv6 address stands in its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Which of Docusign's environments this is, if one.
    pub fn docusign(&self) -> Option<Environment> {
        [Environment::Demo, Environment::Production].into_iter().find(|known| known.host() == self.host)
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let after_host = if authority.starts_with('[') {
        authority.find(']').ok_or("an IPv6 address without its closing bracket")? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(after_host);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) if !digits.starts_with('+') => {
            Some(digits.parse().ok().filter(|&port| port != 0).ok_or("a port that is no number from 1 to 65535")?)
        }
        _ => return Err("text between the host and the port"),
    };
    if host.is_empty() {
        return Err("no host");
    }
    if !is_host(host) {
        return Err("a host that is neither a name (write an international one in its xn-- form) nor an address");
    }
    Ok((host, port))
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte)
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
            ("HTTPS://Example.org:8443", "HTTPS://Example.org:8443/", "example.org", 8443),
            ("https://example.org?tenant=a", "https://example.org/?tenant=a", "example.org", 443),
            ("http://127.0.0.1:8080/t", "http://127.0.0.1:8080/t", "127.0.0.1", 8080),
            ("http://[::1]/t", "http://[::1]/t", "[::1]", 80),
        ] {
            let endpoint = TokenEndpoint::parse(url).unwrap();
            assert_eq!((endpoint.url(), endpoint.host(), endpoint.port()), (whole, host, port));
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
            "https://example.org/\u{1b}",
            "http://0.0.0.0/",
        ] {
            assert!(TokenEndpoint::parse(url).is_err(), "{url}");
        }
    }
}
