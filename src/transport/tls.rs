//! Whom to trust, who we are, and what a TLS failure means to the person who must act.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, CipherSuite, RootCertStore};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::journal::Journal;

/// The certificate authorities that may vouch for the token endpoint.
pub enum Roots {
    /// Mozilla's, compiled in.
    BuiltIn,
    /// Exactly these: the user's, or the operating system's after the built-in ones did not know an issuer.
    Given(Vec<Certificate<'static>>),
}

impl Roots {
    /// The certificates of a PEM bundle; text around them and CRLF are fine. Else, what is wrong with
    /// it: none of them can be an authority's.
    pub fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        let certificates = certificates(pem);
        let (usable, _) = RootCertStore::empty().add_parsable_certificates(certificates.iter().cloned());
        match usable {
            0 => Err(no_certificate(pem)),
            _ => Ok(Self::Given(certificates.iter().map(owned).collect())),
        }
    }

    /// Turns the built-in roots into the operating system's; false where that changes nothing.
    pub(super) fn fall_back_to_system(&mut self, journal: Journal) -> bool {
        if !matches!(self, Self::BuiltIn) {
            return false;
        }
        let system = rustls_native_certs::load_native_certs().certs;
        journal.step(format_args!(
            "the issuer is not among the built-in roots; trying the {} roots of the system",
            system.len()
        ));
        if system.is_empty() {
            return false;
        }
        *self = Self::Given(system.iter().map(owned).collect());
        true
    }
}

/// Our own certificate and key, for a server that asks for one (mutual TLS).
pub struct Identity(ClientCert);

/// Why certificate and key are no identity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum IdentityFault {
    /// The certificate file, and what is wrong with it.
    Certificate(&'static str),
    Key(&'static str),
    KeyDoesNotFit,
}

impl Identity {
    /// From PEM. The key may be PKCS#8, SEC1 or PKCS#1, not encrypted; both may be in one file.
    pub fn from_pem(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Self, IdentityFault> {
        let chain = certificates(certificate_pem);
        if chain.is_empty() {
            return Err(IdentityFault::Certificate(no_certificate(certificate_pem)));
        }
        let no_key = IdentityFault::Key(no_key(key_pem));
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| no_key)?;
        let same_key = PrivateKey::from_pem(key_pem).map_err(|_| no_key)?;
        let identity = ClientCert::new_with_certs(&chain.iter().map(owned).collect::<Vec<_>>(), same_key);
        // ureq panics on a key that does not fit, so that is found out here.
        match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
            Ok(_) => Ok(Self(identity)),
            Err(rustls::Error::InconsistentKeys(_)) => Err(IdentityFault::KeyDoesNotFit),
            Err(_) => Err(IdentityFault::Key("its type of key is not supported")),
        }
    }
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// What is wrong with a file in which no certificate can be read.
fn no_certificate(pem: &[u8]) -> &'static str {
    match String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----") {
        true => "the certificate in it is cut off or malformed",
        false => "it contains no PEM certificate",
    }
}

/// What is wrong with a file in which no key can be read.
fn no_key(pem: &[u8]) -> &'static str {
    match String::from_utf8_lossy(pem).contains("PRIVATE KEY-----") {
        true => "the private key in it is cut off or malformed",
        false => "it contains no unencrypted PEM private key (PKCS#8, SEC1 or PKCS#1)",
    }
}

fn owned(certificate: &CertificateDer<'_>) -> Certificate<'static> {
    Certificate::from_der(certificate).to_owned()
}

pub(super) fn config(roots: &Roots, identity: Option<&Identity>) -> TlsConfig {
    TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(provider()))
        .root_certs(match roots {
            Roots::BuiltIn => RootCerts::WebPki,
            Roots::Given(certificates) => RootCerts::new_with_certs(certificates),
        })
        .client_cert(identity.map(|identity| identity.0.clone()))
        .build()
}

/// ring, with the cipher suite first that every TLS 1.3 server has (RFC 8446, section 9.1), as browsers have it:
/// its SHA-256 takes a processor two thirds of what SHA-384 does, which rustls puts first.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

/// Why the two ends could not agree on a TLS session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TlsFault {
    /// The server's certificate is not trusted: why, and the next step.
    Certificate {
        what: &'static str,
        hint: &'static str,
    },
    /// The server refused us, or our certificate.
    Alert(AlertDescription),
    NotTls,
    NothingInCommon,
    Other,
}

/// What ring and rustls have.
macro_rules! spoken {
    () => {
        "this program supports TLS 1.2 and 1.3, AES-GCM and ChaCha20-Poly1305, and ECDHE over X25519, P-256 and P-384; \
         the server must offer one of each"
    };
}
const SUPPORTED: &str = spoken!();

/// In TLS 1.2, OpenSSL says no more than this to a client without a certificate (SSL_VERIFY_FAIL_IF_NO_PEER_CERT).
const HANDSHAKE_FAILURE: &str =
    concat!("if the server requires a client certificate, use --client-cert and --client-key; otherwise, ", spoken!());

/// The only certificate fault that other roots may cure.
const UNKNOWN_ISSUER: &str = "its issuer is unknown";

impl TlsFault {
    /// The TLS fault inside an I/O error, if that is what it is.
    pub(super) fn within(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().map(Self::new)
    }

    pub(super) fn new(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(fault) => Self::of_certificate(fault),
            rustls::Error::NoCertificatesPresented => Self::of_certificate(&CertificateError::BadEncoding),
            rustls::Error::AlertReceived(alert) => Self::Alert(*alert),
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::PeerIncompatible(_) => Self::NothingInCommon,
            _ => Self::Other,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        use CertificateError as E;
        const CLOCK: &str = "check this machine's clock, then the server's certificate";
        const REPLACE: &str = "the server's operator must replace its certificate";
        let (what, hint) = match error {
            E::UnknownIssuer => (
                UNKNOWN_ISSUER,
                "if a company's proxy inspects TLS or the server has an authority of its own, give that authority's \
                 certificate with --ca-file FILE; otherwise the server is probably not sending an intermediate certificate",
            ),
            E::Expired | E::ExpiredContext { .. } => ("it has expired", CLOCK),
            E::NotValidYet | E::NotValidYetContext { .. } => ("it is not valid yet", CLOCK),
            E::NotValidForNameContext { presented, .. } if presented.is_empty() => (
                "it has no subjectAltName",
                "the server needs a certificate that lists its host in subjectAltName; the common name is no longer used \
                 (RFC 6125)",
            ),
            E::NotValidForName | E::NotValidForNameContext { .. } => {
                ("it is for another host", "check the host in the token endpoint's URL")
            }
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => ("it is not meant for servers", REPLACE),
            E::Revoked => ("it was revoked", REPLACE),
            // webpki's word, for which rustls has none: such as `openssl req -x509` makes.
            E::Other(why) if why.to_string() == "CaUsedAsEndEntity" => (
                "it is a CA certificate, not a server's",
                "the server needs a certificate of its own; a self-signed one needs basicConstraints=CA:FALSE",
            ),
            _ => ("it is malformed or badly signed", REPLACE),
        };
        Self::Certificate { what, hint }
    }

    pub(super) fn is_unknown_issuer(self) -> bool {
        matches!(self, Self::Certificate { what: UNKNOWN_ISSUER, .. })
    }

    /// Whether the next attempt would fail the same way: so does every fault but those without a name, and the alerts
    /// of a server that is stopping or broken.
    pub(super) fn is_lasting(self) -> bool {
        !matches!(self, Self::Other | Self::Alert(AlertDescription::InternalError | AlertDescription::UserCanceled))
    }

    /// The server refuses our certificate, or that there is none, or our proof that it is ours.
    pub(super) fn is_about_our_certificate(self) -> bool {
        use AlertDescription as A;
        let Self::Alert(alert) = self else { return false };
        matches!(
            alert,
            A::CertificateRequired
                | A::BadCertificate
                | A::UnsupportedCertificate
                | A::CertificateRevoked
                | A::CertificateExpired
                | A::CertificateUnknown
                | A::UnknownCA
                | A::AccessDenied
                | A::DecryptError
        )
    }

    pub(super) fn hint(self) -> &'static str {
        use AlertDescription as A;
        match self {
            Self::Certificate { hint, .. } => hint,
            Self::Alert(_) if self.is_about_our_certificate() => {
                "if the server requires a client certificate, use --client-cert and --client-key; if you gave one, the \
                 server rejected it"
            }
            Self::Alert(A::HandshakeFailure) => HANDSHAKE_FAILURE,
            Self::Alert(A::UnrecognisedName) => {
                "the server does not know this host: check the host in the token endpoint's URL"
            }
            Self::NotTls => {
                "check the port in the token endpoint's URL, and whether something intercepts the connection"
            }
            Self::NothingInCommon | Self::Alert(A::ProtocolVersion | A::InsufficientSecurity) => SUPPORTED,
            Self::Alert(_) | Self::Other => "run again with --verbose to see each step",
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { what, .. } => write!(f, "the server's certificate is not trusted: {what}"),
            Self::Alert(alert) => write!(f, "the server ended the TLS session: {alert:?}"),
            Self::NotTls => f.write_str("the server does not speak TLS"),
            Self::NothingInCommon => f.write_str("the server and this program have no TLS version or cipher in common"),
            Self::Other => f.write_str("the TLS session failed"),
        }
    }
}
