//! When the same refresh token is sent again, and when it is not.
//!
//! | what happened | what follows |
//! |---|---|
//! | nothing was sent | attempts with growing pauses, until `--timeout` |
//! | 425, 429, 503 | the same, or when `Retry-After` says so; if that does not fit, exit code 75 at once |
//! | nobody knows (a connection lost after sending, 408, 500, 502, 504, an unreadable 200) | three replays, promptly; none with `--no-replay` |
//! | a refusal in the words of RFC 6749 | nothing |
//!
//! The server counts: it knows how often a token came, and whether a replay fell into its grace window
//! or killed the family. The program's last word says that the token may be spent whenever it may be.

use crate::kit::{self, Outcome, Workspace};
use crate::token_server::{Record, Rotation, Script, Step, json_response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::time::{Duration, SystemTime};

const MAY_BE_SPENT: &str = "; the refresh token may be spent";
const FATE_UNKNOWN: [&str; 5] = [
    "408 Request Timeout",
    "500 Internal Server Error",
    "502 Bad Gateway",
    "504 Gateway Timeout",
    "529 Site Overloaded",
];
const NOT_NOW: [&str; 3] = ["429 Too Many Requests", "503 Service Unavailable", "425 Too Early"];

fn run(name: &str, script: Script, args: &[&str]) -> (Outcome, Record) {
    let server = kit::serve(script);
    let workspace = Workspace::after_login(name);
    let outcome = workspace.program().refreshing_at(&server).args(args.iter().copied()).run();
    (outcome, server.finish())
}

fn expect(outcome: &Outcome, record: &Record, exit: i32, requests: usize, texts: &[&str]) {
    let mut faults = Vec::new();
    if outcome.status.code() != Some(exit) {
        faults.push(format!("wanted exit code {exit}"));
    }
    if record.requests.len() != requests {
        faults.push(format!("wanted {requests} requests, {} came", record.requests.len()));
    }
    let stderr = outcome.stderr();
    faults.extend(texts.iter().filter(|text| !stderr.contains(**text)).map(|text| format!("wanted `{text}`")));
    if exit != 0 && stderr.contains(MAY_BE_SPENT) != texts.contains(&MAY_BE_SPENT) {
        faults.push(format!("`{MAY_BE_SPENT}`: wanted the contrary"));
    }
    assert!(faults.is_empty(), "{}", outcome.report(&faults));
}

fn empty(status: &str) -> Step {
    Step::response(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
}

/// The server does its part, and the response never arrives: `lose` says how.
fn rotating_and(rotation: &Rotation, lose: Step) -> Step {
    let rotation = rotation.clone();
    lose.on_request(move |request| {
        rotation.respond(request);
    })
}

fn losses() -> Vec<(&'static str, Step)> {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n";
    let half = format!("{HEAD}{{\"access_token\":\"Canary7-half");
    let page = "<html>Canary7 gateway</html>";
    vec![
        ("closed-before-the-response", Step::close_after_request()),
        ("closed-in-the-head", Step::cut("HTTP/1.1 200 OK\r\nContent-")),
        ("closed-after-the-head", Step::cut(HEAD)),
        ("closed-in-the-body", Step::cut(half.clone())),
        ("reset-before-the-response", Step::reset_after("")),
        ("reset-after-the-head", Step::reset_after(HEAD)),
        ("reset-in-the-body", Step::reset_after(half)),
        (
            "unreadable-success",
            Step::response(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len())),
        ),
        ("not-http", Step::response("* OK IMAP4 ready\r\n\r\n")),
        ("bad-gateway", empty("502 Bad Gateway")),
    ]
}

#[test]
fn a_lost_response_is_fetched_again_within_the_grace_window() {
    for (name, loss) in losses() {
        let rotation = kit::rotation().with_replays(1);
        let script = Script::once([rotating_and(&rotation, loss)]).then_always(rotation.step());
        let (outcome, record) = run(name, script, &[]);
        expect(&outcome, &record, 0, 2, &["refreshed"]);
        assert_eq!((rotation.refreshes(), rotation.reuses()), (1, 1));
        let stored = String::from_utf8_lossy(&outcome.files[kit::TOKEN_FILE]).into_owned();
        assert!(stored.contains(&rotation.live_refresh_token()), "{}", outcome.report(&[]));
    }
}

#[test]
fn a_lost_response_without_a_grace_window_is_told_as_what_it_is() {
    for (name, loss) in losses() {
        let rotation = kit::rotation();
        let script = Script::once([rotating_and(&rotation, loss)]).then_always(rotation.step());
        let (outcome, record) = run(name, script, &[]);
        expect(&outcome, &record, 77, 2, &["invalid_grant", MAY_BE_SPENT]);
        assert!(rotation.is_revoked());
    }
}

#[test]
fn a_lost_response_is_left_alone_with_no_replay() {
    for (name, loss) in losses() {
        let rotation = kit::rotation();
        let script = Script::once([rotating_and(&rotation, loss)]);
        let (outcome, record) = run(name, script, &["--no-replay"]);
        let exit = if name == "unreadable-success" { 76 } else { 75 };
        expect(&outcome, &record, exit, 1, &[MAY_BE_SPENT]);
        assert!(!rotation.is_revoked());
    }
}

#[test]
fn a_connection_lost_before_the_request_is_no_loss() {
    for (name, step) in
        [("closed-early", Step::close_before_handshake()), ("reset-early", Step::reset_before_handshake())]
    {
        let rotation = kit::rotation();
        let script = Script::once([step.clone(), step]).then_always(rotation.step());
        let (outcome, record) = run(name, script, &["--no-replay"]);
        expect(&outcome, &record, 0, 1, &["refreshed"]);
        assert_eq!((record.connections, rotation.reuses()), (3, 0));
    }
}

#[test]
fn a_server_that_recovers_is_asked_again() {
    for status in FATE_UNKNOWN.into_iter().chain(NOT_NOW) {
        let rotation = kit::rotation();
        let (outcome, record) = run("recovers", Script::once([empty(status)]).then_always(rotation.step()), &[]);
        expect(&outcome, &record, 0, 2, &["refreshed"]);
        assert_eq!(rotation.reuses(), 0);
    }
}

#[test]
fn a_server_that_does_not_recover_gets_three_replays() {
    for status in FATE_UNKNOWN {
        let number = format!("HTTP status {}", &status[..3]);
        let (outcome, record) = run("fails", Script::always(empty(status)), &[]);
        expect(&outcome, &record, 75, 4, &[&number, "after 4 attempts", MAY_BE_SPENT]);
        let (outcome, record) = run("fails-once", Script::always(empty(status)), &["--no-replay"]);
        expect(&outcome, &record, 75, 1, &[&number, MAY_BE_SPENT]);
    }
}

/// The same in words, whatever the status.
#[test]
fn a_server_that_names_its_own_failure_gets_three_replays() {
    for (status, body) in [
        ("400 Bad Request", r#"{"error":"internal_server_error"}"#),
        ("500 Internal Server Error", r#"{"error":"server_error"}"#),
        ("200 OK", r#"{"status":"error","message":"Internal error"}"#),
    ] {
        let failure = || Step::response(json_response(status, body));
        let (outcome, record) = run("names-failure", Script::always(failure()), &[]);
        expect(&outcome, &record, 75, 4, &["the server says", MAY_BE_SPENT]);
        let (outcome, record) = run("names-failure-once", Script::always(failure()), &["--no-replay"]);
        expect(&outcome, &record, 75, 1, &[MAY_BE_SPENT]);
    }
}

/// "Not now" is a refusal: nothing is in doubt, and `--no-replay` does not forbid to come back.
#[test]
fn a_server_that_is_busy_is_asked_until_the_time_is_over() {
    for status in NOT_NOW {
        for args in [&["--timeout", "5s"] as &[&str], &["--timeout", "5s", "--no-replay"]] {
            let (outcome, record) = run("busy", Script::always(empty(status)), args);
            assert!((2..=9).contains(&record.requests.len()), "{}", outcome.report(&[kit::report_of(&record)]));
            expect(&outcome, &record, 75, record.requests.len(), &[&format!("HTTP status {}", &status[..3])]);
        }
    }
}

/// What a server said tells more than that it could not be reached again.
#[test]
fn a_word_of_the_server_is_the_one_that_is_passed_on() {
    for (status, texts) in
        [(NOT_NOW[0], &["HTTP status 429"][..]), (FATE_UNKNOWN[0], &["HTTP status 408", MAY_BE_SPENT])]
    {
        let script = Script::once([empty(status)]).then_always(Step::close_before_handshake());
        let (outcome, record) = run("last-word", script, &["--timeout", "3s"]);
        expect(&outcome, &record, 75, 1, texts);
        assert!(record.connections > 1, "{}", outcome.report(&[]));
    }
}

#[test]
fn a_server_that_names_a_time_is_believed() {
    let in_a_while = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(5400));
    for (after, hint) in
        [("3601", "retry after 1h 1s"), (in_a_while.as_str(), "retry after 1h "), ("31", "retry after 31s")]
    {
        for status in NOT_NOW {
            let response = format!("HTTP/1.1 {status}\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n");
            let (outcome, record) = run("asks-for-too-much", Script::always(Step::response(response)), &[]);
            expect(&outcome, &record, 75, 1, &[hint]);
            assert!(!outcome.stderr().contains("ms"), "{}", outcome.report(&[]));
            let took = outcome.span.end.duration_since(outcome.span.start).expect("time goes on");
            assert!(took < Duration::from_secs(10), "{}", outcome.report(&["waited for nothing".into()]));
        }
    }
    let rotation = kit::rotation();
    let response = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    let script = Script::once([Step::response(response)]).then_always(rotation.step());
    let (outcome, record) = run("asks-for-a-second", script, &[]);
    expect(&outcome, &record, 0, 2, &["refreshed"]);
    let took = outcome.span.end.duration_since(outcome.span.start).expect("time goes on");
    assert!(took >= Duration::from_secs(1), "{}", outcome.report(&["came back too early".into()]));
}

#[test]
fn words_that_can_not_be_understood_are_no_time() {
    for after in [
        "soon",
        "-1",
        "99999999999999999999",
        "1.5",
        "Mon, 99 Foo 2026 00:00:00 GMT",
        "0",
        "Sun, 06 Nov 1994 08:49:37 GMT",
    ] {
        let rotation = kit::rotation();
        let response = format!("HTTP/1.1 503 Service Unavailable\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n");
        let script = Script::once([Step::response(response)]).then_always(rotation.step());
        let (outcome, record) = run("odd-retry-after", script, &[]);
        expect(&outcome, &record, 0, 2, &["refreshed"]);
    }
}

/// After the grace window a replay can only do harm, so what a busy server asks for after a lost response
/// counts from the loss, however long `--timeout` is.
#[test]
fn nothing_is_sent_once_the_grace_window_is_over() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 31\r\nContent-Length: 0\r\n\r\n";
    let script = Script::once([Step::close_after_request(), Step::response(busy)]);
    let (outcome, record) = run("window", script, &["--timeout", "10m"]);
    expect(&outcome, &record, 75, 2, &["HTTP status 503", MAY_BE_SPENT]);
}

#[test]
fn a_refusal_is_the_last_word() {
    for (status, body, exit) in [
        ("400 Bad Request", r#"{"error":"invalid_grant"}"#, 77),
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#, 78),
        ("403 Forbidden", r#"{"error":"access_denied"}"#, 78),
        ("200 OK", r#"{"error":"bad_refresh_token"}"#, 77),
        ("500 Internal Server Error", r#"{"error":"invalid_grant"}"#, 77),
    ] {
        let (outcome, record) = run("refusal", Script::always(Step::response(json_response(status, body))), &[]);
        expect(&outcome, &record, exit, 1, &["the server says"]);
        // The connection may break after the last brace: a refusal shows its own end.
        let cut = json_response(status, body);
        let cut = String::from_utf8(cut).expect("text").replace("Content-Length: ", "Content-Length: 9");
        let (outcome, record) = run("cut-refusal", Script::always(Step::cut(cut)), &[]);
        expect(&outcome, &record, exit, 1, &["the server says"]);
    }
}

/// JSON shows its own end, a form does not: half a token is worse than none.
#[test]
fn half_a_form_is_no_response() {
    let half = "access_token=Canary7-access&refresh_token=Canary7-ref";
    let framed = format!("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{half}");
    let rotation = kit::rotation();
    let script = Script::once([Step::cut(framed)]).then_always(rotation.step());
    let (outcome, record) = run("half-a-form", script, &[]);
    expect(&outcome, &record, 0, 2, &["refreshed"]);
    let stored = String::from_utf8_lossy(&outcome.files[kit::TOKEN_FILE]).into_owned();
    assert!(stored.contains(&rotation.live_refresh_token()), "{}", outcome.report(&[]));
}

/// What servers say instead of the words of RFC 6749: whom it concerns, and the words that must be shown. None
/// is sent again.
#[test]
fn a_refusal_in_any_words_reaches_the_right_person() {
    const BAD: &str = "400 Bad Request";
    const UNAUTHORIZED: &str = "401 Unauthorized";
    const OK: &str = "200 OK";
    let refusals = [
        // Fitbit, Strava, Stripe: a list of errors.
        (
            77,
            BAD,
            r#"{"errors":[{"errorType":"invalid_grant","message":"Refresh token invalid: x"}],"success":false}"#,
            "Refresh token invalid: x",
        ),
        (
            78,
            UNAUTHORIZED,
            r#"{"errors":[{"errorType":"invalid_client","message":"Invalid authorization header"}],"success":false}"#,
            "invalid_client",
        ),
        (
            77,
            BAD,
            r#"{"message":"Bad Request","errors":[{"resource":"RefreshToken","field":"refresh_token","code":"invalid"}]}"#,
            "refresh_token: invalid",
        ),
        (
            78,
            BAD,
            r#"{"message":"Bad Request","errors":[{"resource":"Application","field":"client_id","code":"invalid"}]}"#,
            "client_id: invalid",
        ),
        (78, BAD, r#"{"errors":["no such client"]}"#, "no such client"),
        // OpenAI, Google, Azure: an object.
        (
            77,
            UNAUTHORIZED,
            r#"{"error":{"message":"Your refresh token has already been used","type":"invalid_request_error","param":null,"code":"refresh_token_reused"}}"#,
            "refresh_token_reused",
        ),
        (
            75,
            "403 Forbidden",
            r#"{"error":{"code":403,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded"}}"#,
            "Quota exceeded",
        ),
        (
            78,
            BAD,
            r#"{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}"#,
            "API key not valid",
        ),
        // Microsoft Entra: numbers and sentences.
        (
            77,
            BAD,
            r#"{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired","error_codes":[700082]}"#,
            "AADSTS700082",
        ),
        (
            75,
            BAD,
            r#"{"error":"invalid_grant","error_description":"The server terminated an operation","error_codes":[50196]}"#,
            "terminated",
        ),
        (
            78,
            UNAUTHORIZED,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret","error_codes":[7000215]}"#,
            "AADSTS7000215",
        ),
        // Problem details (RFC 9457).
        (
            77,
            BAD,
            r#"{"type":"invalid_grant","title":"Bad Request","status":400,"detail":"consent grant has been revoked"}"#,
            "consent grant has been revoked",
        ),
        (78, BAD, r#"{"type":"https://problems.example/invalid_client","title":"No such client"}"#, "No such client"),
        (78, BAD, r#"{"type":"about:blank","title":"Something","detail":"went wrong"}"#, "went wrong"),
        // A sentence instead of a code.
        (77, BAD, r#"{"error":"invalid_grant: Token is expired or invalid."}"#, "invalid_grant: Token is expired"),
        (77, BAD, r#"{"error":"Refresh token not found"}"#, "Refresh token not found"),
        (
            77,
            BAD,
            r#"{"error":"invalid_request","error_description":"The refresh token is invalid, expired or revoked"}"#,
            "expired or revoked",
        ),
        (
            78,
            BAD,
            r#"{"error":"invalid_request","error_description":"Missing refresh_token parameter"}"#,
            "Missing refresh_token",
        ),
        // Success that is none: Slack, Zoho, GitHub, Withings, WeChat.
        (77, OK, r#"{"ok":false,"error":"invalid_refresh_token"}"#, "invalid_refresh_token"),
        (75, OK, r#"{"ok":false,"error":"ratelimited"}"#, "ratelimited"),
        (78, OK, r#"{"ok":false,"error":"bad_client_secret"}"#, "bad_client_secret"),
        (77, OK, r#"{"error":"invalid_code"}"#, "invalid_code"),
        (77, OK, r#"{"error":"bad_refresh_token","error_uri":"https://docs.example"}"#, "bad_refresh_token"),
        (78, OK, r#"{"error":"incorrect_client_credentials"}"#, "incorrect_client_credentials"),
        (
            77,
            OK,
            r#"{"status":503,"body":{},"error":"Invalid Params: invalid refresh_token"}"#,
            "invalid refresh_token",
        ),
        (77, OK, r#"{"errcode":40030,"errmsg":"invalid refresh_token"}"#, "invalid refresh_token"),
        (78, OK, r#"{"success":false,"msg":"nobody knows"}"#, "nobody knows"),
        (77, OK, r#"{"success":false,"message":"Token expired"}"#, "Token expired"),
        // An error without a code, and nothing that could be a token: TikTok, ASP.NET.
        (
            77,
            OK,
            r#"{"data":{"description":"Refresh token is expired","error_code":10010},"message":"error"}"#,
            "Refresh token is expired",
        ),
        (78, OK, r#"{"result":"error"}"#, r#"{"result":"error"}"#),
        (78, OK, r#"{"status":"failed","message":"Something broke"}"#, "Something broke"),
        (78, OK, r#"{"Message":"An error has occurred."}"#, "An error has occurred."),
        // Twitch, Cognito, Okta, Supabase, HubSpot, Spring.
        (77, BAD, r#"{"status":400,"message":"Invalid refresh token"}"#, "Invalid refresh token"),
        (78, "403 Forbidden", r#"{"status":403,"message":"invalid client secret"}"#, "invalid client secret"),
        (
            77,
            BAD,
            r#"{"__type":"NotAuthorizedException","message":"Refresh Token has been revoked"}"#,
            "NotAuthorizedException",
        ),
        (75, BAD, r#"{"__type":"com.amazonaws#TooManyRequestsException"}"#, "TooManyRequestsException"),
        (75, "403 Forbidden", r#"{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit"}"#, "E0000047"),
        (
            77,
            BAD,
            r#"{"code":400,"error_code":"refresh_token_already_used","msg":"Invalid Refresh Token: Already Used"}"#,
            "Already Used",
        ),
        (
            77,
            BAD,
            r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}"#,
            "BAD_REFRESH_TOKEN",
        ),
        (
            77,
            UNAUTHORIZED,
            r#"{"error":"invalid_token","error_description":"Invalid refresh token (expired): x"}"#,
            "(expired): x",
        ),
        // X, Azure DevOps, Docusign.
        (
            77,
            BAD,
            r#"{"error":"invalid_request","error_description":"Value passed for the token was invalid."}"#,
            "token was invalid",
        ),
        (
            77,
            BAD,
            r#"{"Error":"invalid_grant","ErrorDescription":"no such token"}"#,
            r#""invalid_grant": "no such token""#,
        ),
        (75, BAD, r#"{"errorCode":"HOURLY_APIINVOCATION_LIMIT_EXCEEDED","message":"The maximum"}"#, "The maximum"),
        // Exact: nothing is wrong but the time.
        (
            75,
            BAD,
            r#"{"error":"access_denied","error_description":"Rate limit exceeded: access_token not expired"}"#,
            "access_token not expired",
        ),
        // What nobody knows.
        (78, BAD, r#"{"message":"Bad Request","error":400}"#, "Bad Request"),
        (
            78,
            UNAUTHORIZED,
            r#"{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"oauth.v2.InvalidApiKey"}}}"#,
            "Invalid ApiKey",
        ),
        (78, BAD, r#"{"what":"no","why":[1]}"#, r#"{"what":"no""#),
        (78, BAD, "[{\"message\":\"in a list\"}]", "in a list"),
        (77, BAD, "error=invalid_grant&error_description=no+more", "no more"),
        (77, BAD, "invalid_grant: no such token", "no such token"),
        (78, UNAUTHORIZED, "nothing to read", "HTTP status 401: client authentication failed"),
    ];
    for (exit, status, body, words) in refusals {
        let (outcome, record) = run("in-any-words", Script::always(Step::response(json_response(status, body))), &[]);
        expect(&outcome, &record, exit, 1, &[words]);
        assert!(!outcome.stderr().contains("captive portal"), "{}", outcome.report(&[]));
    }
}

/// RFC 6749, section 5.2: 401 is client authentication, and the challenge says which.
#[test]
fn a_challenge_is_passed_on() {
    let response = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"oauth\"\r\nContent-Length: 0\r\n\r\n";
    let (outcome, record) = run("challenge", Script::always(Step::response(response)), &[]);
    expect(&outcome, &record, 78, 1, &["the server requires Basic realm=\"oauth\"", "hint: check --client-id"]);
}

/// A server that echoes the request, or a part of it, however it is encoded.
#[test]
fn an_echo_is_masked_in_every_encoding() {
    let response = |encode: fn(&str) -> String| {
        Step::responding(move |request: &crate::token_server::Request| {
            let token = request.parameter("refresh_token").unwrap_or_default();
            let text = encode(&token).replace('\\', "\\\\").replace('"', "\\\"");
            json_response(
                "400 Bad Request",
                &format!(r#"{{"error":"invalid_grant","error_description":"bad {text}."}}"#),
            )
        })
    };
    let encodings: [fn(&str) -> String; 8] = [
        str::to_owned,
        |token| token.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        |token| token.bytes().map(|byte| format!("%25{byte:02X}")).collect(),
        |token| token.bytes().map(|byte| format!("{byte:02X}")).collect(),
        |token| BASE64_URL_SAFE_NO_PAD.encode(format!("x:{token}")),
        |token| token.chars().map(|character| format!("\\u{:04x}", u32::from(character))).collect(),
        |token| token[..token.len() - 3].to_owned(),
        |token| token.chars().map(|character| format!("{character} ")).collect(),
    ];
    for encode in encodings {
        // The kit searches every output for what is left of a token.
        let (outcome, record) = run("echo", Script::always(response(encode)), &[]);
        expect(&outcome, &record, 77, 1, &["[masked]"]);
    }
}
