//! The order of system calls that lets a power cut find nothing half done.
//!
//! What is not synced may be lost, and may be lost alone: a rename without the content, a later name without an
//! earlier one. So whatever a step relies on is synced before it.

use crate::kit::TOKEN_FILE;
use crate::needs::Need;
use crate::scene::{AGAIN, DRAFT, Footing, LOCK, Scene};
use crate::strace::{self, Call, Injection, Trace};
use crate::token_server::{Script, Step, json_response};
use std::fs;

fn is(call: &Call, name: &str, file: &str) -> bool {
    (call.name == name || name == "open" && call.opens()) && call.is_on(file)
}

/// Whether calls of these names, on these files, were made in this order: each is looked for behind the one before.
#[track_caller]
fn expect_order(trace: &Trace, wanted: &[(&str, &str)]) {
    let mut from = 0;
    for (name, file) in wanted {
        match trace.calls[from..].iter().position(|call| is(call, name, file)) {
            Some(at) => from += at + 1,
            None => panic!("no {name} on {file} behind call {from}:\n{}", trace.report()),
        }
    }
}

fn run(scene: &Scene, injections: &[&Injection], exit: i32) -> Trace {
    let words = strace::words(&scene.log(), injections.iter().copied());
    let (outcome, trace) = strace::run(scene.program_under(words), &scene.log());
    outcome.expect_exit(exit);
    trace
}

/// Another login that is not on the disk yet must not make us set aside ours.
#[test]
fn another_login_is_synced_before_the_draft_gives_way() {
    if !Need::Strace.is_met() {
        return;
    }
    let synced = [("fsync", "work"), ("fsync", TOKEN_FILE), ("rename", DRAFT), ("fsync", "work"), ("ftruncate", LOCK)];
    let scene = Scene::staged("login-meanwhile", Footing::Plain, |workspace, step| {
        let token_file = workspace.path(TOKEN_FILE);
        let login = "{\"refresh_token\": \"Canary7-login\"}";
        Script::always(step.on_request(move |_| fs::write(&token_file, login).expect("log in")))
    });
    let committed = [&[("sendto", ""), ("pwrite64", DRAFT), ("fsync", DRAFT)][1..], &synced].concat();
    expect_order(&run(&scene, &[], 74), &committed);

    let scene = Scene::new("login-later", Footing::Plain).died_at("rename", 1);
    fs::write(scene.workspace.path(TOKEN_FILE), scene.rotation.authorize_again()).expect("log in");
    expect_order(&run(&scene, &[], 0), &synced);
}

/// With a name of its own on the disk, the response needs its note there, too: which refresh token is spent.
#[test]
fn the_note_of_a_kept_response_is_synced_before_its_name() {
    if !Need::Strace.is_met() {
        return;
    }
    let scene = Scene::staged("kept-response", Footing::Plain, |_, _| {
        Script::always(Step::response(json_response("200 OK", "{\"rt\":\"Canary7-next\"}")))
    });
    let kept = [("pwrite64", LOCK), ("pwrite64", DRAFT), ("fsync", DRAFT), ("fsync", LOCK), ("rename", DRAFT)];
    let noted = [("fsync", "work"), ("pwrite64", LOCK), ("fsync", LOCK)];
    let trace = run(&scene, &[], 74);
    let sent = trace.calls.iter().rposition(|call| call.name == "sendto").expect("a request");
    expect_order(&Trace { calls: trace.calls[sent..].to_vec() }, &[&kept[..], &noted].concat());
}

/// What it says is saved before it is replaced.
#[test]
fn a_copy_of_the_token_file_is_synced_before_the_draft_takes_its_place() {
    if !Need::Strace.is_met() {
        return;
    }
    let scene = Scene::new("copied", Footing::Plain).died_at("rename", 1);
    fs::write(scene.workspace.path(TOKEN_FILE), "{\"access_tok").expect("write it");
    let trace = run(&scene, &[], 0);
    let rescue = scene.litter().pop().expect("a copy");
    let order = [("fsync", "work"), ("fsync", "work"), ("fsync", &rescue), ("rename", DRAFT), ("fsync", "work")];
    expect_order(&trace, &order);
}

#[test]
fn the_second_drafts_name_is_synced_before_its_content_counts() {
    if !Need::Strace.is_met() {
        return;
    }
    let order = [("fsync", "work"), ("pwrite64", AGAIN), ("fsync", AGAIN), ("rename", AGAIN), ("rename", DRAFT)];
    for call in ["pwrite64", "fsync"] {
        let scene = Scene::new("second-draft", Footing::Plain);
        let n = if call == "fsync" { 4 } else { 2 };
        let trace = run(&scene, &[&Injection::fail(call, n, "EIO")], 0);
        let failed = trace.position(Call::is_injected).expect("a call failed");
        expect_order(&Trace { calls: trace.calls[failed..].to_vec() }, &order);
    }
}

/// Killed behind the rename, before the directory was synced: the lock file tells the next run.
#[test]
fn what_a_killed_run_renamed_is_synced_by_the_next_before_it_makes_a_draft() {
    if !Need::Strace.is_met() {
        return;
    }
    for footing in [Footing::Plain, Footing::Mounted] {
        if footing == Footing::Mounted && !Need::OwnMounts.is_met() {
            continue;
        }
        let mut scene = Scene::new("renamed", footing);
        let kill = Injection::kill(
            if footing == Footing::Plain { "fsync" } else { "unlink" },
            if footing == Footing::Plain { 5 } else { 1 },
        );
        let words = strace::words(&scene.log(), Some(&kill));
        let (_, killed) = strace::run(scene.program_under(words), &scene.log());
        scene.settle();
        assert_eq!((scene.stored(), scene.rotation.refreshes()), (Some(1), 1), "{}", killed.report());
        let trace = run(&scene, &[], 0);
        let first = |name: &str, file: &str| trace.position(|call| is(call, name, file));
        let synced = first("fsync", "work");
        let made = trace.position(|call| call.opens() && call.is_on(DRAFT) && call.has("O_EXCL"));
        assert!(synced.is_some() && synced < made, "{}", trace.report());
        if footing == Footing::Mounted {
            let (synced, removed) = (first("fsync", TOKEN_FILE), first("unlink", DRAFT));
            assert!(synced.is_some() && synced < removed, "{}", trace.report());
        }
    }
}

/// The note stays where the directory could not be synced: so the next run does it.
#[test]
fn names_that_could_not_be_synced_are_by_the_next_run() {
    if !Need::Strace.is_met() {
        return;
    }
    let scene = Scene::new("not-synced", Footing::Plain);
    run(&scene, &[&Injection::fail("fsync", 5, "EIO")], 0);
    assert!(!scene.workspace.read(LOCK).is_empty(), "the note is there");
    let trace = run(&scene, &[], 0);
    expect_order(&trace, &[("fsync", "work"), ("ftruncate", LOCK), ("open", DRAFT)]);
    assert_eq!((scene.stored(), scene.litter()), (Some(2), vec![]));
}
