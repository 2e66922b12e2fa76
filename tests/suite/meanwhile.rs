//! What others see, and do, while a request is under way.
//!
//! The server calls back at the moment when it has the whole request and has not responded: the
//! refresh token may be spent, and nothing new is stored. What is true then is what a crash, a
//! second run or a human at the same file would meet.

use crate::kit::{Outcome, TOKEN_FILE, Workspace, rotation, serve};
use crate::token_server::{Rotation, Script, Step, json_response};
use std::fs::{self, File, TryLockError};
use std::sync::mpsc::channel;

/// What a human stores who has only this much.
const LOGIN: &str = r#"{"refresh_token": "Canary7-theirs-too"}"#;

const THEIRS: &str = r#"{"access_token": "Canary7-theirs", "refresh_token": "Canary7-theirs-too"}"#;

fn stored_refresh_token(workspace: &Workspace) -> String {
    let tokens: serde_json::Value =
        serde_json::from_slice(&workspace.read(TOKEN_FILE)).expect("the token file is JSON");
    tokens["refresh_token"].as_str().expect("a string").to_owned()
}

#[test]
fn runs_one_after_another_never_reuse_a_token() {
    let rotation = rotation();
    let server = serve(Script::always(rotation.step()));
    let mut workspace = Workspace::new("one-after-another");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    for run in 1..=3 {
        workspace.program().refreshing_at(&server).run().expect_exit(0);
        assert_eq!(rotation.refreshes(), run);
        assert_eq!(stored_refresh_token(&workspace), rotation.live_refresh_token());
    }
    assert_eq!((rotation.reuses(), rotation.is_revoked()), (0, false));
    assert_eq!(server.finish().unexpected, 0);
}

#[test]
fn lock_and_draft_are_there_before_the_token_is_spent() {
    let rotation = rotation();
    let mut workspace = Workspace::new("lock-and-draft");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    let lock = workspace.path("docusign.json.lock");
    let draft = workspace.path("docusign.json.new");
    let step = rotation.step().on_request(move |_| {
        let lock = File::open(&lock).expect("the lock file is there");
        assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        let draft = fs::read(&draft).expect("the draft is there");
        assert!(!draft.is_empty() && draft.iter().all(u8::is_ascii_whitespace));
    });
    let server = serve(Script::once([step]));
    workspace.program().refreshing_at(&server).run().expect_exit(0);
    server.finish();
}

#[test]
fn a_login_meanwhile_is_not_overwritten() {
    let rotation = rotation();
    let mut workspace = Workspace::new("login-meanwhile");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    let tokens = workspace.path(TOKEN_FILE);
    let step = rotation.step().on_request(move |_| {
        fs::write(&tokens, THEIRS).expect("log in");
    });
    let server = serve(Script::once([step]));
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(74);
    server.finish();

    assert_eq!(outcome.files[TOKEN_FILE], THEIRS.as_bytes());
    expect_ours_set_aside(&outcome, &rotation);
}

fn expect_ours_set_aside(outcome: &Outcome, rotation: &Rotation) {
    let rescued = outcome.files.iter().find(|(name, _)| name.contains(".rescue-"));
    let (name, content) = rescued.expect("ours is set aside");
    assert!(String::from_utf8_lossy(content).contains(&rotation.live_refresh_token()), "{}", outcome.report(&[]));
    assert!(outcome.stderr().contains(name.as_str()), "{}", outcome.report(&[]));
}

#[test]
fn a_member_that_an_editor_adds_meanwhile_is_kept() {
    let rotation = rotation();
    let mut workspace = Workspace::new("editor-meanwhile");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    let tokens = workspace.path(TOKEN_FILE);
    let edited = rotation.first_token_file().replace("{\n", "{\n  \"account\": \"of the editor\",\n");
    let step = rotation.step().on_request(move |_| fs::write(&tokens, &edited).expect("edit"));
    let server = serve(Script::once([step]));
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    server.finish();

    let content = String::from_utf8_lossy(&outcome.files[TOKEN_FILE]);
    assert!(content.starts_with("{\n  \"account\": \"of the editor\",\n"), "{}", outcome.report(&[]));
    assert_eq!(stored_refresh_token(&workspace), rotation.live_refresh_token());
    assert_eq!(outcome.files.keys().collect::<Vec<_>>(), [TOKEN_FILE, "docusign.json.lock"]);
}

#[test]
fn a_file_that_someone_is_writing_meanwhile_is_not_overwritten() {
    let rotation = rotation();
    let mut workspace = Workspace::new("half-written-meanwhile");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    let tokens = workspace.path(TOKEN_FILE);
    let step = rotation.step().on_request(move |_| fs::write(&tokens, &THEIRS[..30]).expect("write half of it"));
    let server = serve(Script::once([step]));
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(74);
    server.finish();

    assert_eq!(outcome.files[TOKEN_FILE], &THEIRS.as_bytes()[..30]);
    expect_ours_set_aside(&outcome, &rotation);
}

#[test]
fn a_file_that_is_deleted_meanwhile_comes_back() {
    let rotation = rotation();
    let mut workspace = Workspace::new("deleted-meanwhile");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    let tokens = workspace.path(TOKEN_FILE);
    let step = rotation.step().on_request(move |_| fs::remove_file(&tokens).expect("delete"));
    let server = serve(Script::once([step]));
    workspace.program().refreshing_at(&server).run().expect_exit(0);
    server.finish();
    assert_eq!(stored_refresh_token(&workspace), rotation.live_refresh_token());
}

/// The server refuses the refresh token, and by then this stands in the token file.
fn refused_while_someone_writes(stored: &'static str) -> Outcome {
    let mut workspace = Workspace::new("refused-meanwhile");
    workspace.give(TOKEN_FILE, rotation().first_token_file());
    let tokens = workspace.path(TOKEN_FILE);
    let refusal = Step::response(json_response("400 Bad Request", r#"{"error":"invalid_grant"}"#));
    let step = refusal.on_request(move |_| fs::write(&tokens, stored).expect("write without the lock"));
    let server = serve(Script::once([step]));
    let outcome = workspace.program().refreshing_at(&server).args(["--print", "header"]).run();
    server.finish();
    assert_eq!(outcome.files[TOKEN_FILE], stored.as_bytes());
    outcome
}

#[test]
fn a_refusal_of_a_token_that_someone_else_has_replaced_is_no_failure() {
    let outcome = refused_while_someone_writes(THEIRS).expect_exit(0);
    assert_eq!(outcome.stdout(), "Authorization: Bearer Canary7-theirs\n");
}

/// A human stores no more than the new refresh token. It is not what the server refused.
#[test]
fn a_refusal_of_a_token_that_a_login_has_replaced_says_to_run_again() {
    let outcome = refused_while_someone_writes(LOGIN).expect_exit(75);
    assert_eq!(outcome.stdout(), "");
    let wanted = "the token file was replaced by a new login during the run\nhint: run again";
    assert!(outcome.stderr().contains(wanted), "{}", outcome.report(&[]));
}

/// Who waits for the lock and finds other tokens then need not ask, if there is one to use.
#[cfg(unix)]
#[test]
fn a_lock_that_comes_free_after_a_login_is_followed_by_a_request_unless_there_is_a_token_to_use() {
    let dead = r#"{"access_token": "Canary7-old", "refresh_token": "Canary7-theirs-too", "expires_at": 1}"#;
    for (stored, requests) in [(LOGIN, 1), (dead, 1), (THEIRS, 0)] {
        let mut workspace = Workspace::new("login-while-waiting");
        workspace.give(TOKEN_FILE, rotation().first_token_file());
        let lock = File::create(workspace.path("docusign.json.lock")).expect("make the lock file");
        lock.lock().expect("lock it");
        let server =
            serve(Script::always(Step::response(json_response("200 OK", r#"{"access_token":"Canary7-new"}"#))));
        let program = workspace.program().refreshing_at(&server).args(["--verbose", "--print", "access-token"]);
        let running = program.start();
        running.await_stderr(&["waiting for another run's lock"]).expect("it waits");
        fs::write(workspace.path(TOKEN_FILE), stored).expect("log in");
        lock.unlock().expect("unlock it");
        let outcome = running.wait().expect_exit(0);
        let record = server.finish();
        assert_eq!(record.requests.len(), requests, "{}", outcome.report(&[]));
        let sent = record.requests.first().and_then(|request| request.parameter("refresh_token"));
        assert!(sent.is_none_or(|sent| sent == "Canary7-theirs-too"), "{}", outcome.report(&[]));
        let printed = if requests == 1 { "Canary7-new\n" } else { "Canary7-theirs\n" };
        assert_eq!(outcome.stdout(), printed);
    }
}

#[test]
fn a_lock_that_stays_busy_ends_the_run_before_the_request() {
    let rotation = rotation();
    let mut workspace = Workspace::new("busy-lock");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    let lock = File::create(workspace.path("docusign.json.lock")).expect("make the lock file");
    lock.lock().expect("lock it");
    let server = serve(Script::default());
    let outcome = workspace.program().refreshing_at(&server).args(["--lock-timeout", "1s"]).run().expect_exit(75);
    assert_eq!(server.finish().connections, 0);
    assert_eq!(outcome.files[TOKEN_FILE], rotation.first_token_file().as_bytes());
    let stderr = outcome.stderr();
    assert!(stderr.contains("docusign.json.lock is still locked by another run after 1s"), "{}", outcome.report(&[]));
    assert!(stderr.contains("--lock-timeout"), "{}", outcome.report(&[]));
}

#[test]
fn a_run_killed_before_the_response_harms_nothing_that_was_stored() {
    let rotation = rotation();
    let mut workspace = Workspace::new("killed");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    let (sender, arrived) = channel();
    let stalled = Step::stall().on_request(move |_| {
        let _ = sender.send(());
    });
    let server = serve(Script::once([stalled]).then_always(rotation.step()));
    let mut running = workspace.program().refreshing_at(&server).start();
    arrived.recv().expect("the request arrives");
    running.kill();
    let outcome = running.wait();
    assert_eq!(outcome.files[TOKEN_FILE], rotation.first_token_file().as_bytes());

    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    assert_eq!(outcome.stdout(), "");
    assert!(!outcome.files.contains_key("docusign.json.new"));
    assert_eq!(stored_refresh_token(&workspace), rotation.live_refresh_token());
    assert_eq!(server.finish().requests.len(), 2);
}

/// `ulimit -f 0` is a disk on which every byte is one too many: the kernel's signal for that ends nobody.
#[cfg(unix)]
#[test]
fn a_full_disk_is_found_before_the_token_is_spent() {
    // With the other limit, there is room for all but the largest response.
    for limit in ["0", "400"] {
        let mut workspace = Workspace::new("full-disk");
        workspace.give(TOKEN_FILE, rotation().first_token_file());
        let server = serve(Script::default());
        let outcome = workspace
            .program()
            .refreshing_at(&server)
            .under(["/bin/sh", "-c", &format!("ulimit -f {limit}; exec \"$0\" \"$@\"")])
            .run()
            .expect_exit(73);
        assert_eq!(server.finish().connections, 0);
        assert_eq!(outcome.files[TOKEN_FILE], rotation().first_token_file().as_bytes());
        assert!(outcome.stderr().contains("(ulimit -f)"), "{}", outcome.report(&[]));
    }
}
