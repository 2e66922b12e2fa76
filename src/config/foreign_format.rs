//! Certificates and keys in other formats than the PEM that this program reads: recognized by their first bytes, each
//! with the command that converts it. Pure.

use std::path::Path;

use crate::shell::quoted_word;
use crate::sibling::sibling;

/// What a file is instead, and how it becomes PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignFormat {
    pub what: &'static str,
    /// `IN` stands for the file, and `OUT` for a new one.
    command: &'static str,
}

const fn format(what: &'static str, command: &'static str) -> ForeignFormat {
    ForeignFormat { what, command }
}

const CERTIFICATE: ForeignFormat = format("a DER certificate, not PEM", "openssl x509 -inform DER -in IN -out OUT");
const PKCS7: ForeignFormat =
    format("a PKCS#7 bundle in DER, not PEM certificates", "openssl pkcs7 -inform DER -in IN -print_certs -out OUT");
const PKCS12: ForeignFormat =
    format("a PKCS#12 container (.p12, .pfx), not PEM", "openssl pkcs12 -in IN -nodes -out OUT");
const KEY: ForeignFormat = format("a DER private key, not PEM", "openssl pkey -inform DER -in IN -out OUT");
const ENCRYPTED_KEY: ForeignFormat =
    format("an encrypted DER private key, not PEM", "openssl pkcs8 -inform DER -in IN -out OUT");

/// By their first bytes.
const CONTAINERS: [(&[u8], ForeignFormat); 2] = [
    (
        b"\xFE\xED\xFE\xED",
        format(
            "a Java keystore, not PEM",
            "keytool -importkeystore -srckeystore IN -destkeystore OUT.p12 -deststoretype PKCS12",
        ),
    ),
    // "-----BEGIN" in base64, as in a Kubernetes Secret.
    (b"LS0tLS1CRUdJT", format("PEM in a second layer of base64", "base64 -d IN > OUT")),
];

/// By the label of a PEM block.
const LABELS: [(&str, ForeignFormat); 7] = [
    ("PKCS7", format("a PKCS#7 bundle, not single certificates", "openssl pkcs7 -in IN -print_certs -out OUT")),
    ("CMS", format("a PKCS#7 bundle, not single certificates", "openssl pkcs7 -in IN -print_certs -out OUT")),
    ("TRUSTED CERTIFICATE", format("an OpenSSL trusted certificate", "openssl x509 -in IN -out OUT")),
    ("ENCRYPTED PRIVATE KEY", format("an encrypted private key", "openssl pkey -in IN -out OUT")),
    ("OPENSSH PRIVATE KEY", format("a private key in OpenSSH's format", "ssh-keygen -p -m PKCS8 -f IN")),
    (
        "CERTIFICATE REQUEST",
        format("a certificate request, which an authority has yet to sign", "openssl req -in IN -noout -text"),
    ),
    ("PUBLIC KEY", format("a public key alone", "openssl pkey -pubin -in IN -noout -text")),
];

/// A file's format, if it is a known one that this program does not read.
pub fn of(bytes: &[u8]) -> Option<ForeignFormat> {
    let container = CONTAINERS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
    container.map(|(_, format)| *format).or_else(|| of_der(bytes)).or_else(|| of_pem(bytes))
}

fn of_pem(bytes: &[u8]) -> Option<ForeignFormat> {
    let text = String::from_utf8_lossy(bytes);
    // An old encrypted key says so behind its first line (RFC 1421).
    if text.contains("-----BEGIN") && text.contains("Proc-Type: 4,ENCRYPTED") {
        return Some(format("an encrypted private key", "openssl pkey -in IN -out OUT"));
    }
    LABELS.iter().find(|(label, _)| text.contains(&format!("-----BEGIN {label}-----"))).map(|(_, format)| *format)
}

/// Each of these is a SEQUENCE; its first element identifies the format (RFC 5280, 2315, 7292, 5958, 8017, 5915).
fn of_der(bytes: &[u8]) -> Option<ForeignFormat> {
    const INTEGER: u8 = 0x02;
    const OCTET_STRING: u8 = 0x04;
    const OBJECT: u8 = 0x06;
    const SEQUENCE: u8 = 0x30;
    const EXPLICIT: u8 = 0xA0;
    let content = value_of(SEQUENCE, bytes)?;
    match *content.first()? {
        OBJECT => Some(PKCS7),
        INTEGER => match (content.get(..3)?, *content.get(3)?) {
            ([_, 1, 3], SEQUENCE) => Some(PKCS12),
            ([_, 1, 0 | 1], SEQUENCE | INTEGER | OCTET_STRING) => Some(KEY),
            _ => None,
        },
        SEQUENCE => match *value_of(SEQUENCE, content)? {
            // An encryption algorithm of PKCS#5 or PKCS#12.
            [OBJECT, _, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 5 | 12, ..] => Some(ENCRYPTED_KEY),
            [INTEGER | EXPLICIT, ..] => Some(CERTIFICATE),
            _ => None,
        },
        _ => None,
    }
}

/// The value after this tag and its length.
fn value_of(tag: u8, bytes: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let length_bytes = if length & 0x80 == 0 { 0 } else { usize::from(length & 0x7F) };
    rest.get(length_bytes..).filter(|_| first == tag && length_bytes <= 4)
}

impl ForeignFormat {
    /// The command that makes PEM of it, ready to be run. It writes to a name that only this file would lead to.
    pub fn command(&self, path: &Path) -> String {
        let name = |path: &Path| quoted_word(&path.to_string_lossy());
        let words = self.command.split(' ').map(|word| match word {
            "IN" => name(path),
            "OUT" => name(&sibling(path, ".pem")),
            "OUT.p12" => name(&sibling(path, ".p12")),
            word => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_formats_by_their_first_bytes() {
        for (bytes, what) in [
            (&b"\x30\x82\x01\x00\x30\x81\xF0\xA0\x03\x02\x01\x02"[..], Some("a DER certificate, not PEM")),
            (b"\x30\x30\x30\x20\x02\x01\x07", Some("a DER certificate, not PEM")),
            (b"\x30\x82\x01\x00\x06\x09\x2A", Some("a PKCS#7 bundle in DER, not PEM certificates")),
            (b"\x30\x82\x01\x00\x02\x01\x03\x30", Some("a PKCS#12 container (.p12, .pfx), not PEM")),
            (b"\x30\x80\x02\x01\x03\x30", Some("a PKCS#12 container (.p12, .pfx), not PEM")),
            (b"\x30\x81\x87\x02\x01\x00\x30", Some("a DER private key, not PEM")),
            (b"\x30\x82\x04\xA4\x02\x01\x00\x02\x82", Some("a DER private key, not PEM")),
            (b"\x30\x77\x02\x01\x01\x04\x20", Some("a DER private key, not PEM")),
            (
                b"\x30\x82\x01\x00\x30\x40\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0D",
                Some("an encrypted DER private key, not PEM"),
            ),
            (b"\x30\x59\x30\x13\x06\x07\x2A\x86\x48\xCE\x3D\x02\x01", None),
            (b"\xFE\xED\xFE\xED\0\0", Some("a Java keystore, not PEM")),
            (b"LS0tLS1CRUdJTiBDRVJU", Some("PEM in a second layer of base64")),
            (b"-----BEGIN PKCS7-----\n", Some("a PKCS#7 bundle, not single certificates")),
            (b"x\n-----BEGIN TRUSTED CERTIFICATE-----\n", Some("an OpenSSL trusted certificate")),
            (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", Some("an encrypted private key")),
            (b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", Some("an encrypted private key")),
            (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", Some("a private key in OpenSSH's format")),
            (b"-----BEGIN CERTIFICATE-----\n", None),
            (b"0 is the first letter of this text", None),
            (b"\x30", None),
            (b"\x30\x84\xFF", None),
            (b"", None),
        ] {
            assert_eq!(of(bytes).map(|format| format.what), what, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_command_names_the_files() {
        for (path, command) in [
            ("ca.der", "openssl x509 -inform DER -in ca.der -out ca.der.pem"),
            ("ca.pem", "openssl x509 -inform DER -in ca.pem -out ca.pem.pem"),
        ] {
            assert_eq!(CERTIFICATE.command(Path::new(path)), command);
        }
        let (input, output) = (quoted_word("a $b/ca"), quoted_word("a $b/ca.pem"));
        let command = format!("openssl x509 -inform DER -in {input} -out {output}");
        assert_eq!(CERTIFICATE.command(Path::new("a $b/ca")), command);
    }
}
