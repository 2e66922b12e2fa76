//! The settings that a refresh and a login share, from what was typed and what this process was started with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::{Arguments, AuthMethod, Run, parse_duration, parse_timeout};
use super::environment::{option_or_variable, read_value, variable};
use super::publication::{Publications, is_same_file, publications};
use super::secret::{SourcedSecret, client_secret, is_path};
use super::settings::{LoginCommand, Settings};
use super::{client_id, pem, proxy};
use crate::endpoint::{Environment, TokenEndpoint};
use crate::exchange::Replay;
use crate::failure::{Exit, Failure};
use crate::oauth::{Client, ClientAuthentication};
use crate::secret::Secret;
use crate::transport::{Network, ProxyServer};

/// The settings; what only the HTTP client needs of them; and what only the publisher needs.
pub fn refresh_settings(mut arguments: Arguments) -> Result<(Settings, Network, Publications), Failure> {
    let publications = publications(&mut arguments)?;
    let min_ttl = option_or_variable(arguments.min_ttl, "DOCUSIGN_MIN_TTL", parse_duration)?;
    let (settings, network) = common_settings(arguments)?;
    Ok((Settings { min_ttl, ..settings }, network, publications))
}

/// The settings without those that a login does not use, so that it does not fail because of them.
pub fn common_settings(arguments: Arguments) -> Result<(Settings, Network), Failure> {
    let endpoint = endpoint(arguments.environment, arguments.token_endpoint)?;
    let timeout = option_or_variable(arguments.timeout, "DOCUSIGN_TIMEOUT", parse_timeout)?;
    let method = option_or_variable(arguments.client_auth, "DOCUSIGN_CLIENT_AUTH", AuthMethod::parse)?;
    let id = option_or_variable(arguments.client_id, "DOCUSIGN_CLIENT_ID", client_id::parse)?;
    let id = id.ok_or_else(missing_client_id)?;
    let token_file = token_file(arguments.token_file)?;
    let secret = client_secret(arguments.client_secret_file)?;
    refuse_token_file(secret.as_ref(), &token_file)?;
    let secret_file = secret.as_ref().and_then(|secret| secret.file.clone());
    let files = [
        ("--client-secret-file", secret_file),
        ("--ca-file", arguments.ca_file.clone()),
        ("--client-cert", arguments.client_cert.clone()),
        ("--client-key", arguments.client_key.clone()),
    ];
    let network = Network {
        proxy: proxy(arguments.proxy, &endpoint)?,
        roots: pem::roots(arguments.ca_file)?,
        identity: pem::identity(arguments.client_cert, arguments.client_key)?,
    };
    let settings = Settings {
        token_file,
        client_oddities: client_oddities(&id, secret.as_ref()),
        client: Client { id, authentication: authentication(method, secret)? },
        endpoint,
        parameters: arguments.params,
        min_ttl: None,
        print: arguments.print,
        timeout: timeout.unwrap_or(Duration::from_secs(30)),
        lock_timeout: arguments.lock_timeout.unwrap_or(Duration::from_secs(60)),
        replay: arguments.replay.unwrap_or(Replay::Prompt),
        run: arguments.run.unwrap_or(Run::Real),
        headers: arguments.headers,
        login: LoginCommand::new(method, files),
    };
    Ok((settings, network))
}

/// The token file's name as given, or the default. A token in its place would be shown in every message.
fn token_file(option: Option<PathBuf>) -> Result<PathBuf, Failure> {
    const VARIABLE: &str = "DOCUSIGN_TOKEN_FILE";
    let (source, path) = match (option, variable(VARIABLE)) {
        (Some(path), _) => ("TOKEN_FILE", path),
        (None, Some(path)) => (VARIABLE, path.into()),
        (None, None) => return Ok("docusign.json".into()),
    };
    match !is_like_token(&path) || is_path(&path) {
        true => Ok(path),
        false => Err(Failure::new(Exit::NoInput, source, "no such file, and the name looks like a token")
            .hint("the value is not shown; if it is the name of a file, write ./ before it")),
    }
}

/// Longer than names are, and without the extension of one: the parts of a JWT are long.
fn is_like_token(path: &Path) -> bool {
    path.as_os_str().len() > 64 && path.extension().is_none_or(|extension| extension.len() > 16)
}

/// Otherwise all tokens would be sent as the client secret.
fn refuse_token_file(secret: Option<&SourcedSecret>, token_file: &Path) -> Result<(), Failure> {
    let Some(SourcedSecret { source, file: Some(file), .. }) = secret else { return Ok(()) };
    match is_same_file(file, token_file) {
        true => Err(Failure::usage(source, "names the token file", "name the file that holds only the client secret")),
        false => Ok(()),
    }
}

fn missing_client_id() -> Failure {
    let what = "required: the OAuth client id (Docusign: the integration key)";
    Failure::usage("--client-id", what, "give it with --client-id ID, or set DOCUSIGN_CLIENT_ID")
}

#[expect(clippy::disallowed_methods, reason = "only its first and last characters are looked at")]
fn client_oddities(id: &str, secret: Option<&SourcedSecret>) -> Vec<String> {
    let of_id = client_id::oddity(id).map(|oddity| format!("the client id {oddity}"));
    let of_secret = secret.and_then(|sourced| client_id::oddity(sourced.secret.expose()));
    of_id.into_iter().chain(of_secret.map(|oddity| format!("the client secret {oddity}"))).collect()
}

/// An option goes before a variable, and neither level may have both; the default is the demo.
fn endpoint(environment: Option<Environment>, url: Option<TokenEndpoint>) -> Result<TokenEndpoint, Failure> {
    const NAME: &str = "DOCUSIGN_ENVIRONMENT";
    const URL: &str = "DOCUSIGN_TOKEN_ENDPOINT";
    const HINT: &str = "use only one: --environment selects Docusign's endpoint";
    match (environment, url, variable(NAME), variable(URL)) {
        (Some(_), Some(_), ..) => Err(Failure::usage("--environment and --token-endpoint", "both given", HINT)),
        (Some(environment), ..) => Ok(TokenEndpoint::for_environment(environment)),
        (_, Some(url), ..) => Ok(url),
        (.., Some(_), Some(_)) => {
            Err(Failure::usage("DOCUSIGN_ENVIRONMENT and DOCUSIGN_TOKEN_ENDPOINT", "both given", HINT))
        }
        (.., Some(name), None) => read_value(NAME, &name, Environment::parse).map(TokenEndpoint::for_environment),
        (.., Some(url)) => read_value(URL, &url, TokenEndpoint::parse),
        _ => Ok(TokenEndpoint::for_environment(Environment::Demo)),
    }
}

fn authentication(method: Option<AuthMethod>, secret: Option<SourcedSecret>) -> Result<ClientAuthentication, Failure> {
    let refused = |what: &str, hint| Err(Failure::configuration("client authentication", what, hint));
    match (method, secret) {
        (None | Some(AuthMethod::SecretBasic), Some(sourced)) => Ok(ClientAuthentication::SecretBasic(sourced.secret)),
        (Some(AuthMethod::SecretBasicRaw), Some(sourced)) => Ok(ClientAuthentication::SecretBasicRaw(sourced.secret)),
        (Some(AuthMethod::SecretPost), Some(sourced)) => Ok(ClientAuthentication::SecretPost(sourced.secret)),
        (None | Some(AuthMethod::None), None) => Ok(ClientAuthentication::None),
        (Some(AuthMethod::None), Some(SourcedSecret { source, .. })) => refused(
            &format!("--client-auth is none, but a client secret is set in {source}"),
            "unset the secret, or choose client_secret_basic or client_secret_post",
        ),
        (Some(_), None) => refused(
            "this method needs a client secret, but none is set",
            "give --client-secret-file FILE, or choose --client-auth none for a public client",
        ),
    }
}

fn proxy(option: Option<Secret>, endpoint: &TokenEndpoint) -> Result<Option<ProxyServer>, Failure> {
    let text = |name: &str| Some(variable(name)?.to_string_lossy().into_owned());
    let Some((source, url)) = proxy::choose(option, &text, endpoint) else {
        return Ok(None);
    };
    let hint = if ProxyServer::has_backslash(&url) {
        "percent-encode the backslash of DOMAIN\\USER as %5C: http://DOMAIN%5CUSER:PASSWORD@HOST:PORT"
    } else {
        "write it as http://proxy.example:3128 or socks5://127.0.0.1:1080"
    };
    ProxyServer::parse(&url).map(Some).ok_or_else(|| Failure::usage(source, "not a proxy URL", hint))
}
