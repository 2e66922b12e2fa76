//! Killed at every system call.
//!
//! A run makes some two hundred system calls. For each of them, a run is killed there (as by
//! `kill -9`, the out-of-memory killer, or a container that is stopped the hard way), and then:
//!
//! - the token file is byte for byte the old one, or the complete new one;
//! - if the new tokens were in the synced draft, or the token was not spent, the next ordinary run
//!   succeeds, and the server never sees a spent token;
//! - if not, the run died while the server's response was under way or being written: the residual
//!   window. It is counted, and holds no call but those that await and read the response, and the
//!   write, the truncation and the sync of the draft; where the disk does not take that write, those
//!   that make a second draft, too;
//! - the next ordinary run that succeeds leaves nothing behind but the token file and the lock.
//!
//! What a machine without a plug can show of a power cut is the order of the calls: see
//! `the_order_of_calls_survives_a_power_cut`.

use crate::kit::TOKEN_FILE;
use crate::needs::Need;
use crate::scene::{self, AGAIN, DRAFT, Footing, LOCK, Scene};
use crate::strace::{self, Call, Injection, Trace};
use crate::token_server::Script;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;

/// Calls that don't touch a file or a socket.
const MEMORY: [&str; 6] = ["brk", "mmap", "munmap", "mremap", "madvise", "mprotect"];

/// What became of one kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    /// The file as it was, and nothing was spent.
    Old,
    /// The new file.
    New,
    /// The old file, and the next run found the new tokens in the draft.
    Recovered,
    /// The old file, and the new tokens are nowhere.
    Lost,
}

/// The endings of all kills, by the call that was about to be made.
#[derive(Default)]
struct Tally(BTreeMap<Ending, BTreeMap<String, usize>>);

impl Tally {
    fn add(&mut self, ending: Ending, call: &str) {
        *self.0.entry(ending).or_default().entry(call.to_owned()).or_default() += 1;
    }

    fn count(&self, ending: Ending) -> usize {
        self.0.get(&ending).map_or(0, |calls| calls.values().sum())
    }

    fn calls(&self, ending: Ending) -> Vec<&str> {
        self.0.get(&ending).into_iter().flatten().map(|(call, _)| call.as_str()).collect()
    }

    fn print(&self, what: &str) {
        let all: usize = self.0.values().flat_map(BTreeMap::values).sum();
        let mut text = format!("{what}: killed at {all} calls");
        for (ending, calls) in &self.0 {
            let _ = write!(text, "; {} {ending:?}", calls.values().sum::<usize>());
            if !matches!(ending, Ending::Old) {
                let _ = write!(text, " {calls:?}");
            }
        }
        println!("{text}");
    }
}

/// Kills a run of `stage`'s scene at every call. A fault that is given strikes in each of these runs. (Not
/// where the kill is at a call of the same name: strace knows one injection for a name.)
fn sweep(what: &str, fault: Option<&Injection>, stage: impl Fn() -> Scene + Sync) -> Tally {
    let scene = stage();
    let (outcome, whole) = strace::run(scene.first_run_under(strace::words(&scene.log(), fault)), &scene.log());
    outcome.expect_exit(0);
    assert!(whole.calls.len() > 100, "{}", whole.report());

    let tally = Mutex::new(Tally::default());
    strace::sweep(whole.names(), |name, n| {
        let (ending, call) = kill(stage(), fault, name, n)?;
        tally.lock().expect("no thread panicked").add(ending, &call);
        Some(())
    });
    let tally = tally.into_inner().expect("no thread panicked");
    tally.print(what);
    tally
}

/// Kills a run at its `n`-th call of this name. Nothing, if the run makes fewer of them.
fn kill(mut scene: Scene, fault: Option<&Injection>, name: &str, n: usize) -> Option<(Ending, String)> {
    let (stored_before, spent_before) = (scene.stored(), scene.rotation.refreshes());
    let kill = Injection::kill(name, n);
    let words = strace::words(&scene.log(), fault.into_iter().chain([&kill]));
    let (killed, trace) = strace::run(scene.first_run_under(words), &scene.log());
    if killed.status.success() {
        return None;
    }
    let last = trace.calls.last().expect("it was killed at a call");
    let what = |fault: &str| format!("killed at {name} {n}: {fault}\n{}{}", trace.report(), killed.report(&[]));
    assert!(last.name == name && !last.is_finished(), "{}", what("not there"));

    scene.settle();
    let spent = scene.rotation.refreshes();
    let stored = scene.stored().unwrap_or_else(|| panic!("{}", what("neither old nor new")));
    assert!([Some(spent), Some(spent_before), stored_before].contains(&Some(stored)), "{}", what("an older one"));
    let reuses = scene.rotation.reuses();
    assert_eq!(reuses, 0, "{}", what("a spent token was sent"));

    let has_file = scene.has_token_file();
    let next = scene.next_run();
    scene.settle();
    let ending = match (next.status.code(), scene.rotation.reuses()) {
        // What nothing was lost for is a login that has to be made again.
        (Some(0), 0) if !has_file && spent > spent_before && !next.stderr().contains("recovered") => Ending::Lost,
        (Some(0), 0) if stored < spent => Ending::Recovered,
        (Some(0), 0) if spent == spent_before => Ending::Old,
        (Some(0), 0) => Ending::New,
        (Some(77), 1) if stored < spent && spent > spent_before => Ending::Lost,
        _ => panic!("{}", what(&next.report(&["the next run fails".to_owned()]))),
    };
    if ending == Ending::Recovered {
        assert!(!next.stderr().contains("to log in"), "{}", what("only another login recovers the tokens"));
    }
    if ending == Ending::Lost {
        assert!(trace.safe_from(DRAFT).is_none(), "{}", what("lost, though it was safe"));
        assert!(is_of_window(last), "{}", what("lost outside of the window"));
    } else {
        assert_eq!(scene.stored(), Some(scene.rotation.refreshes()), "{}", what("the next run did not refresh"));
        assert_eq!(scene.litter(), [""; 0], "{}", what("the next run left this"));
    }
    let place = [DRAFT, AGAIN, LOCK, TOKEN_FILE, "work"].into_iter().find(|file| last.is_on(file));
    let place = place.unwrap_or(if last.is_on_socket() { "socket" } else { "" });
    Some((ending, format!("{name} {place}").trim_end().to_owned()))
}

/// Whether a call awaits or reads the response, or saves it.
fn is_of_window(call: &Call) -> bool {
    match call.name.as_str() {
        "recvfrom" | "read" | "poll" | "ppoll" | "setsockopt" => call.is_on_socket(),
        "pwrite64" | "ftruncate" => call.is_on(DRAFT),
        // The second draft's name is synced before its content is written.
        "fsync" => call.is_on(DRAFT) || call.is_on("work"),
        // Where the first draft does not take them.
        "open" | "openat" | "fcntl" | "fstat" | "statx" | "fchmod" => call.is_on(AGAIN),
        "close" => call.is_on(DRAFT),
        name => MEMORY.contains(&name),
    }
}

#[test]
fn killed_at_any_call_a_run_leaves_the_old_file_or_the_new_one() {
    if !Need::Strace.is_met() {
        return;
    }
    let tally = sweep("an ordinary run", None, || Scene::new("killed", Footing::Plain));
    assert!(tally.count(Ending::Old) > 50);
    assert!(tally.count(Ending::New) > 3);
    // The sync of the complete draft, the second look at the token file, the rename.
    assert!(tally.count(Ending::Recovered) > 3);
    assert!(tally.calls(Ending::Recovered).contains(&format!("fsync {DRAFT}").as_str()));
    // Only the kernel's memory saves these two from a power cut.
    assert!(!tally.calls(Ending::Lost).iter().any(|call| call.starts_with("fsync") || call.starts_with("ftruncate")));
    assert!(tally.count(Ending::Lost) < 10);
}

/// The first run died between the sync of its draft and the rename.
#[test]
fn killed_at_any_call_a_run_that_recovers_loses_nothing() {
    if !Need::Strace.is_met() {
        return;
    }
    let tally = sweep("a run that recovers", None, || {
        let scene = Scene::new("killed-twice", Footing::Plain).died_at("rename", 1);
        assert_eq!(scene.refreshes_behind(&scene.workspace.read(DRAFT)), Some(1));
        scene
    });
    assert!(tally.count(Ending::Recovered) > 50);
    assert!(tally.count(Ending::New) > 3);
}

/// The token file is edited while the response is outstanding, so the draft is written a second time.
#[test]
fn killed_at_any_call_a_run_on_an_edited_file_leaves_the_old_file_or_the_new_one() {
    if !Need::Strace.is_met() {
        return;
    }
    let tally = sweep("a run on an edited file", None, || {
        Scene::staged("killed-edited", Footing::Plain, |workspace, step| {
            let token_file = workspace.path(TOKEN_FILE);
            Script::once([step.clone().on_request(move |_| scene::edit(&token_file))]).then_always(step)
        })
    });
    assert!(tally.count(Ending::Old) > 50);
    assert!(tally.count(Ending::New) > 3);
    assert!(tally.count(Ending::Recovered) > 10);
    assert!(tally.count(Ending::Lost) < 10);
}

#[test]
fn killed_at_any_call_a_run_on_a_mounted_file_leaves_the_old_file_or_the_new_one() {
    if !Need::Strace.is_met() || !Need::OwnMounts.is_met() {
        return;
    }
    let tally = sweep("a run on a mounted file", None, || Scene::new("killed-mounted", Footing::Mounted));
    assert!(tally.count(Ending::Old) > 50);
    assert!(tally.count(Ending::New) > 3);
    assert!(tally.count(Ending::Recovered) > 3);
    assert!(tally.count(Ending::Lost) < 10);
}

/// The disk fails one of the calls that save the tokens, so these are written a second time.
#[test]
fn killed_at_any_call_a_run_whose_disk_failed_loses_nothing_that_was_written() {
    if !Need::Strace.is_met() {
        return;
    }
    let whole = whole_run(&Scene::new("saved", Footing::Plain), &[]);
    let responded = whole.calls.iter().rposition(|call| call.name == "recvfrom").expect("the response is read");
    for name in ["pwrite64", "ftruncate", "fsync"] {
        let n = whole.calls[..responded].iter().filter(|call| call.name == name).count() + 1;
        let fault = Injection::fail(name, n, "EIO");
        let stage = || Scene::new("killed-failed", Footing::Plain);
        let tally = sweep(&format!("a run whose {name} fails"), Some(&fault), stage);
        assert!(tally.calls(Ending::Recovered).iter().any(|call| call.ends_with(AGAIN)));
        assert!(tally.count(Ending::Recovered) > 5);
        // The window has a second file in it, for which musl makes more calls.
        assert!(tally.count(Ending::Lost) < 15);
    }
}

/// A login that is lost is made again; and what it replaced is dead.
#[test]
fn killed_at_any_call_a_login_leaves_the_old_file_or_the_new_one() {
    if !Need::Strace.is_met() {
        return;
    }
    let tally = sweep("a login", None, || Scene::with_login("killed-login"));
    assert!(tally.count(Ending::Old) > 100);
    assert!(tally.count(Ending::New) > 3);
    assert!(tally.count(Ending::Recovered) > 3);
    // musl maps and unmaps memory while the response is read: three times in this run.
    assert!(tally.count(Ending::Lost) < 15);
}

#[test]
fn killed_at_any_call_a_first_login_leaves_no_file_or_the_new_one() {
    if !Need::Strace.is_met() {
        return;
    }
    let tally = sweep("a first login", None, || Scene::with_first_login("killed-first-login"));
    assert!(tally.count(Ending::Old) > 100);
    assert!(tally.count(Ending::New) > 3);
    assert!(tally.count(Ending::Recovered) > 3);
    assert!(tally.count(Ending::Lost) < 10);
}

/// The trace of a run that ends well.
fn whole_run(scene: &Scene, arguments: &[&str]) -> Trace {
    let program = scene.program_under(strace::words(&scene.log(), None)).args(arguments);
    let (outcome, trace) = strace::run(program, &scene.log());
    outcome.expect_exit(0);
    assert_eq!(scene.stored(), Some(1));
    trace
}

#[test]
fn between_the_response_and_the_sync_nothing_is_done_but_to_save_it() {
    if !Need::Strace.is_met() {
        return;
    }
    for arguments in [&[][..], &["--verbose"], &["--print", "tokens"]] {
        let trace = whole_run(&Scene::new("window", Footing::Plain), arguments);
        let read = trace.calls.iter().rposition(|call| call.name == "recvfrom").expect("the response is read");
        let safe = trace.safe_from(DRAFT).expect("the draft is synced");
        let window: Vec<&Call> =
            trace.calls[read + 1..=safe].iter().filter(|call| !MEMORY.contains(&call.name.as_str())).collect();
        let names: Vec<&str> = window.iter().map(|call| call.name.as_str()).collect();
        println!("between the response and its safety with {arguments:?}: {names:?}");
        assert_eq!(names, ["pwrite64", "ftruncate", "fsync"], "{}", trace.report());
        assert!(window.iter().all(|call| call.is_on(DRAFT)), "{}", trace.report());
    }
}

#[test]
fn the_order_of_calls_survives_a_power_cut() {
    if !Need::Strace.is_met() {
        return;
    }
    let scene = Scene::new("order", Footing::Plain);
    let trace = whole_run(&scene, &[]);
    let blank = trace.position(|call| call.name == "fsync" && call.is_on(DRAFT));
    let named = trace.position(|call| call.name == "fsync" && call.is_on("work"));
    let sent = trace.calls.iter().rposition(|call| call.name == "sendto");
    let written = trace.position(|call| call.name == "pwrite64" && call.is_on(DRAFT));
    let safe = trace.safe_from(DRAFT);
    let renamed = trace.position(|call| call.name == "rename");
    let directory_synced = trace.calls.iter().rposition(|call| call.name == "fsync" && call.is_on("work"));
    let unlocked = trace.position(|call| call.is_on(LOCK) && (call.name == "close" || call.has("LOCK_UN")));
    let order = [blank, named, sent, written, safe, renamed, directory_synced, unlocked];
    assert!(order.is_sorted() && order.iter().all(Option::is_some), "{order:?}\n{}", trace.report());

    for call in trace.calls.iter().filter(|call| call.is_on(TOKEN_FILE)) {
        let looks = call.name.contains("stat") || call.name == "readlink";
        let reads = matches!(call.name.as_str(), "read" | "close" | "fcntl") || call.has("FS_IOC_GETFLAGS");
        let opens = call.opens() && call.has("O_RDONLY") && !call.has("O_TRUNC");
        let replaces = call.name == "rename";
        assert!(looks || reads || opens || replaces, "{call}");
    }
    assert!(fs::metadata(scene.workspace.path(DRAFT)).is_err());
}
