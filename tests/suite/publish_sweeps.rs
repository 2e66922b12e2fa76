//! Publishing, killed and failed at every system call.
//!
//! Before the refresh, the access token file is proven: whatever is struck there, nothing is sent, or all is done.
//!
//! What `kills` and `failures` show of a run as a whole is not repeated: here the strikes begin with the call after
//! the one that commits the tokens. Whatever is struck, the token file is the new one, and the next run, which
//! finds it fresh, publishes to both places and leaves nothing behind.

use crate::api_server::Pod;
use crate::kit::TOKEN_FILE;
use crate::needs::Need;
use crate::scene::{Footing, Scene};
use crate::strace::{self, Call, Injection, Trace};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const FILE: &str = "access-token";
const PROVEN: &str = "access-token.new";
const ARGUMENTS: [&str; 2] = ["--access-token-file", FILE];

/// Runs made at a time.
const THREADS: usize = 3;

/// Calls that the kernel never lets fail, or that end the process.
const NEVER_FAIL: [&str; 12] = [
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "madvise",
    "mprotect",
    "exit_group",
    "rt_sigprocmask",
    "rt_sigaction",
    "sigaltstack",
    "futex",
    "restart_syscall",
];

fn is_commit(call: &Call) -> bool {
    call.name.starts_with("rename") && call.is_on(TOKEN_FILE)
}

/// How often each call is made until the tokens are committed, and after that.
fn counts(trace: &Trace) -> BTreeMap<String, (usize, usize)> {
    let commit = trace.position(is_commit);
    let commit = commit.unwrap_or_else(|| panic!("never committed\n{}", trace.report()));
    let mut counts = BTreeMap::<String, (usize, usize)>::new();
    for (at, call) in trace.calls.iter().enumerate().filter(|(_, call)| call.name != "execve") {
        let count = counts.entry(call.name.clone()).or_default();
        if at <= commit { count.0 += 1 } else { count.1 += 1 }
    }
    counts
}

/// The calls of a whole run that come after the commit: name and number.
fn strikes(name: &str) -> Option<Vec<(String, usize)>> {
    Need::Strace.is_met().then_some(())?;
    let pod = Pod::new(name)?;
    let log = pod.scene.log();
    let (outcome, trace) = strace::run(pod.program_under(strace::words(&log, None)).args(ARGUMENTS), &log);
    outcome.expect_exit(0);
    assert!(pod.is_published() && pod.scene.workspace.read(FILE) == pod.stored().into_bytes());
    let counts = counts(&trace).into_iter();
    let strikes: Vec<_> = counts
        .flat_map(|(name, (before, after))| (before + 1..=before + after).map(move |n| (name.clone(), n)))
        .collect();
    assert!(strikes.len() > 40, "{strikes:?}");
    Some(strikes)
}

/// Makes each strike with a pod of its own.
fn sweep(strikes: Vec<(String, Injection)>, judge: impl Fn(&Pod, Option<i32>, &str) + Sync) {
    let struck = AtomicUsize::new(0);
    let strikes = Mutex::new(strikes);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((what, injection)) = { strikes.lock().expect("no thread panicked").pop() } {
                    let mut pod = Pod::new("publish-struck").expect("the first one was possible");
                    let log = pod.scene.log();
                    let program = pod.program_under(strace::words(&log, Some(&injection))).args(ARGUMENTS);
                    let (outcome, trace) = strace::run(program, &log);
                    pod.scene.settle();
                    // A response may come in more pieces than it did before: then the call was one before the commit.
                    if !trace.calls.iter().any(|call| is_commit(call) && call.is_finished()) {
                        continue;
                    }
                    struck.fetch_add(1, Ordering::Relaxed);
                    let what = format!("{what}\n{}{}", trace.report(), outcome.report(&[]));
                    assert_eq!((pod.scene.stored(), pod.scene.rotation.reuses()), (Some(1), 0), "{what}");
                    judge(&pod, outcome.status.code(), &what);

                    pod.run(&["--access-token-file", FILE, "--min-ttl", "10m"]).expect_exit(0);
                    assert!(pod.is_published(), "{what}");
                    assert_eq!(pod.scene.workspace.read(FILE), pod.stored().into_bytes(), "{what}");
                    assert_eq!(pod.scene.litter(), [FILE], "{what}");
                    assert_eq!(pod.scene.rotation.refreshes(), 1, "{what}");
                }
            });
        }
    });
    let struck = struck.into_inner();
    println!("struck at {struck} calls");
    assert!(struck > 40, "{struck}");
}

#[test]
fn killed_while_it_publishes_a_run_loses_nothing() {
    let Some(strikes) = strikes("publish-killed") else { return };
    let strikes = strikes.into_iter().map(|(name, n)| (format!("killed at {name} {n}"), Injection::kill(&name, n)));
    sweep(strikes.collect(), |_, _, _| {});
}

/// Exit code 0 says that both places have the token; 75 that one has not.
#[test]
fn a_call_that_fails_while_it_publishes_loses_nothing() {
    let Some(strikes) = strikes("publish-failed") else { return };
    let strikes = strikes.into_iter().filter(|(name, _)| !NEVER_FAIL.contains(&name.as_str()));
    let strikes = strikes.flat_map(|(name, n)| {
        ["EIO", "ENOSPC"].map(|errno| (format!("{name} {n}: {errno}"), Injection::fail(&name, n, errno)))
    });
    sweep(strikes.collect(), |pod, code, what| {
        assert!(matches!(code, Some(0 | 75)), "{what}");
        let is_in_file =
            pod.scene.workspace.files().get(FILE).is_some_and(|content| *content == pod.stored().into_bytes());
        assert!(code != Some(0) || pod.is_published() && is_in_file, "{what}");
    });
}

/// Each call that proves the access token file: name and number.
fn proving() -> Option<Vec<(String, usize)>> {
    Need::Strace.is_met().then_some(())?;
    let scene = Scene::new("publish-proven", Footing::Plain);
    let (outcome, trace) =
        strace::run(scene.program_under(strace::words(&scene.log(), None)).args(ARGUMENTS), &scene.log());
    outcome.expect_exit(0);
    let sent = trace.position(Call::is_on_socket).expect("it sends");
    let is_same = |call: &Call, other: &Call| call.name == other.name;
    let calls = trace.calls[..sent].iter().enumerate();
    let proving: Vec<_> = calls
        .filter(|(_, call)| call.is_on(PROVEN) || call.is_on(FILE))
        .map(|(at, call)| (call.name.clone(), trace.calls[..=at].iter().filter(|other| is_same(call, other)).count()))
        .collect();
    assert!(proving.len() > 4, "{}", trace.report());
    Some(proving)
}

/// Fails or kills a run there. The next one does all, and leaves nothing behind.
fn strike_proof(injection: &Injection) -> Option<i32> {
    let mut scene = Scene::new("publish-proof-struck", Footing::Plain);
    let words = strace::words(&scene.log(), Some(injection));
    let (outcome, trace) = strace::run(scene.program_under(words).args(ARGUMENTS), &scene.log());
    let what = format!("{}{}", trace.report(), outcome.report(&[]));
    let code = outcome.status.code();
    let refreshes = usize::from(code == Some(0));
    assert_eq!((scene.settle().requests.len(), scene.stored()), (refreshes, Some(refreshes)), "{what}");
    scene.program().args(ARGUMENTS).run().expect_exit(0);
    scene.settle();
    assert_eq!((scene.stored(), scene.rotation.reuses()), (Some(refreshes + 1), 0), "{what}");
    assert_eq!(scene.litter(), [FILE], "{what}");
    code
}

#[test]
fn killed_while_it_proves_the_file_a_run_has_sent_nothing() {
    for (name, n) in proving().into_iter().flatten() {
        assert_eq!(strike_proof(&Injection::kill(&name, n)), None, "{name} {n}");
    }
}

#[test]
fn a_call_that_fails_while_the_file_is_proven_is_found_before_anything_is_sent() {
    let Some(proving) = proving() else { return };
    let mut refused = 0;
    for (name, n) in proving {
        for errno in ["EIO", "ENOSPC", "EACCES", "EROFS"] {
            let code = strike_proof(&Injection::fail(&name, n, errno));
            assert!(matches!(code, Some(0 | 73)), "{name} {n} {errno}: {code:?}");
            refused += usize::from(code == Some(73));
        }
    }
    assert!(refused > 10, "{refused}");
}
