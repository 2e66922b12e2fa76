//! Where else the access token is to be published: in a file of its own, in a Kubernetes Secret.

use std::fs;
use std::path::{Path, PathBuf};

use super::arguments::{AccessTokenFormat, Arguments};
use super::environment::{option_or_variable, variable};
#[cfg(target_os = "linux")]
use super::kubernetes::{SecretPlace, secret_place};
use super::secret_name::SecretName;
use crate::failure::Failure;
use crate::sibling::sibling;
#[cfg(target_os = "linux")]
use crate::transport::Roots;

/// The places that the user named.
pub struct Publications {
    pub file: Option<AccessTokenFile>,
    #[cfg(target_os = "linux")]
    pub secret: Option<(SecretPlace, Roots)>,
}

/// `--access-token-file`.
pub struct AccessTokenFile {
    pub path: PathBuf,
    pub format: AccessTokenFormat,
}

/// What the name of the access token file's draft ends with.
pub const DRAFT: &str = ".new";

/// The places that options and variables name. A file that this run reads is refused: it would be overwritten.
pub fn publications(arguments: &mut Arguments) -> Result<Publications, Failure> {
    let format =
        option_or_variable(arguments.access_token_format, "DOCUSIGN_ACCESS_TOKEN_FORMAT", AccessTokenFormat::parse)?;
    let path = arguments.access_token_file.take().or_else(|| variable("DOCUSIGN_ACCESS_TOKEN_FILE").map(PathBuf::from));
    if path.is_none() && arguments.access_token_format.is_some() {
        let hint = "give --access-token-file FILE as well";
        return Err(Failure::usage("--access-token-format", "given without --access-token-file", hint));
    }
    if let Some(path) = &path {
        if path == Path::new("-") {
            let hint = "name a file; --print access-token writes to standard output";
            return Err(Failure::usage("--access-token-file", "standard output is not a file", hint));
        }
        refuse_input(path, arguments)?;
    }
    let secret = option_or_variable(arguments.publish_secret.take(), "DOCUSIGN_PUBLISH_SECRET", SecretName::parse)?;
    #[cfg(not(target_os = "linux"))]
    if secret.is_some() {
        return Err(only_on_linux());
    }
    Ok(Publications {
        file: path.map(|path| AccessTokenFile { path, format: format.unwrap_or(AccessTokenFormat::Token) }),
        #[cfg(target_os = "linux")]
        secret: secret.map(secret_place).transpose()?,
    })
}

#[cfg(not(target_os = "linux"))]
fn only_on_linux() -> Failure {
    Failure::usage("--publish-secret", "only on Linux: a pod publishes to its own cluster", "use --access-token-file")
}

/// Otherwise the access token file or its draft could overwrite the client secret, say.
fn refuse_input(path: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let named = |option: &Option<PathBuf>, name: &str| option.clone().or_else(|| variable(name).map(PathBuf::from));
    let inputs = [
        named(&arguments.client_secret_file, "DOCUSIGN_CLIENT_SECRET_FILE"),
        named(&arguments.ca_file, "SSL_CERT_FILE"),
        arguments.client_cert.clone(),
        arguments.client_key.clone(),
        variable("CREDENTIALS_DIRECTORY").map(|directory| Path::new(&directory).join("docusign-client-secret")),
    ];
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written: Vec<_> = [sibling(&file, DRAFT), file].iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
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
