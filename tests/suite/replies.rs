//! Responses that are too large, too deep or too strange for a case file.
//!
//! A body that can be read as tokens is tokens, however it came: the server has spent the refresh token
//! for it. So nothing about the wire may cost a token: interim responses, large heads, chunks of one
//! byte, 40 kB of token in either direction, bodies up to 1 MiB. What can't be read as tokens is named for
//! what it is, and nothing of it reaches the terminal that is not printable ASCII.

use crate::kit::{self, Outcome, TOKEN_FILE, Workspace};
use crate::token_server::{Script, Step, json_response};
use std::fs;
use std::time::Duration;

const MIB: usize = 1 << 20;
const TOKENS: &str =
    r#"{"access_token":"Canary7-new","token_type":"Bearer","refresh_token":"Canary7-next","expires_in":28800}"#;

fn respond_with(response: impl Into<Vec<u8>>, args: &[&str]) -> (Outcome, usize) {
    let server = kit::serve(Script::always(Step::response(response)));
    let workspace = Workspace::after_login("response");
    let outcome = workspace.program().refreshing_at(&server).args(args.iter().copied()).run();
    (outcome, server.finish().requests.len())
}

fn stored(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_slice(&outcome.files[TOKEN_FILE]).expect("the token file is JSON")
}

fn expect_tokens(response: impl Into<Vec<u8>>) -> serde_json::Value {
    let (outcome, requests) = respond_with(response, &[]);
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
    let responses = [
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
    for response in responses {
        expect_tokens(response);
    }
}

#[test]
fn forty_kilobytes_of_token_go_both_ways() {
    let long = format!("Canary7-next.{}", "Ab+/=~".repeat(7_000));
    let tokens = TOKENS.replace("Canary7-next", &long);
    let script = Script::once([Step::response(with_length(&tokens)), Step::response(with_length(TOKENS))]);
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

    for response in [with_length(&body_of(MIB + 1)), until_close(&body_of(8 * MIB))] {
        assert_eq!(expect_tokens(response)["refresh_token"], "Canary7-next");
    }
    let tokens_last = |size: usize| TOKENS.replace('{', &format!(r#"{{"pad":"{}","#, "x".repeat(size)));
    for response in [with_length(&tokens_last(MIB)), until_close(&tokens_last(8 * MIB))] {
        let (outcome, requests) = respond_with(response, &[]);
        let outcome = outcome.expect_exit(74);
        assert!(kept(&outcome).1.len() == MIB && requests == 1, "{}", outcome.report(&[]));
    }
}

#[test]
fn depth_is_carried_and_not_climbed() {
    for depth in [100, 10_000, 200_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let body = TOKENS.replace('}', &format!(r#","deep":{deep}}}"#));
        let (outcome, _) = respond_with(with_length(&body), &[]);
        let outcome = outcome.expect_exit(0);
        let text = String::from_utf8_lossy(&outcome.files[TOKEN_FILE]).into_owned();
        assert!(text.contains(&deep) && text.contains("Canary7-next"), "{depth} levels");
    }
}

/// Everything that a strict reader refuses, around tokens that are whole.
#[test]
fn no_fault_of_head_or_framing_costs_a_token() {
    let length = TOKENS.len();
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n{TOKENS}");
    let fields: String = (0..200).map(|number| format!("X-Field-{number}: v\r\n")).collect();
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let responses = [
        head("Access-Control-Expose-Headers : X-Page\r\n"),
        head("preload\r\n"),
        head("PHP Warning: PHP Startup: Unable to load x.so in Unknown on line 0\r\n"),
        head("X-Name: caf\x7f\r\n"),
        head("X-Name: a\x01b\r\n"),
        head("X-Name: a\0b\r\n"),
        head("X-Name: a\r\n folded\r\n\tagain\r\n"),
        head("X Name: a\r\n"),
        head(": a\r\n"),
        head(&fields),
        head(&format!("Set-Cookie: {}\r\n", "c".repeat(70_000))),
        head("Content-Length: 5\r\n"),
        head("Content-Length: 4711\r\n"),
        head(&format!("Content-Length: {length}\r\n")),
        head("Content-Length: many\r\n"),
        head("Content-Length: 99999999999999999999\r\n"),
        head("").replace("HTTP/1.1", "http/1.1"),
        head("").replace("HTTP/1.1", "HTTP/2"),
        head("").replace("HTTP/1.1", "HTTP/1.1 "),
        head("").replace("HTTP/1.1 200 OK", "HTTP/1.1  0200"),
        head("").replace("\r\n", "\n"),
        head("preload\r\n").replace("\r\n", "\n"),
        head("").replacen("\r\n\r\n", "\r\n", 1),
        format!("<br />\n<b>Warning</b>: x\n{}", head("")),
        format!("HTTP/1.1 103 Early Hints\r\npreload\r\n\r\n{}", head("")),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{TOKENS}", length - 7),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{TOKENS}", length + 7),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 203 Transformed\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\n\r\n{TOKENS}"),
        TOKENS.to_owned(),
        chunked(TOKENS),
        chunked(&format!("zz\r\n{TOKENS}\r\n0\r\n\r\n")),
        chunked(&format!("9\r\n{TOKENS}\r\n0\r\n\r\n")),
        chunked(&format!("fff\r\n{TOKENS}\r\n0\r\n\r\n")),
        chunked(&format!("{length:x}\n{TOKENS}\n0\n\n")),
        chunked(&format!("{length:x}\r\n{TOKENS}")),
    ];
    for response in responses {
        let (outcome, requests) = respond_with(response.clone(), &[]);
        let shown: String = response.chars().take(300).collect();
        assert!(outcome.status.success() && requests == 1, "{}", outcome.report(&[shown]));
        assert_eq!(stored(&outcome)["refresh_token"], "Canary7-next", "{shown}");
    }
}

/// The same from a server that keeps the connection open, and never says that this is all.
#[test]
fn a_response_without_end_is_over_when_its_object_is() {
    let server = kit::serve(Script::always(Step::stall_after(format!("HTTP/1.1 200 OK\r\npreload\r\n\r\n{TOKENS}"))));
    let workspace = Workspace::after_login("no-end");
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    assert_eq!(stored(&outcome)["refresh_token"], "Canary7-next");
    let took = outcome.span.end.duration_since(outcome.span.start).expect("time goes on");
    assert!(took < Duration::from_secs(10), "{}", outcome.report(&[]));
}

/// `TOKENS` by gzip -9n: one block with fixed Huffman codes. The tokens in it are not there in plain text.
const HUFFMAN_CODED: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xabVJLNN-.\x8e/\xc9\xcfN\xcdS\xb2RrN\xccK,\xaa4\xd7\xcdK-W\xd2Q\x02\x8b\
      \xc6\x97T\x16\xa4\x02\xa5\x9cR\x13\x8bR\x8b\x80\xa2E\xa9iE\xa9\xc5\x19X\xf4T\x94\0\xa5S+\x0a2\x81\xf2\
      \xf1\x99@9#\x0b\x0b\x03\x83Z\0\x99\x16T\xe1f\0\0\0";

/// The same with more members: one block with Huffman codes of its own.
const WITH_ITS_OWN_CODES: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\x02\x03m\x90\xcb\x0a\xc20\x10E\x7f\xa5d]!\xef>\x96\xfa!%\xd4\x11\x83\x98\x94$\xc5\
      \x16\xf1\xdf\x0db\xba\x08\xb3\x9d{\x0e3w\xde\xc4\xcc3\xc48%\xff\0GFr1\xce\x84\xbd;9x\x91\x96\xfc\xa6S\
      \xda\x17\xc8\xd1\x19L\x80\x90\xa7\x01n\x01\xe2\x1dq\xb6\x94c\xd8\x16\x9b\xf3\xc9\xe6\x8c\xf7=\xa5-\x89\
      \xb3_\x80f4o\xf3\xabKc\0sm\xd6\x08a\xa4\x8d}.\x10\xa2w&Y\xefFJ\xfex\x87\xe2\xac\xc2Y\xc1\x99DyY\xf1}\xe1\
      9C\xf9\xa1\xe2yw\x08=~\x90\xae\x0c-\x8b!\x14jpUw\xe0\xaa(\x92\xa3\x8a\xa8\x97p\xa6\x0fe\xc0\x8b\xd7M\x84\
      \x14EQ\x1aUt\xfd,\xc58\xf9|\x01W\xc7\xbf\xdf#\x02\0\0";

/// As gzip and zlib store a text that they do not compress.
fn gzip(text: &str) -> Vec<u8> {
    [b"\x1f\x8b\x08\0\0\0\0\0\0\x03", &deflated(text)[..], &[0; 8]].concat()
}

fn deflated(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a small text");
    [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), text.as_bytes()].concat()
}

fn zlib(text: &str) -> Vec<u8> {
    let (low, high) = text.bytes().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(byte)) % 65521;
        (low, (high + low) % 65521)
    });
    [b"\x78\x01", &deflated(text)[..], &(high << 16 | low).to_be_bytes()].concat()
}

#[test]
fn a_body_that_is_compressed_all_the_same_is_read() {
    let bodies = [
        ("gzip", HUFFMAN_CODED.to_vec()),
        ("gzip", WITH_ITS_OWN_CODES.to_vec()),
        ("gzip", gzip(TOKENS)),
        ("deflate", zlib(TOKENS)),
        ("identity", HUFFMAN_CODED.to_vec()),
    ];
    for (coding, body) in bodies {
        expect_tokens(ok(&format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", body.len()), &body));
        expect_tokens(ok(&format!("Content-Encoding: {coding}\r\npreload\r\n"), &body));
    }
    let refusal = gzip(r#"{"error":"invalid_grant"}"#);
    let head =
        format!("HTTP/1.1 400 Bad Request\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", refusal.len());
    let (outcome, _) = respond_with([head.as_bytes(), &refusal].concat(), &[]);
    assert!(outcome.expect_exit(77).stderr().contains("invalid_grant"));
}

/// The name and bytes of the response that was kept, which only its owner may read.
fn kept(outcome: &Outcome) -> (String, Vec<u8>) {
    let prefix = format!("{TOKEN_FILE}.answer-");
    let mut files = outcome.files.iter().filter(|(name, _)| name.starts_with(&prefix));
    let (Some((name, bytes)), None) = (files.next(), files.next()) else {
        panic!("{}", outcome.report(&["wanted one kept response".into()]));
    };
    (name.clone(), bytes.clone())
}

/// Nor by one of a later run, until somebody has looked at what was kept.
#[test]
fn a_kept_response_is_followed_by_no_request_until_somebody_acts() {
    let strange = "{\"at\":\"Canary7-new\",\"rt\":\"Canary7-next\"}";
    let given = r#"{"refresh_token":"Canary7-next"}"#;
    for act in ["delete the response", "store the token", "log in"] {
        let response = ok(&format!("Content-Length: {}\r\n", strange.len()), strange.as_bytes());
        let server =
            kit::serve(Script::once([Step::response(response), Step::response(json_response("200 OK", TOKENS))]));
        let mut workspace = Workspace::after_login("unread");
        let first = workspace.program().refreshing_at(&server).run().expect_exit(74);
        let (name, _) = kept(&first);
        for run in [&["--dry-run"][..], &["--quiet"], &[]] {
            let next = workspace.program().refreshing_at(&server).args(run).run().expect_exit(74);
            assert!(
                next.stderr().contains(&name) && next.stderr().contains("nothing was sent"),
                "{}",
                next.report(&[])
            );
        }
        match act {
            "delete the response" => fs::remove_file(workspace.path(&name)).expect("delete the response"),
            "store the token" => workspace.give(TOKEN_FILE, given),
            _ => workspace.give(TOKEN_FILE, r#"{"refresh_token":"Canary7-other-login"}"#),
        }
        let last = workspace.program().refreshing_at(&server).run().expect_exit(0);
        assert_eq!(stored(&last)["refresh_token"], "Canary7-next");
        let requests = server.finish().requests;
        assert_eq!(requests.len(), 2, "{act}");
        assert_eq!(
            requests[1].parameter("refresh_token") == requests[0].parameter("refresh_token"),
            act.starts_with("delete")
        );
    }
}

/// What may hold tokens is never followed by another request, and never thrown away.
#[test]
fn a_response_that_is_not_understood_is_kept_byte_for_byte() {
    let strange = "{\"at\":\"Canary7-new\",\"rt\":\"Canary7-next\"}";
    let form = "access_token=Canary7-new&refresh_token=Canary7-next";
    let odd = "{\"access_token\":\"Canary7-new\",\"refresh_token\":{\"value\":\"Canary7-next\"}}";
    let malformed = r#"{"access_token":"Canary7-new","expires_in":undefined,"refresh_token":"Canary7-next"}"#;
    let half_a_pair = odd.replace("{\"value\":\"Canary7-next\"}", "\"Canary7-next\\ud83d\"");
    let with_length = |body: &[u8]| ok(&format!("Content-Length: {}\r\n", body.len()), body);
    let bad_gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff\xff".to_vec();
    let bad_head = ok("preload\r\n", strange.as_bytes());
    let last = TOKENS.replace('{', &format!(r#"{{"pad":"{}","#, "x".repeat(MIB)));
    for (response, wanted) in [
        (Step::response(with_length(strange.as_bytes())), strange.as_bytes().to_vec()),
        (Step::response(with_length(odd.as_bytes())), odd.as_bytes().to_vec()),
        (Step::response(with_length(half_a_pair.as_bytes())), half_a_pair.as_bytes().to_vec()),
        (Step::response(with_length(b"{\"result\":\"ok\"}")), b"{\"result\":\"ok\"}".to_vec()),
        (Step::response(with_length(b"Canary7-next")), b"Canary7-next".to_vec()),
        (Step::response(with_length(&bad_gzip)), bad_gzip),
        (
            Step::response(with_length(b"<xml><refresh_token>Canary7-next")),
            b"<xml><refresh_token>Canary7-next".to_vec(),
        ),
        (Step::response(with_length(&TOKENS.as_bytes()[..75])), TOKENS.as_bytes()[..75].to_vec()),
        (Step::response(bad_head.clone()), bad_head),
        (Step::cut(ok("", form.as_bytes())), form.as_bytes().to_vec()),
        (Step::cut(ok("Content-Length: 150\r\n", malformed.as_bytes())), malformed.as_bytes().to_vec()),
        (Step::response(with_length(last.as_bytes())), last.as_bytes()[..MIB].to_vec()),
    ] {
        let server = kit::serve(Script::always(response));
        let workspace = Workspace::after_login("kept");
        let outcome = workspace.program().refreshing_at(&server).run().expect_exit(74);
        let (name, bytes) = kept(&outcome);
        let faults: Vec<String> = [
            (server.finish().requests.len() == 1, "wanted one request"),
            (bytes == wanted, "wanted the response as it came"),
            (outcome.stderr().contains(&name), "wanted its name in the message"),
            (outcome.stderr().contains("the refresh token is most likely spent"), "wanted to be told what to do"),
        ]
        .into_iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, fault)| fault.to_owned())
        .collect();
        assert!(faults.is_empty(), "{}", outcome.report(&faults));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(workspace.path(&name)).expect("the kept response").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}

/// A debugging server (httpbin) has issued nothing, and what it repeats does not get into the token file.
#[test]
fn an_echo_of_the_request_is_no_tokens() {
    let server = kit::serve(Script::always(Step::responding(|request| {
        let token = request.parameter("refresh_token").unwrap_or_default();
        let form = format!(r#"{{"grant_type":"refresh_token","refresh_token":"{token}","client_id":"id"}}"#);
        json_response("200 OK", &format!(r#"{{"form":{form},"url":"https://localhost/post"}}"#))
    })));
    let workspace = Workspace::after_login("echo");
    let before = fs::read(workspace.path(TOKEN_FILE)).expect("the token file");
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(74);
    assert!(outcome.files[TOKEN_FILE] == before && server.finish().requests.len() == 1, "{}", outcome.report(&[]));
}

/// A word for nothing in the place of the refresh token is none: the stored one stays.
#[test]
fn a_placeholder_replaces_no_token() {
    for placeholder in ["null", "undefined", "None", " ", "********"] {
        let (outcome, _) = respond_with(with_length(&TOKENS.replace("Canary7-next", placeholder)), &[]);
        let outcome = outcome.expect_exit(0);
        assert_eq!(stored(&outcome)["refresh_token"], kit::rotation().live_refresh_token(), "{placeholder}");
        assert!(outcome.stderr().contains("warning: the refresh_token of the response is a placeholder"));
    }
}

/// A form that TLS has ended is whole.
#[test]
fn a_form_that_ends_with_the_session_is_whole() {
    let form = "access_token=Canary7-new&token_type=bearer&refresh_token=Canary7-next";
    let stored = expect_tokens(ok("Content-Type: application/x-www-form-urlencoded\r\n", form.as_bytes()));
    assert_eq!(stored["refresh_token"], "Canary7-next");
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
            let response = [head.as_bytes(), &latin, b"\r\n\r\n", &body].concat();
            for args in [&[] as &[&str], &["--verbose"]] {
                let (outcome, _) = respond_with(response.clone(), args);
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
    let response = ok(&format!("Content-Length: {}\r\n", body.len()), &body);
    expect_tokens(response);
    // JSON wants these escaped. Where they stand after the tokens, the tokens count.
    for control in ["\0", "\u{1b}"] {
        let member = format!("\"x\":\"{control}\"");
        let stored = expect_tokens(with_length(&TOKENS.replace("\"expires_in\"", &format!("{member},\"expires_in\""))));
        assert!(stored["refresh_token"] == "Canary7-next" && stored["x"].is_null(), "{stored}");

        let response = with_length(&TOKENS.replace('{', &format!("{{{member},")));
        let (outcome, _) = respond_with(response, &[]);
        let outcome = outcome.expect_exit(74);
        assert!(outcome.stderr().contains("a body that is not a JSON object"), "{}", outcome.report(&[]));
    }
}

#[test]
fn a_head_without_end_ends() {
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X-Padding: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n".repeat(20_000));
    let (outcome, _) = respond_with(endless, &["--no-replay", "--timeout", "20s"]);
    let outcome = outcome.expect_exit(75);
    assert!(outcome.stderr().contains("the response is not HTTP"), "{}", outcome.report(&[]));
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
        let response = format!("HTTP/1.1 {status}\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n");
        let (outcome, requests) = respond_with(response, &[]);
        let outcome = outcome.expect_exit(76);
        let told = format!("HTTP status {}: a redirect to localhost:{}\n", &status[..3], elsewhere.port());
        assert!(outcome.stderr().contains(&told) && requests == 1, "{}", outcome.report(&[told]));
    }
    assert_eq!(elsewhere.finish().connections, 0);
}

/// Two new tokens count with any status: a PHP program that fails after its output ends with 500. What the status alone
/// does not contradict is kept. Half of them, or a repetition of the one that was sent, is an error.
#[test]
fn tokens_with_an_odd_status_are_stored_or_kept() {
    let beside = |error: &str| TOKENS.replace('{', &format!("{{{error},"));
    let access_token = r#"{"access_token":"Canary7-new"}"#.to_owned();
    for (status, body, exit) in [
        ("202 Accepted", TOKENS.to_owned(), 0),
        ("206 Partial Content", TOKENS.to_owned(), 0),
        ("302 Found", TOKENS.to_owned(), 0),
        ("400 Bad Request", TOKENS.to_owned(), 0),
        ("401 Unauthorized", TOKENS.to_owned(), 0),
        ("408 Request Timeout", TOKENS.to_owned(), 0),
        (
            "500 Internal Server Error",
            format!(
                "{TOKENS}<br />
<b>Fatal error</b>: Uncaught {{x}}"
            ),
            0,
        ),
        ("503 Service Unavailable", format!(r#"{{"data":{TOKENS}}}"#), 0),
        ("500 Internal Server Error", beside(r#""error":"server_error""#), 74),
        ("400 Bad Request", beside(r#""success":false"#), 74),
        ("404 Not Found", format!("<pre>{TOKENS}</pre>"), 74),
        ("500 Internal Server Error", r#"{"id_token":"x","refresh_token":"Canary7-next"}"#.to_owned(), 74),
        ("500 Internal Server Error", TOKENS.replace("\"Canary7-next\"", "[\"Canary7-next\"]"), 74),
        ("500 Internal Server Error", TOKENS.replace('{', r#"{"scope":none,"#), 74),
        ("400 Bad Request", r#"{"error":"x","refresh_token":"Canary7-other"}"#.to_owned(), 76),
        ("400 Bad Request", access_token.clone(), 76),
        ("500 Internal Server Error", access_token, 75),
    ] {
        let (outcome, requests) = respond_with(json_response(status, &body), &["--no-replay"]);
        let outcome = outcome.expect_exit(exit);
        let is_told =
            status.starts_with('2') || exit > 0 || outcome.stderr().contains(&format!("HTTP status {}", &status[..3]));
        assert!(requests == 1 && is_told, "{}", outcome.report(&[body]));
        if exit == 0 {
            assert_eq!(stored(&outcome)["refresh_token"], "Canary7-next", "{status}");
        }
    }
}

#[test]
fn an_error_that_repeats_the_refresh_token_is_an_error() {
    let response = Step::responding(|request| {
        let token = request.parameter("refresh_token").unwrap_or_default();
        json_response("400 Bad Request", &format!(r#"{{"error":"invalid_grant","refresh_token":"{token}"}}"#))
    });
    let server = kit::serve(Script::always(response));
    Workspace::after_login("echoed").program().refreshing_at(&server).run().expect_exit(77);
}
