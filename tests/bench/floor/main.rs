//! The floor: one POST over rustls, and its answer written to the token file.
//!
//! There is no parser, no lock, no sync and no error message in it. The refresh token is what stands
//! between the quotes; the answer's body becomes the file.

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::var("DOCUSIGN_TOKEN_FILE")?;
    let stored = fs::read_to_string(&file)?;
    let after = stored.split_once("\"refresh_token\"").ok_or("no refresh token")?.1;
    let refresh_token = after.split('"').nth(1).ok_or("no refresh token")?;

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(env::var("SSL_CERT_FILE")?)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let endpoint = env::var("DOCUSIGN_TOKEN_ENDPOINT")?;
    let (authority, path) = endpoint[8..].split_once('/').ok_or("no path")?;
    let host = authority.split(':').next().unwrap_or(authority).to_owned();
    let tls = ClientConnection::new(Arc::new(config), ServerName::try_from(host)?)?;
    let mut wire = StreamOwned::new(tls, TcpStream::connect(authority)?);

    let body = format!("grant_type=refresh_token&refresh_token={refresh_token}");
    let credentials = base64(&format!("{}:{}", env::var("DOCUSIGN_CLIENT_ID")?, env::var("DOCUSIGN_CLIENT_SECRET")?));
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Basic {credentials}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    wire.write_all(request.as_bytes())?;
    let mut answer = String::new();
    wire.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(head.into());
    }
    fs::write(file, body)?;
    Ok(())
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            encoded.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[index as usize]) });
        }
    }
    encoded
}
