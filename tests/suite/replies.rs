//! Answers that are too large, too deep or too strange for a case file.
//!
//! A body that can be read as tokens is tokens, however it came: the server has spent the refresh token
//! for it. So nothing about the wire may cost a token: interim responses, large heads, chunks of one
//! byte, 40 kB of token in either direction, bodies up to 1 MiB. What can't be read as tokens is named for
//! what it is, and nothing of it reaches the terminal that is not printable ASCII.

use crate::kit::{self, Outcome, TOKEN_FILE, Workspace};
use crate::token_server::{Script, Step, json_reply};
use std::time::Duration;

const MIB: usize = 1 << 20;
const TOKENS: &str =
    r#"{"access_token":"Canary7-new","token_type":"Bearer","refresh_token":"Canary7-next","expires_in":28800}"#;

fn answer_with(reply: impl Into<Vec<u8>>, args: &[&str]) -> (Outcome, usize) {
    let server = kit::serve(Script::always(Step::reply(reply)));
    let workspace = Workspace::after_login("reply");
    let outcome = workspace.program().refreshing_at(&server).args(args.iter().copied()).run();
    (outcome, server.finish().requests.len())
}

fn stored(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_slice(&outcome.files[TOKEN_FILE]).expect("the token file is JSON")
}

fn expect_tokens(reply: impl Into<Vec<u8>>) -> serde_json::Value {
    let (outcome, requests) = answer_with(reply, &[]);
    let outcome = outcome.expect_exit(0);
    assert_eq!(requests, 1, "{}", outcome.report(&[]));
    let stored = stored(&outcome);
    assert!(stored["access_token"].as_str().is_some_and(|token| token.starts_with("Canary7-new")));
    stored
}

fn ok(fields: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes(), body].concat()
}

fn with_length(body: &str) -> Vec<u8> {
    ok(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()), body.as_bytes())
}

#[test]
fn nothing_about_the_wire_costs_a_token() {
    let whole = String::from_utf8(with_length(TOKENS)).expect("text");
    let chunks: String = TOKENS.chars().map(|byte| format!("1;x=y\r\n{byte}\r\n")).collect();
    let many: String = (0..100).map(|number| format!("X-Field-{number}: {}\r\n", "v".repeat(300))).collect();
    let replies = [
        format!("HTTP/1.1 100 Continue\r\n\r\n{whole}"),
        format!("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n{whole}"),
        format!(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n{whole}"
        ),
        format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 200 \r\nConnection: close\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 200\r\ncontent-length: {}\r\n\r\n{TOKENS}", TOKENS.len()),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Trailer: y\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n{:X}\r\n{TOKENS}\r\n0\r\n\r\n", TOKENS.len()),
        format!("HTTP/1.1 200 OK\r\n{many}Content-Length: {}\r\n\r\n{TOKENS}", TOKENS.len()),
        format!(
            "HTTP/1.1 200 OK\r\nSet-Cookie: {}\r\nContent-Length: {}\r\n\r\n{TOKENS}",
            "c".repeat(30_000),
            TOKENS.len()
        ),
        format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{TOKENS}", TOKENS.len()),
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: {}\r\n\r\n{TOKENS}", TOKENS.len()),
    ];
    for reply in replies {
        expect_tokens(reply);
    }
}

#[test]
fn forty_kilobytes_of_token_go_both_ways() {
    let long = format!("Canary7-next.{}", "Ab+/=~".repeat(7_000));
    let tokens = TOKENS.replace("Canary7-next", &long);
    let script = Script::once([Step::reply(with_length(&tokens)), Step::reply(with_length(TOKENS))]);
    let server = kit::serve(script);
    let workspace = Workspace::after_login("long-token");
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    assert_eq!(stored(&outcome)["refresh_token"], long);
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    assert_eq!(stored(&outcome)["refresh_token"], "Canary7-next");
    assert_eq!(server.finish().requests[1].parameter("refresh_token"), Some(long));
}

/// A body of this size, the tokens in it.
fn body_of(size: usize) -> String {
    let empty = TOKENS.replace('}', r#","pad":""}"#);
    TOKENS.replace('}', &format!(r#","pad":"{}"}}"#, "x".repeat(size - empty.len())))
}

/// Of a larger one the tokens count where they come first.
#[test]
fn a_mebibyte_is_read_and_not_a_byte_more() {
    let stored = expect_tokens(with_length(&body_of(MIB)));
    assert!(stored["pad"].as_str().is_some_and(|pad| pad.len() > MIB - 200));
    let until_close = |body: &str| [b"HTTP/1.0 200 OK\r\n\r\n", body.as_bytes()].concat();
    expect_tokens(until_close(&body_of(MIB)));

    for reply in [with_length(&body_of(MIB + 1)), until_close(&body_of(8 * MIB))] {
        assert_eq!(expect_tokens(reply)["refresh_token"], "Canary7-next");
    }
    let tokens_last = |size: usize| TOKENS.replace('{', &format!(r#"{{"pad":"{}","#, "x".repeat(size)));
    for reply in [with_length(&tokens_last(MIB)), until_close(&tokens_last(8 * MIB))] {
        let (outcome, requests) = answer_with(reply, &["--no-replay"]);
        let outcome = outcome.expect_exit(75);
        assert!(outcome.stderr().contains("the answer is larger than 1 MiB"), "{}", outcome.report(&[]));
        assert!(outcome.stderr().contains("may be spent") && requests == 1, "{}", outcome.report(&[]));
    }
}

#[test]
fn depth_is_carried_and_not_climbed() {
    for depth in [100, 10_000, 200_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let body = TOKENS.replace('}', &format!(r#","deep":{deep}}}"#));
        let (outcome, _) = answer_with(with_length(&body), &[]);
        let outcome = outcome.expect_exit(0);
        let text = String::from_utf8_lossy(&outcome.files[TOKEN_FILE]).into_owned();
        assert!(text.contains(&deep) && text.contains("Canary7-next"), "{depth} levels");
    }
}

#[test]
fn a_compressed_body_is_named() {
    // printf '{}' | gzip -n
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0";
    let fields = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", gzip.len());
    let (outcome, requests) = answer_with(ok(&fields, gzip), &[]);
    let outcome = outcome.expect_exit(76);
    assert!(outcome.stderr().contains("a compressed body, which was not asked for"), "{}", outcome.report(&[]));
    assert!(outcome.stderr().contains("may be spent") && requests == 4, "{}", outcome.report(&[]));
}

/// Bytes that a terminal would obey, text that is none, and more of it than anyone wants to read.
#[test]
fn nothing_foreign_reaches_the_terminal() {
    let noise: Vec<Vec<u8>> = vec![
        b"\\u001b[2J\\u001b]0;owned\\u0007".to_vec(),
        b"\xff\xfe\xc3\x28\x9b2J".to_vec(),
        "\u{9b}31m\u{202e}\u{200b}\u{7f}é".into(),
        b"a\\nb\\rdocusign-refresh: forged line".to_vec(),
        b"\\u0000\\u0008\\u0008".to_vec(),
        "x".repeat(500_000).into_bytes(),
        b"\\ud800 half a pair".to_vec(),
    ];
    for noise in noise {
        for member in ["error", "error_description", "reference_id"] {
            let value = |name: &str| if name == member { noise.clone() } else { name.as_bytes().to_vec() };
            let body = [
                br#"{"error":""#.to_vec(),
                value("error"),
                br#"","error_description":""#.to_vec(),
                value("error_description"),
                br#"","reference_id":""#.to_vec(),
                value("reference_id"),
                br#""}"#.to_vec(),
            ]
            .concat();
            let trace: String =
                noise.iter().filter(|byte| **byte >= b' ').map(|byte| char::from(*byte)).take(300).collect();
            let head = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\nX-Request-Id: ", body.len());
            let latin: Vec<u8> = trace.chars().map(|character| u32::from(character) as u8).collect();
            let reply = [head.as_bytes(), &latin, b"\r\n\r\n", &body].concat();
            for args in [&[] as &[&str], &["--verbose"]] {
                let (outcome, _) = answer_with(reply.clone(), args);
                assert!(outcome.status.code().is_some_and(|code| code >= 64), "{}", outcome.report(&[]));
                let is_plain = outcome.stderr.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~'));
                let is_short = outcome.stderr.len() < 4_000;
                let is_whole = outcome
                    .stderr()
                    .lines()
                    .all(|line| line.starts_with("docusign-refresh: ") || line.starts_with("hint: "));
                let forged = outcome.stderr().lines().any(|line| line.starts_with("docusign-refresh: forged"));
                assert!(is_plain && is_short && is_whole && !forged, "{}", outcome.report(&[]));
            }
        }
    }
}

/// A stray byte in a member that nobody reads is no reason to lose a token.
#[test]
fn text_that_is_none_costs_no_token() {
    let body = [&TOKENS.as_bytes()[..TOKENS.len() - 1], b",\"note\":\"\xff\xfe caf\xe9\"}"].concat();
    let reply = ok(&format!("Content-Length: {}\r\n", body.len()), &body);
    expect_tokens(reply);
    // JSON wants these escaped. Where they stand after the tokens, the tokens count.
    for control in ["\0", "\u{1b}"] {
        let member = format!("\"x\":\"{control}\"");
        let stored = expect_tokens(with_length(&TOKENS.replace("\"expires_in\"", &format!("{member},\"expires_in\""))));
        assert!(stored["refresh_token"] == "Canary7-next" && stored["x"].is_null(), "{stored}");

        let reply = with_length(&TOKENS.replace('{', &format!("{{{member},")));
        let (outcome, _) = answer_with(reply, &["--no-replay"]);
        let outcome = outcome.expect_exit(76);
        assert!(outcome.stderr().contains("a body that is no JSON object"), "{}", outcome.report(&[]));
    }
}

#[test]
fn a_head_without_end_ends() {
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X-Padding: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n".repeat(20_000));
    let (outcome, _) = answer_with(endless, &["--no-replay", "--timeout", "20s"]);
    let outcome = outcome.expect_exit(75);
    assert!(outcome.stderr().contains("the answer is not HTTP"), "{}", outcome.report(&[]));
    let took = outcome.span.end.duration_since(outcome.span.start).expect("time goes on");
    assert!(took < Duration::from_secs(15), "{}", outcome.report(&[]));
}

#[test]
fn a_redirect_is_told_and_never_followed() {
    let elsewhere = kit::serve(Script::default());
    let there = format!("https://user:Canary7@localhost:{}/x?token=Canary7", elsewhere.port());
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let reply = format!("HTTP/1.1 {status}\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n");
        let (outcome, requests) = answer_with(reply, &[]);
        let outcome = outcome.expect_exit(76);
        let told = format!("HTTP status {}: a redirect to localhost:{}\n", &status[..3], elsewhere.port());
        assert!(outcome.stderr().contains(&told) && requests == 1, "{}", outcome.report(&[told]));
    }
    assert_eq!(elsewhere.finish().connections, 0);
}

/// An answer in the wrong place is still an answer.
#[test]
fn tokens_with_an_odd_status_are_judged_by_the_status() {
    for (status, exit) in
        [("202 Accepted", 0), ("206 Partial Content", 0), ("400 Bad Request", 76), ("500 Internal Server Error", 75)]
    {
        let (outcome, _) = answer_with(json_reply(status, TOKENS), &["--no-replay"]);
        outcome.expect_exit(exit);
    }
}
