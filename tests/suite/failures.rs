//! Failed at every system call.
//!
//! For each call of a run on a file, and each reason that a disk has to refuse it, one run is made
//! in which that call fails. [`wanted`] is the table of what must become of it:
//!
//! - before the request: the exit code that says who must act, and the server saw nothing; or, if
//!   the call did not matter, a refresh like any other;
//! - after the response: a refresh like any other, by writing the draft a second time; or exit code
//!   74, with the draft named and complete;
//! - either way the next run succeeds, and the server never sees a spent token.
//!
//! A call that a signal interrupted (`EINTR`) is made again: nobody notices. That holds for the
//! network's calls as well.
//!
//! A disk that fails once may go on failing: the calls that save the tokens fail from the N-th on,
//! too. If then no byte can be written any more, the new tokens are lost, and exit code 74 is all
//! that is left to say. If some bytes can, they are saved, and told.

use crate::kit::TOKEN_FILE;
use crate::needs::Need;
use crate::scene::{AGAIN, DRAFT, Footing, LOCK, Scene};
use crate::strace::{self, Call, Injection};
use crate::token_server::Script;
use crate::tools;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;

/// What a file system may report: full, broken, read-only, forbidden, out of descriptors, over
/// quota.
const REASONS: [&str; 6] = ["ENOSPC", "EIO", "EROFS", "EACCES", "EMFILE", "EDQUOT"];

/// Every call that takes a file or its name, by the names that any C library makes it by.
const ON_FILES: [&str; 32] = [
    "open",
    "openat",
    "read",
    "pread64",
    "readv",
    "write",
    "pwrite64",
    "writev",
    "close",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "flock",
    "fcntl",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "fchmod",
    "fchown",
    "utimensat",
    "lseek",
    "readlink",
    "getcwd",
    "getdents64",
];

const ON_SOCKETS: [&str; 10] =
    ["socket", "connect", "poll", "ppoll", "sendto", "recvfrom", "setsockopt", "getsockopt", "ioctl", "getrandom"];

/// The calls that save the tokens.
const SAVING: [&str; 4] = ["pwrite64", "fsync", "ftruncate", "rename"];

/// What must become of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    /// As if nothing had been.
    Refreshed,
    /// This exit code, and the server saw nothing.
    NothingSpent(i32),
    /// 74; the tokens are in the draft.
    Drafted,
    /// 74; no file took the tokens.
    Unsaved,
    /// Refreshed, but the draft stays until the next run.
    Untidy,
}

/// Where in the run a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    BeforeRequest,
    AfterResponse,
}

/// What a call is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    TokenFile,
    Lock,
    Draft,
    Directory,
    Certificate,
    /// What the C library and Rust's look at for themselves, and standard error.
    Elsewhere,
}

fn place(call: &Call) -> Place {
    let places = [
        (DRAFT, Place::Draft),
        (AGAIN, Place::Draft),
        (LOCK, Place::Lock),
        (TOKEN_FILE, Place::TokenFile),
        ("ca.pem", Place::Certificate),
    ];
    match places.into_iter().find(|(file, _)| call.is_on(file)) {
        Some((_, place)) => place,
        None if call.name == "getcwd" => Place::TokenFile,
        // Every name is relative to it; as what a call is on, it comes first or alone.
        None if call.has("AT_FDCWD") && !call.has("/work\"") => Place::Elsewhere,
        None if call.is_on("work") => Place::Directory,
        None => Place::Elsewhere,
    }
}

/// The table.
fn wanted(call: &Call, before: &Call, phase: Phase) -> Wanted {
    use Phase::{AfterResponse, BeforeRequest};
    let name = call.name.as_str();
    match (phase, place(call)) {
        // What was read can be closed; what was written is synced.
        _ if name == "close" => Wanted::Refreshed,
        // musl's, beside each O_CLOEXEC, for kernels that don't know it.
        _ if call.has("F_SETFD") => Wanted::Refreshed,
        // Sharing the lock with others is worth a try, no more.
        (BeforeRequest, Place::Lock) if matches!(name, "statx" | "fstat" | "fchmod" | "fchown") => Wanted::Refreshed,
        (BeforeRequest, Place::TokenFile) if before.is_on(LOCK) && before.has("O_CREAT") => Wanted::Refreshed,
        (BeforeRequest, Place::TokenFile | Place::Certificate) => Wanted::NothingSpent(66),
        (BeforeRequest, Place::Lock | Place::Draft | Place::Directory) => Wanted::NothingSpent(73),
        (AfterResponse, Place::Draft) if name.starts_with("rename") => Wanted::Drafted,
        (AfterResponse, Place::TokenFile) => Wanted::Drafted,
        (AfterResponse, Place::Draft | Place::Lock | Place::Directory | Place::Certificate) => Wanted::Refreshed,
        (_, Place::Elsewhere) => Wanted::Refreshed,
    }
}

/// The same for calls that go on failing.
fn wanted_of_persistent(call: &Call, before: &Call, phase: Phase) -> Wanted {
    match (wanted(call, before, phase), place(call), call.name.as_str()) {
        // The second draft takes the tokens, but can't be synced, or cut, or written either.
        (Wanted::Refreshed, Place::Draft, "fsync" | "ftruncate") => Wanted::Drafted,
        (Wanted::Refreshed, Place::Draft, "pwrite64") => Wanted::Unsaved,
        (wanted, ..) => wanted,
    }
}

/// The same where the token file is mounted by itself: with the complete draft as the redo log, it
/// is overwritten.
fn wanted_where_mounted(call: &Call, before: &Call, phase: Phase) -> Wanted {
    match (phase, place(call), call.name.as_str()) {
        (Phase::BeforeRequest, Place::TokenFile, _) if call.opens() && call.has("O_WRONLY") => Wanted::NothingSpent(73),
        (Phase::BeforeRequest, Place::TokenFile, "fallocate") => Wanted::NothingSpent(73),
        (Phase::AfterResponse, Place::TokenFile, "close" | "fcntl") => Wanted::Refreshed,
        (Phase::AfterResponse, Place::TokenFile, _) => Wanted::Drafted,
        (Phase::AfterResponse, Place::Draft, "unlink" | "unlinkat") => Wanted::Untidy,
        // Before the fingerprint is taken away, the token file is not touched. (After the sync of the
        // directory, it is only tidied away.)
        (Phase::AfterResponse, Place::Lock, "ftruncate" | "fsync") if place(before) != Place::Directory => {
            Wanted::Drafted
        }
        _ => wanted(call, before, phase),
    }
}

/// The same for a login.
fn wanted_of_login(call: &Call, before: &Call, phase: Phase) -> Wanted {
    match (phase, place(call), call.name.as_str()) {
        (Phase::BeforeRequest, _, "read") if call.has("(0<") => Wanted::NothingSpent(66),
        // What is left of the draft that proved the place is dealt with after the line was read.
        (Phase::BeforeRequest, Place::Draft, "unlink" | "unlinkat") => Wanted::Refreshed,
        (Phase::BeforeRequest, Place::Lock, "ftruncate") => Wanted::Refreshed,
        // Closing the lock file does the same.
        (_, Place::Lock, "flock") if call.has("LOCK_UN") => Wanted::Refreshed,
        _ => wanted(call, before, phase),
    }
}

/// The same for a login that has to create the token file, in a directory that it has to know.
fn wanted_of_first_login(call: &Call, before: &Call, phase: Phase) -> Wanted {
    match (phase, call.name.as_str()) {
        (Phase::BeforeRequest, "getcwd") => Wanted::NothingSpent(73),
        _ => wanted_of_login(call, before, phase),
    }
}

type Table = fn(&Call, &Call, Phase) -> Wanted;

/// How often each row of the table was met.
#[derive(Default)]
struct Tally(Mutex<BTreeMap<Wanted, usize>>);

impl Tally {
    fn add(&self, wanted: Wanted) {
        *self.0.lock().expect("no thread panicked").entry(wanted).or_default() += 1;
    }

    fn count(&self, wanted: Wanted) -> usize {
        self.0.lock().expect("no thread panicked").get(&wanted).copied().unwrap_or(0)
    }

    fn print(&self, what: &str) {
        let counts = self.0.lock().expect("no thread panicked");
        println!("{what}: {} failures: {counts:?}", counts.values().sum::<usize>());
    }
}

/// Lets each call of these names fail, in a run each, by `injection`, and judges the run by `table`.
fn sweep(
    stage: &(dyn Fn() -> Scene + Sync),
    names: &[&str],
    reasons: &[&'static str],
    injection: fn(&str, usize, &str) -> Injection,
    table: Table,
) -> Tally {
    let kinds = names.iter().flat_map(|name| reasons.iter().map(move |reason| (*name, *reason)));
    let tally = Tally::default();
    strace::sweep(kinds.collect(), |(name, reason), n| {
        tally.add(fail(stage(), &injection(name, n, reason), table)?);
        Some(())
    });
    tally
}

/// One run with this injection, and the one after it. Nothing, if the injection met no call.
fn fail(mut scene: Scene, injection: &Injection, table: Table) -> Option<Wanted> {
    let words = strace::words(&scene.log(), Some(injection));
    let (outcome, trace) = strace::run(scene.first_run_under(words), &scene.log());
    let at = trace.position(Call::is_injected)?;
    let failed = &trace.calls[at];
    let requests = scene.settle().requests.len();
    let sent = trace.calls.iter().rposition(|call| call.name == "sendto");
    let phase = if sent.is_some_and(|sent| sent < at) { Phase::AfterResponse } else { Phase::BeforeRequest };
    let before = trace.calls[..at].iter().rfind(|call| !call.has("F_SETFD")).unwrap_or(failed);
    let wanted = table(failed, before, phase);

    let what = |fault: &str| {
        outcome.report(&[format!("{failed}"), format!("wanted: {wanted:?}"), fault.to_owned(), trace.report()])
    };
    let draft = outcome.files.get(DRAFT).and_then(|content| {
        // Blanks may follow, where they could not be cut off.
        scene.refreshes_behind(&[content.trim_ascii_end(), b"\n"].concat())
    });
    let seen = (outcome.status.code(), requests, scene.stored());
    match wanted {
        Wanted::Refreshed => {
            assert_eq!(seen, (Some(0), 1, Some(1)), "{}", what(""));
            // The note stays in the lock file where it can't be erased, and where the directory is not synced: the
            // next run is to do that.
            let mut litter = scene.litter();
            litter.retain(|name| name != LOCK || !(failed.is_on(LOCK) || place(failed) == Place::Directory));
            assert_eq!(litter, [""; 0], "{}", what("it left this"));
        }
        Wanted::NothingSpent(code) => {
            assert_eq!(seen, (Some(code), 0, Some(0)), "{}", what(""));
            assert!(!outcome.files.contains_key(DRAFT), "{}", what("a draft was left"));
        }
        Wanted::Drafted => {
            // In place it may have been overwritten, but not synced.
            let is_stored = scene.is_mounted() && scene.stored() == Some(1);
            assert_eq!((seen, draft), ((Some(74), 1, Some(usize::from(is_stored))), Some(1)), "{}", what(""));
            assert!(outcome.stderr().contains(DRAFT), "{}", what("the draft is not named"));
        }
        Wanted::Untidy => {
            assert_eq!((seen, draft), ((Some(0), 1, Some(1)), Some(1)), "{}", what(""));
            assert!(outcome.stderr().contains("warning: "), "{}", what("no warning"));
        }
        Wanted::Unsaved => {
            assert_eq!(seen, (Some(74), 1, Some(0)), "{}", what(""));
            assert!(outcome.stderr().contains("the new tokens are lost"), "{}", what("it is not said"));
            expect_rejection(&mut scene);
            return Some(wanted);
        }
    }

    let next = scene.next_run().expect_exit(0);
    assert_eq!(
        (scene.stored(), scene.litter()),
        (Some(scene.rotation.refreshes()), vec![]),
        "{}",
        what(&next.report(&[]))
    );
    assert_eq!(scene.rotation.reuses(), 0, "{}", what("a spent token was sent"));
    Some(wanted)
}

/// The next run, where the new tokens are nowhere: the server rejects the spent one, and nothing new lies about.
fn expect_rejection(scene: &mut Scene) {
    let litter = scene.litter();
    let next = scene.program().run().expect_exit(77);
    scene.settle();
    assert_eq!((scene.stored(), scene.rotation.refreshes()), (Some(0), 1), "{}", next.report(&[]));
    let new: Vec<String> = scene.litter().into_iter().filter(|name| !litter.contains(name)).collect();
    assert_eq!(new, [""; 0], "{}", next.report(&[]));
}

fn plain() -> Scene {
    Scene::new("failed", Footing::Plain)
}

fn with_login() -> Scene {
    Scene::with_login("failed-login")
}

fn with_first_login() -> Scene {
    Scene::with_first_login("failed-first-login")
}

fn mounted() -> Scene {
    Scene::new("failed", Footing::Mounted)
}

/// The names of the calls that a run makes, of those that are asked for.
fn made<'n>(scene: Scene, asked: &[&'n str]) -> Vec<&'n str> {
    let (outcome, trace) = strace::run(scene.first_run_under(strace::words(&scene.log(), None)), &scene.log());
    outcome.expect_exit(0);
    let names = trace.names();
    asked.iter().copied().filter(|name| names.iter().any(|made| made == name)).collect()
}

#[test]
fn a_call_that_fails_before_the_request_spends_nothing_and_after_it_loses_nothing() {
    if !Need::Strace.is_met() {
        return;
    }
    let tally = sweep(&plain, &made(plain(), &ON_FILES), &REASONS, Injection::fail, wanted);
    tally.print("each call on a file, once");
    assert!(tally.count(Wanted::NothingSpent(73)) > 10 * REASONS.len());
    assert!(tally.count(Wanted::NothingSpent(66)) > 5 * REASONS.len());
    assert!(tally.count(Wanted::Drafted) >= 3 * REASONS.len());
    assert!(tally.count(Wanted::Refreshed) > 20 * REASONS.len());
}

/// What fails before the address is printed fails then; what fails behind it, before the code is spent.
#[test]
fn a_call_of_a_login_that_fails_spends_nothing_or_loses_nothing() {
    if !Need::Strace.is_met() {
        return;
    }
    let logins = [
        ("a login", with_login as fn() -> Scene, wanted_of_login as Table),
        ("a first login", with_first_login, wanted_of_first_login),
    ];
    for (what, stage, table) in logins {
        let tally = sweep(&stage, &made(stage(), &ON_FILES), &["EIO", "ENOSPC"], Injection::fail, table);
        tally.print(&format!("each call on a file in {what}, once"));
        assert!(tally.count(Wanted::NothingSpent(73)) > 40);
        assert!(tally.count(Wanted::NothingSpent(66)) > 4);
        assert!(tally.count(Wanted::Drafted) >= 4);
    }
}

#[test]
fn on_a_mounted_file_a_call_that_fails_loses_nothing_either() {
    if !Need::Strace.is_met() || !Need::OwnMounts.is_met() {
        return;
    }
    let names = made(mounted(), &ON_FILES);
    let tally = sweep(&mounted, &names, &["EIO", "ENOSPC"], Injection::fail, wanted_where_mounted);
    tally.print("each call on a mounted file, once");
    assert!(tally.count(Wanted::NothingSpent(73)) > 20);
    assert!(tally.count(Wanted::Drafted) > 10);
    assert_eq!(tally.count(Wanted::Untidy), 2);
}

#[test]
fn a_call_that_a_signal_interrupts_is_made_again() {
    if !Need::Strace.is_met() {
        return;
    }
    let unnoticed = |_: &Call, _: &Call, _: Phase| Wanted::Refreshed;
    let names = made(plain(), &[ON_FILES.as_slice(), &ON_SOCKETS].concat());
    let tally = sweep(&plain, &names, &["EINTR"], Injection::fail, unnoticed);
    tally.print("each call, interrupted");
    assert!(tally.count(Wanted::Refreshed) > 60);
}

#[test]
fn a_disk_that_goes_on_failing_loses_only_what_no_file_takes() {
    if !Need::Strace.is_met() {
        return;
    }
    let tally = sweep(&plain, &made(plain(), &SAVING), &REASONS, Injection::fail_from, wanted_of_persistent);
    tally.print("each saving call and all after it");
    assert!(tally.count(Wanted::NothingSpent(73)) >= 3 * REASONS.len());
    assert!(tally.count(Wanted::Drafted) >= 3 * REASONS.len());
    assert_eq!(tally.count(Wanted::Unsaved), REASONS.len());
}

/// The first run died before its rename, and in the second one a call fails. That one refreshes again, or
/// says why not; the third finds whatever tokens the server gave out last.
#[test]
fn while_a_run_recovers_a_call_that_fails_loses_nothing() {
    if !Need::Strace.is_met() {
        return;
    }
    let tally: Mutex<BTreeMap<Option<i32>, usize>> = Mutex::default();
    strace::sweep(made(plain(), &ON_FILES), |name, n| {
        let mut scene = Scene::new("failed-twice", Footing::Plain).died_at("rename", 1);
        let words = strace::words(&scene.log(), Some(&Injection::fail(name, n, "EIO")));
        let (outcome, trace) = strace::run(scene.program_under(words), &scene.log());
        let failed = &trace.calls[trace.position(Call::is_injected)?];
        scene.settle();
        let what = |fault: &str| outcome.report(&[format!("{failed}"), fault.to_owned(), trace.report()]);
        let code = outcome.status.code();
        assert!(matches!(code, Some(0 | 66 | 73 | 74)), "{}", what("another exit code"));
        if outcome.stderr().contains("of an interrupted run:") {
            assert!(outcome.files.contains_key(DRAFT), "{}", what("the draft that it speaks of is gone"));
        }
        scene.program().run().expect_exit(0);
        scene.settle();
        let end = (scene.stored(), scene.rotation.reuses(), scene.litter());
        assert_eq!(end, (Some(scene.rotation.refreshes()), 0, vec![]), "{}", what("the next run"));
        *tally.lock().expect("no thread panicked").entry(code).or_default() += 1;
        Some(())
    });
    println!("each call on a file while recovering, once: {tally:?}");
    let tally = tally.into_inner().expect("no thread panicked");
    assert!([Some(0), Some(66), Some(73), Some(74)].iter().all(|code| tally.get(code) > Some(&2)), "{tally:?}");
}

/// Only a part of the tokens fits into either draft. Each part is saved under a name that the message tells, and
/// the runs after it leave it alone.
#[test]
fn a_part_of_the_tokens_is_saved_and_named() {
    if tools::find("prlimit").is_none() {
        tools::missing("prlimit of util-linux");
        return;
    }
    for limit in [1, 50, 100, 150] {
        let (send_id, id) = channel::<u32>();
        let id = Mutex::new(id);
        let mut scene = Scene::staged("parts", Footing::Plain, |_, step| {
            let limited = step.clone().on_request(move |_| {
                let id = id.lock().expect("one request").recv().expect("the test tells it");
                let limit = format!("--fsize={limit}");
                let status = Command::new("prlimit").args(["--pid", &id.to_string(), &limit]).status();
                assert!(status.expect("run prlimit").success());
            });
            Script::once([limited]).then_always(step)
        });
        let run = scene.program().start();
        send_id.send(run.id()).expect("the server waits for it");
        let outcome = run.wait().expect_exit(74);
        scene.settle();
        let parts = scene.litter();
        let report = |fault: &str| outcome.report(&[fault.to_owned()]);
        assert!(parts.iter().filter(|name| name.contains(".rescue-")).count() == 2, "{}", report("not two parts"));
        let whole = scene.rotation.token_file_after(1, 0);
        for name in parts.iter().filter(|name| *name != LOCK) {
            assert!(outcome.stderr().contains(name), "{}", report("a part is not named"));
            let part = String::from_utf8(outcome.files[name].clone()).expect("text");
            assert!(whole.starts_with(part.trim_end_matches('\x0C')), "{}", report("it is not a part"));
            assert!(part.trim_end_matches('\x0C').len() == limit, "{}", report("a part is not whole"));
        }
        expect_rejection(&mut scene);
        let kept = scene.workspace.files();
        assert!(parts.iter().filter(|name| *name != LOCK).all(|name| kept[name] == outcome.files[name]));
    }
}

#[test]
fn a_file_system_without_locks_is_told_so() {
    if !Need::Strace.is_met() {
        return;
    }
    for (reason, hint) in
        [("EOPNOTSUPP", "does not support locks"), ("ENOLCK", "lock service"), ("ENOSYS", "does not support locks")]
    {
        let mut scene = Scene::new("no-locks", Footing::Plain);
        let words = strace::words(&scene.log(), Some(&Injection::fail("flock", 1, reason)));
        let outcome = scene.program_under(words).run().expect_exit(73);
        assert!(outcome.stderr().contains("cannot lock"), "{}", outcome.report(&[]));
        let told = outcome.stderr();
        assert!(told.contains("hint: nothing was sent; ") && told.contains(hint), "{}", outcome.report(&[]));
        assert_eq!(scene.settle().connections, 0);
        assert_eq!((scene.stored(), scene.litter()), (Some(0), vec![]));
    }
}

/// What is written to the draft before the server hears of the run, in bytes.
fn written_before_request(injection: Option<Injection>) -> usize {
    let mut scene = Scene::new("room", Footing::Plain);
    let words = strace::words(&scene.log(), injection.as_ref());
    let (outcome, trace) = strace::run(scene.program_under(words), &scene.log());
    outcome.expect_exit(0);
    scene.settle();
    assert_eq!((scene.stored(), scene.litter()), (Some(1), vec![]));
    let connected = trace.position(|call| call.name == "connect").expect("it connects");
    let before = trace.calls[..connected].iter().filter(|call| call.name.contains("write") && call.is_on(DRAFT));
    before.map(Call::result).sum()
}

#[test]
fn little_is_written_before_the_request_where_room_can_be_reserved() {
    if !Need::Strace.is_met() {
        return;
    }
    const KIB: usize = 1 << 10;
    let written = written_before_request(None);
    assert!((64 * KIB..=128 * KIB).contains(&written), "{written} bytes");
    for reason in ["EOPNOTSUPP", "ENOSYS", "EINVAL", "EPERM"] {
        let written = written_before_request(Some(Injection::fail("fallocate", 1, reason)));
        assert!(written > KIB * KIB, "{reason}: {written} bytes");
    }
}

#[test]
fn a_mounted_file_on_a_file_system_that_reserves_no_room_is_refreshed() {
    if !Need::Strace.is_met() || !Need::OwnMounts.is_met() {
        return;
    }
    for reason in ["EOPNOTSUPP", "ENOSYS"] {
        let mut scene = Scene::new("no-room", Footing::Mounted);
        let words = strace::words(&scene.log(), Some(&Injection::fail("fallocate", 1, reason)));
        scene.program_under(words).run().expect_exit(0);
        assert_eq!(scene.settle().requests.len(), 1);
        assert_eq!((scene.stored(), scene.litter()), (Some(1), vec![]));
    }
}
