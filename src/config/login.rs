//! What a login is to do: the settings of a refresh, and those of its own.

use std::path::Path;

use super::arguments::{Arguments, LoginArguments, Userinfo};
use super::environment::variable;
use super::refresh::common_settings;
use super::settings::Settings;
use crate::endpoint::{AuthorizationEndpoint, RedirectUri, TokenEndpoint};
use crate::failure::Failure;
use crate::transport::Network;

/// The default: with `extended`, a login at Docusign outlives its 30th day.
const SCOPE: &str = "signature extended";

/// What a login itself sends in its form or in the address to open, in addition to the fields of every grant; and
/// everything that begins with `code`: the code, and what PKCE adds (RFC 7636).
const FIELDS: [&str; 4] = ["redirect_uri", "state", "scope", "response_type"];

pub struct LoginSettings {
    pub common: Settings,
    pub authorization_endpoint: AuthorizationEndpoint,
    pub redirect_uri: RedirectUri,
    pub scope: String,
    pub userinfo: Userinfo,
}

/// The settings, and what only the HTTP client needs of them.
pub fn login_settings(mut arguments: Arguments) -> Result<(LoginSettings, Network), Failure> {
    refuse_secret_from_input(arguments.client_secret_file.as_deref())?;
    refuse_own_fields(&arguments.params)?;
    let LoginArguments { authorization_endpoint, redirect_uri, scope, userinfo } = std::mem::take(&mut arguments.login);
    let (common, network) = common_settings(arguments)?;
    let settings = LoginSettings {
        authorization_endpoint: choose_endpoint(authorization_endpoint, &common.endpoint)?,
        redirect_uri: redirect_uri.unwrap_or_default(),
        scope: scope.unwrap_or_else(|| SCOPE.to_owned()),
        userinfo: userinfo.unwrap_or(Userinfo::Skip),
        common,
    };
    Ok((settings, network))
}

/// Docusign's follows from its token endpoint.
fn choose_endpoint(
    given: Option<AuthorizationEndpoint>,
    token_endpoint: &TokenEndpoint,
) -> Result<AuthorizationEndpoint, Failure> {
    const OPTION: &str = "--authorization-endpoint";
    match (given, token_endpoint.docusign()) {
        (Some(given), None) => Ok(given),
        (None, Some(environment)) => Ok(AuthorizationEndpoint::for_environment(environment)),
        (Some(_), Some(_)) => Err(Failure::usage(
            OPTION,
            "not allowed for Docusign, whose endpoint is known",
            "leave it out, or also give the other server's --token-endpoint",
        )),
        (None, None) => Err(Failure::usage(
            OPTION,
            "required for a server other than Docusign",
            "give the URL where users log in: see the server's documentation",
        )),
    }
}

fn refuse_secret_from_input(option: Option<&Path>) -> Result<(), Failure> {
    const FILE: &str = "DOCUSIGN_CLIENT_SECRET_FILE";
    let is_input = |path: &Path| path == Path::new("-");
    let subject = match (option, variable(FILE)) {
        (Some(path), _) if is_input(path) => "--client-secret-file",
        (None, Some(path)) if is_input(Path::new(&path)) => FILE,
        _ => return Ok(()),
    };
    let what = "a login reads the address from standard input, so the client secret cannot come from there";
    Err(Failure::usage(subject, what, "put the secret in a file, or in DOCUSIGN_CLIENT_SECRET"))
}

fn refuse_own_fields(parameters: &[(String, String)]) -> Result<(), Failure> {
    match parameters.iter().find(|(name, _)| FIELDS.contains(&name.as_str()) || name.starts_with("code")) {
        Some((name, _)) if name == "scope" => {
            Err(Failure::usage("--param", "a login has its own option for the scope", "use --scope"))
        }
        Some((name, _)) => {
            let what = format!("the program sends {name} itself");
            Err(Failure::usage("--param", &what, "leave it out"))
        }
        None => Ok(()),
    }
}
