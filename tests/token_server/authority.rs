//! A certificate authority that lives as long as the process, and the certificates it signs.
//!
//! Keys and signatures are ECDSA on P-256, what most token endpoints use. The key of the
//! authority never leaves the process, so trusting its certificate harms nobody afterwards.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};
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
}

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Token server of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, generate_key()).expect("sign the CA");
        Authority { issuer }
    }

    /// The authority's own certificate, for a client to trust.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Writes the authority's own certificate to a file.
    pub fn write_pem(&self, path: &Path) {
        fs::write(path, self.pem()).expect("write the CA certificate");
    }

    /// TLS 1.2 and 1.3 with such a certificate.
    pub fn protect(&self, leaf: Leaf) -> Protection {
        self.protect_with(leaf, rustls::DEFAULT_VERSIONS)
    }

    /// These versions of TLS alone.
    pub fn protect_with(&self, leaf: Leaf, versions: &[&'static SupportedProtocolVersion]) -> Protection {
        let names = match leaf {
            Leaf::OtherName => ["elsewhere.test"].as_slice(),
            _ => ["localhost", "127.0.0.1", "::1"].as_slice(),
        };
        let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).expect("sound names");
        let (from, to) = match leaf {
            Leaf::Expired => (2020, 2021),
            Leaf::NotYetValid => (2090, 2091),
            Leaf::Localhost | Leaf::OtherName => (2020, 2090),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params.distinguished_name.push(DnType::CommonName, "localhost");

        let key = generate_key();
        let certificate = params.signed_by(&key, &self.issuer).expect("sign the leaf");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("ring knows these versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key fits the certificate");
        Protection::Tls(Arc::new(config))
    }
}

fn generate_key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("generate a key")
}
