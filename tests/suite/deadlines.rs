//! `--timeout` is the end, whatever the network does.
//!
//! A server can fall silent at every stage: before the handshake, before the response, inside the
//! head, inside the body, or so slowly that every single read succeeds. An address can swallow what
//! is sent to it, and a name server can too. The run ends within half a second of its time-out in
//! each case, says at which stage it was, and knows whether the request had left.
//!
//! What is dead beside something that lives costs little: the addresses of a host take turns, and an
//! attempt that was not sent has a limit of its own.
//!
//! The promise is half a second; the tests allow [`SLACK`] more, since they share the machine with
//! each other, and show what they measured.

use crate::kit::{self, CLIENT_ID, NOBODY, Outcome, Workspace};
use crate::namespace;
use crate::token_server::{BlackHole, Leaf, PATH, Protection, Relay, Script, Step, Terms, TokenServer};
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::thread;
use std::time::Duration;

const PROMISE: Duration = Duration::from_millis(500);
const SLACK: Duration = Duration::from_millis(1500);

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n";
const HALF_A_BODY: &str = "{\"access_token\":\"Canary7-";

fn took(outcome: &Outcome) -> Duration {
    outcome.span.end.duration_since(outcome.span.start).expect("time goes on")
}

/// A run that has used up its time says so, in time.
fn expect_end(what: &str, outcome: &Outcome, timeout: Duration, message: &str) {
    let took = took(outcome);
    println!("{what}: {took:?} of {timeout:?}");
    let stderr = outcome.stderr();
    let faults = [
        (outcome.status.code() != Some(75), "wanted exit code 75".to_owned()),
        (!stderr.contains(message), format!("wanted `{message}`")),
        (took > timeout + PROMISE + SLACK, format!("took {took:?} of {timeout:?}")),
        (took < timeout / 2, format!("gave up after {took:?} of {timeout:?}")),
    ];
    let faults: Vec<String> = faults.into_iter().filter(|(failed, _)| *failed).map(|(_, fault)| fault).collect();
    assert!(faults.is_empty(), "{what}: {}", outcome.report(&faults));
}

#[test]
fn a_server_may_fall_silent_at_any_stage() {
    let slow_body = format!("{HEAD}{HALF_A_BODY}{}", "x".repeat(400));
    let unknown = "no response in time; the refresh token may be spent";
    let stages = [
        ("before-the-handshake", Step::stall_before_handshake(), "the TLS handshake took too long\n"),
        ("before-the-response", Step::stall(), unknown),
        ("in-the-head", Step::stall_after("HTTP/1.1 200 OK\r\nContent-Type: app"), unknown),
        ("after-the-head", Step::stall_after(HEAD), unknown),
        ("in-the-body", Step::stall_after(format!("{HEAD}{HALF_A_BODY}")), unknown),
        ("trickled-head", Step::trickle(HEAD), unknown),
        ("trickled-body", Step::trickle(slow_body), unknown),
    ];
    thread::scope(|scope| {
        for (what, step, message) in stages {
            scope.spawn(move || {
                let workspace = Workspace::after_login(what);
                let server = kit::serve(Script::always(step));
                let outcome = workspace.program().refreshing_at(&server).args(["--timeout", "1500ms"]).run();
                expect_end(what, &outcome, Duration::from_millis(1500), message);
                let record = server.finish();
                let sent = usize::from(message == unknown);
                assert_eq!(record.requests.len(), sent, "{what}: {}", outcome.report(&[kit::report_of(&record)]));
            });
        }
    });
}

/// A request that leaves too late for its response would only cost the refresh token. Connection and handshake
/// take a round trip each: they come to their end before the time-out, but not by much.
#[test]
fn nothing_is_sent_that_would_be_too_late_for_a_response() {
    let server = kit::serve(Script::always(kit::rotation().step()));
    let relay = Relay::start(server.port(), Duration::from_millis(875));
    let workspace = Workspace::after_login("too-late");
    let outcome = workspace
        .program()
        .refreshing_at(&server)
        .environment("DOCUSIGN_TOKEN_ENDPOINT", format!("https://localhost:{}{PATH}", relay.port()))
        .args(["--timeout", "2s"])
        .run()
        .expect_exit(75);
    assert!(outcome.stderr().contains("the TLS handshake took too long\n"), "{}", outcome.report(&[]));
    drop(relay);
    assert_eq!(server.finish().requests.len(), 0, "{}", outcome.report(&[]));
}

#[test]
fn an_address_may_be_dead() {
    let workspace = Workspace::after_login("dead-address");
    let hole = BlackHole::at((Ipv4Addr::LOCALHOST, 0).into()).expect("an address that swallows everything");
    let endpoint = format!("https://{}/oauth/token", hole.address());
    let outcome = workspace
        .program()
        .args(["--timeout", "1500ms", "--token-endpoint", &endpoint, "--client-id", CLIENT_ID])
        .run();
    expect_end("a dead address", &outcome, Duration::from_millis(1500), "connecting took too long\n");
}

/// Refused connections are tried again, with pauses, until the time is over.
#[test]
fn a_server_may_be_down() {
    let workspace = Workspace::after_login("server-down");
    let endpoint = format!("https://{NOBODY}/oauth/token");
    let outcome =
        workspace.program().args(["--timeout", "2s", "--token-endpoint", &endpoint, "--client-id", CLIENT_ID]).run();
    expect_end("a server that is down", &outcome, Duration::from_secs(2), "cannot connect: connection refused");
    assert!(outcome.stderr().contains(" attempts"), "{}", outcome.report(&["wanted more than one attempt".into()]));
}

/// A server known by a dead IPv6 address and a live IPv4 one. The former comes first (RFC 6724).
fn half_dead(name: &str, address_of_hole: fn(u16) -> Option<BlackHole>) -> Option<Outcome> {
    let workspace = Workspace::after_login(name);
    let protection = kit::tls_on(Terms::new(Leaf::Localhost).names(&["half-dead.test"]));
    let server = TokenServer::start(protection, Script::always(kit::rotation().step()));
    let _hole = address_of_hole(server.port());
    let known = [("::1", "half-dead.test"), ("127.0.0.1", "half-dead.test")];
    let stands = namespace::names(&workspace.directory(), &known, "127.0.0.1");
    let outcome = workspace
        .program()
        .refreshing_at(&server)
        .environment("DOCUSIGN_TOKEN_ENDPOINT", format!("https://half-dead.test:{}/oauth/token", server.port()))
        .args(["--verbose"])
        .under(namespace::where_stand(&stands)?)
        .run()
        .expect_exit(0);
    assert_eq!(server.finish().requests.len(), 1);
    let tried = |address: &str| outcome.stderr().contains(&format!("connecting to {address}:"));
    assert!(tried("[::1]") && tried("127.0.0.1"), "{}", outcome.report(&["wanted both addresses".into()]));
    Some(outcome)
}

#[test]
fn one_of_two_addresses_may_be_dead() {
    let hole = |port| Some(BlackHole::at((Ipv6Addr::LOCALHOST, port).into()).expect("an IPv6 loopback address"));
    let Some(outcome) = half_dead("half-dead", hole) else { return };
    println!("one dead address of two: {:?}", took(&outcome));
    assert!(took(&outcome) < Duration::from_secs(3), "{}", outcome.report(&["too slow".into()]));
    assert!(outcome.stderr().contains("no connection to [::1]:"), "{}", outcome.report(&[]));
}

#[test]
fn one_of_two_addresses_may_refuse() {
    let Some(outcome) = half_dead("half-refused", |_| None) else { return };
    assert!(outcome.stderr().contains("connection refused"), "{}", outcome.report(&[]));
}

/// One machine behind a load balancer accepts and says nothing; the next attempt meets its neighbour.
#[test]
fn an_attempt_that_was_not_sent_leaves_time_for_another() {
    let workspace = Workspace::after_login("half-dead-balancer");
    let script = Script::once([Step::stall_before_handshake()]).then_always(kit::rotation().step());
    let server = kit::serve(script);
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    let record = server.finish();
    assert_eq!((record.connections, record.requests.len()), (2, 1), "{}", outcome.report(&[]));
}

#[test]
fn a_name_server_may_be_silent() {
    let workspace = Workspace::after_login("silent-name-server");
    let address = kit::loopback_of_this_process();
    let stands = namespace::names(&workspace.directory(), &[("127.0.0.1", "localhost")], &address.to_string());
    let Some(wrapper) = namespace::where_stand(&stands) else { return };
    let name_server = UdpSocket::bind((address, 53)).expect("bind to port 53 of a loopback address");
    let outcome = workspace
        .program()
        .args(["--timeout", "2s", "--token-endpoint", "https://nowhere.test/oauth/token", "--client-id", CLIENT_ID])
        .under(wrapper)
        .run();
    expect_end(
        "a silent name server",
        &outcome,
        Duration::from_secs(2),
        "not refreshed by nowhere.test: looking up nowhere.test took too long (asked: any address, ",
    );
    name_server.set_nonblocking(true).expect("a socket");
    assert!(name_server.recv(&mut [0; 512]).is_ok(), "nobody asked the name server");
}

/// The time-out is one for the whole run: replays and pauses take from it, and give nothing back.
#[test]
fn a_server_that_always_fails_is_left_in_time() {
    let workspace = Workspace::after_login("always-503");
    let response = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    let server = TokenServer::start(Protection::None, Script::always(Step::response(response)));
    let outcome = workspace.program().refreshing_at(&server).args(["--timeout", "5s"]).run();
    expect_end("503 forever", &outcome, Duration::from_secs(5), "HTTP status 503");
    let requests = server.finish().requests.len();
    assert!((2..=9).contains(&requests), "{requests} requests in five seconds");
}
