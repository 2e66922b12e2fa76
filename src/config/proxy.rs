//! Chooses the proxy, if any: the option, or the variables that curl and others read. Pure.

use std::net::IpAddr;

use crate::endpoint::TokenEndpoint;
use crate::secret::Secret;

/// Where a proxy's URL came from, for messages, and the URL: it may hold a password.
pub type Chosen = (&'static str, Secret);

/// In this order, which is curl's: lower case first. HTTP_PROXY is not among them: the endpoint is https.
const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// `--proxy` goes before every variable, NO_PROXY included; plain http to the loopback interface
/// never goes through a proxy, as the request would be readable there.
#[expect(clippy::disallowed_methods, reason = "compared with a word")]
pub fn choose(
    option: Option<Secret>,
    variable: &dyn Fn(&str) -> Option<String>,
    endpoint: &TokenEndpoint,
) -> Option<Chosen> {
    if endpoint.is_plain() {
        return None;
    }
    if let Some(url) = option {
        return (url.expose() != "none").then_some(("--proxy", url));
    }
    let exempt = ["no_proxy", "NO_PROXY"].into_iter().find_map(variable).unwrap_or_default();
    if is_exempt(&exempt, endpoint.host(), endpoint.port()) {
        return None;
    }
    VARIABLES.into_iter().find_map(|name| Some((name, Secret::new(variable(name)?))))
}

/// NO_PROXY as curl reads it: a name with its subdomains (also as `.name` or `*.name`), an address, a range of
/// addresses (`10.0.0.0/8`), or `*`. All but a range may have a port. Names are not looked up for this.
fn is_exempt(list: &str, host: &str, port: u16) -> bool {
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let (pattern, its_port) = match entry.rsplit_once(':') {
            Some((pattern, digits)) if !pattern.contains(':') || pattern.ends_with(']') => {
                (pattern, digits.parse().ok())
            }
            _ => (entry, Some(port)),
        };
        its_port == Some(port) && (pattern == "*" || is_below(host, pattern))
    })
}

fn is_below(host: &str, pattern: &str) -> bool {
    let bare = |text: &str| text.trim_matches(['[', ']']).to_ascii_lowercase();
    if let Ok(address) = bare(host).parse::<IpAddr>() {
        return match pattern.split_once('/') {
            Some((network, length)) => is_within(address, &bare(network), length).unwrap_or(false),
            None => bare(pattern).parse() == Ok(address),
        };
    }
    let pattern = bare(pattern);
    let name = pattern.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.');
    match bare(host).strip_suffix(name) {
        Some(rest) => !name.is_empty() && (rest.is_empty() || rest.ends_with('.')),
        None => false,
    }
}

/// Whether the first `length` bits of the address and the network are the same (RFC 4632). None if these are no
/// range.
fn is_within(address: IpAddr, network: &str, length: &str) -> Option<bool> {
    let (network, length): (IpAddr, u32) = (network.parse().ok()?, length.parse().ok()?);
    let (one, other, width) = match (address.to_canonical(), network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (address.to_bits().into(), network.to_bits().into(), 32),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return None,
    };
    let rest = u32::checked_sub(width, length)?;
    let head = |bits: u128| bits.checked_shr(rest).unwrap_or(0);
    Some(head(one) == head(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_no_proxy_as_curl_does() {
        for (list, host, port, exempt) in [
            ("*", "example.org", 443, true),
            ("example.org", "example.org", 443, true),
            ("other.org, example.org", "a.Example.ORG", 443, true),
            (".example.org", "a.example.org", 443, true),
            ("*.example.org", "a.example.org", 443, true),
            ("example.org", "notexample.org", 443, false),
            ("example.org:8443", "example.org", 8443, true),
            ("example.org:8443", "example.org", 443, false),
            ("127.0.0.1", "127.0.0.1", 443, true),
            ("0.0.1", "127.0.0.1", 443, false),
            ("::1", "[::1]", 443, true),
            ("[::1]:443", "[::1]", 443, true),
            ("[::1]:80", "[::1]", 443, false),
            ("10.0.0.0/8", "10.1.2.3", 443, true),
            ("10.0.0.0/8", "11.1.2.3", 443, false),
            ("192.168.1.77/25", "192.168.1.126", 443, true),
            ("192.168.1.77/25", "192.168.1.128", 443, false),
            ("10.1.2.3/32", "10.1.2.3", 443, true),
            ("10.1.2.3/32", "10.1.2.2", 443, false),
            ("0.0.0.0/0", "10.1.2.3", 443, true),
            ("0.0.0.0/0", "[::1]", 443, false),
            ("::/0", "[fd00::1]", 443, true),
            ("fd00::/8", "[fd12:3456::1]", 443, true),
            ("fd00::/8", "[fe80::1]", 443, false),
            ("[fd00::]/8", "[fd12:3456::1]", 443, true),
            ("::1/128", "[::1]", 443, true),
            ("2001:db8::/33", "[2001:db8:8000::1]", 443, false),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]", 443, true),
            ("10.0.0.0/33", "10.0.0.0", 443, false),
            ("10.0.0.0/", "10.0.0.0", 443, false),
            ("10.0.0.0/-1", "10.0.0.0", 443, false),
            ("10.0.0.0/8", "example.org", 443, false),
            ("example.org,172.16.0.0/12 127.0.0.0/8", "127.0.0.1", 443, true),
            ("", "example.org", 443, false),
            (",,", "example.org", 443, false),
        ] {
            assert_eq!(is_exempt(list, host, port), exempt, "{list} {host}:{port}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "test")]
    fn chooses_in_order() {
        let choose = |option: Option<&str>, variables: &[(&str, &str)], url| {
            let variable = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
            choose(option.map(Secret::new), &variable, &TokenEndpoint::parse(url).unwrap())
                .map(|(source, url)| (source, url.expose().to_owned()))
        };
        let both = [("ALL_PROXY", "a"), ("https_proxy", "b"), ("no_proxy", "exempt.org")];
        assert_eq!(choose(None, &both, "https://example.org/"), Some(("https_proxy", "b".into())));
        assert_eq!(choose(None, &both, "https://exempt.org/"), None);
        assert_eq!(choose(Some("c"), &both, "https://exempt.org/"), Some(("--proxy", "c".into())));
        assert_eq!(choose(Some("none"), &both, "https://example.org/"), None);
        assert_eq!(choose(Some("c"), &both, "http://127.0.0.1/"), None);
        let cases = [("HTTPS_PROXY", "a"), ("https_proxy", "b"), ("ALL_PROXY", "c"), ("all_proxy", "d")];
        assert_eq!(choose(None, &cases, "https://example.org/"), Some(("https_proxy", "b".into())));
        assert_eq!(choose(None, &cases[2..], "https://example.org/"), Some(("all_proxy", "d".into())));
        assert_eq!(choose(None, &[("HTTP_PROXY", "a")], "https://example.org/"), None);
    }
}
