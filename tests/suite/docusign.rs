//! Docusign itself: its two hosts under their own names, its refusals, and what a person is told to do.
//!
//! No packet goes there. A proxy on the loopback interface leads both names to a server of ours, whose
//! certificate is for them; the program does what it does in production, `--environment` included.
//!
//! Docusign reports faults of the client inside `invalid_grant`, so the description
//! decides who must act. Exit code 77 comes with the command by which a human logs in again, ready to be
//! pasted, for this environment, client and token file, without a secret in it. Of a login, all endpoints are known.

use crate::kit::{self, CLIENT_ID, Outcome, TOKEN_FILE, Workspace};
use crate::login;
use crate::token_server::{Authorization, Decision, Leaf, PATH, Script, Step, Terms, TokenServer, json_response};
use std::io::Write as _;
use std::net::Ipv4Addr;

const DEMO: &str = "account-d.docusign.com";
const PRODUCTION: &str = "account.docusign.com";

fn refused(environment: &str, host: &str, status: &str, body: &str) -> Outcome {
    let protection = kit::tls_on(Terms::new(Leaf::Localhost).names(&[DEMO, PRODUCTION]));
    let server = TokenServer::start(protection, Script::always(Step::response(json_response(status, body))));
    let tunnel = Step::tunnel_to((Ipv4Addr::LOCALHOST, server.port()).into());
    let proxy = TokenServer::start(crate::token_server::Protection::None, Script::always(tunnel));
    let workspace = Workspace::after_login("docusign");
    let outcome = workspace
        .program()
        .refreshing_at(&server)
        .without("DOCUSIGN_TOKEN_ENDPOINT")
        .environment("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port()))
        .environment("DOCUSIGN_ENVIRONMENT", environment)
        .run();
    assert!(proxy.finish().requests[0].line.contains(&format!(" {host}:443 ")), "{}", outcome.report(&[]));
    let record = server.finish();
    assert_eq!(record.server_names, [Some(host.to_owned())]);
    let request = &record.requests[0];
    assert_eq!((request.target(), request.field("Host")), (PATH, Some(host)), "{}", outcome.report(&[]));
    outcome
}

fn expect(outcome: Outcome, exit: i32, texts: &[&str]) {
    let stderr = outcome.stderr();
    let faults: Vec<String> =
        texts.iter().filter(|text| !stderr.contains(**text)).map(|text| format!("wanted `{text}`")).collect();
    assert!(faults.is_empty() && outcome.status.code() == Some(exit), "wanted {exit}: {}", outcome.report(&faults));
}

#[test]
fn a_dead_token_comes_with_the_command_that_gets_a_new_one() {
    for (given, host, environment, other) in [
        ("", DEMO, "demo", "production"),
        ("demo", DEMO, "demo", "production"),
        ("production", PRODUCTION, "production", "demo"),
    ] {
        let command = format!(
            "hint: to log in again, run: docusign-refresh login --environment {environment} --client-id {CLIENT_ID} "
        );
        for body in [
            r#"{"error":"invalid_grant"}"#,
            r#"{"error":"invalid_grant","error_description":"The refresh token has expired"}"#,
            r#"{"error":"interaction_required"}"#,
            r#"{"error":"consent_required"}"#,
            r#"{"error":"login_required"}"#,
        ] {
            let outcome = refused(given, host, "400 Bad Request", body);
            let other = format!("belongs to --environment {other}");
            expect(
                outcome,
                77,
                &[&command, "/work/docusign.json\n", &other, "30 days", "extended", "DOCUSIGN_CLIENT_SECRET"],
            );
        }
    }
}

#[test]
fn a_fault_of_the_client_is_a_setting() {
    let client = ["--client-id", "secret", "swapped", "--environment"];
    let request: [&str; 1] = ["--param"];
    for (status, body, texts) in [
        (
            "400 Bad Request",
            r#"{"error":"invalid_grant","error_description":"unauthorized_client"}"#,
            client.as_slice(),
        ),
        ("400 Bad Request", r#"{"error":"invalid_grant","error_description":"expired_client_token"}"#, &client),
        ("400 Bad Request", r#"{"error":"invalid_grant","error_description":"unsupported_grant_type"}"#, &client),
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#, &client),
        ("400 Bad Request", r#"{"error":"unauthorized_client"}"#, &client),
        ("400 Bad Request", r#"{"error":"invalid_request"}"#, &request),
        ("400 Bad Request", r#"{"error":"invalid_scope"}"#, &request),
    ] {
        expect(refused("demo", DEMO, status, body), 78, texts);
    }
}

/// What its support asks for.
#[test]
fn a_reference_is_shown() {
    let body = r#"{"error":"internal_server_error","reference_id":"3f1e2d4c-0000-4000-8000-0123456789ab"}"#;
    expect(
        refused("demo", DEMO, "401 Unauthorized", body),
        78,
        &["\"internal_server_error\" (reference_id 3f1e2d4c-0000-4000-8000-0123456789ab)"],
    );
}

#[test]
fn a_login_knows_all_endpoints_of_its_environment() {
    for (environment, host) in [("demo", DEMO), ("production", PRODUCTION)] {
        let rotation = kit::rotation();
        let authorization = Authorization::new(&rotation, "http://localhost/");
        let protection = kit::tls_on(Terms::new(Leaf::Localhost).names(&[DEMO, PRODUCTION]));
        let server = TokenServer::start(protection, Script::always(authorization.step()));
        let tunnel = Step::tunnel_to((Ipv4Addr::LOCALHOST, server.port()).into());
        let proxy = TokenServer::start(crate::token_server::Protection::None, Script::always(tunnel));
        let workspace = Workspace::new("docusign-login");
        let (running, mut stdin) = workspace
            .program()
            .refreshing_at(&server)
            .without("DOCUSIGN_TOKEN_ENDPOINT")
            .environment("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port()))
            .args(["login", "--environment", environment, "--userinfo"])
            .start_with_open_stdin();
        let address = login::printed_address(&running);
        let start =
            format!("https://{host}/oauth/auth?response_type=code&scope=signature%20extended&client_id={CLIENT_ID}&");
        assert!(address.starts_with(&start), "{address}");
        let redirected = authorization.browse(&address, Decision::Allow).expect("the browser is sent back");
        writeln!(stdin, "{redirected}").expect("paste the address");
        running.wait().expect_exit(0);
        let requests = server.finish().requests;
        let seen: Vec<_> = requests.iter().map(|request| (request.target(), request.field("Host"))).collect();
        assert_eq!(seen, [(PATH, Some(host)), ("/oauth/userinfo", Some(host))]);
        assert!(String::from_utf8_lossy(&workspace.read(TOKEN_FILE)).contains("\"base_uri\""));
    }
}
