//! A proxy that ureq can speak to.

use std::fmt;

use crate::endpoint::is_host;
use crate::secret::Secret;

/// A proxy's URL, parsed.
pub struct ProxyServer(ureq::Proxy);

impl ProxyServer {
    /// `scheme://[user:password@]host[:port]`: http and https (CONNECT), socks5 and socks5h; http
    /// if the scheme is left out.
    #[expect(clippy::disallowed_methods, reason = "the proxy's user and password go to the proxy")]
    pub fn parse(url: &Secret) -> Option<Self> {
        let proxy = ureq::Proxy::new(url.expose()).ok()?;
        use ureq::ProxyProtocol::{Http, Https, Socks5, Socks5h};
        // Otherwise ureq takes an invalid port for a missing one.
        let authority = proxy.uri().authority()?;
        let is_port_read = authority.port().is_some() || authority.as_str().ends_with(authority.host());
        let is_supported = matches!(proxy.protocol(), Http | Https | Socks5 | Socks5h);
        (is_port_read && is_supported && is_host(authority.host())).then_some(Self(proxy))
    }

    /// Whether a URL has a backslash, which no URL may: most likely Windows' DOMAIN\USER.
    #[expect(clippy::disallowed_methods, reason = "searched for one character")]
    pub fn has_backslash(url: &Secret) -> bool {
        url.expose().contains('\\')
    }

    pub fn for_ureq(&self) -> ureq::Proxy {
        self.0.clone()
    }

    /// Whether a user or a password stands in the URL.
    pub fn has_credentials(&self) -> bool {
        self.0.username().is_some()
    }

    /// The password, which no message may show.
    pub fn password(&self) -> Option<Secret> {
        self.0.password().map(Secret::new)
    }
}

impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.0.uri().scheme_str().unwrap_or("http"), self.0.host(), self.0.port())
    }
}
