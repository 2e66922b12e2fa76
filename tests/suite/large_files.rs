//! Token files around the largest size that is read, which no case file could hold.
//!
//! One of 1 MiB is a token file like any other: what it says beside the tokens stays, to the byte. So is one
//! that has grown to almost 4 MiB, by what servers sent: what a run writes, the next one can read. A file that
//! leaves no room for new tokens within that is refused before the request, and stays. One on a single line,
//! which a member a line would make larger than 1 MiB, stays on one line.

use crate::kit::{self, TOKEN_FILE, Workspace};
use crate::token_server::{Script, Step, TokenServer, json_response};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest that is read.
const LIMIT: usize = 4 << 20;

/// The largest that has room for new tokens.
const LARGEST: usize = LIMIT - (64 << 10);

/// What the largest usual file has.
const USUAL: usize = 1 << 20;

/// A token file of this many bytes, most of them in a member that is nobody's.
fn token_file(length: usize) -> String {
    let rotation = kit::rotation();
    let tokens = rotation.first_token_file();
    let open = tokens.trim_end().strip_suffix('}').expect("an object").trim_end();
    let around = format!("{open},\n  \"note\": \"\"\n}}\n").len();
    format!("{open},\n  \"note\": \"{}\"\n}}\n", "n".repeat(length - around))
}

#[test]
fn the_largest_file_is_refreshed_and_keeps_what_it_says() {
    for length in [USUAL, LARGEST] {
        expect_kept(&token_file(length));
    }
}

fn expect_kept(given: &str) {
    let server = kit::serve(Script::always(kit::rotation().step()));
    let mut workspace = Workspace::new("largest");
    workspace.give(TOKEN_FILE, given);
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    assert_eq!(server.finish().requests.len(), 1);
    let stored = String::from_utf8(outcome.files[TOKEN_FILE].clone()).expect("text");
    let note =
        |text: &str| text.lines().find(|line| line.contains("note")).map(|line| line.trim_end_matches(',').to_owned());
    assert_eq!(note(&stored), note(given));
    assert_ne!(stored, given);
}

#[test]
fn a_line_that_a_member_a_line_would_make_too_large_stays_one() {
    let rotation = kit::rotation();
    let tokens: String = rotation.first_token_file().lines().map(str::trim).collect();
    let open = tokens.strip_suffix('}').expect("an object");
    let members: String = (0..30_000).map(|number| format!(",\"member-{number:05}\":\"{number:015}\"")).collect();
    let server = kit::serve(Script::always(rotation.step()));
    let mut workspace = Workspace::new("one-line");
    workspace.give(TOKEN_FILE, format!("{open}{members}}}"));
    for refreshes in 1..=2 {
        workspace.program().refreshing_at(&server).run().expect_exit(0);
        let stored = workspace.read(TOKEN_FILE);
        let newlines = stored.iter().filter(|&&byte| byte == b'\n').count();
        assert!(newlines == 1 && stored.len() <= USUAL, "{newlines} newlines, {} bytes", stored.len());
        assert_eq!(rotation.refreshes(), refreshes);
    }
}

#[test]
fn one_byte_too_many_is_refused_where_the_limit_falls() {
    let no_room = "no room for new tokens: they could make the token file larger than 4 MiB\n";
    let too_large = "not a token file: larger than 4 MiB (line 7, column 2)\n";
    for (length, wanted) in [(LARGEST + 100, no_room), (LIMIT, no_room), (LIMIT + 1, too_large)] {
        let server = kit::serve(Script::always(kit::rotation().step()));
        let mut workspace = Workspace::new("too-large");
        workspace.give(TOKEN_FILE, token_file(length));
        let outcome = workspace.program().refreshing_at(&server).run().expect_exit(65);
        assert_eq!(server.finish().requests.len(), 0);
        let wanted = format!("docusign-refresh: docusign.json: {wanted}");
        assert!(outcome.stderr().starts_with(&wanted), "{}", outcome.report(&[]));
        assert!(outcome.stderr().contains("remove members that nobody reads"), "{}", outcome.report(&[]));
        assert_eq!(outcome.files[TOKEN_FILE], workspace.given()[TOKEN_FILE]);
    }
}

/// The refresh token of the `n`-th response.
fn refresh_token(n: usize) -> String {
    format!("Canary7~large/{n}==")
}

/// A server whose responses carry `members` beside the tokens, and which takes each refresh token once.
fn serve_with(members: impl Fn(usize) -> String + Send + Sync + 'static) -> TokenServer {
    let issued = AtomicUsize::new(0);
    kit::serve(Script::always(Step::responding(move |request| {
        let n = issued.load(Ordering::Relaxed);
        if request.parameter("refresh_token") != Some(refresh_token(n)) {
            return json_response("400 Bad Request", "{\"error\": \"invalid_grant\"}");
        }
        issued.store(n + 1, Ordering::Relaxed);
        let tokens = format!("\"access_token\":\"Canary7-a\",\"refresh_token\":\"{}\"", refresh_token(n + 1));
        json_response("200 OK", &format!("{{{tokens},\"expires_in\":28800{}}}", members(n)))
    })))
}

/// Whatever a response makes of it, the next run can read the file: it may grow, but not beyond the limit.
#[test]
fn what_is_written_can_be_read_again() {
    let server = serve_with(|n| format!(",\"member-{n}\":\"{}\"", "m".repeat(600_000)));
    let mut workspace = Workspace::new("growing");
    workspace.give(
        TOKEN_FILE,
        format!("{{\"refresh_token\":\"{}\",\"own\":\"{}\"}}", refresh_token(0), "o".repeat(600_000)),
    );
    for run in 1..=8 {
        let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
        let stored = String::from_utf8(workspace.read(TOKEN_FILE)).expect("text");
        assert!(stored.contains(&refresh_token(run)) && stored.contains("\"own\""), "run {run}");
        let is_full = outcome.stderr().contains("warning: the token file has no room for every member");
        assert_eq!((is_full, stored.contains(&format!("member-{}", run - 1))), (run > 4, run <= 4), "run {run}");
    }
    assert_eq!(server.finish().requests.len(), 8);
}

/// Spread over lines, this response would take twice the room that was made for it.
#[cfg(target_os = "linux")]
#[test]
fn the_draft_has_room_for_whatever_comes() {
    use crate::needs::Need;
    use crate::scene::DRAFT;
    use crate::strace::{self, Call};
    if !Need::Strace.is_met() {
        return;
    }
    let members = |_| (0..98_000).map(|number| format!(",\"{number:05x}\":1")).collect::<String>();
    for token_file in [
        format!("{{\n    \"refresh_token\": \"{}\"\n}}\n", refresh_token(0)),
        format!("{{\"refresh_token\":\"{}\"}}", refresh_token(0)),
    ] {
        let server = serve_with(members);
        let mut workspace = Workspace::new("room");
        workspace.give(TOKEN_FILE, token_file);
        let log = workspace.beside("trace");
        let program = workspace.program().refreshing_at(&server).under(strace::words(&log, None));
        let (outcome, trace) = strace::run(program, &log);
        outcome.expect_exit(0);
        assert_eq!(server.finish().requests.len(), 1);
        let of_draft = || trace.calls.iter().filter(|call| call.is_on(DRAFT));
        let written: usize = of_draft().filter(|call| call.name == "writev").map(Call::result).sum();
        let reserved = of_draft().filter(|call| call.name == "fallocate" && call.has("= 0")).map(Call::last_argument);
        let reserved = reserved.max().unwrap_or(0).max(written);
        let stored = workspace.read(TOKEN_FILE).len();
        assert!(stored > 500_000 && stored <= reserved, "{stored} bytes in the room of {reserved}");
    }
}
