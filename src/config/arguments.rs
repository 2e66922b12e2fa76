//! The options as typed, and the parser of each value, which its environment variable shares. Pure.

use std::path::PathBuf;
use std::time::Duration;

use super::secret_name::SecretName;
use crate::endpoint::{AuthorizationEndpoint, Environment, RedirectUri, TokenEndpoint};
use crate::exchange::Replay;
use crate::failure::{InvalidValue, choose};
use crate::oauth::GRANT_FIELDS;
use crate::secret::Secret;

/// The options as typed; None where one was not.
#[derive(Default)]
pub struct Arguments {
    pub token_file: Option<PathBuf>,
    pub environment: Option<Environment>,
    pub token_endpoint: Option<TokenEndpoint>,
    pub client_id: Option<String>,
    pub client_secret_file: Option<PathBuf>,
    pub client_auth: Option<AuthMethod>,
    /// Further form fields, in order.
    pub params: Vec<(String, String)>,
    /// Further header fields, in order.
    pub headers: Vec<(String, String)>,
    pub min_ttl: Option<Duration>,
    pub print: Option<Print>,
    pub access_token_file: Option<PathBuf>,
    pub access_token_format: Option<AccessTokenFormat>,
    pub publish_secret: Option<SecretName>,
    pub timeout: Option<Duration>,
    pub lock_timeout: Option<Duration>,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub proxy: Option<Secret>,
    pub replay: Option<Replay>,
    pub run: Option<Run>,
    pub verbosity: Option<Verbosity>,
    pub login: LoginArguments,
}

/// The options of a login alone.
#[derive(Default)]
pub struct LoginArguments {
    pub authorization_endpoint: Option<AuthorizationEndpoint>,
    pub redirect_uri: Option<RedirectUri>,
    pub scope: Option<String>,
    pub userinfo: Option<Userinfo>,
}

/// Whether a login looks for the default account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Userinfo {
    Store,
    Skip,
}

/// How the client authenticates (RFC 6749, section 2.3), by the names of OpenID Connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    SecretBasic,
    SecretBasicRaw,
    SecretPost,
    None,
}

/// What `--print` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Print {
    AccessToken,
    RefreshToken,
    Header,
    Tokens,
    Status,
}

/// Whether the request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    Real,
    Dry,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verbosity {
    #[default]
    Normal,
    Quiet,
    Verbose,
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

impl AuthMethod {
    const NAMES: [(&'static str, Self); 4] = [
        ("client_secret_basic", Self::SecretBasic),
        ("client_secret_basic_raw", Self::SecretBasicRaw),
        ("client_secret_post", Self::SecretPost),
        ("none", Self::None),
    ];

    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        choose(text, &Self::NAMES)
    }

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

impl Print {
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let choices = [
            ("access-token", Self::AccessToken),
            ("refresh-token", Self::RefreshToken),
            ("header", Self::Header),
            ("tokens", Self::Tokens),
            ("status", Self::Status),
        ];
        choose(text, &choices)
    }
}

impl AccessTokenFormat {
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        choose(text, &[("token", Self::Token), ("header", Self::Header), ("env", Self::Env)])
    }
}

/// A value that is taken as it is.
pub fn parse_text(text: &str) -> Result<String, InvalidValue> {
    Ok(text.to_owned())
}

/// Scopes, separated by spaces (RFC 6749, section 3.3).
pub fn parse_scope(text: &str) -> Result<String, InvalidValue> {
    match text.contains(char::is_control) {
        true => {
            Err(InvalidValue::usage("contains a newline or another control character", "separate scopes by spaces"))
        }
        false => Ok(text.to_owned()),
    }
}

/// `90s`, `10m`, `8h`, `1h 30m`; a bare number is seconds, as for timeout(1).
pub fn parse_duration(text: &str) -> Result<Duration, InvalidValue> {
    /// A longer one is a mistake, and clocks would overflow.
    const MAX: Duration = Duration::from_secs(100 * 366 * 86_400);
    let duration = text.parse().ok().map(Duration::from_secs).or_else(|| humantime::parse_duration(text).ok());
    duration
        .filter(|&duration| duration <= MAX)
        .ok_or(InvalidValue::usage("not a duration", "write it as 90s, 10m or 8h"))
}

/// A duration greater than zero.
pub fn parse_timeout(text: &str) -> Result<Duration, InvalidValue> {
    match parse_duration(text)? {
        Duration::ZERO => Err(InvalidValue::usage("must be greater than zero", "write it as 30s or 2m")),
        timeout => Ok(timeout),
    }
}

/// A form field, `NAME=VALUE`, that is not one of the grant's own.
pub fn parse_parameter(text: &str) -> Result<(String, String), InvalidValue> {
    match text.split_once('=') {
        None | Some(("", _)) => Err(InvalidValue::usage("not NAME=VALUE", "write it as scope=signature")),
        Some((name, _)) if GRANT_FIELDS.contains(&name) => {
            Err(InvalidValue::usage(&format!("the program sends {name} itself"), "leave it out"))
        }
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
    }
}
