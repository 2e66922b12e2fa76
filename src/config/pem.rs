//! The PEM files: whom to trust, and the client's own certificate.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::environment::variable;
use super::foreign_format;
use crate::bounded::read_at_most;
use crate::failure::Failure;
use crate::text;
use crate::transport::{Identity, IdentityFault, Roots};

/// In bytes: a bundle of all public roots is a quarter of a megabyte.
const MAX_PEM: usize = 16 << 20;

const CERTIFICATE_HINT: &str = "a PEM certificate is base64 between the lines -----BEGIN CERTIFICATE----- and \
                                -----END CERTIFICATE-----, without spaces before them";
const KEY_HINT: &str = "openssl pkey -in FILE -out KEY.pem writes an unencrypted PEM key";

/// Exactly the given roots, else those compiled in.
pub fn roots(option: Option<PathBuf>) -> Result<Roots, Failure> {
    let Some(path) = option.or_else(|| variable("SSL_CERT_FILE").map(PathBuf::from)) else {
        return Ok(Roots::BuiltIn);
    };
    roots_of(&path, "the CA file")
}

/// Exactly the roots in this file, whose role a message names.
pub fn roots_of(path: &Path, role: &str) -> Result<Roots, Failure> {
    let pem = read(path, role)?;
    Roots::from_pem(&pem).map_err(|what| unusable(path, role, &pem, PemFault { what, hint: CERTIFICATE_HINT }))
}

/// The certificate and key for mutual TLS; without a key file of its own, the key is in the certificate's.
pub fn identity(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Identity>, Failure> {
    const CERTIFICATE: &str = "the client certificate";
    const KEY: &str = "the client key";
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(Failure::usage("--client-key", "given without --client-cert", "give both")),
        (Some(certificate), key) => (certificate.clone(), key.unwrap_or(certificate)),
    };
    let (certificate_pem, key_pem) = (read(&certificate, CERTIFICATE)?, read(&key, KEY)?);
    match Identity::from_pem(&certificate_pem, &key_pem) {
        Ok(identity) => Ok(Some(identity)),
        Err(IdentityFault::Certificate(why)) => {
            Err(unusable(&certificate, CERTIFICATE, &certificate_pem, PemFault { what: why, hint: CERTIFICATE_HINT }))
        }
        Err(IdentityFault::Key(why)) => Err(unusable(&key, KEY, &key_pem, PemFault { what: why, hint: KEY_HINT })),
        Err(IdentityFault::KeyDoesNotFit) => Err(Failure::configuration(
            &key.display().to_string(),
            "the client key does not match the client certificate",
            "give the key that the certificate was made for",
        )),
    }
}

/// What is wrong with a file whose format is not recognized.
struct PemFault {
    what: &'static str,
    hint: &'static str,
}

fn unusable(path: &Path, role: &str, bytes: &[u8], lack: PemFault) -> Failure {
    match foreign_format::of(bytes) {
        Some(format) => Failure::unusable(
            path,
            role,
            &format!("it is {}", format.what),
            &format!("convert it: {}", format.command(path)),
        ),
        None => Failure::unusable(path, role, lack.what, lack.hint),
    }
}

/// Reads a file that should be PEM. PowerShell and Notepad write UTF-16 and byte order marks, which hide the
/// first certificate.
fn read(path: &Path, role: &str) -> Result<Vec<u8>, Failure> {
    let read = File::open(path).and_then(|file| read_at_most(file, MAX_PEM));
    let bytes = read.map_err(|error| Failure::unreadable(path, role, &error))?;
    if !matches!(bytes.first(), Some(0xEF | 0xFE | 0xFF)) {
        return Ok(bytes);
    }
    Ok(text::decode(&bytes).map_or(bytes, String::into_bytes))
}
