//! A certificate authority that lives as long as the process, and the certificates it signs.
//!
//! Keys and signatures are ECDSA on P-256, what most token endpoints use, unless a test brings
//! another key. The key of the authority never leaves the process, so trusting its certificate harms
//! nobody afterwards.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// What stands between HTTP and TCP.
#[derive(Clone)]
pub enum Protection {
    Tls(Arc<ServerConfig>),
    None,
}

/// The certificate that a server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Valid, for localhost, 127.0.0.1 and ::1.
    Localhost,
    /// For another host.
    OtherName,
    /// For localhost, until 2021.
    Expired,
    /// For localhost, from 2090 on.
    NotYetValid,
    /// For localhost, but for clients to show, not for servers.
    ForClients,
    /// For localhost, by itself.
    SelfSigned,
    /// For localhost, by itself, to sign others with: what `openssl req -x509` makes.
    OfAuthority,
    /// For localhost, by an intermediate authority that the server shows as well.
    WithIntermediate,
    /// For localhost, by an intermediate authority that the server keeps to itself.
    WithoutIntermediate,
}

/// Whether a server wants to see a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    Ignored,
    Demanded,
}

/// The versions of TLS that are spoken today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Tls12,
    Tls13,
}

/// On which terms a server speaks TLS.
pub struct Terms {
    leaf: Leaf,
    names: Vec<String>,
    key: KeyPair,
    versions: Vec<&'static SupportedProtocolVersion>,
    clients: ClientCertificates,
    tickets: usize,
}

impl Terms {
    /// TLS 1.2 and 1.3, with this certificate.
    pub fn new(leaf: Leaf) -> Terms {
        let names: &[&str] = match leaf {
            Leaf::OtherName => &["elsewhere.test"],
            _ => &["localhost", "127.0.0.1", "::1"],
        };
        Terms {
            leaf,
            names: names.iter().copied().map(str::to_owned).collect(),
            key: generate_key(),
            versions: rustls::DEFAULT_VERSIONS.to_vec(),
            clients: ClientCertificates::Ignored,
            tickets: 2,
        }
    }

    /// For these hosts instead.
    pub fn names(self, names: &[&str]) -> Terms {
        Terms { names: names.iter().copied().map(str::to_owned).collect(), ..self }
    }

    /// With this key instead.
    pub fn key(self, key: KeyPair) -> Terms {
        Terms { key, ..self }
    }

    /// This version of TLS alone.
    pub fn version(self, version: Version) -> Terms {
        let version = match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        };
        Terms { versions: vec![version], ..self }
    }

    /// Nothing is sent of the server's own accord: in TLS 1.3, tickets for a later session are.
    pub fn without_tickets(self) -> Terms {
        Terms { tickets: 0, ..self }
    }

    pub fn clients(self, clients: ClientCertificates) -> Terms {
        Terms { clients, ..self }
    }
}

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let issuer = CertifiedIssuer::self_signed(authority_params(name), generate_key());
        Authority { issuer: issuer.expect("sign the CA") }
    }

    /// The authority's own certificate, for a client to trust.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Writes the authority's own certificate to a file.
    pub fn write_pem(&self, path: &Path) {
        fs::write(path, self.pem()).expect("write the CA certificate");
    }

    /// A certificate for a client with this key, in PEM.
    pub fn client_certificate(&self, key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "client of the tests");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.signed_by(key, &self.issuer).expect("sign a client certificate").pem()
    }

    /// Certificate and key of a server with these names, in PEM, for one that is not ours.
    pub fn server_pem(&self, names: &[&str]) -> (String, String) {
        let terms = Terms::new(Leaf::Localhost).names(names);
        let params = CertificateParams::new(terms.names).expect("sound names");
        let certificate = params.signed_by(&terms.key, &self.issuer).expect("sign the leaf");
        (certificate.pem(), terms.key.serialize_pem())
    }

    /// TLS 1.2 and 1.3 with such a certificate.
    pub fn protect(&self, leaf: Leaf) -> Protection {
        self.protect_on(Terms::new(leaf))
    }

    pub fn protect_on(&self, terms: Terms) -> Protection {
        let chain = self.chain(&terms);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(terms.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&terms.versions)
            .expect("ring knows these versions");
        let builder = match terms.clients {
            ClientCertificates::Ignored => builder.with_no_client_auth(),
            ClientCertificates::Demanded => {
                let mut roots = RootCertStore::empty();
                roots.add(self.issuer.der().clone()).expect("the CA is a sound root");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a sound verifier"))
            }
        };
        let mut config = builder.with_single_cert(chain, key).expect("the key fits the certificate");
        config.send_tls13_tickets = terms.tickets;
        Protection::Tls(Arc::new(config))
    }

    /// What the server shows: its own certificate first.
    fn chain(&self, terms: &Terms) -> Vec<CertificateDer<'static>> {
        let mut params = CertificateParams::new(terms.names.clone()).expect("sound names");
        let (from, to) = match terms.leaf {
            Leaf::Expired => (2020, 2021),
            Leaf::NotYetValid => (2090, 2091),
            _ => (2020, 2090),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params.distinguished_name.push(DnType::CommonName, "localhost");
        if terms.leaf == Leaf::OfAuthority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        if terms.leaf == Leaf::ForClients {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        let signed_by =
            |issuer: &Issuer<KeyPair>| params.signed_by(&terms.key, issuer).expect("sign the leaf").der().clone();
        match terms.leaf {
            Leaf::SelfSigned | Leaf::OfAuthority => {
                vec![params.self_signed(&terms.key).expect("sign itself").der().clone()]
            }
            Leaf::WithIntermediate | Leaf::WithoutIntermediate => {
                let intermediate = authority_params("Intermediate of the tests");
                let intermediate = CertifiedIssuer::signed_by(intermediate, generate_key(), &self.issuer);
                let intermediate = intermediate.expect("sign the intermediate");
                let leaf = signed_by(&intermediate);
                match terms.leaf {
                    Leaf::WithIntermediate => vec![leaf, intermediate.der().clone()],
                    _ => vec![leaf],
                }
            }
            _ => vec![signed_by(&self.issuer)],
        }
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn generate_key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("generate a key")
}
