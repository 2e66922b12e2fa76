//! Against a token endpoint that nobody here wrote: the npm package `oidc-provider`, a certified
//! authorization server.
//!
//! `tests/oidc-provider/server.mjs` runs it, and fetches the first token response by the whole
//! authorization code flow; npm installs it into a scratch folder, once, from a lock file. What the
//! program then meets is real: Basic credentials that are decoded as RFC 6749 says and refused if they
//! are not encoded so, rotation with every refresh, the end of the family when a spent token comes
//! back, and refusals in the server's own words.
//!
//! The client secrets hold what needs encoding. This server takes no secret beyond ASCII; cases show
//! that with servers of ours.

use crate::kit::{self, Outcome, Program, TOKEN_FILE, Workspace};
use crate::login;
use crate::tools;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

const SECRET: &str = ":+%&=/ Canary7~\"";
const BASIC: &str = "client_secret_basic";
const RAW: &str = "client_secret_basic_raw";
const POST: &str = "client_secret_post";
const PUBLIC: &str = "none";

/// The server's process, which writes one line for each that it is given.
struct OidcProvider {
    process: Child,
    commands: ChildStdin,
    responses: BufReader<ChildStdout>,
    port: u64,
}

impl OidcProvider {
    fn start() -> Option<OidcProvider> {
        let node = tools::find("node")?;
        tools::find("npm")?;
        let directory = INSTALLED.as_ref().map_err(|why| tools::missing(why)).ok()?;
        let mut command = Command::new(node);
        command.arg("server.mjs").current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.stderr(Stdio::null()).spawn().expect("start node");
        let commands = process.stdin.take().expect("it is piped");
        let responses = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut server = OidcProvider { process, commands, responses, port: 0 };
        let (cert, key) = kit::authority().server_pem(&["localhost", "127.0.0.1", "::1"]);
        let client = |method: &str| json!({"id": format!("{method} & more"), "secret": SECRET, "method": method});
        let public = json!({"id": format!("{PUBLIC} & more"), "method": PUBLIC});
        let clients = [client(BASIC), client(POST), public];
        let setup = json!({"key": key, "cert": cert, "ca": kit::authority().pem(), "clients": clients});
        server.port = server.ask(&setup)["port"].as_u64().expect("a port");
        Some(server)
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.commands, "{command}").expect("give the server a command");
        let mut response = String::new();
        self.responses.read_line(&mut response).expect("read the server's response");
        serde_json::from_str(&response).unwrap_or_else(|error| panic!("{command}: {error}: {response}"))
    }

    /// A workspace with the token file as it is after a login of this client.
    fn log_in(&mut self, name: &str, method: &str) -> Workspace {
        let response = self.ask(&json!({"login": format!("{method} & more")}));
        let mut workspace = Workspace::new(name);
        workspace.give(TOKEN_FILE, response.to_string());
        workspace
    }

    fn program<'w>(&self, workspace: &'w Workspace, method: &str, secret: &str) -> Program<'w> {
        workspace
            .program()
            .environment("DOCUSIGN_TOKEN_ENDPOINT", format!("https://localhost:{}/token", self.port))
            .environment("DOCUSIGN_CLIENT_ID", format!("{method} & more"))
            .environment("DOCUSIGN_CLIENT_SECRET", secret)
            .environment("SSL_CERT_FILE", workspace.ca_file())
            .args(["--verbose", "--client-auth", method])
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder in which npm has installed what the lock file names, or why it has not.
static INSTALLED: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oidc-provider");
    fs::create_dir_all(&to).expect("make a scratch folder");
    let lock = to.join("package-lock.json");
    let is_new = fs::read(&lock).ok() != fs::read(from.join("package-lock.json")).ok();
    for name in ["package.json", "package-lock.json", "server.mjs"] {
        fs::copy(from.join(name), to.join(name)).expect("copy a file into the scratch folder");
    }
    if is_new || !to.join("node_modules/oidc-provider").is_dir() {
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        let output = Command::new("npm").args(arguments).current_dir(&to).output().expect("run npm");
        if !output.status.success() {
            let _ = fs::remove_file(lock);
            return Err(format!("npm can't install oidc-provider: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    Ok(to)
});

fn stored(workspace: &Workspace) -> Value {
    serde_json::from_slice(&workspace.read(TOKEN_FILE)).expect("the token file is JSON")
}

/// The tokens of this server hold no canary, so they are looked for one by one.
fn run(program: Program<'_>, tokens: &Value, exit: i32) -> Outcome {
    let outcome = program.run().expect_exit(exit);
    let texts = ["access_token", "refresh_token", "id_token"].into_iter().filter_map(|name| tokens[name].as_str());
    for text in texts {
        assert!(!outcome.stderr().contains(text), "{}", outcome.report(&["a token is shown".into()]));
    }
    outcome
}

fn expect(outcome: &Outcome, text: &str) {
    assert!(outcome.stderr().contains(text), "{}", outcome.report(&[format!("wanted `{text}`")]));
}

#[test]
fn a_certified_server_rotates_and_punishes_and_is_understood() {
    let Some(mut server) = OidcProvider::start() else { return };
    for method in [BASIC, POST] {
        let workspace = server.log_in(method, method);
        let first = stored(&workspace);
        let mut spent = vec![first["refresh_token"].clone()];
        for _ in 0..3 {
            let outcome = run(server.program(&workspace, method, SECRET), &stored(&workspace), 0);
            expect(&outcome, "refreshed; the access token is valid for 1h; the refresh token was rotated");
            let now = stored(&workspace);
            assert!(!spent.contains(&now["refresh_token"]) && now["access_token"] != first["access_token"]);
            assert_eq!((&now["scope"], &now["token_type"]), (&first["scope"], &first["token_type"]));
            spent.push(now["refresh_token"].clone());
        }

        // A wrong secret spends nothing.
        let outcome = run(server.program(&workspace, method, "Canary7-wrong"), &first, 78);
        expect(&outcome, "the server says \"invalid_client\"");
        expect(&run(server.program(&workspace, method, SECRET), &stored(&workspace), 0), "rotated");

        // A spent token is the end of its whole family.
        let last = workspace.read(TOKEN_FILE);
        fs::write(workspace.path(TOKEN_FILE), first.to_string()).expect("put the first token back");
        expect(&run(server.program(&workspace, method, SECRET), &first, 77), "invalid_grant");
        fs::write(workspace.path(TOKEN_FILE), last).expect("put the last token back");
        expect(&run(server.program(&workspace, method, SECRET), &stored(&workspace), 77), "invalid_grant");
    }
}

#[test]
fn a_revoked_token_is_dead() {
    let Some(mut server) = OidcProvider::start() else { return };
    let workspace = server.log_in("revoked", BASIC);
    let tokens = stored(&workspace);
    let status = server.ask(&json!({"revoke": tokens["refresh_token"], "client": format!("{BASIC} & more")}));
    assert_eq!(status, 200);
    let outcome = run(server.program(&workspace, BASIC, SECRET), &tokens, 77);
    expect(&outcome, "hint: to log in again, run: docusign-refresh login --token-endpoint https://localhost:");
    assert_eq!(stored(&workspace), tokens);
}

/// A server that decodes takes what was not encoded for a malformed request.
#[test]
fn the_raw_form_of_basic_is_not_for_this_server() {
    let Some(mut server) = OidcProvider::start() else { return };
    let workspace = server.log_in("raw", BASIC);
    let tokens = stored(&workspace);
    let outcome = run(server.program(&workspace, BASIC, SECRET).environment("DOCUSIGN_CLIENT_AUTH", RAW), &tokens, 0);
    expect(&outcome, "rotated");
    let raw = server.program(&workspace, RAW, SECRET).environment("DOCUSIGN_CLIENT_ID", format!("{BASIC} & more"));
    let outcome = run(raw, &stored(&workspace), 78);
    expect(&outcome, "the server says");
    expect(&run(server.program(&workspace, BASIC, SECRET), &stored(&workspace), 0), "rotated");
}

/// The words of a login at this server.
fn login_at(server: &OidcProvider) -> [String; 5] {
    let endpoint = format!("https://localhost:{}/auth?prompt=consent", server.port);
    ["login", "--scope", "openid offline_access", "--authorization-endpoint", &endpoint].map(str::to_owned)
}

/// PKCE is required here; the tokens are then refreshed. A public client has nothing but PKCE.
#[test]
fn a_login_with_pkce_gets_tokens_that_can_be_refreshed() {
    let Some(mut server) = OidcProvider::start() else { return };
    for (method, secret) in [(BASIC, Some(SECRET)), (POST, Some(SECRET)), (PUBLIC, None)] {
        let workspace = Workspace::new("oidc-login");
        let program = |words: &[String]| {
            let program = server.program(&workspace, method, secret.unwrap_or_default());
            program.args(words)
        };
        let (running, mut stdin) = program(&login_at(&server)).start_with_open_stdin();
        let address = login::printed_address(&running);
        let redirected = server.ask(&json!({"browse": address}));
        writeln!(stdin, "{}", redirected.as_str().expect("an address")).expect("paste the address");
        let outcome = running.wait().expect_exit(0);
        expect(&outcome, "logged in; the access token is valid for 1h");
        let first = stored(&workspace);
        assert!(first["refresh_token"].is_string() && first["access_token"].is_string(), "{first}");
        for token in ["refresh_token", "access_token", "id_token"] {
            let token = first[token].as_str().expect("a token");
            assert!(!outcome.stderr().contains(token), "{}", outcome.report(&["a token is shown".into()]));
        }
        let refreshed = run(server.program(&workspace, method, secret.unwrap_or_default()), &first, 0);
        expect(&refreshed, "refreshed; the access token is valid for 1h");
    }
}

#[test]
fn a_login_that_is_declined_says_so_in_the_servers_words() {
    let Some(mut server) = OidcProvider::start() else { return };
    let workspace = Workspace::new("oidc-declined");
    let program = server.program(&workspace, BASIC, SECRET).args(login_at(&server));
    let (running, mut stdin) = program.start_with_open_stdin();
    let address = login::printed_address(&running);
    let redirected = server.ask(&json!({"browse": address, "decline": true}));
    writeln!(stdin, "{}", redirected.as_str().expect("an address")).expect("paste the address");
    let outcome = running.wait().expect_exit(77);
    expect(&outcome, "not logged in: the server says \"access_denied\": \"End-User aborted interaction\"");
    assert!(!outcome.files.contains_key(TOKEN_FILE));
}
