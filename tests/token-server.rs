//! The token server of `make demo`: `token-server DIRECTORY`.
//!
//! Serves a rotating token endpoint on a loopback port and leaves in DIRECTORY what a user of
//! it has: `ca.pem`, the certificate to trust; `client-id` and `client-secret`; `docusign.json`,
//! the token file as it is after a login. When all that is there and the port is open it prints
//! one line on standard output, the endpoint's URL. Each request is one line on standard error,
//! without a secret in it. It runs until its standard input ends, so that it can't be left
//! behind by whoever started it.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "for whoever runs the demo")]

#[expect(dead_code, unused_imports, reason = "the rest is for the suite")]
mod token_server;

use std::io::{self, Write};
use std::path::Path;
use std::{env, fs, process};
use token_server::{Authority, Client, Leaf, Rotation, Script, Step, TokenServer};

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
    let rotation = Rotation::new(client.clone());
    authority.write_pem(&directory.join("ca.pem"));
    fs::write(directory.join("client-id"), client.id)?;
    fs::write(directory.join("client-secret"), client.secret)?;
    fs::write(directory.join("docusign.json"), rotation.first_token_file())?;

    let answer_and_log = Step::answer(move |request| {
        let reply = rotation.answer(request);
        let status = reply.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let status = String::from_utf8_lossy(status);
        eprintln!("token-server: {} {}: {status}", request.method(), request.target());
        reply
    });
    let server = TokenServer::start(authority.protect(Leaf::Localhost), Script::always(answer_and_log));
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", server.endpoint())?;
    stdout.flush()?;

    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
