//! Token files around the largest size that is read, which no case file could hold.
//!
//! One of exactly 1 MiB is a token file like any other: what it says beside the tokens stays, to the
//! byte. One byte more, and it is refused with the place where the limit falls; the server is not
//! even connected to, and the file stays. One on a single line, which a member a line would make too
//! large to be read again, stays on one line.

use crate::kit::{self, TOKEN_FILE, Workspace};
use crate::token_server::Script;

const LARGEST: usize = 1 << 20;

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
    let given = token_file(LARGEST);
    assert_eq!(given.len(), LARGEST);
    let server = kit::serve(Script::always(kit::rotation().step()));
    let mut workspace = Workspace::new("largest");
    workspace.give(TOKEN_FILE, given.clone());
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    assert_eq!(server.finish().requests.len(), 1);
    let stored = String::from_utf8(outcome.files[TOKEN_FILE].clone()).expect("text");
    let note =
        |text: &str| text.lines().find(|line| line.contains("note")).map(|line| line.trim_end_matches(',').to_owned());
    assert_eq!(note(&stored), note(&given));
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
        assert!(newlines == 1 && stored.len() <= LARGEST, "{newlines} newlines, {} bytes", stored.len());
        assert_eq!(rotation.refreshes(), refreshes);
    }
}

#[test]
fn one_byte_more_is_refused_where_the_limit_falls() {
    let server = kit::serve(Script::always(kit::rotation().step()));
    let mut workspace = Workspace::new("too-large");
    workspace.give(TOKEN_FILE, token_file(LARGEST + 1));
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(65);
    assert_eq!(server.finish().requests.len(), 0);
    let wanted = "docusign-refresh: docusign.json: not a token file: larger than 1 MiB (line 7, column 2)\n";
    assert!(outcome.stderr().starts_with(wanted), "{}", outcome.report(&[]));
    assert_eq!(outcome.files, *workspace.given(), "nothing else is there, not even a lock");
}
