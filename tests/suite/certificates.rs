//! Whom the program believes to be the token endpoint.
//!
//! TLS 1.2 and 1.3, keys on a curve and RSA keys, a host by name (asked for by SNI) and by address.
//! A certificate that will not do is refused before a byte of the request leaves, with a message that
//! says what is wrong with it and with exit code 78: nobody should have to look at the handshake.
//!
//! `--ca-file` and `SSL_CERT_FILE` are exactly the roots that count. Without them the built-in ones
//! do, and, for an issuer that only the operating system knows, the system's: that is how a company
//! looks into TLS without this program's settings being touched.

use crate::kit::{self, Outcome, Workspace};
use crate::namespace::{self, Stand};
use crate::token_server::{Authority, Leaf, Protection, Script, Step, Terms, TokenServer, Version};
use crate::tools;
use rcgen::KeyPair;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

fn serve(protection: Protection) -> TokenServer {
    TokenServer::start(protection, Script::always(kit::rotation().step()))
}

/// A private key as openssl makes it; ring makes no RSA keys.
pub fn openssl_key(arguments: &[&str]) -> Option<String> {
    openssl_filter(arguments, "")
}

/// What openssl makes of a text.
pub fn openssl_filter(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new(tools::find("openssl")?);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut openssl = command.spawn().expect("run openssl");
    openssl.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("give openssl a text");
    let output = openssl.wait_with_output().expect("wait for openssl");
    assert!(output.status.success(), "openssl {}", arguments.join(" "));
    Some(String::from_utf8(output.stdout).expect("PEM is text"))
}

const RSA: [&str; 5] = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

fn expect_refresh(outcome: Outcome, server: TokenServer) {
    outcome.expect_exit(0);
    assert_eq!(server.finish().requests.len(), 1);
}

#[test]
fn both_versions_and_both_kinds_of_key_will_do() {
    let rsa = openssl_key(&RSA);
    for (name, version) in [("tls-1.2", Version::Tls12), ("tls-1.3", Version::Tls13)] {
        let terms = Terms::new(Leaf::Localhost).version(version);
        let server = serve(kit::tls_on(terms));
        let workspace = Workspace::after_login(name);
        expect_refresh(workspace.program().refreshing_at(&server).run(), server);

        let Some(rsa) = &rsa else { continue };
        let key = KeyPair::from_pem(rsa).expect("an RSA key");
        let server = serve(kit::tls_on(Terms::new(Leaf::Localhost).version(version).key(key)));
        let workspace = Workspace::after_login(&format!("{name}-rsa"));
        expect_refresh(workspace.program().refreshing_at(&server).run(), server);
    }
}

#[test]
fn a_host_is_asked_for_by_name_and_an_address_by_itself() {
    for (host, name) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let server = serve(kit::tls(Leaf::Localhost));
        let workspace = Workspace::after_login("sni");
        let endpoint = format!("https://{host}:{}/oauth/token", server.port());
        let program = workspace.program().refreshing_at(&server).environment("DOCUSIGN_TOKEN_ENDPOINT", endpoint);
        program.run().expect_exit(0);
        assert_eq!(server.finish().server_names, [name.map(str::to_owned)]);
    }
}

#[test]
fn an_intermediate_that_is_shown_will_do() {
    let server = serve(kit::tls(Leaf::WithIntermediate));
    let workspace = Workspace::after_login("intermediate");
    expect_refresh(workspace.program().refreshing_at(&server).run(), server);
}

#[test]
fn a_certificate_that_will_not_do_is_named_and_nothing_is_sent() {
    let untrusted = "the server's certificate is not trusted:";
    let refused = [
        (Leaf::Expired, format!("{untrusted} it has expired\n"), "clock"),
        (Leaf::NotYetValid, format!("{untrusted} it is not valid yet\n"), "clock"),
        (Leaf::OtherName, format!("{untrusted} it is for another host\n"), "check the host"),
        (Leaf::ForClients, format!("{untrusted} it is not meant for servers\n"), "operator"),
        (Leaf::OfAuthority, format!("{untrusted} it is a CA certificate, not a server's\n"), "CA:FALSE"),
        (Leaf::SelfSigned, format!("{untrusted} its issuer is unknown\n"), "--ca-file"),
        (Leaf::WithoutIntermediate, format!("{untrusted} its issuer is unknown\n"), "intermediate"),
    ];
    for (leaf, message, hint) in refused {
        for version in [Version::Tls12, Version::Tls13] {
            let server = serve(kit::tls_on(Terms::new(leaf).version(version)));
            let workspace = Workspace::after_login("refused-certificate");
            let outcome = workspace.program().refreshing_at(&server).run().expect_exit(78);
            let record = server.finish();
            let stderr = outcome.stderr();
            let is_named = stderr.contains(&message) && stderr.contains("\nhint: ") && stderr.contains(hint);
            assert!(is_named, "{}", outcome.report(&[format!("wanted {leaf:?}: {message}")]));
            assert_eq!((record.connections, record.requests.len()), (1, 0), "{}", outcome.report(&[]));
        }
    }
}

#[test]
fn a_port_without_tls_is_named() {
    let server = TokenServer::start(Protection::None, Script::once([Step::plain_http()]));
    let workspace = Workspace::after_login("plain-http");
    let endpoint = format!("https://127.0.0.1:{}/oauth/token", server.port());
    let program = workspace.program().refreshing_at(&server).environment("DOCUSIGN_TOKEN_ENDPOINT", endpoint);
    let outcome = program.run().expect_exit(78);
    assert!(outcome.stderr().contains("the server does not speak TLS\n"), "{}", outcome.report(&[]));
    assert_eq!(server.finish().requests.len(), 0);
}

/// What people keep in such files: other certificates, text around them, Windows' line ends.
#[test]
fn a_ca_file_may_be_a_bundle_with_comments() {
    let other = Authority::new("Another one").pem();
    let ours = kit::authority().pem();
    let bundle = format!("# Company root\nsubject=CN = Other\n{other}\n\n# and the second one\n{ours}\n# the end");
    for (name, pem) in [("bundle", bundle.clone()), ("crlf", bundle.replace('\n', "\r\n")), ("alone", ours)] {
        for by in ["--ca-file", "SSL_CERT_FILE"] {
            let server = serve(kit::tls(Leaf::Localhost));
            let mut workspace = Workspace::after_login(name);
            workspace.give("roots.pem", pem.as_bytes());
            let path = workspace.path("roots.pem");
            let program = workspace.program().refreshing_at(&server).without("SSL_CERT_FILE");
            let program = match by {
                "--ca-file" => program.args([by.into(), path.into_os_string()]),
                _ => program.environment(by, path),
            };
            expect_refresh(program.run(), server);
        }
    }
}

#[test]
fn a_ca_file_that_is_none_is_refused_by_name() {
    let key = KeyPair::generate().expect("a key").serialize_pem();
    let pem = kit::authority().pem();
    let (no_certificate, malformed) =
        ("it contains no PEM certificate", "the certificate in it is cut off or malformed");
    let files = [
        ("missing.pem", None, "no such file"),
        ("empty.pem", Some(String::new()), no_certificate),
        ("key.pem", Some(key), no_certificate),
        ("text.pem", Some("not a certificate at all\n".to_owned()), no_certificate),
        ("broken.pem", Some(pem.replace("MII", "%%%")), malformed),
        ("cut-off.pem", Some(pem[..pem.len() / 2].to_owned()), malformed),
        ("indented.pem", Some(pem.replace("\n", "\n  ").replacen("-----", "  -----", 1)), malformed),
        ("joined.pem", Some(pem.replace('\n', " ")), malformed),
        ("junk.pem", Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()), malformed),
    ];
    for (name, content, why) in files {
        let server = serve(kit::tls(Leaf::Localhost));
        let mut workspace = Workspace::after_login("ca-file");
        if let Some(content) = content {
            workspace.give(name, content);
        }
        let outcome = workspace.program().refreshing_at(&server).args(["--ca-file", name]).run().expect_exit(66);
        let stderr = outcome.stderr();
        assert!(
            stderr.contains(name) && stderr.contains(why),
            "{}",
            outcome.report(&[format!("wanted {name}: {why}")])
        );
        assert_eq!(server.finish().connections, 0);
    }
}

/// Notepad's and PowerShell's marks stand before the first certificate.
#[test]
fn a_ca_file_may_begin_with_a_byte_order_mark() {
    let pem = kit::authority().pem();
    let utf_16 = |unit: fn(u16) -> [u8; 2]| format!("\u{FEFF}{pem}").encode_utf16().flat_map(unit).collect();
    let files: [Vec<u8>; 3] =
        [format!("\u{FEFF}{pem}").into_bytes(), utf_16(u16::to_le_bytes), utf_16(u16::to_be_bytes)];
    for content in files {
        let server = serve(kit::tls(Leaf::Localhost));
        let mut workspace = Workspace::after_login("bom");
        workspace.give("roots.pem", content);
        let program = workspace.program().refreshing_at(&server).without("SSL_CERT_FILE");
        expect_refresh(program.args(["--ca-file", "roots.pem"]).run(), server);
    }
}

/// What Windows, Java and mail programs export. The message names the format and the command that converts it,
/// and with what that command makes the refresh succeeds.
#[test]
fn a_ca_file_in_another_format_is_told_as_such() {
    let formats = Workspace::new("formats");
    let pem = formats.beside("formats.pem");
    kit::authority().write_pem(&pem);
    let made: [(&str, &str, &str); 4] = [
        ("ca.cer", "openssl x509 -in PEM -outform DER -out OUT", "a DER certificate, not PEM"),
        ("ca.p7b", "openssl crl2pkcs7 -nocrl -certfile PEM -outform DER -out OUT", "a PKCS#7 bundle in DER"),
        ("ca.p7c", "openssl crl2pkcs7 -nocrl -certfile PEM -out OUT", "a PKCS#7 bundle, not single certificates"),
        ("ca.p12", "openssl pkcs12 -export -nokeys -in PEM -passout pass: -out OUT", "a PKCS#12 container"),
    ];
    if tools::find("openssl").is_none() {
        return;
    }
    for (name, make, what) in made {
        let file = tools::beside(&pem, name);
        shell(&make.replace("PEM", &pem.to_string_lossy()).replace("OUT", &file.to_string_lossy()), &pem);
        let server = serve(kit::tls(Leaf::Localhost));
        let mut workspace = Workspace::after_login("ca-format");
        workspace.give(name, fs::read(&file).expect("openssl wrote it"));
        let program = workspace.program().refreshing_at(&server).without("SSL_CERT_FILE");
        let outcome = program.args(["--ca-file", name]).run().expect_exit(66);
        let stderr = outcome.stderr();
        assert!(stderr.contains(&format!("{name}: cannot be used as the CA file: it is {what}")), "{stderr}");
        let command = stderr.lines().find_map(|line| line.strip_prefix("hint: convert it: ")).expect("a command");
        let command = command.replace("pkcs12 ", "pkcs12 -passin pass: ");
        shell(&command, &workspace.path(name));
        assert_eq!(server.record().connections, 0);
        let converted = workspace.read(&format!("{name}.pem"));
        let mut workspace = Workspace::after_login("ca-format-converted");
        workspace.give("ca.pem", converted);
        let program = workspace.program().refreshing_at(&server).without("SSL_CERT_FILE");
        expect_refresh(program.args(["--ca-file", "ca.pem"]).run(), server);
    }
}

/// Runs a command where this file stands.
fn shell(command: &str, file: &Path) {
    let mut shell = Command::new("sh");
    let directory = file.parent().expect("a file has a directory");
    let output = shell.args(["-c", command]).current_dir(directory).output().expect("run sh");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Exactly these roots: the system's store, which would know the server, is not asked.
#[test]
fn a_ca_file_is_the_only_authority() {
    let server = serve(kit::tls(Leaf::Localhost));
    let mut workspace = Workspace::after_login("only-authority");
    workspace.give("other.pem", Authority::new("Another one").pem());
    let program = workspace.program().refreshing_at(&server).args(["--ca-file", "other.pem", "--verbose"]);
    let store = tools::beside(&workspace.directory(), "store");
    fs::create_dir(&store).expect("make a store");
    kit::authority().write_pem(&store.join("ours.pem"));
    let outcome = program.environment("SSL_CERT_DIR", store).run().expect_exit(78);
    assert!(outcome.stderr().contains("its issuer is unknown"), "{}", outcome.report(&[]));
    assert_eq!(server.finish().connections, 1);
}

fn expect_system_store(outcome: Outcome, server: TokenServer) {
    let outcome = outcome.expect_exit(0);
    let is_told =
        outcome.stderr().contains("the issuer is not among the built-in roots; trying the 1 roots of the system");
    assert!(is_told, "{}", outcome.report(&[]));
    let record = server.finish();
    assert_eq!((record.connections, record.requests.len()), (2, 1), "{}", outcome.report(&[]));
}

#[test]
fn the_system_s_store_is_asked_about_an_unknown_issuer() {
    let server = serve(kit::tls(Leaf::Localhost));
    let workspace = Workspace::after_login("system-store");
    let certificates = tools::beside(&workspace.directory(), "certs");
    fs::create_dir(&certificates).expect("make a directory");
    kit::authority().write_pem(&certificates.join("ca-certificates.crt"));
    let stand = Stand { at: "/etc/ssl/certs", file: certificates };
    let Some(wrapper) = namespace::where_stand(&[stand]) else { return };
    let program = workspace.program().refreshing_at(&server).without("SSL_CERT_FILE").args(["--verbose"]);
    expect_system_store(program.under(wrapper).run(), server);
}

#[test]
fn the_variable_for_the_system_s_store_is_heeded() {
    let server = serve(kit::tls(Leaf::Localhost));
    let workspace = Workspace::after_login("system-store-variable");
    let store = tools::beside(&workspace.directory(), "store");
    fs::create_dir(&store).expect("make a directory");
    kit::authority().write_pem(&store.join("company.pem"));
    let program = workspace.program().refreshing_at(&server).without("SSL_CERT_FILE").args(["--verbose"]);
    expect_system_store(program.environment("SSL_CERT_DIR", store).run(), server);
}

#[test]
fn an_issuer_that_nobody_knows_is_refused() {
    let server = serve(kit::tls(Leaf::Localhost));
    let workspace = Workspace::after_login("nobody-knows");
    let empty = tools::beside(&workspace.directory(), "empty");
    fs::create_dir(&empty).expect("make a directory");
    let program = workspace.program().refreshing_at(&server).without("SSL_CERT_FILE");
    let outcome = program.environment("SSL_CERT_DIR", empty).run().expect_exit(78);
    assert!(outcome.stderr().contains("its issuer is unknown"), "{}", outcome.report(&[]));
    assert_eq!(server.finish().requests.len(), 0);
}
