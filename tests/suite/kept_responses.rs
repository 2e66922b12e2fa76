//! A response that may hold tokens, and can't be read, while the disk fails or the run is killed.
//!
//! It is saved byte for byte, for its owner alone, and named; no run takes it for a token set, removes it, or
//! sends another request after it. Only where no file takes a byte is it lost.

use crate::kit::Outcome;
use crate::needs::Need;
use crate::scene::{AGAIN, DRAFT, Footing, LOCK, Scene};
use crate::strace::{self, Call, Injection, Trace};
use crate::token_server::{Script, Step, json_response};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

const RESPONSE: &str = "{\"at\":\"Canary7-new\",\"rt\":\"Canary7-next\"}";

/// The first response can't be read; the server goes on as if it had not been.
fn scene(name: &str) -> Scene {
    Scene::staged(name, Footing::Plain, |_, step| {
        Script::once([Step::response(json_response("200 OK", RESPONSE))]).then_always(step)
    })
}

/// The name of a file that begins with the response, behind which fill may follow.
fn holder(scene: &Scene) -> Option<String> {
    let begins = |content: &[u8]| content.starts_with(RESPONSE.as_bytes());
    scene.workspace.files().into_iter().find(|(_, content)| begins(content)).map(|(name, _)| name)
}

/// After a run that was interrupted or failed, what there was of the response stays. The next run sends nothing
/// while it waits to be read; otherwise, and once it is out of the way, the next run refreshes.
fn expect_next_run(scene: &mut Scene, report: &dyn Fn(&str) -> String) {
    let held = holder(scene);
    let mut next = scene.program().run();
    if let (Some(74), Some(held)) = (next.status.code(), &held) {
        assert!(next.stderr().contains(held) && next.stderr().contains("nothing was sent"), "{}", next.report(&[]));
        let (path, aside) = (scene.workspace.path(held), scene.workspace.beside(held));
        fs::rename(&path, &aside).expect("take the response away");
        next = scene.program().run();
        fs::rename(aside, path).expect("put the response back");
    }
    let next = next.expect_exit(0);
    scene.settle();
    assert_eq!(scene.stored(), Some(scene.rotation.refreshes()), "{}", report(&next.report(&[])));
    let now = holder(scene);
    assert_eq!(held.is_some(), now.is_some(), "{}", report(&next.report(&[])));
    if let (Some(held), Some(now)) = (held, now) {
        let is_safe = now.starts_with("docusign.json.answer-") || now.starts_with("docusign.json.rescue-");
        assert!(is_safe && (now == held || next.stderr().contains(&now)), "{}", report(&next.report(&[])));
    }
    let rest: Vec<String> =
        scene.litter().into_iter().filter(|name| [DRAFT, AGAIN, LOCK].contains(&name.as_str())).collect();
    assert_eq!(rest, [""; 0], "{}", report(&next.report(&[])));
}

fn run(scene: &Scene, injection: Option<&Injection>) -> (Outcome, Trace) {
    strace::run(scene.program_under(strace::words(&scene.log(), injection)), &scene.log())
}

/// The names of the calls from the first byte of the request on.
fn names() -> Vec<String> {
    let mut scene = scene("kept-calls");
    let (outcome, trace) = run(&scene, None);
    let outcome = outcome.expect_exit(74);
    scene.settle();
    let name = holder(&scene).expect("it is kept");
    assert!(outcome.stderr().contains(&name) && name.starts_with("docusign.json.answer-"), "{}", outcome.report(&[]));
    assert_eq!(outcome.files[&name], RESPONSE.as_bytes());
    assert_eq!(fs::metadata(scene.workspace.path(&name)).expect("it is there").mode() & 0o7777, 0o600);
    expect_next_run(&mut scene, &|fault| outcome.report(&[fault.to_owned()]));
    let sent = trace.calls.iter().rposition(|call| call.name == "sendto").expect("a request");
    Trace { calls: trace.calls[sent..].to_vec() }.names()
}

#[test]
fn a_disk_that_fails_loses_no_response_that_a_file_takes() {
    if !Need::Strace.is_met() {
        return;
    }
    let (kept, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let on_files = ["fchmod", "pwrite64", "ftruncate", "fsync", "rename", "openat", "open", "unlink", "statx", "lstat"];
    let names = names().into_iter().filter(|name| on_files.contains(&name.as_str()));
    let injections: [fn(&str, usize, &str) -> Injection; 2] = [Injection::fail, Injection::fail_from];
    let kinds = names.flat_map(|name| injections.map(|injection| (name.clone(), injection))).collect();
    strace::sweep(kinds, |(name, injection), n| {
        let mut scene = scene("kept-failed");
        let (outcome, trace) = run(&scene, Some(&injection(name, n, "EIO")));
        let at = trace.position(Call::is_injected)?;
        let requests = scene.settle().requests.len();
        let sent = trace.calls.iter().rposition(|call| call.name == "sendto");
        if requests == 0 || sent.is_some_and(|sent| sent > at) {
            return Some(());
        }
        let report = |fault: &str| outcome.report(&[format!("{}", trace.calls[at]), fault.to_owned(), trace.report()]);
        assert_eq!((outcome.status.code(), requests, scene.stored()), (Some(74), 1, Some(0)), "{}", report(""));
        match holder(&scene) {
            Some(name) => {
                assert!(outcome.stderr().contains(&name), "{}", report("it is not named"));
                let mode = fs::metadata(scene.workspace.path(&name)).expect("it is there").mode() & 0o7777;
                assert_eq!(mode, 0o600, "{}", report("others may read it"));
                kept.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                assert_eq!(name, "pwrite64", "{}", report("it is lost"));
                assert!(outcome.stderr().contains("cannot be saved"), "{}", report("it is not told"));
                lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        expect_next_run(&mut scene, &report);
        Some(())
    });
    println!("kept {kept:?}, lost {lost:?}");
    assert!(kept.into_inner() > 10);
    // All writes fail, from the one to the lock file on, or from the first one to the draft on.
    assert_eq!(lost.into_inner(), 2);
}

#[test]
fn a_run_that_is_killed_leaves_the_response_to_the_next() {
    if !Need::Strace.is_met() {
        return;
    }
    let held = AtomicUsize::new(0);
    strace::sweep(names(), |name, n| {
        let mut scene = scene("kept-killed");
        let (outcome, trace) = run(&scene, Some(&Injection::kill(name, n)));
        if outcome.status.code().is_some() {
            return None;
        }
        if scene.settle().requests.is_empty() {
            return Some(());
        }
        let report = |fault: &str| outcome.report(&[format!("killed at {name} {n}"), fault.to_owned(), trace.report()]);
        held.fetch_add(usize::from(holder(&scene).is_some()), Ordering::Relaxed);
        expect_next_run(&mut scene, &report);
        Some(())
    });
    println!("held by {held:?}");
    assert!(held.into_inner() > 3);
}

/// The lock file tells that the draft is a response: whatever it says, it is not promoted.
#[test]
fn a_response_under_the_drafts_name_is_never_promoted() {
    for name in [DRAFT, AGAIN] {
        for content in [RESPONSE.to_owned(), other_tokens()] {
            let mut scene = Scene::new("response-as-draft", Footing::Plain);
            fs::write(scene.workspace.path(name), &content).expect("leave a draft");
            fs::write(scene.workspace.path(LOCK), "response\n").expect("leave a note");
            let outcome = scene.program().run().expect_exit(0);
            scene.settle();
            let litter = scene.litter();
            let [saved] = litter.as_slice() else { panic!("{}", outcome.report(&[format!("{litter:?}")])) };
            assert!(saved.starts_with("docusign.json.answer-") && outcome.stderr().contains(saved));
            assert_eq!((outcome.files[saved].as_slice(), scene.stored()), (content.as_bytes(), Some(1)));
        }
    }
}

fn other_tokens() -> String {
    "{\"access_token\": \"Canary7-other\", \"refresh_token\": \"Canary7-other-too\"}\n".to_owned()
}
