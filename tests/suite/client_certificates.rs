//! Who the program is, where the server wants a certificate of it (mutual TLS).
//!
//! `--client-cert` and `--client-key` are PEM; the key may be PKCS#8, SEC1 or PKCS#1, in a file of its
//! own or in the certificate's. What does not fit is refused before anything is sent. A server that
//! demands a certificate and gets none, or one that it does not know, has thrown the request away
//! unread, and says so with an alert: that is a setting, exit code 78, and no token is in doubt.

use crate::certificates::{openssl_filter, openssl_key};
use crate::kit::{self, Outcome, Workspace};
use crate::token_server::{Authority, ClientCertificates, Leaf, Script, Terms, TokenServer, Version};
use crate::tools;
use rcgen::KeyPair;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

const CERTIFICATE_ONLY: [&str; 2] = ["--client-cert", "client.pem"];
const BOTH: [&str; 4] = ["--client-cert", "client.pem", "--client-key", "client.key"];

fn demanding(version: Version) -> TokenServer {
    let terms = Terms::new(Leaf::Localhost).version(version).clients(ClientCertificates::Demanded);
    TokenServer::start(kit::tls_on(terms), Script::always(kit::rotation().step()))
}

fn workspace(name: &str, files: &[(&str, &str)]) -> Workspace {
    let mut workspace = Workspace::after_login(name);
    for (name, content) in files {
        workspace.give(name, *content);
    }
    workspace
}

fn run(workspace: &Workspace, server: &TokenServer, args: &[&str]) -> Outcome {
    workspace.program().refreshing_at(server).args(args.iter().copied()).run()
}

/// Each form that a key comes in, as openssl writes it. rcgen reads PKCS#8 alone.
fn key_forms() -> Option<Vec<(&'static str, String, KeyPair)>> {
    let elliptic = openssl_key(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])?;
    let rsa = openssl_key(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])?;
    let traditional = |key: &str| openssl_filter(&["pkey", "-traditional"], key);
    let pair = |key: &str| KeyPair::from_pem(key).expect("a key that rcgen reads");
    Some(vec![
        ("SEC1", traditional(&elliptic)?, pair(&elliptic)),
        ("PKCS#1", traditional(&rsa)?, pair(&rsa)),
        ("PKCS#8", elliptic.clone(), pair(&elliptic)),
        ("PKCS#8 of RSA", rsa.clone(), pair(&rsa)),
    ])
}

#[test]
fn a_key_comes_in_every_form_and_place() {
    let Some(forms) = key_forms() else { return };
    for (form, key, pair) in forms {
        let is_so = |form: &str| key.starts_with(&format!("-----BEGIN {form}PRIVATE KEY-----"));
        assert!(is_so(match form {
            "SEC1" => "EC ",
            "PKCS#1" => "RSA ",
            _ => "",
        }));
        let certificate = kit::authority().client_certificate(&pair);
        let together = format!("{key}\n{certificate}");
        let windows = certificate.replace('\n', "\r\n");
        let ways: [(&[&str], &str, &str); 4] = [
            (&BOTH, &certificate, &key),
            (&BOTH, &windows, &key.replace('\n', "\r\n")),
            (&CERTIFICATE_ONLY, &together, ""),
            (&CERTIFICATE_ONLY, &format!("{certificate}{key}"), ""),
        ];
        for (args, certificate, key) in ways {
            for version in [Version::Tls12, Version::Tls13] {
                let server = demanding(version);
                let workspace = workspace("client-certificate", &[("client.pem", certificate), ("client.key", key)]);
                let outcome = run(&workspace, &server, args);
                assert_eq!(outcome.status.code(), Some(0), "{form}: {}", outcome.report(&[]));
                assert_eq!(server.finish().requests.len(), 1);
            }
        }
    }
}

#[test]
fn a_server_that_demands_a_certificate_gets_none() {
    for version in [Version::Tls12, Version::Tls13] {
        let server = demanding(version);
        let workspace = workspace("no-client-certificate", &[]);
        let outcome = run(&workspace, &server, &[]).expect_exit(78);
        let stderr = outcome.stderr();
        assert!(stderr.contains("the server ended the TLS session"), "{}", outcome.report(&[]));
        assert!(stderr.contains("--client-cert") && !stderr.contains("may be spent"), "{}", outcome.report(&[]));
        assert_eq!(server.finish().requests.len(), 0);
    }
}

/// OpenSSL's alert in TLS 1.2 does not say that it misses a certificate (RFC 5246, section 7.2.2).
#[test]
fn a_handshake_failure_may_mean_a_missing_certificate() {
    const HANDSHAKE_FAILURE: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28";
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let endpoint = format!("https://{}/token", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 4096]).expect("a client's hello");
        stream.write_all(HANDSHAKE_FAILURE).expect("send the alert");
    });
    let workspace = workspace("handshake-failure", &[]);
    let program = workspace.program().args(["--client-id", kit::CLIENT_ID, "--token-endpoint", &endpoint]);
    let outcome = program.run().expect_exit(78);
    server.join().expect("one connection");
    let stderr = outcome.stderr();
    assert!(stderr.contains("--client-cert") && stderr.contains("ECDHE"), "{}", outcome.report(&[]));
}

#[test]
fn a_certificate_of_another_authority_is_refused_by_the_server() {
    let key = KeyPair::generate().expect("a key");
    let certificate = Authority::new("Another one").client_certificate(&key);
    for version in [Version::Tls12, Version::Tls13] {
        let server = demanding(version);
        let workspace =
            workspace("foreign-client", &[("client.pem", &certificate), ("client.key", &key.serialize_pem())]);
        let outcome = run(&workspace, &server, &BOTH).expect_exit(78);
        assert!(!outcome.stderr().contains("may be spent"), "{}", outcome.report(&[]));
        assert_eq!(server.finish().requests.len(), 0);
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_sent() {
    let (key, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let certificate = kit::authority().client_certificate(&key);
    let (key, other) = (key.serialize_pem(), other.serialize_pem());
    let encrypted = openssl_key(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-aes-128-cbc",
        "-pass",
        "pass:Canary7",
    ]);
    let encrypted = encrypted.unwrap_or_else(|| "-----BEGIN ENCRYPTED PRIVATE KEY-----\n".to_owned());
    let (half_certificate, half_key) = (&certificate[..certificate.len() / 2], &key[..key.len() / 2]);
    let refused: [(&[&str], &str, &str, i32, &str); 8] = [
        (
            &BOTH,
            half_certificate,
            &key,
            66,
            "client.pem: cannot be used as the client certificate: the certificate in it is cut off or malformed",
        ),
        (
            &BOTH,
            &certificate,
            half_key,
            66,
            "client.key: cannot be used as the client key: the private key in it is cut off or malformed",
        ),
        (&BOTH, &certificate, &other, 78, "client.key: the client key does not match the client certificate"),
        (
            &BOTH,
            &certificate,
            &certificate,
            66,
            "client.key: cannot be used as the client key: it contains no unencrypted PEM",
        ),
        (
            &BOTH,
            &certificate,
            &encrypted,
            66,
            "client.key: cannot be used as the client key: it is an encrypted private",
        ),
        (&BOTH, &key, &key, 66, "client.pem: cannot be used as the client certificate: it contains no PEM certificate"),
        (
            &CERTIFICATE_ONLY,
            &certificate,
            "",
            66,
            "client.pem: cannot be used as the client key: it contains no unencrypted PEM",
        ),
        (&["--client-key", "client.key"], "", &key, 64, "--client-key"),
    ];
    for (args, certificate, key, exit, message) in refused {
        let server = demanding(Version::Tls13);
        let workspace = workspace("unfit-client", &[("client.pem", certificate), ("client.key", key)]);
        let outcome = run(&workspace, &server, args).expect_exit(exit);
        assert!(outcome.stderr().contains(message), "{}", outcome.report(&[format!("wanted {message}")]));
        assert_eq!(server.finish().connections, 0);
    }
}

/// Keys and certificates in DER, as Windows and Java export them: converted by the command that the message tells.
#[test]
fn what_is_in_der_is_told_as_such() {
    let Some(openssl) = tools::find("openssl") else { return };
    let key = KeyPair::generate().expect("a key");
    let certificate = kit::authority().client_certificate(&key).into_bytes();
    let key = key.serialize_pem().into_bytes();
    let der = |arguments: &[&str], pem: &[u8], name: &str| {
        let directory = Workspace::new("der");
        let (from, to) = (directory.beside("pem"), directory.beside(name));
        fs::write(&from, pem).expect("write PEM");
        let files = [OsStr::new("-in"), from.as_os_str(), OsStr::new("-out"), to.as_os_str()];
        let status = Command::new(&openssl).args(arguments).args(files).stderr(Stdio::null()).status();
        assert!(status.expect("run openssl").success(), "openssl {}", arguments.join(" "));
        fs::read(to).expect("openssl wrote it")
    };
    let certificate_der = der(&["x509", "-outform", "DER"], &certificate, "certificate.der");
    let key_der = der(&["pkey", "-outform", "DER"], &key, "key.der");
    let with_mark = |pem: &[u8]| [b"\xEF\xBB\xBF", pem].concat();
    let told: [(&[u8], &[u8], &str); 2] = [
        (
            &certificate_der,
            &key,
            "client.pem: cannot be used as the client certificate: it is a DER certificate, not PEM",
        ),
        (&certificate, &key_der, "client.key: cannot be used as the client key: it is a DER private key, not PEM"),
    ];
    for (certificate, key, message) in told {
        let server = demanding(Version::Tls13);
        let mut workspace = Workspace::after_login("client-der");
        workspace.give("client.pem", certificate);
        workspace.give("client.key", key);
        let outcome = run(&workspace, &server, &BOTH).expect_exit(66);
        let is_told = outcome.stderr().contains(message) && outcome.stderr().contains("\nhint: convert it: openssl ");
        assert!(is_told, "{}", outcome.report(&[format!("wanted {message}")]));
        assert_eq!(server.finish().connections, 0);
    }
    let server = demanding(Version::Tls13);
    let mut workspace = Workspace::after_login("client-bom");
    workspace.give("client.pem", with_mark(&certificate));
    workspace.give("client.key", with_mark(&key));
    run(&workspace, &server, &BOTH).expect_exit(0);
    assert_eq!(server.finish().requests.len(), 1);
}
