//! From arguments, environment variables and the files they name to what this run means.
//!
//! An option beats its variable. Two sources of one thing on the same level are refused, not
//! silently chosen between. Everything here happens before the token file is looked at, and
//! nothing is written.

mod proxy;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{self, Arguments, AuthMethod, Print, Run};
use crate::endpoint::{Environment, TokenEndpoint};
use crate::failure::Failure;
use crate::http::{Identity, IdentityFault, Network, ProxyServer, Roots};
use crate::oauth::{Client, ClientAuthentication, GRANT_FIELDS};
use crate::refresh::Replay;
use crate::secret::Secret;
use crate::text;

/// What this run is to do.
pub struct Settings {
    /// As given: the name that messages use.
    pub token_file: PathBuf,
    pub endpoint: TokenEndpoint,
    pub client: Client,
    pub parameters: Vec<(String, String)>,
    pub min_ttl: Option<Duration>,
    pub print: Option<Print>,
    pub timeout: Duration,
    pub lock_timeout: Duration,
    pub replay: Replay,
    pub run: Run,
}

/// A client secret file may hold this many bytes.
const LARGEST_SECRET: usize = 64 << 10;

/// A PEM file may hold this many bytes: a bundle of all public roots is a quarter of a megabyte.
const LARGEST_PEM: usize = 16 << 20;

/// What a PEM certificate looks like.
const PEM_HINT: &str = "a PEM certificate begins with -----BEGIN CERTIFICATE-----";

/// Settles what was typed and what this process was started with. The network part is for the
/// HTTP client alone.
pub fn settle(typed: Arguments) -> Result<(Settings, Network), Failure> {
    let endpoint = endpoint(typed.environment, typed.token_endpoint)?;
    let min_ttl = option_or_variable(typed.min_ttl, "DOCUSIGN_MIN_TTL", cli::parse_duration)?;
    let timeout = option_or_variable(typed.timeout, "DOCUSIGN_TIMEOUT", cli::parse_timeout)?;
    let method = option_or_variable(typed.client_auth, "DOCUSIGN_CLIENT_AUTH", cli::parse_auth_method)?;
    let id = option_or_variable(typed.client_id, "DOCUSIGN_CLIENT_ID", cli::parse_text)?;
    let id_hint = "give the integration key, or set DOCUSIGN_CLIENT_ID";
    let id = id.ok_or_else(|| Failure::usage("--client-id", "missing", id_hint))?;
    check_parameters(&typed.params)?;
    let secret = client_secret(typed.client_secret_file)?;
    let network = Network {
        proxy: proxy(typed.proxy, &endpoint)?,
        roots: roots(typed.ca_file)?,
        identity: identity(typed.client_cert, typed.client_key)?,
    };
    let settings = Settings {
        token_file: typed
            .token_file
            .or_else(|| variable("DOCUSIGN_TOKEN_FILE").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("docusign.json")),
        client: Client { id, authentication: authentication(method, secret)? },
        endpoint,
        parameters: typed.params,
        min_ttl,
        print: typed.print,
        timeout: timeout.unwrap_or(Duration::from_secs(30)),
        lock_timeout: typed.lock_timeout.unwrap_or(Duration::from_secs(60)),
        replay: typed.replay.unwrap_or(Replay::Prompt),
        run: typed.run.unwrap_or(Run::Real),
    };
    Ok((settings, network))
}

/// An environment variable; an empty one counts as unset.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn option_or_variable<T>(
    option: Option<T>,
    name: &str,
    parse: fn(&str, &OsStr) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    match (option, variable(name)) {
        (Some(value), _) => Ok(Some(value)),
        (None, Some(text)) => parse(name, &text).map(Some),
        (None, None) => Ok(None),
    }
}

/// An option of one level and its rival: one of them, or the variables' word, or the demo.
fn endpoint(environment: Option<Environment>, url: Option<TokenEndpoint>) -> Result<TokenEndpoint, Failure> {
    const NAME: &str = "DOCUSIGN_ENVIRONMENT";
    const URL: &str = "DOCUSIGN_TOKEN_ENDPOINT";
    let rivals = |subject| Err(Failure::usage(subject, "both given", "give one: an environment is an endpoint"));
    match (environment, url, variable(NAME), variable(URL)) {
        (Some(_), Some(_), ..) => rivals("--environment and --token-endpoint"),
        (Some(environment), ..) => Ok(TokenEndpoint::of_environment(environment)),
        (_, Some(url), ..) => Ok(url),
        (.., Some(_), Some(_)) => rivals("DOCUSIGN_ENVIRONMENT and DOCUSIGN_TOKEN_ENDPOINT"),
        (.., Some(name), None) => cli::parse_environment(NAME, &name).map(TokenEndpoint::of_environment),
        (.., Some(url)) => cli::parse_endpoint(URL, &url),
        _ => Ok(TokenEndpoint::of_environment(Environment::Demo)),
    }
}

fn check_parameters(parameters: &[(String, String)]) -> Result<(), Failure> {
    match parameters.iter().find(|(name, _)| GRANT_FIELDS.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => {
            let what = format!("{name} belongs to the grant itself");
            Err(Failure::usage("--param", &what, "leave it out: the program sends it"))
        }
    }
}

fn authentication(method: Option<AuthMethod>, secret: Option<Secret>) -> Result<ClientAuthentication, Failure> {
    let refused = |what, hint| Err(Failure::configuration("client authentication", what, hint));
    match (method, secret) {
        (None | Some(AuthMethod::SecretBasic), Some(secret)) => Ok(ClientAuthentication::SecretBasic(secret)),
        (Some(AuthMethod::SecretBasicRaw), Some(secret)) => Ok(ClientAuthentication::SecretBasicRaw(secret)),
        (Some(AuthMethod::SecretPost), Some(secret)) => Ok(ClientAuthentication::SecretPost(secret)),
        (None | Some(AuthMethod::None), None) => Ok(ClientAuthentication::None),
        (Some(AuthMethod::None), Some(_)) => refused(
            "none is asked for, but there is a client secret",
            "leave the secret out, or choose client_secret_basic or client_secret_post",
        ),
        (Some(_), None) => refused(
            "this method needs a client secret, and there is none",
            "give --client-secret-file FILE, or choose --client-auth none for a public client",
        ),
    }
}

/// The client secret from its one source, if there is one.
fn client_secret(option: Option<PathBuf>) -> Result<Option<Secret>, Failure> {
    const FILE: &str = "DOCUSIGN_CLIENT_SECRET_FILE";
    const TEXT: &str = "DOCUSIGN_CLIENT_SECRET";
    const CREDENTIAL: &str = "docusign-client-secret in CREDENTIALS_DIRECTORY";
    if let Some(path) = option {
        return read_secret(&path).map(Some);
    }
    let directory = variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let credential = directory.map(|directory| directory.join("docusign-client-secret"));
    match (variable(FILE), variable(TEXT), credential.filter(|path| path.try_exists().unwrap_or(true))) {
        (None, None, None) => Ok(None),
        (Some(path), None, None) => read_secret(Path::new(&path)).map(Some),
        (None, Some(text), None) => one_line(TEXT, &cli::parse_text(TEXT, &text)?).map(Some),
        (None, None, Some(path)) => read_secret(&path).map(Some),
        (file, text, credential) => {
            let sources = [file.map(|_| FILE), text.map(|_| TEXT), credential.map(|_| CREDENTIAL)];
            let what =
                format!("more than one source: {}", sources.into_iter().flatten().collect::<Vec<_>>().join(" and "));
            Err(Failure::configuration("client secret", &what, "keep one, or decide by --client-secret-file"))
        }
    }
}

fn read_secret(path: &Path) -> Result<Secret, Failure> {
    const WHAT: &str = "the client secret";
    let read = if path != Path::new("-") {
        File::open(path).and_then(|file| read_at_most(file, LARGEST_SECRET))
    } else if io::stdin().is_terminal() {
        let what = "standard input is a terminal, and nothing is prompted for";
        return Err(Failure::usage("--client-secret-file", what, "redirect it: < FILE"));
    } else {
        read_at_most(io::stdin(), LARGEST_SECRET)
    };
    let bytes = read.map_err(|why| Failure::unreadable(path, WHAT, &why))?;
    let text = text::decode(&bytes)
        .map_err(|_| Failure::unusable(path, WHAT, "not text", "the file holds the secret alone, as UTF-8 text"))?;
    one_line(&path.display().to_string(), &text)
}

/// A secret is one line of text; its newline is not part of it.
fn one_line(source: &str, text: &str) -> Result<Secret, Failure> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Failure::configuration(
            source,
            "the client secret is empty",
            "store it there; a public client has no source at all",
        ));
    }
    if line.contains(char::is_control) {
        return Err(Failure::configuration(source, "the client secret is more than one line", "store it there alone"));
    }
    Ok(Secret::new(line))
}

fn read_at_most(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    match text::read_up_to(from, limit + 1)? {
        bytes if bytes.len() > limit => Err(io::Error::other("larger than any such file")),
        bytes => Ok(bytes),
    }
}

fn proxy(option: Option<Secret>, endpoint: &TokenEndpoint) -> Result<Option<ProxyServer>, Failure> {
    let text = |name: &str| Some(variable(name)?.to_string_lossy().into_owned());
    let Some((source, url)) = proxy::choose(option, &text, endpoint) else { return Ok(None) };
    let hint = "such as http://proxy.example:3128 or socks5://127.0.0.1:1080";
    ProxyServer::parse(&url).map(Some).ok_or_else(|| Failure::usage(source, "not a proxy's URL", hint))
}

fn roots(option: Option<PathBuf>) -> Result<Roots, Failure> {
    let Some(path) = option.or_else(|| variable("SSL_CERT_FILE").map(PathBuf::from)) else {
        return Ok(Roots::BuiltIn);
    };
    let pem = read_pem(&path, "the CA file")?;
    Roots::from_pem(&pem).ok_or_else(|| Failure::unusable(&path, "the CA file", "no PEM certificate in it", PEM_HINT))
}

fn identity(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Identity>, Failure> {
    const CERTIFICATE: &str = "the client certificate";
    const KEY: &str = "the client key";
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(Failure::usage("--client-key", "given without --client-cert", "give both")),
        (Some(certificate), key) => (certificate.clone(), key.unwrap_or(certificate)),
    };
    match Identity::from_pem(&read_pem(&certificate, CERTIFICATE)?, &read_pem(&key, KEY)?) {
        Ok(identity) => Ok(Some(identity)),
        Err(IdentityFault::Certificate(why)) => Err(Failure::unusable(&certificate, CERTIFICATE, why, PEM_HINT)),
        Err(IdentityFault::Key(why)) => {
            Err(Failure::unusable(&key, KEY, why, "openssl pkey -in FILE -out KEY.pem writes an unencrypted PEM key"))
        }
        Err(IdentityFault::KeyDoesNotFit) => Err(Failure::configuration(
            &key.display().to_string(),
            "the client key does not fit the client certificate",
            "give the key that the certificate was made for",
        )),
    }
}

fn read_pem(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    let read = File::open(path).and_then(|file| read_at_most(file, LARGEST_PEM));
    read.map_err(|why| Failure::unreadable(path, what, &why))
}
