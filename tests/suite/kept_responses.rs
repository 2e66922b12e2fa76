//! A response that may hold tokens, and can't be read, while the disk fails or the run is killed.
//!
//! It is saved byte for byte, for its owner alone, and named; no run takes it for a token set, removes it, or
//! sends another request after it, until somebody takes it away. Only where no file takes a byte is it lost.

use crate::kit::{self, Outcome};
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

/// The names of the files that begin with the response, behind which fill may follow.
fn holders(scene: &Scene) -> Vec<String> {
    let begins = |content: &[u8]| content.starts_with(RESPONSE.as_bytes());
    scene.workspace.files().into_iter().filter(|(_, content)| begins(content)).map(|(name, _)| name).collect()
}

/// A run sends nothing, and names one of the files that hold the response.
fn expect_nothing_sent(scene: &mut Scene, arguments: &[&str], report: &dyn Fn(&str) -> String) {
    let outcome = scene.program().args(arguments).run();
    let told = outcome.stderr();
    assert_eq!((outcome.status.code(), scene.settle().connections), (Some(74), 0), "{}", report(&outcome.report(&[])));
    let is_named = holders(scene).iter().any(|name| told.contains("the response is kept in ") && told.contains(name));
    assert!(is_named && told.contains("nothing was sent"), "{}", report(&outcome.report(&[])));
}

/// After a run that was interrupted or failed, what there was of the response stays. No run sends anything
/// while it waits to be read; otherwise, and once it is out of the way, the next run refreshes.
fn expect_next_run(scene: &mut Scene, report: &dyn Fn(&str) -> String) {
    if !holders(scene).is_empty() {
        for arguments in [&["--dry-run"][..], &[], &["--quiet"]] {
            expect_nothing_sent(scene, arguments, report);
        }
        for name in holders(scene) {
            assert!(name.starts_with("docusign.json.answer-"), "{}", report(&name));
            fs::remove_file(scene.workspace.path(&name)).expect("take the response away");
        }
    }
    let next = scene.program().run().expect_exit(0);
    scene.settle();
    assert_eq!(scene.stored(), Some(scene.rotation.refreshes()), "{}", report(&next.report(&[])));
    assert_eq!(holders(scene), [""; 0], "{}", report(&next.report(&[])));
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
    let name = holders(&scene).pop().expect("it is kept");
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
        let holders = holders(&scene);
        for name in &holders {
            assert!(outcome.stderr().contains(name), "{}", report("it is not named"));
            let mode = fs::metadata(scene.workspace.path(name)).expect("it is there").mode() & 0o7777;
            assert_eq!(mode, 0o600, "{}", report("others may read it"));
        }
        if holders.is_empty() {
            assert_eq!(name, "pwrite64", "{}", report("it is lost"));
            assert!(outcome.stderr().contains("cannot be saved"), "{}", report("it is not told"));
        }
        (if holders.is_empty() { &lost } else { &kept }).fetch_add(1, Ordering::Relaxed);
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
        held.fetch_add(usize::from(!holders(&scene).is_empty()), Ordering::Relaxed);
        expect_next_run(&mut scene, &report);
        Some(())
    });
    println!("held by {held:?}");
    assert!(held.into_inner() > 3);
}

/// A run was killed before it gave the response a name of its own. The one that does so sends nothing, whatever
/// becomes of it.
#[test]
fn a_run_that_saves_the_response_of_another_sends_nothing() {
    if !Need::Strace.is_met() {
        return;
    }
    let killed = || {
        let mut scene = scene("kept-by-the-next");
        let (_, trace) = run(&scene, Some(&Injection::kill("rename", 1)));
        assert_eq!((scene.settle().requests.len(), holders(&scene)), (1, vec![DRAFT.to_owned()]), "{}", trace.report());
        scene
    };
    let ends = AtomicUsize::new(0);
    let names = run(&killed(), None).1.names();
    let injections: [fn(&str, usize) -> Injection; 2] = [Injection::kill, |name, n| Injection::fail(name, n, "EIO")];
    let kinds = names.into_iter().flat_map(|name| injections.map(|injection| (name.clone(), injection))).collect();
    strace::sweep(kinds, |(name, injection), n| {
        let mut scene = killed();
        let (outcome, trace) = run(&scene, Some(&injection(name, n)));
        if outcome.status.code().is_some() {
            trace.position(Call::is_injected)?;
        }
        let report = |fault: &str| outcome.report(&[format!("{name} {n}"), fault.to_owned(), trace.report()]);
        assert_eq!(scene.settle().connections, 0, "{}", report("it connected"));
        assert_eq!(holders(&scene).len(), 1, "{}", report("it is lost"));
        expect_next_run(&mut scene, &report);
        ends.fetch_add(1, Ordering::Relaxed);
        Some(())
    });
    println!("{ends:?} ends");
    assert!(ends.into_inner() > 100);
}

/// A login that nobody finishes proves first that its tokens can be stored, and notes that in the lock file.
#[test]
fn a_login_that_is_given_up_leaves_the_response_unread() {
    let mut scene = scene("kept-before-login");
    scene.program().run().expect_exit(74);
    let login = ["login", "--authorization-endpoint", "https://a.example/auth"];
    scene.program().args(login).stdin("").run().expect_exit(65);
    scene.settle();
    expect_next_run(&mut scene, &str::to_owned);
}

/// What the lock file says of a refresh token (FNV-1a).
fn fingerprint(token: &str) -> String {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    format!("{:08x}", token.bytes().fold(0x811C_9DC5, step))
}

/// The lock file tells that the draft is a response: whatever it says, it is not promoted. If the stored refresh token
/// brought it, nothing is sent; older notes name no token.
#[test]
fn a_response_under_the_drafts_name_is_never_promoted() {
    let stored: serde_json::Value = serde_json::from_str(&kit::rotation().first_token_file()).expect("JSON");
    let note_of_stored = fingerprint(stored["refresh_token"].as_str().expect("a token")) + "?";
    for (note, is_of_stored) in [("response\n", true), (&note_of_stored, true), ("0123abcd?", false)] {
        for name in [DRAFT, AGAIN] {
            for content in [RESPONSE.to_owned(), other_tokens()] {
                let mut scene = Scene::new("response-as-draft", Footing::Plain);
                fs::write(scene.workspace.path(name), &content).expect("leave a draft");
                fs::write(scene.workspace.path(LOCK), note).expect("leave a note");
                let (exit, refreshes) = if is_of_stored { (74, 0) } else { (0, 1) };
                let dry = scene.program().args(["--dry-run"]).run().expect_exit(exit);
                assert_eq!(dry.stderr().contains("the response is kept in "), is_of_stored);
                let outcome = scene.program().run().expect_exit(exit);
                assert_eq!(scene.settle().requests.len(), refreshes, "{}", outcome.report(&[]));
                let litter: Vec<String> = scene.litter().into_iter().filter(|name| name != LOCK).collect();
                let [saved] = litter.as_slice() else { panic!("{}", outcome.report(&[format!("{litter:?}")])) };
                assert!(
                    saved.starts_with("docusign.json.answer-") && outcome.stderr().contains(saved),
                    "{}",
                    outcome.report(&[])
                );
                assert_eq!((outcome.files[saved].as_slice(), scene.stored()), (content.as_bytes(), Some(refreshes)));
                fs::remove_file(scene.workspace.path(saved)).expect("take the response away");
                scene.program().run().expect_exit(0);
                scene.settle();
                assert_eq!((scene.stored(), scene.litter()), (Some(refreshes + 1), vec![]));
            }
        }
    }
}

fn other_tokens() -> String {
    "{\"access_token\": \"Canary7-other\", \"refresh_token\": \"Canary7-other-too\"}\n".to_owned()
}
