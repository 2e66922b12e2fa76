//! The name of a Kubernetes Secret, as `--publish-secret` takes it. Pure.

use crate::failure::InvalidValue;

/// `--publish-secret`: `NAME` or `NAMESPACE/NAME`.
#[derive(Debug, PartialEq)]
pub struct SecretName {
    pub namespace: Option<String>,
    pub name: String,
}

impl SecretName {
    /// By the rules of Kubernetes (RFC 1123): so it can stand in a URL as it is.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        let is_name = name.len() <= 253 && name.split('.').all(is_label);
        match is_name && namespace.is_none_or(|namespace| namespace.len() <= 63 && is_label(namespace)) {
            true => Ok(Self { namespace: namespace.map(str::to_owned), name: name.to_owned() }),
            false => Err(InvalidValue::usage(
                "not the name of a Secret",
                "write it as NAME or NAMESPACE/NAME, in lower case",
            )),
        }
    }
}

/// RFC 1123: what a namespace is called.
pub fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_secret_stands_in_a_url_as_it_is() {
        let (long, too_long) = ("a".repeat(253), "a".repeat(254));
        for (text, wanted) in [
            ("docusign", Some((None, "docusign"))),
            ("docusign-access.v1", Some((None, "docusign-access.v1"))),
            ("esign/docusign", Some((Some("esign"), "docusign"))),
            (&long, Some((None, &long))),
            (&too_long, None),
            ("", None),
            ("/docusign", None),
            ("esign/", None),
            ("a/b/c", None),
            ("Docusign", None),
            ("-a", None),
            ("a-", None),
            ("a..b", None),
            ("..", None),
            ("a?b", None),
            ("a%2fb", None),
            ("my.ns/a", None),
            ("é", None),
        ] {
            let read = SecretName::parse(text).ok();
            let read = read.as_ref().map(|read| (read.namespace.as_deref(), read.name.as_str()));
            assert_eq!(read, wanted, "{text}");
        }
    }
}
