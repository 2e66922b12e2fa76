//! Where the access token is published, besides the token file: a file of its own, a Kubernetes Secret.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::arguments::Arguments;
use super::environment::{option_or_variable, variable};
use crate::failure::{Failure, Misfit, choose};
#[cfg(target_os = "linux")]
use crate::transport::Roots;

/// The places that are wanted.
pub struct Publications {
    pub file: Option<AccessTokenFile>,
    #[cfg(target_os = "linux")]
    pub secret: Option<(super::SecretPlace, Roots)>,
}

/// `--access-token-file`.
pub struct AccessTokenFile {
    pub path: PathBuf,
    pub format: AccessTokenFormat,
}

/// `--access-token-format`: what the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessTokenFormat {
    /// The token and nothing else, no newline either.
    Token,
    /// A line for `curl --header @FILE`.
    Header,
    /// A line for systemd's `EnvironmentFile=`.
    Env,
}

impl AccessTokenFormat {
    pub fn parse(text: &str) -> Result<Self, Misfit> {
        choose(text, &[("token", Self::Token), ("header", Self::Header), ("env", Self::Env)])
    }
}

/// `--publish-secret`: `NAME` or `NAMESPACE/NAME`.
#[derive(Debug, PartialEq)]
pub struct SecretName {
    pub namespace: Option<String>,
    pub name: String,
}

impl SecretName {
    /// By the rules of Kubernetes (RFC 1123): so it can stand in a URL as it is.
    pub fn parse(text: &str) -> Result<Self, Misfit> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        let is_name = name.len() <= 253 && name.split('.').all(is_label);
        match is_name && namespace.is_none_or(|namespace| namespace.len() <= 63 && is_label(namespace)) {
            true => Ok(Self { namespace: namespace.map(str::to_owned), name: name.to_owned() }),
            false => {
                Err(Misfit::usage("not the name of a Secret", "write it as NAME or NAMESPACE/NAME, in lower case"))
            }
        }
    }
}

/// RFC 1123: what a namespace is called.
pub fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// What the name of the access token file's draft ends with.
pub const DRAFT: &str = ".new";

pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// What the options and variables want published. The files that this run reads are not to be written.
pub fn publications(typed: &mut Arguments) -> Result<Publications, Failure> {
    let format =
        option_or_variable(typed.access_token_format, "DOCUSIGN_ACCESS_TOKEN_FORMAT", AccessTokenFormat::parse)?;
    let path = typed.access_token_file.take().or_else(|| variable("DOCUSIGN_ACCESS_TOKEN_FILE").map(PathBuf::from));
    if path.is_none() && typed.access_token_format.is_some() {
        let hint = "give --access-token-file FILE as well";
        return Err(Failure::usage("--access-token-format", "given without --access-token-file", hint));
    }
    if let Some(path) = &path {
        if path == Path::new("-") {
            let hint = "name a file; --print access-token writes to standard output";
            return Err(Failure::usage("--access-token-file", "standard output is not a file", hint));
        }
        refuse_input(path, typed)?;
    }
    let secret = option_or_variable(typed.publish_secret.take(), "DOCUSIGN_PUBLISH_SECRET", SecretName::parse)?;
    #[cfg(not(target_os = "linux"))]
    if secret.is_some() {
        return Err(only_on_linux());
    }
    Ok(Publications {
        file: path.map(|path| AccessTokenFile { path, format: format.unwrap_or(AccessTokenFormat::Token) }),
        #[cfg(target_os = "linux")]
        secret: secret.map(super::kubernetes::secret_place).transpose()?,
    })
}

#[cfg(not(target_os = "linux"))]
fn only_on_linux() -> Failure {
    Failure::usage("--publish-secret", "only on Linux: a pod publishes to its own cluster", "use --access-token-file")
}

/// The client secret, say, would be gone, if the file or its draft had its name.
fn refuse_input(path: &Path, typed: &Arguments) -> Result<(), Failure> {
    let named = |option: &Option<PathBuf>, name: &str| option.clone().or_else(|| variable(name).map(PathBuf::from));
    let inputs = [
        named(&typed.client_secret_file, "DOCUSIGN_CLIENT_SECRET_FILE"),
        named(&typed.ca_file, "SSL_CERT_FILE"),
        typed.client_cert.clone(),
        typed.client_key.clone(),
        variable("CREDENTIALS_DIRECTORY").map(|directory| Path::new(&directory).join("docusign-client-secret")),
    ];
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written: Vec<_> =
        [with_suffix(&file, DRAFT), file].iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let is_written = |input: &PathBuf| fs::canonicalize(input).is_ok_and(|input| written.contains(&input));
    match inputs.iter().flatten().any(is_written) {
        true => Err(Failure::usage(
            "--access-token-file",
            "would overwrite a file that this run reads",
            "name a file of its own for the access token",
        )),
        false => Ok(()),
    }
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
