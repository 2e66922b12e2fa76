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
    /// The option or variable that named it.
    pub source: &'static str,
    pub path: PathBuf,
    pub format: AccessTokenFormat,
}

/// What the name of the access token file's draft ends with.
pub const DRAFT: &str = ".new";

/// The places that options and variables name. A file that this run reads is refused: it would be overwritten.
pub fn publications(arguments: &mut Arguments) -> Result<Publications, Failure> {
    const FILE: &str = "DOCUSIGN_ACCESS_TOKEN_FILE";
    const SECRET: &str = "DOCUSIGN_PUBLISH_SECRET";
    let format =
        option_or_variable(arguments.access_token_format, "DOCUSIGN_ACCESS_TOKEN_FORMAT", AccessTokenFormat::parse)?;
    let source = if arguments.access_token_file.is_some() { "--access-token-file" } else { FILE };
    let path = arguments.access_token_file.take().or_else(|| variable(FILE).map(PathBuf::from));
    if path.is_none() && arguments.access_token_format.is_some() {
        let hint = "give --access-token-file FILE as well";
        return Err(Failure::usage("--access-token-format", "given without --access-token-file", hint));
    }
    if let Some(path) = &path {
        if path == Path::new("-") {
            let hint = "name a file; --print access-token writes to standard output";
            return Err(Failure::usage(source, "standard output is not a file", hint));
        }
        refuse_input(source, path, arguments)?;
    }
    let secret_source = if arguments.publish_secret.is_some() { "--publish-secret" } else { SECRET };
    let secret = option_or_variable(arguments.publish_secret.take(), SECRET, SecretName::parse)?;
    #[cfg(not(target_os = "linux"))]
    if secret.is_some() {
        let what = "only on Linux: a pod publishes to its own cluster";
        return Err(Failure::usage(secret_source, what, "use --access-token-file"));
    }
    Ok(Publications {
        file: path.map(|path| AccessTokenFile { source, path, format: format.unwrap_or(AccessTokenFormat::Token) }),
        #[cfg(target_os = "linux")]
        secret: secret.map(|name| secret_place(secret_source, name)).transpose()?,
    })
}

/// Whether both are there, and are one file under its own name.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| other == one))
}

/// Otherwise the access token file or its draft could overwrite the client secret, say.
fn refuse_input(source: &str, path: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let named = |option: &Option<PathBuf>, name: &str| option.clone().or_else(|| variable(name).map(PathBuf::from));
    let inputs = [
        named(&arguments.client_secret_file, "DOCUSIGN_CLIENT_SECRET_FILE"),
        named(&arguments.ca_file, "SSL_CERT_FILE"),
        arguments.client_cert.clone(),
        arguments.client_key.clone(),
        variable("CREDENTIALS_DIRECTORY").map(|directory| Path::new(&directory).join("docusign-client-secret")),
    ];
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written = [sibling(&file, DRAFT), file];
    let is_written = |input: &PathBuf| written.iter().any(|path| is_same_file(path, input));
    match inputs.iter().flatten().any(is_written) {
        true => Err(Failure::usage(
            source,
            "would overwrite a file that this run reads",
            "name a file of its own for the access token",
        )),
        false => Ok(()),
    }
}
