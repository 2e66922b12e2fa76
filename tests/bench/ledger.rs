//! The server of the benchmark, and its book of who refreshed what.
//!
//! It is the suite's token server, with one family of rotating tokens for each token file: a file
//! of the number N is granted `refresh-N-0`, and each refresh spends a token and issues the next.
//! A spent or unknown token is refused, and counted. So whether a run did its work is not believed
//! but looked up: [`TokenFile::verify`] demands that since the last look the server was asked once,
//! refused nothing, and that the file holds the newest refresh token and access token.

use crate::token_server::{Authority, Leaf, PATH, Relay, Request, Script, Step, TokenServer, json_response};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const CLIENT_ID: &str = "5f2a7c1e-0d2b-4b6e-9a53-3c1d2e4f5a6b";
const CLIENT_SECRET: &str = "b0e3d6f1-8a57-4c92-9d1e-3f64a7c85b20";

/// In the ledger's directory: the server's authority by itself, and among all that Debian trusts.
pub const CA_FILE: &str = "ca.pem";
pub const ALL_ROOTS: &str = "all-roots.pem";

/// From the package ca-certificates.
pub const DEBIANS_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What the server knows of one token file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Family {
    generation: usize,
    refusals: usize,
}

type Book = Arc<Mutex<BTreeMap<usize, Family>>>;

pub struct Ledger {
    server: TokenServer,
    book: Book,
    directory: PathBuf,
}

impl Ledger {
    /// Serves, and keeps its certificate and the token files in this directory, which is its own.
    pub fn open(directory: &Path) -> Ledger {
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).expect("make a directory for the token files");
        let authority = Authority::new("Token server of the benchmark");
        authority.write_pem(&directory.join(CA_FILE));
        let bundle = fs::read_to_string(DEBIANS_ROOTS).unwrap_or_default();
        fs::write(directory.join(ALL_ROOTS), bundle + &authority.pem()).expect("write all roots");
        let book = Book::default();
        let step = {
            let book = Arc::clone(&book);
            Step::responding(move |request| respond(&book, request))
        };
        let server = TokenServer::start(authority.protect(Leaf::Localhost), Script::always(step));
        Ledger { server, book, directory: directory.to_owned() }
    }

    /// The token endpoint, or the same one behind a relay.
    pub fn endpoint(&self, relay: Option<&Relay>) -> String {
        let port = relay.map_or(self.server.port(), Relay::port);
        format!("https://localhost:{port}{PATH}")
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// What every peer is told, each by the variables that it or its library reads.
    pub fn environment(&self, endpoint: &str) -> Vec<(&'static str, String)> {
        let ca_file = self.directory.join(CA_FILE).display().to_string();
        vec![
            ("DOCUSIGN_TOKEN_ENDPOINT", endpoint.to_owned()),
            ("DOCUSIGN_CLIENT_ID", CLIENT_ID.to_owned()),
            ("DOCUSIGN_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("SSL_CERT_FILE", ca_file.clone()),
            ("NODE_EXTRA_CA_CERTS", ca_file),
        ]
    }

    /// A new token file, with further members if `more` holds any, each with a comma before it.
    pub fn grant(&self, more: &str) -> TokenFile<'_> {
        let number = {
            let mut book = lock(&self.book);
            let number = book.len();
            book.insert(number, Family::default());
            number
        };
        let path = self.directory.join(format!("{number}.json"));
        let members = response(number, 0).trim_matches(['{', '}']).replace(',', ",\n  ");
        fs::write(&path, format!("{{\n  {members}{more}\n}}\n")).expect("write a token file");
        TokenFile { ledger: self, number, path, seen: Family::default() }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A token file, and what of its family was seen at the last look.
pub struct TokenFile<'l> {
    ledger: &'l Ledger,
    number: usize,
    pub path: PathBuf,
    seen: Family,
}

impl TokenFile<'_> {
    /// Whether the last run refreshed once and stored what it got. See the module's head.
    pub fn verify(&mut self) -> Result<(), String> {
        let now = lock(&self.ledger.book)[&self.number];
        let before = std::mem::replace(&mut self.seen, now);
        let (refreshes, refusals) = (now.generation - before.generation, now.refusals - before.refusals);
        if (refreshes, refusals) != (1, 0) {
            return Err(format!("it refreshed {refreshes} times and was refused {refusals} times"));
        }
        let text = fs::read(&self.path).map_err(|error| error.to_string())?;
        let stored: serde_json::Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        for kind in ["refresh", "access"] {
            if stored[format!("{kind}_token")] != token(kind, self.number, now.generation) {
                return Err(format!("it did not store the new {kind} token"));
            }
        }
        Ok(())
    }
}

impl Drop for TokenFile<'_> {
    fn drop(&mut self) {
        for suffix in ["", ".lock"] {
            let _ = fs::remove_file(format!("{}{suffix}", self.path.display()));
        }
    }
}

fn respond(book: &Book, request: &Request) -> Vec<u8> {
    let is_client = request.basic().as_deref() == Some(&format!("{CLIENT_ID}:{CLIENT_SECRET}"))
        || request.basic().as_deref() == Some(&format!("{CLIENT_ID}:{CLIENT_SECRET}").replace('-', "%2D"));
    let is_refresh = request.parameter("grant_type").as_deref() == Some("refresh_token");
    let presented = request.parameter("refresh_token").unwrap_or_default();
    let number = presented.split('-').nth(1).and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
    let mut book = lock(book);
    let Some(family) = book.get_mut(&number) else {
        return json_response("400 Bad Request", r#"{"error":"invalid_grant"}"#);
    };
    if !is_client || !is_refresh || presented != token("refresh", number, family.generation) {
        family.refusals += 1;
        return json_response("400 Bad Request", r#"{"error":"invalid_grant"}"#);
    }
    family.generation += 1;
    json_response("200 OK", &response(number, family.generation))
}

fn token(kind: &str, number: usize, generation: usize) -> String {
    format!("{kind}-{number}-{generation}")
}

/// The four members that Docusign sends, in its order.
fn response(number: usize, generation: usize) -> String {
    format!(
        r#"{{"access_token":"{}","token_type":"Bearer","refresh_token":"{}","expires_in":28800}}"#,
        token("access", number, generation),
        token("refresh", number, generation),
    )
}

fn lock(book: &Book) -> MutexGuard<'_, BTreeMap<usize, Family>> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
