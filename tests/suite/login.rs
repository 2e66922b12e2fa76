//! The login: an address out, a line in, one POST, and the tokens in the file.
//!
//! The server is `token_server::Authorization`, which demands PKCE, the registered redirect URI, and a code that
//! is new. The browser is its `browse`. Everything the program must not show of a login (the code, the verifier,
//! and, outside of the address, the state) is looked for in all that it leaves behind.

use crate::kit::{self, Outcome, Program, Running, System, TOKEN_FILE, Workspace};
use crate::token_server::{
    Authorization, Decision, Record, Request, Rotation, Script, Step, TokenServer, json_response,
};
#[cfg(target_os = "linux")]
use crate::{held_signals, needs::Need};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
#[cfg(target_os = "linux")]
use std::os::unix::process::ExitStatusExt as _;
use std::process::ChildStdin;
use std::time::Duration;

pub const REDIRECT_URI: &str = "http://localhost/";
const CODE: &str = "Canary7~code";

/// The address that a login prints, once it has.
pub fn printed_address(running: &Running<'_>) -> String {
    running.await_line("https://")
}

/// A place to log in from, and a server to log in at.
struct Stage {
    workspace: Workspace,
    rotation: Rotation,
    authorization: Authorization,
    server: TokenServer,
}

impl Stage {
    fn new(name: &str) -> Stage {
        let rotation = kit::rotation();
        Stage::of(name, Authorization::new(&rotation, REDIRECT_URI), rotation)
    }

    fn of(name: &str, authorization: Authorization, rotation: Rotation) -> Stage {
        let script = Script::always(authorization.step());
        Stage { workspace: Workspace::new(name), rotation, authorization, server: kit::serve(script) }
    }

    /// A server that takes any code and does this.
    fn scripted(name: &str, script: Script) -> Stage {
        Stage { server: kit::serve(script), ..Stage::new(name) }
    }

    fn refresh(&self) -> Program<'_> {
        self.workspace.program().refreshing_at(&self.server)
    }

    fn login(&self) -> Program<'_> {
        let endpoint = self.server.authorization_endpoint();
        self.refresh().args(["login", "--authorization-endpoint", &endpoint])
    }

    fn start(&self) -> (Running<'_>, ChildStdin) {
        self.login().start_with_open_stdin()
    }

    /// Logs in as a human does.
    fn log_in(&self) -> Outcome {
        let (running, stdin) = self.start();
        let redirected = self.browse(&running, Decision::Allow);
        paste(running, stdin, &redirected)
    }

    fn browse(&self, running: &Running<'_>, decision: Decision) -> String {
        let address = printed_address(running);
        self.authorization.browse(&address, decision).expect("the browser is sent back")
    }

    /// A login whose line is a code alone.
    fn log_in_with(&self, code: &str) -> Outcome {
        self.login().stdin(format!("{code}\n")).run()
    }

    fn stored(&self) -> Value {
        serde_json::from_slice(&self.workspace.read(TOKEN_FILE)).expect("the token file is JSON")
    }
}

fn paste(running: Running<'_>, mut stdin: ChildStdin, line: &str) -> Outcome {
    writeln!(stdin, "{line}").expect("paste a line");
    drop(stdin);
    running.wait()
}

/// The value of this parameter in an address.
fn parameter(address: &str, name: &str) -> String {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    percent_decode_str(value.unwrap_or_default()).decode_utf8_lossy().into_owned()
}

fn expect(outcome: &Outcome, text: &str) {
    assert!(outcome.stderr().contains(text), "{}", outcome.report(&[format!("wanted: {text}")]));
}

/// The names of what is in the directory, but for a lock file with nothing in it.
fn names(outcome: &Outcome) -> Vec<&str> {
    let files = outcome.files.iter().filter(|(name, content)| !name.ends_with(".lock") || !content.is_empty());
    files.map(|(name, _)| name.as_str()).collect()
}

fn token_request(record: &Record) -> &Request {
    assert_eq!(record.requests.len(), 1, "{}", kit::report_of(record));
    &record.requests[0]
}

#[test]
fn a_login_makes_a_token_file_that_can_be_refreshed() {
    let stage = Stage::new("login");
    let (running, stdin) = stage.login().args(["--verbose"]).start_with_open_stdin();
    let address = printed_address(&running);
    assert_eq!(parameter(&address, "response_type"), "code");
    assert!(address.contains("&scope=signature%20extended&"), "{address}");
    assert_eq!(parameter(&address, "client_id"), kit::CLIENT_ID);
    assert_eq!(parameter(&address, "redirect_uri"), REDIRECT_URI);
    assert_eq!(parameter(&address, "code_challenge_method"), "S256");
    let state = parameter(&address, "state");
    assert_eq!((state.len(), parameter(&address, "code_challenge").len()), (43, 43));

    let redirected = stage.authorization.browse(&address, Decision::Allow).expect("the browser is sent back");
    let outcome = paste(running, stdin, &redirected).expect_exit(0);
    expect(&outcome, "docusign-refresh: docusign.json: logged in; the access token is valid for 8h\n");
    assert_eq!(names(&outcome), [TOKEN_FILE]);
    assert_eq!(stage.stored()["refresh_token"], stage.rotation.live_refresh_token());
    assert_eq!(mode(&stage).unwrap_or(0o600), 0o600);
    let refreshed = stage.refresh().run().expect_exit(0);
    expect(&refreshed, "refreshed");

    let record = stage.server.finish();
    let request = &record.requests[0];
    let mut form: Vec<_> = request.form().into_iter().map(|(name, _)| name).collect();
    form.sort();
    assert_eq!(form, ["code", "code_verifier", "grant_type", "redirect_uri"]);
    assert_eq!(request.basic(), Some(format!("{}:{}", kit::CLIENT_ID, kit::CLIENT_SECRET)));
    // The canary finds the code. The state stands in the address alone, and the verifier nowhere.
    let verifier = request.parameter("code_verifier").expect("a verifier");
    let shown = outcome.stderr().replace(&address, "") + &outcome.stdout();
    assert!(!shown.contains(&state) && !shown.contains(&verifier), "{}", outcome.report(&[]));
    for (name, content) in &outcome.files {
        let content = String::from_utf8_lossy(content);
        assert!(!content.contains(&state) && !content.contains(&verifier), "{name}: {content}");
    }
}

#[test]
fn each_login_has_an_address_of_its_own() {
    let stage = Stage::new("login-random");
    let addresses: Vec<_> = (0..2)
        .map(|_| {
            let (running, stdin) = stage.start();
            let address = printed_address(&running);
            paste(running, stdin, "");
            address
        })
        .collect();
    for name in ["state", "code_challenge"] {
        assert_ne!(parameter(&addresses[0], name), parameter(&addresses[1], name), "{name}");
    }
}

#[test]
fn options_reach_the_address_and_the_request() {
    let redirect_uri = "com.example.app:/cb?x=1&y";
    let rotation = kit::rotation();
    let stage = Stage::of("login-options", Authorization::new(&rotation, redirect_uri), rotation);
    let endpoint = format!("{}?tenant=a%20b", stage.server.authorization_endpoint());
    let words = ["login", "--scope", "a b+c", "--redirect-uri", redirect_uri, "--authorization-endpoint", &endpoint];
    let words =
        [&words[..], &["--param", "audience=x", "--client-auth", "client_secret_post", "--print", "header"]].concat();
    let (running, stdin) = stage.refresh().args(words).start_with_open_stdin();
    let address = printed_address(&running);
    assert!(address.contains("?tenant=a%20b&response_type=code&scope=a%20b%2Bc&"), "{address}");
    assert_eq!(parameter(&address, "redirect_uri"), redirect_uri);
    let code = "Canary7";
    let outcome = paste(running, stdin, code);
    let record = stage.server.finish();
    let request = token_request(&record);
    let field = |name: &str| request.parameter(name).unwrap_or_default();
    assert_eq!((field("redirect_uri").as_str(), field("audience").as_str()), (redirect_uri, "x"));
    assert_eq!((field("client_id").as_str(), field("code").as_str()), (kit::CLIENT_ID, code));
    assert_eq!(field("client_secret"), kit::CLIENT_SECRET);
    assert_eq!((request.basic(), request.parameter("scope")), (None, None));
    drop(outcome);
}

#[test]
fn a_file_that_is_there_keeps_its_other_members_its_mode_and_its_links() {
    let mut stage = Stage::new("login-again");
    stage.workspace.give(
        "real.json",
        "{\r\n\t\"account\": 1e400,\r\n\t\"refresh_token\": \"Canary7-dead\",\r\n\t\"expires_at\": 1\r\n}\r\n",
    );
    stage.workspace.link(TOKEN_FILE, "real.json");
    #[cfg(unix)]
    set_mode(&stage, 0o640);
    let outcome = stage.log_in().expect_exit(0);
    let text = String::from_utf8(stage.workspace.read("real.json")).expect("UTF-8");
    assert!(text.starts_with("{\r\n\t\"account\": 1e400,\r\n\t\"refresh_token\": \"Canary7~refresh+1"), "{text}");
    assert_eq!(text.matches("expires_at").count(), 1, "{text}");
    assert!(fs::read_link(stage.workspace.path(TOKEN_FILE)).is_ok());
    assert_eq!(mode(&stage).unwrap_or(0o640), 0o640);
    assert_eq!(names(&outcome), [TOKEN_FILE, "real.json"]);
}

/// Files that a human may have made, so that there is something to log in to.
#[test]
fn a_file_without_tokens_is_a_place_for_them() {
    for content in ["", "\n", "{}", "{\"account\": 7}\n", "{\"refresh_token\": \"\"}", "{\"refresh_token\": null}"] {
        let mut stage = Stage::new("login-empty");
        stage.workspace.give(TOKEN_FILE, content);
        stage.log_in().expect_exit(0);
        let stored = stage.stored();
        assert_eq!(stored["refresh_token"], stage.rotation.live_refresh_token(), "{content}");
        assert_eq!(stored.get("account").is_some(), content.contains("account"), "{content}");
    }
}

#[test]
fn what_is_not_a_token_file_is_not_replaced() {
    for (content, exit) in [("[]", 65), ("{", 65), ("{\"a\":1,\"a\":2}", 65), ("a note", 65)] {
        let mut stage = Stage::new("login-other-file");
        stage.workspace.give(TOKEN_FILE, content);
        let outcome = stage.log_in_with(CODE).expect_exit(exit);
        assert!(!outcome.stderr().contains("https://"), "{}", outcome.report(&["an address is printed".into()]));
        assert_eq!((outcome.files[TOKEN_FILE].as_slice(), names(&outcome).len()), (content.as_bytes(), 1));
        assert_eq!(stage.server.finish().connections, 0);
    }
}

#[test]
fn a_place_that_takes_no_file_is_told_before_the_address() {
    for (token_file, exit) in [("missing/docusign.json", 73), (".", 66), ("a-file/docusign.json", 73)] {
        let mut stage = Stage::new("login-nowhere");
        stage.workspace.give("a-file", "");
        let outcome = stage.login().args([token_file]).stdin(format!("{CODE}\n")).run().expect_exit(exit);
        assert!(!outcome.stderr().contains("https://"), "{}", outcome.report(&["an address is printed".into()]));
        expect(&outcome, "hint: ");
        assert_eq!(stage.server.finish().connections, 0);
    }
}

/// Every line that gives no code: exit code, what is said; `$ADDRESS` is what the login printed, `$STATE` its
/// state.
#[test]
fn a_line_without_a_code_sends_nothing_and_leaves_nothing() {
    let table = [
        ("", 65, "no address or code was given"),
        ("  \"\" ", 65, "no address or code was given"),
        ("no thanks", 65, "neither an address nor a code"),
        ("http://localhost/", 65, "the address has no code"),
        ("http://localhost/?state=$STATE", 65, "the address has no code"),
        ("http://localhost/?code=Canary7", 65, "the address was cut off"),
        (
            "http://localhost/?code=Canary7",
            65,
            "hint: the address was broken over several lines: paste it as one line\n",
        ),
        ("http://localhost/?code=Canary7&state=", 65, "the address was cut off"),
        ("http://localhost/?code=Canary7&state=$HALF", 65, "the address was cut off"),
        ("http://localhost/?code=Canary7&state=other", 65, "another login"),
        ("http://localhost/?code=Canary7&code=Canary8&state=$STATE", 65, "more than one code"),
        ("http%3A%2F%2Flocalhost%2F%3Fcode%3DCanary7%26state%3Dother", 65, "another login"),
        ("http%253A%252F%252Flocalhost%252F%253Fcode%253DCanary7%2526state%253Dother", 65, "another login"),
        ("localhost/", 65, "the address has no code"),
        ("127.0.0.1:8080", 65, "the address has no code"),
        ("{\"code\":\"Canary7\"}", 65, "neither an address nor a code"),
        ("$ADDRESS", 65, "this is the address to open"),
        ("http://localhost/?error=access_denied&state=$STATE", 77, "the server says \"access_denied\"\n"),
        (
            "http://localhost/?error=access_denied&error_description=No%1b[2J%21+$STATE&state=$STATE",
            77,
            "the server says \"access_denied\": \"No?[2J! [masked]\"\n",
        ),
        ("http://localhost/?error=invalid_scope&state=$STATE", 78, "hint: check --scope"),
        ("http://localhost/?error=temporarily_unavailable&state=$STATE", 75, "later"),
        ("http://localhost/?error=unauthorized_client&state=$STATE", 78, "--redirect-uri"),
        ("http://localhost/?error=user_cancelled_login&state=$STATE", 77, "agree in the browser"),
        ("http://localhost/?error=user_cancelled_authorize&state=$STATE", 77, "agree in the browser"),
        ("http://localhost/?error=user_denied&state=$STATE", 77, "agree in the browser"),
        ("http://localhost/?error=cancelled&state=$STATE", 77, "agree in the browser"),
        ("http://localhost/?error=consent_declined&state=$STATE", 77, "agree in the browser"),
        ("http://localhost/?error=account_selection_required&state=$STATE", 77, "agree in the browser"),
        ("http://localhost/?error_reason=user_denied&state=$STATE", 77, "the server says \"user_denied\"\n"),
        ("http://localhost/?denied=t0ken", 77, "the server says \"denied\"\n"),
        ("http://localhost/?error_code=7&error_message=No+app", 78, "the server says \"7\": \"No app\"\n"),
    ];
    for (line, exit, text) in table {
        let stage = Stage::new("login-line");
        let (running, stdin) = stage.start();
        let address = printed_address(&running);
        let state = parameter(&address, "state");
        let line = line.replace("$STATE", &state).replace("$HALF", &state[..9]).replace("$ADDRESS", &address);
        let outcome = paste(running, stdin, &line).expect_exit(exit);
        expect(&outcome, text);
        let last_hint = outcome.stderr().lines().last().unwrap_or_default().to_owned();
        assert!(last_hint.starts_with("hint: run the login again"), "{}", outcome.report(&["the next step".into()]));
        assert!(!outcome.stderr().replace(&address, "").contains(&state), "{}", outcome.report(&["the state".into()]));
        assert_eq!(names(&outcome), [""; 0], "{}", outcome.report(&[]));
        assert_eq!(stage.server.finish().connections, 0);
    }
}

#[test]
fn a_login_that_is_declined_says_so() {
    let stage = Stage::new("login-declined");
    let (running, stdin) = stage.start();
    let redirected = stage.browse(&running, Decision::Decline);
    let outcome = paste(running, stdin, &redirected).expect_exit(77);
    expect(&outcome, "not logged in: the server says \"access_denied\": \"The user declined.\"");
}

/// The redirect URI is sent twice, and must be the registered one in both requests.
#[test]
fn a_redirect_uri_that_is_not_registered_gets_no_code() {
    let stage = Stage::new("login-unregistered");
    let (running, stdin) = stage.login().args(["--redirect-uri", "http://localhost/other"]).start_with_open_stdin();
    let address = printed_address(&running);
    assert_eq!(stage.authorization.browse(&address, Decision::Allow), None);
    paste(running, stdin, "").expect_exit(65);
}

#[test]
fn the_end_of_the_input_is_no_line() {
    let outcome = Stage::new("login-eof").login().run().expect_exit(65);
    expect(&outcome, "no address or code was given");
}

/// A part of it would be another code.
#[test]
fn a_line_that_is_too_long_is_not_cut_off() {
    let stage = Stage::new("login-long-line");
    let outcome = stage.log_in_with(&"Canary7".repeat(10_000)).expect_exit(65);
    expect(&outcome, "the line is longer than 64 KiB");
    expect(&outcome, "hint: run the login again and open the new address\n");
    assert_eq!(stage.server.finish().connections, 0);
}

/// Quotes, blanks, another encoding: what clipboards and files make of a line.
#[test]
fn a_line_is_read_as_people_paste_it() {
    let shapes: [fn(&str) -> Vec<u8>; 5] = [
        |line| format!("  '{line}' \r\n").into_bytes(),
        |line| format!("\u{feff}{line}").into_bytes(),
        |line| {
            "\u{feff}".encode_utf16().chain(format!("{line}\r\n").encode_utf16()).flat_map(u16::to_le_bytes).collect()
        },
        |line| {
            "\u{feff}".encode_utf16().chain(format!("{line}\r\n").encode_utf16()).flat_map(u16::to_be_bytes).collect()
        },
        |line| format!("<{line}>\nmore\n").into_bytes(),
    ];
    for shape in shapes {
        let stage = Stage::new("login-shapes");
        let (running, mut stdin) = stage.start();
        let redirected = stage.browse(&running, Decision::Allow);
        stdin.write_all(&shape(&redirected)).expect("paste a line");
        drop(stdin);
        running.wait().expect_exit(0);
    }
}

#[test]
fn the_code_alone_will_do() {
    for bare in [|code: &str| code.to_owned(), |code: &str| format!("code={code}")] {
        let stage = Stage::new("login-code");
        let (running, stdin) = stage.start();
        let redirected = stage.browse(&running, Decision::Allow);
        let (_, code) = redirected.split_once("code=").expect("it has a code");
        let code = code.split('&').next().unwrap_or_default();
        paste(running, stdin, &bare(code)).expect_exit(0);
    }
}

/// A scheduled run does not wait for a human, and the login then takes the file as it finds it.
#[test]
fn a_run_meanwhile_goes_on() {
    let mut stage = Stage::new("login-meanwhile");
    stage.workspace.give(TOKEN_FILE, stage.rotation.first_token_file());
    let (running, stdin) = stage.start();
    let redirected = stage.browse(&running, Decision::Allow);
    let refreshed = stage.refresh().args(["--lock-timeout", "1ms"]).run().expect_exit(0);
    expect(&refreshed, "refreshed");
    assert_eq!(stage.rotation.refreshes(), 1);
    let outcome = paste(running, stdin, &redirected).expect_exit(0);
    assert_eq!((names(&outcome), stage.rotation.refreshes()), (vec![TOKEN_FILE], 2));
    assert_eq!(stage.stored()["refresh_token"], stage.rotation.live_refresh_token());
}

/// A login that someone else's editor writes while ours is under way stays.
#[test]
fn a_login_that_is_written_meanwhile_stays() {
    let mut stage = Stage::new("login-other");
    stage.workspace.give(TOKEN_FILE, stage.rotation.first_token_file());
    let path = stage.workspace.path(TOKEN_FILE);
    let other = r#"{"refresh_token": "Canary7-other"}"#;
    let step = stage.authorization.step().on_request(move |_| fs::write(&path, other).expect("write the token file"));
    stage.server = kit::serve(Script::always(step));
    let outcome = stage.log_in().expect_exit(74);
    assert_eq!(outcome.files[TOKEN_FILE], other.as_bytes());
    let rescued: Vec<_> = names(&outcome).into_iter().filter(|name| name.contains(".rescue-")).collect();
    assert_eq!(rescued.len(), 1, "{}", outcome.report(&[]));
    let live = stage.rotation.live_refresh_token();
    assert!(String::from_utf8_lossy(&outcome.files[rescued[0]]).contains(&live), "{}", outcome.report(&[]));
}

/// A member that an editor adds while the code is being exchanged stays.
#[test]
fn an_edit_meanwhile_stays() {
    let mut stage = Stage::new("login-edited");
    stage.workspace.give(TOKEN_FILE, "{\"account\": 1}\n");
    let path = stage.workspace.path(TOKEN_FILE);
    let step = stage.authorization.step().on_request(move |_| fs::write(&path, "{\"account\": 2}\n").expect("edit"));
    stage.server = kit::serve(Script::always(step));
    stage.log_in().expect_exit(0);
    let stored = stage.stored();
    assert_eq!(
        (&stored["account"], &stored["refresh_token"]),
        (&json!(2), &json!(stage.rotation.live_refresh_token()))
    );
}

#[test]
fn a_late_code_is_told_as_that() {
    let rotation = kit::rotation();
    let authorization = Authorization::new(&rotation, REDIRECT_URI).with_code_lifetime(Duration::ZERO);
    let stage = Stage::of("login-late", authorization, rotation);
    let outcome = stage.log_in().expect_exit(77);
    expect(&outcome, "not logged in at localhost: the server says \"invalid_grant\": \"expired_client_token\"");
    expect(&outcome, "two minutes");
    expect(&outcome, "hint: check --client-id, the client secret and --client-auth\n");
    assert_eq!(names(&outcome), [""; 0], "{}", outcome.report(&[]));
}

#[test]
fn a_code_is_good_once() {
    let stage = Stage::new("login-twice");
    let (running, stdin) = stage.start();
    let redirected = stage.browse(&running, Decision::Allow);
    paste(running, stdin, &redirected).expect_exit(0);
    let (_, code) = redirected.split_once("code=").expect("it has a code");
    let before = stage.workspace.read(TOKEN_FILE);
    let outcome = stage.log_in_with(code.split('&').next().unwrap_or_default()).expect_exit(77);
    expect(&outcome, "the code was used before");
    assert_eq!(outcome.files[TOKEN_FILE], before);
}

/// Whatever becomes of it, there is one request, and nothing left behind.
#[test]
fn the_request_is_never_repeated() {
    let response = |status: &str, body: &str| Step::response(json_response(status, body));
    let table = [
        (Step::close_after_request(), 75),
        (Step::cut("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"acc"), 75),
        (response("500 Internal Server Error", ""), 75),
        (response("503 Service Unavailable", ""), 75),
        (response("429 Too Many Requests", ""), 75),
        (response("400 Bad Request", r#"{"error":"temporarily_unavailable"}"#), 75),
        (response("400 Bad Request", r#"{"error":"invalid_grant","error_description":"already being processed"}"#), 75),
        (response("400 Bad Request", r#"{"error":"invalid_grant"}"#), 77),
        (response("401 Unauthorized", r#"{"error":"invalid_client"}"#), 78),
        (response("400 Bad Request", r#"{"error":"invalid_grant","error_description":"unauthorized_client"}"#), 78),
        (response("200 OK", ""), 76),
        (Step::response("HTTP/1.1 302 Found\r\nLocation: https://a.example/\r\nContent-Length: 0\r\n\r\n"), 76),
    ];
    for (number, (step, exit)) in table.into_iter().enumerate() {
        let stage = Stage::scripted(&format!("login-once-{number}"), Script::always(step));
        let outcome = stage.log_in_with(CODE).expect_exit(exit);
        expect(&outcome, "not logged in at localhost");
        expect(&outcome, "hint: ");
        assert_eq!(names(&outcome), [""; 0], "{}", outcome.report(&[]));
        let record = stage.server.finish();
        assert_eq!(record.requests.len(), 1, "{number}: {}", kit::report_of(&record));
    }
}

/// In the words of GitHub, Slack, HubSpot, Facebook and Google.
#[test]
fn what_is_wrong_is_told_whatever_the_server_calls_it() {
    const REJECTED: (i32, &str) = (77, "a code works only once");
    const REDIRECT_URI: (i32, &str) = (78, "hint: check --redirect-uri: it must be exactly as registered\n");
    let table = [
        (
            "200 OK",
            r#"{"error":"bad_verification_code","error_description":"The code passed is incorrect or expired."}"#,
            REJECTED,
        ),
        ("200 OK", r#"{"ok":false,"error":"code_already_used"}"#, REJECTED),
        ("400 Bad Request", r#"{"status":"BAD_AUTH_CODE","message":"missing or unknown auth code"}"#, REJECTED),
        (
            "400 Bad Request",
            r#"{"error":{"message":"This authorization code has been used.","type":"OAuthException","code":100}}"#,
            REJECTED,
        ),
        ("400 Bad Request", r#"{"error":"redirect_uri_mismatch"}"#, REDIRECT_URI),
        ("200 OK", r#"{"ok":false,"error":"bad_redirect_uri"}"#, REDIRECT_URI),
        ("400 Bad Request", r#"{"error":"invalid_request","error_description":"Invalid redirect_uri"}"#, REDIRECT_URI),
        (
            "400 Bad Request",
            r#"{"error":"invalid_request","error_description":"Missing parameter: code"}"#,
            (78, "check --token-endpoint"),
        ),
    ];
    for (status, body, (exit, hint)) in table {
        let script = Script::always(Step::response(json_response(status, body)));
        let outcome = Stage::scripted("login-words", script).log_in_with(CODE).expect_exit(exit);
        expect(&outcome, hint);
        expect(&outcome, "run the login again");
    }
}

/// The code of a login that sent nothing was not used.
#[test]
fn a_login_that_sent_nothing_says_so() {
    let stage = Stage::scripted("login-not-sent", Script::always(Step::close_before_handshake()));
    let outcome = stage.login().args(["--timeout", "1s"]).stdin(format!("{CODE}\n")).run().expect_exit(75);
    expect(&outcome, "hint: nothing was sent; ");
    expect(&outcome, "hint: then run the login again: this address was for this run only\n");
}

/// What was certainly not sent is sent as soon as it can be.
#[test]
fn a_connection_that_fails_spends_no_code() {
    let response =
        Step::response(json_response("200 OK", r#"{"access_token":"Canary7-a","refresh_token":"Canary7-r"}"#));
    let stage = Stage::scripted("login-connect", Script::once([Step::close_before_handshake(), response]));
    stage.log_in_with(CODE).expect_exit(0);
    assert_eq!(stage.stored()["refresh_token"], "Canary7-r");
}

#[test]
fn without_a_refresh_token_the_access_token_is_stored_all_the_same() {
    for content in [None, Some("{\"account\": 1}"), Some("{\"refresh_token\": \"Canary7-old\"}")] {
        let response = json_response("200 OK", r#"{"access_token":"Canary7-a","token_type":"Bearer","expires_in":60}"#);
        let mut stage = Stage::scripted("login-short", Script::once([Step::response(response)]));
        if let Some(content) = content {
            stage.workspace.give(TOKEN_FILE, content);
        }
        let outcome = stage.log_in_with(CODE).expect_exit(76);
        expect(&outcome, "the access token is stored, but the server issued no refresh token");
        expect(&outcome, "hint: ");
        let stored = stage.stored();
        assert_eq!(stored["access_token"], "Canary7-a");
        assert_eq!(names(&outcome), [TOKEN_FILE]);
        if content.is_some_and(|content| content.contains("Canary7-old")) {
            assert_eq!(stored["refresh_token"], "Canary7-old");
            continue;
        }
        let refused = stage.refresh().run().expect_exit(65);
        expect(&refused, "refresh_token");
        expect(&refused, "docusign-refresh login");
        // And a login that gets one makes all well.
        let stage = Stage { server: kit::serve(Script::always(stage.authorization.step())), ..stage };
        stage.log_in().expect_exit(0);
        stage.refresh().run().expect_exit(0);
    }
}

#[test]
fn a_response_that_may_hold_tokens_is_kept() {
    let response = Step::response(json_response("200 OK", r#"{"data":[{"token":"Canary7-a"}]}"#));
    let stage = Stage::scripted("login-odd", Script::always(response));
    let outcome = stage.log_in_with(CODE).expect_exit(74);
    let kept: Vec<_> = names(&outcome);
    assert!(kept.len() == 1 && kept[0].starts_with("docusign.json.answer-"), "{}", outcome.report(&[]));
    expect(&outcome, kept[0]);
    assert_eq!(stage.server.finish().requests.len(), 1);
}

#[test]
fn userinfo_adds_the_default_account() {
    let stage = Stage::new("login-userinfo");
    let (running, stdin) = stage.login().args(["--userinfo"]).start_with_open_stdin();
    let redirected = stage.browse(&running, Decision::Allow);
    let outcome = paste(running, stdin, &redirected).expect_exit(0);
    assert!(!outcome.stderr().contains("warning"), "{}", outcome.report(&[]));
    let stored = stage.stored();
    assert_eq!(stored["account_id"], "8f3d5efe-0b61-4a3b-b9bc-af9f54c592af");
    assert_eq!(stored["base_uri"], "https://demo.docusign.net");
    assert_eq!(names(&outcome), [TOKEN_FILE]);
    stage.refresh().run().expect_exit(0);
    assert_eq!(stage.stored()["account_id"], stored["account_id"]);
}

#[test]
fn userinfo_that_fails_is_a_warning() {
    let tokens = Step::response(json_response("200 OK", r#"{"access_token":"Canary7-a","refresh_token":"Canary7-r"}"#));
    let response = |status: &str, body: &str| Step::response(json_response(status, body));
    for (step, text) in [
        (
            response("401 Unauthorized", r#"{"error":"invalid_token","error_description":"Canary7-a"}"#),
            "HTTP status 401",
        ),
        (response("200 OK", "{}"), "the response lists no accounts"),
        (response("200 OK", "<html>Canary7-a"), "the response is not a JSON object"),
        (Step::close_after_request(), "warning"),
    ] {
        let stage = Stage::scripted("login-no-userinfo", Script::once([tokens.clone(), step]));
        let outcome = stage.login().args(["--userinfo"]).stdin(format!("{CODE}\n")).run().expect_exit(0);
        expect(&outcome, "warning: logged in, but the default account was not stored: ");
        expect(&outcome, text);
        assert_eq!(stage.stored()["refresh_token"], "Canary7-r");
        assert_eq!((stage.stored().get("account_id"), names(&outcome)), (None, vec![TOKEN_FILE]));
        let record = stage.server.finish();
        assert_eq!(record.requests[1].line, "GET /oauth/userinfo HTTP/1.1");
        assert_eq!(record.requests[1].field("Authorization"), Some("Bearer Canary7-a"));
    }
}

/// Exit code 77 prints the command that helps: taken as it stands, it does.
#[test]
#[cfg(unix)]
fn the_command_of_exit_77_can_be_pasted() {
    if kit::system() == System::Windows {
        return;
    }
    let mut stage = Stage::new("login hint's");
    let directory = "it's a $HOME";
    let token_file = format!("{directory}/docusign.json");
    stage.workspace.give(&token_file, r#"{"refresh_token": "Canary7-dead"}"#);
    stage.workspace.give("client secret", format!("{}\n", kit::CLIENT_SECRET));
    let outcome = stage
        .refresh()
        .without("DOCUSIGN_CLIENT_SECRET")
        .args(["--client-secret-file", "client secret", &token_file])
        .run()
        .expect_exit(77);
    let stderr = outcome.stderr();
    let hint = stderr.lines().find_map(|line| line.split_once("docusign-refresh login ")).expect("the command").1;
    let command = hint.replace("AUTHORIZATION_ENDPOINT", &stage.server.authorization_endpoint()).replace("SCOPE", "a");
    let command = format!("cd /; exec '{}' login {command}", kit::binary().display());
    let program = stage.workspace.program().environment("SSL_CERT_FILE", stage.workspace.ca_file());
    let (running, stdin) = program.under(["/bin/sh", "-ec", &command]).start_with_open_stdin();
    let redirected = stage.browse(&running, Decision::Allow);
    paste(running, stdin, &redirected).expect_exit(0);
    let stored = String::from_utf8(stage.workspace.read(&token_file)).expect("UTF-8");
    assert!(stored.contains(&stage.rotation.live_refresh_token()), "{stored}");
}

/// Of the token file, where files have modes.
fn mode(stage: &Stage) -> Option<u32> {
    #[cfg(unix)]
    if kit::system() == System::Unix {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::metadata(stage.workspace.path(TOKEN_FILE)).expect("it is there");
        return Some(metadata.mode() & 0o7777);
    }
    let _ = stage;
    None
}

#[cfg(unix)]
fn set_mode(stage: &Stage, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = stage.workspace.path(TOKEN_FILE);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set the mode");
}

/// While a human is at the browser there is nothing that an end could harm.
#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_before_the_line_leaves_nothing() {
    if kit::system() == System::Windows {
        return;
    }
    let stage = Stage::new("login-ctrl-c");
    let (running, stdin) = stage.start();
    printed_address(&running);
    if held_signals::is_ignored(2) {
        return;
    }
    held_signals::send("INT", running.id());
    let outcome = running.wait();
    drop(stdin);
    assert_eq!((outcome.status.signal(), names(&outcome)), (Some(2), vec![]), "{}", outcome.report(&[]));
    stage.log_in().expect_exit(0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_waits_until_the_tokens_are_stored() {
    if kit::system() == System::Windows {
        return;
    }
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let mut stage = Stage::new("login-signal");
        let directory = stage.workspace.directory();
        let step = stage.authorization.step().on_request(move |_| {
            let processes = held_signals::processes_in(&directory);
            assert_eq!(processes.len(), 1);
            held_signals::send(signal, processes[0]);
            assert!(held_signals::is_pending(number, processes[0]), "it is held back");
        });
        stage.server = kit::serve(Script::once([step]));
        let outcome = stage.log_in();
        let end = if held_signals::is_ignored(number) { (Some(0), None) } else { (None, Some(number)) };
        assert_eq!((outcome.status.code(), outcome.status.signal()), end, "{}", outcome.report(&[]));
        assert_eq!(names(&outcome), [TOKEN_FILE]);
        assert_eq!(stage.stored()["refresh_token"], stage.rotation.live_refresh_token());
    }
}

/// At a terminal, which takes 4095 bytes of a line and throws the rest away.
#[test]
#[cfg(target_os = "linux")]
fn a_terminal_that_cuts_off_the_address_is_told_as_that() {
    if kit::system() == System::Windows || !Need::Terminal.is_met() {
        return;
    }
    // Without the canary: the terminal shows what is typed.
    let long = "c".repeat(5000);
    let tokens =
        || Step::response(json_response("200 OK", r#"{"access_token":"Canary7-a","refresh_token":"Canary7-r"}"#));
    let by_code = |code: &str| format!("http://localhost/?code={code}&state=$STATE");
    let by_state = |code: &str| format!("http://localhost/?state=$STATE&code={code}");
    for (before, code, line, exit) in [
        ("", "code", by_code("code"), 0),
        ("", long.as_str(), by_code(&long), 65),
        ("", &long, by_state(&long), 65),
        ("", &long, long.clone(), 65),
        ("stty -icanon; ", &long, by_code(&long), 0),
    ] {
        let stage = Stage::scripted("login-terminal", Script::always(tokens()));
        let terminal = format!("exec script -qec \"{before}exec $*\" /dev/null");
        let terminal = ["/bin/sh".to_owned(), "-c".to_owned(), terminal, "sh".to_owned()];
        let (running, mut keyboard) = stage.login().under(terminal).start_with_open_stdin();
        let state = parameter(&running.await_line_of_stdout("https://"), "state");
        running.await_line_of_stdout("docusign-refresh: docusign.json: paste");
        writeln!(keyboard, "{}", line.replace("$STATE", &state)).expect("type a line");
        let outcome = running.wait().expect_exit(exit);
        if exit == 0 {
            assert_eq!(stage.stored()["refresh_token"], "Canary7-r");
            assert_eq!(token_request(&stage.server.finish()).parameter("code").as_deref(), Some(code));
        } else {
            let shown = outcome.stdout();
            assert!(shown.contains("was cut off") && shown.contains("4095"), "{}", outcome.report(&[]));
        }
    }
}
