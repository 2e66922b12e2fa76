//! From arguments, environment variables and the files they name to what this run means.
//!
//! An option beats its variable. Two sources of one thing on the same level are refused, not
//! silently chosen between. Everything here happens before the token file is looked at, and
//! nothing is written.

mod proxy;

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{self, Arguments, AuthMethod, Print, Refusal};
use crate::endpoint::{Environment, TokenEndpoint};
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

/// Whether the request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    Real,
    Dry,
}

/// Why the settings are refused, by who must act.
pub enum Error {
    /// Bad arguments or variables, contradictions, a file whose content is not what it should be.
    Refused(Refusal),
    /// A file can't be read.
    Unreadable { subject: String, what: &'static str, why: io::Error },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A client secret file may hold this many bytes.
const LARGEST_SECRET: u64 = 64 << 10;

/// A PEM file may hold this many bytes: a bundle of all public roots is a quarter of a megabyte.
const LARGEST_PEM: u64 = 16 << 20;

const SECRET_FILE: &str = "DOCUSIGN_CLIENT_SECRET_FILE";
const SECRET: &str = "DOCUSIGN_CLIENT_SECRET";
const CREDENTIAL: &str = "docusign-client-secret";

/// Settles what was typed and what this process was started with. The network part is for the
/// HTTP client alone.
pub fn settle(typed: Arguments) -> Result<(Settings, Network), Error> {
    let endpoint = endpoint(typed.environment, typed.token_endpoint)?;
    let min_ttl = option_or_variable(typed.min_ttl, "DOCUSIGN_MIN_TTL", cli::parse_duration)?;
    let timeout = option_or_variable(typed.timeout, "DOCUSIGN_TIMEOUT", cli::parse_timeout)?;
    let method = option_or_variable(typed.client_auth, "DOCUSIGN_CLIENT_AUTH", cli::parse_auth_method)?;
    let Some(id) = option_or_variable(typed.client_id, "DOCUSIGN_CLIENT_ID", cli::parse_text)? else {
        return Err(
            Refusal::usage("--client-id", "missing", "give the integration key, or set DOCUSIGN_CLIENT_ID").into()
        );
    };
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
        replay: if typed.no_replay { Replay::Never } else { Replay::Prompt },
        run: if typed.dry_run { Run::Dry } else { Run::Real },
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
    parse: fn(&str, &std::ffi::OsStr) -> Result<T, Refusal>,
) -> Result<Option<T>, Refusal> {
    match (option, variable(name)) {
        (Some(value), _) => Ok(Some(value)),
        (None, Some(text)) => parse(name, &text).map(Some),
        (None, None) => Ok(None),
    }
}

fn endpoint(environment: Option<Environment>, url: Option<TokenEndpoint>) -> Result<TokenEndpoint, Refusal> {
    const ENVIRONMENT: &str = "DOCUSIGN_ENVIRONMENT";
    const TOKEN_ENDPOINT: &str = "DOCUSIGN_TOKEN_ENDPOINT";
    match (environment, url) {
        (Some(_), Some(_)) => Err(Refusal::usage(
            "--environment and --token-endpoint",
            "both given",
            "give one: an environment is an endpoint",
        )),
        (Some(environment), None) => Ok(TokenEndpoint::of_environment(environment)),
        (None, Some(url)) => Ok(url),
        (None, None) => match (variable(ENVIRONMENT), variable(TOKEN_ENDPOINT)) {
            (Some(_), Some(_)) => {
                let both = format!("{ENVIRONMENT} and {TOKEN_ENDPOINT}");
                Err(Refusal::usage(&both, "both set", "unset one, or decide by an option"))
            }
            (Some(name), None) => cli::parse_environment(ENVIRONMENT, &name).map(TokenEndpoint::of_environment),
            (None, Some(url)) => cli::parse_endpoint(TOKEN_ENDPOINT, &url),
            (None, None) => Ok(TokenEndpoint::of_environment(Environment::Demo)),
        },
    }
}

fn check_parameters(parameters: &[(String, String)]) -> Result<(), Refusal> {
    match parameters.iter().find(|(name, _)| GRANT_FIELDS.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => {
            let what = format!("{name} belongs to the grant itself");
            Err(Refusal::usage("--param", what, "leave it out: the program sends it"))
        }
    }
}

fn authentication(method: Option<AuthMethod>, secret: Option<Secret>) -> Result<ClientAuthentication, Error> {
    let method = method.unwrap_or(if secret.is_some() { AuthMethod::SecretBasic } else { AuthMethod::None });
    match (method, secret) {
        (AuthMethod::SecretBasic, Some(secret)) => Ok(ClientAuthentication::SecretBasic(secret)),
        (AuthMethod::SecretBasicRaw, Some(secret)) => Ok(ClientAuthentication::SecretBasicRaw(secret)),
        (AuthMethod::SecretPost, Some(secret)) => Ok(ClientAuthentication::SecretPost(secret)),
        (AuthMethod::None, None) => Ok(ClientAuthentication::None),
        (AuthMethod::None, Some(_)) => Err(Error::Refused(Refusal::configuration(
            "client authentication",
            "none is asked for, but there is a client secret",
            "leave the secret out, or choose client_secret_basic or client_secret_post",
        ))),
        (_, None) => Err(Error::Refused(Refusal::configuration(
            "client authentication",
            "this method needs a client secret, and there is none",
            "give --client-secret-file FILE, or choose --client-auth none for a public client",
        ))),
    }
}

/// The client secret from its one source, if there is one.
fn client_secret(option: Option<PathBuf>) -> Result<Option<Secret>, Error> {
    if let Some(path) = option {
        return read_secret("--client-secret-file", &path).map(Some);
    }
    let credential = variable("CREDENTIALS_DIRECTORY").map(|directory| Path::new(&directory).join(CREDENTIAL));
    let credential = credential.filter(|path| path.exists());
    match (variable(SECRET_FILE), variable(SECRET), credential) {
        (None, None, None) => Ok(None),
        (Some(path), None, None) => read_secret(SECRET_FILE, Path::new(&path)).map(Some),
        (None, Some(text), None) => Ok(Some(Secret::new(cli::parse_text(SECRET, &text)?))),
        (None, None, Some(path)) => read_secret("the credential docusign-client-secret", &path).map(Some),
        (file, text, credential) => {
            let sources = [
                file.map(|_| SECRET_FILE),
                text.map(|_| SECRET),
                credential.map(|_| "docusign-client-secret in CREDENTIALS_DIRECTORY"),
            ];
            let what = format!("two sources: {}", sources.into_iter().flatten().collect::<Vec<_>>().join(" and "));
            Err(Error::Refused(Refusal::configuration(
                "client secret",
                what,
                "keep one, or decide by --client-secret-file",
            )))
        }
    }
}

/// One line of text; its newline is not part of the secret.
fn read_secret(source: &str, path: &Path) -> Result<Secret, Error> {
    let refused = |what: &str, hint: &str| {
        let subject = format!("{source}: {}", path.display());
        Err(Error::Refused(Refusal::configuration(&subject, what, hint)))
    };
    let bytes = if path == Path::new("-") {
        if io::stdin().is_terminal() {
            let what = "standard input is a terminal, and nothing is prompted for";
            return Err(Refusal::usage(source, what, "redirect it: < FILE").into());
        }
        read_at_most(io::stdin(), LARGEST_SECRET)
    } else {
        File::open(path).and_then(|file| read_at_most(file, LARGEST_SECRET))
    };
    let bytes = bytes.map_err(|why| Error::Unreadable {
        subject: path.display().to_string(),
        what: "cannot read the client secret",
        why,
    })?;
    let Ok(text) = text::decode(&bytes) else {
        return refused("the client secret is not text", "store it in UTF-8");
    };
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return refused(
            "the client secret is empty",
            "store the secret in the file, or leave the source out for a public client",
        );
    }
    if line.contains(char::is_control) {
        return refused("the client secret is more than one line", "store the secret alone in the file");
    }
    Ok(Secret::new(line))
}

fn read_at_most(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other("larger than any such file"));
    }
    Ok(bytes)
}

fn proxy(option: Option<Secret>, endpoint: &TokenEndpoint) -> Result<Option<ProxyServer>, Error> {
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    let Some((source, url)) = proxy::choose(option, &text, endpoint) else { return Ok(None) };
    match ProxyServer::parse(&url) {
        Some(proxy) => Ok(Some(proxy)),
        None => Err(Refusal::usage(
            source,
            "not a proxy's URL",
            "such as http://proxy.example:3128 or socks5://127.0.0.1:1080",
        )
        .into()),
    }
}

fn roots(option: Option<PathBuf>) -> Result<Roots, Error> {
    let Some(path) = option.or_else(|| variable("SSL_CERT_FILE").map(PathBuf::from)) else {
        return Ok(Roots::BuiltIn);
    };
    let pem = read_pem(&path, "cannot read the CA file")?;
    Roots::from_pem(&pem).ok_or_else(|| Error::Unreadable {
        subject: path.display().to_string(),
        what: "cannot use the CA file",
        why: io::Error::other("no PEM certificate in it"),
    })
}

fn identity(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Identity>, Error> {
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            return Err(Refusal::usage("--client-key", "given without --client-cert", "give both").into());
        }
        (Some(certificate), key) => (certificate.clone(), key.unwrap_or(certificate)),
    };
    let certificate_pem = read_pem(&certificate, "cannot read the client certificate")?;
    let key_pem = read_pem(&key, "cannot read the client key")?;
    let unusable = |path: &Path, what, why: &str| {
        let (subject, why) = (path.display().to_string(), io::Error::other(why.to_owned()));
        Err(Error::Unreadable { subject, what, why })
    };
    match Identity::from_pem(&certificate_pem, &key_pem) {
        Ok(identity) => Ok(Some(identity)),
        Err(IdentityFault::NoCertificate) => {
            unusable(&certificate, "cannot use the client certificate", "no PEM certificate in it")
        }
        Err(IdentityFault::NoKey) => {
            unusable(&key, "cannot use the client key", "no unencrypted PEM private key (PKCS#8, SEC1 or PKCS#1) in it")
        }
        Err(IdentityFault::KeyDoesNotFit) => Err(Error::Refused(Refusal::configuration(
            &key.display().to_string(),
            "the client key does not fit the client certificate",
            "give the key that the certificate was made for",
        ))),
        Err(IdentityFault::Unusable) => {
            unusable(&key, "cannot use the client key", "of a kind that this program does not know")
        }
    }
}

fn read_pem(path: &Path, what: &'static str) -> Result<Vec<u8>, Error> {
    let bytes = File::open(path).and_then(|file| read_at_most(file, LARGEST_PEM));
    bytes.map_err(|why| Error::Unreadable { subject: path.display().to_string(), what, why })
}
