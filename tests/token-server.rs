//! The token server of `make demo`: `token-server DIRECTORY`.
//!
//! Serves an authorization endpoint and a rotating token endpoint on a loopback port, and leaves in
//! DIRECTORY what a user of it has: `ca.pem`, the certificate to trust; `client-id` and `client-secret`. When
//! all that is there and the port is open it prints two lines on standard output, the URLs of the authorization
//! endpoint and of the token endpoint. Each request is one line on standard error, without a secret in it.
//!
//! It is also the browser of the demo: for each address on its standard input, it does what a human does who
//! opens it and allows the login, and prints the address to which the browser is sent. It runs until
//! its standard input ends, so that it can't be left behind by whoever started it.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "for whoever runs the demo")]

#[expect(dead_code, unused_imports, reason = "the rest is for the suite")]
mod token_server;

use std::io::{self, Write};
use std::path::Path;
use std::{env, fs, process};
use token_server::{Authority, Authorization, Client, Decision, Leaf, Rotation, Script, Step, TokenServer};

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1) else {
        eprintln!("usage: token-server DIRECTORY");
        process::exit(64);
    };
    let directory = Path::new(&directory);
    let client = Client {
        id: "7c2b8d7e-41e8-4b9c-a5d2-1f0e6c3b9a84".to_owned(),
        secret: "Canary7~b0e3d6f1-8a57-4c92-9d1e-3f64a7c85b20".to_owned(),
    };
    let authority = Authority::new("Token server of the demo");
    let authorization = Authorization::new(&Rotation::new(client.clone()), "http://localhost/");
    authority.write_pem(&directory.join("ca.pem"));
    fs::write(directory.join("client-id"), client.id)?;
    fs::write(directory.join("client-secret"), client.secret)?;

    let handle = authorization.clone();
    let respond_and_log = Step::responding(move |request| {
        let response = handle.respond(request);
        let status = response.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let status = String::from_utf8_lossy(status);
        let path = request.target().split('?').next().unwrap_or_default();
        let grant = request.parameter("grant_type").map(|grant| format!(" ({grant})")).unwrap_or_default();
        eprintln!("token-server: {} {path}{grant}: {status}", request.method());
        response
    });
    let server = TokenServer::start(authority.protect(Leaf::Localhost), Script::always(respond_and_log));
    let mut stdout = io::stdout();
    writeln!(stdout, "{}\n{}", server.authorization_endpoint(), server.endpoint())?;
    stdout.flush()?;

    for address in io::stdin().lines() {
        let redirected = authorization.browse(&address?, Decision::Allow);
        writeln!(stdout, "{}", redirected.unwrap_or_default())?;
        stdout.flush()?;
    }
    Ok(())
}
