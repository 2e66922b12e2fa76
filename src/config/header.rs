//! Header fields of the user's own, for gateways and firewalls in front of a token endpoint. Arguments are public, so
//! none may hold a secret; and none may replace what the program itself sets.

use crate::failure::InvalidValue;

/// Fields that hold secrets (RFC 9110, section 11; RFC 6265), in lower case.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Fields that frame or describe the request: the program sets them, or HTTP does, in lower case.
const OWN: [&str; 15] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept",
    "accept-encoding",
    "range",
];

/// Reads `NAME: VALUE` (RFC 9110, section 5).
pub fn parse(text: &str) -> Result<(String, String), InvalidValue> {
    const FORM: &str = "write it as 'X-Tenant: example'";
    let Some((name, value)) = text.split_once(':') else { return Err(InvalidValue::usage("not NAME: VALUE", FORM)) };
    let value = value.trim_matches([' ', '\t']);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(InvalidValue::usage("the text before the colon is not a header field name", FORM));
    }
    if value.is_empty() {
        return Err(InvalidValue::usage("no value after the colon", FORM));
    }
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return Err(InvalidValue::usage("the value must be printable ASCII on one line", FORM));
    }
    let lower = name.to_ascii_lowercase();
    if SECRET.contains(&lower.as_str()) {
        let hint = "use --client-secret-file and --client-auth to authenticate, and the proxy's URL for a proxy";
        return Err(InvalidValue::usage(&format!("{name} holds a secret, but arguments are public"), hint));
    }
    if OWN.contains(&lower.as_str()) {
        return Err(InvalidValue::usage(&format!("the program sets {name} itself"), "leave it out"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_public_fields_alone() {
        for (text, wanted) in [
            ("X-Tenant: a b", Some(("X-Tenant", "a b"))),
            ("X-Tenant:a:b", Some(("X-Tenant", "a:b"))),
            ("user-agent: \t curl/8.0 ", Some(("user-agent", "curl/8.0"))),
            ("Accept-Language: en", Some(("Accept-Language", "en"))),
            ("Authorization: Bearer x", None),
            ("authorization:x", None),
            ("PROXY-AUTHORIZATION: x", None),
            ("Cookie: a=b", None),
            ("Host: example.org", None),
            ("Content-Length: 0", None),
            ("Content-Type: text/plain", None),
            ("Transfer-Encoding: chunked", None),
            ("Connection: close", None),
            ("Accept: */*", None),
            ("Accept-Encoding: gzip", None),
            ("Expect: 100-continue", None),
            ("X-Tenant", None),
            ("X-Tenant:", None),
            (": x", None),
            ("X Tenant: x", None),
            ("X-Tenant : x", None),
            ("X-Tenant: a\r\nEvil: b", None),
            ("X-Tenant: a\0", None),
            ("X-Tenant: é", None),
            ("X-Té: x", None),
        ] {
            let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(parse(text).ok(), wanted, "{text:?}");
        }
    }
}
