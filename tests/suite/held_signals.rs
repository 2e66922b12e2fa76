//! Signals that come while the response is outstanding.
//!
//! By then the refresh token may be spent, and the new one exists nowhere but on its way. SIGTERM
//! (systemd, `timeout`, `docker stop`), SIGINT, SIGHUP and SIGTSTP wait until the new tokens are in
//! the token file; then they do what they came for. So does Ctrl-C at a terminal. Before the request
//! is sent, when nothing can be lost, they act at once. All that holds in a container, too, whose first
//! process the kernel would spare.

use crate::kit;
use crate::needs::{Need, own_mounts};
use crate::scene::{DRAFT, Footing, Scene};
use crate::strace::{self, Injection};
use crate::token_server::{Script, Step};
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// The programs under test that run in this directory.
pub fn processes_in(directory: &Path) -> Vec<u32> {
    let is_ours = |process: &u32| {
        let leads_to = |name: &str| fs::read_link(format!("/proc/{process}/{name}")).ok();
        leads_to("exe").as_deref() == Some(kit::binary()) && leads_to("cwd").as_deref() == Some(directory)
    };
    let entries = fs::read_dir("/proc").expect("list the processes").filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_ours).collect()
}

/// By its name without SIG.
pub fn send(signal: &str, process: u32) {
    let status = Command::new("/bin/sh").args(["-c", &format!("kill -{signal} {process}")]).status();
    assert!(status.expect("start a shell").success(), "the process is gone");
}

/// A line of /proc/PID/status; nothing if the process is gone.
fn status_of(process: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::trim));
    line.map(str::to_owned)
}

/// By its number.
pub fn is_pending(signal: i32, process: u32) -> bool {
    let mask = |field| u64::from_str_radix(&status_of(process, field).unwrap_or_default(), 16).unwrap_or(0);
    (mask("ShdPnd") | mask("SigPnd")) >> (signal - 1) & 1 == 1
}

/// Whether whoever started the tests (nohup, a shell's `&`) had this signal ignored. So is it by the
/// program, then.
pub fn is_ignored(signal: i32) -> bool {
    let mask = status_of(std::process::id(), "SigIgn").unwrap_or_default();
    u64::from_str_radix(&mask, 16).unwrap_or(0) >> (signal - 1) & 1 == 1
}

/// For what the system makes true without telling.
fn wait_until(is_true: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::yield_now();
    }
}

/// A scene in which `signal` is sent to the program when its request has arrived, before the response.
fn signalled(signal: &'static str, number: i32) -> Scene {
    Scene::staged(&format!("signal-{signal}"), Footing::Plain, |workspace, step| {
        let directory = workspace.directory();
        Script::once([step.on_request(move |_| {
            let processes = processes_in(&directory);
            assert_eq!(processes.len(), 1);
            send(signal, processes[0]);
            assert!(is_pending(number, processes[0]), "it is held back");
        })])
    })
}

#[test]
fn a_signal_to_end_waits_until_the_response_is_safe() {
    for (signal, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let mut scene = signalled(signal, number);
        // With the name looked up: that takes a thread, which must not take the signal.
        let endpoint = scene.endpoint_by_name();
        let outcome = scene.program().environment("DOCUSIGN_TOKEN_ENDPOINT", endpoint).run();
        let end = if is_ignored(number) { (Some(0), None) } else { (None, Some(number)) };
        assert_eq!((outcome.status.code(), outcome.status.signal()), end, "{}", outcome.report(&[]));
        assert_eq!(scene.settle().requests.len(), 1);
        assert_eq!((scene.stored(), scene.litter()), (Some(1), vec![]), "{}", outcome.report(&[]));
        println!("SIG{signal}: stored, then {}", outcome.status);
    }
}

/// Where the tokens could not be put in place, the user learns where they are, whoever wants an end.
#[test]
fn a_failure_to_store_the_response_is_told_all_the_same() {
    if !Need::Strace.is_met() {
        return;
    }
    let mut scene = signalled("TERM", 15);
    let words = strace::words(&scene.log(), Some(&Injection::fail("rename", 1, "EIO")));
    let outcome = scene.program_under(words).run().expect_exit(74);
    assert_eq!(scene.settle().requests.len(), 1);
    assert!(outcome.stderr().contains(DRAFT), "{}", outcome.report(&[]));
    assert_eq!(scene.refreshes_behind(&outcome.files[DRAFT]), Some(1));
}

#[test]
fn a_stop_waits_until_the_response_is_safe() {
    let mut scene = signalled("TSTP", 20);
    let running = scene.program().start();
    // A process group without a parent in its session can't be stopped: then it just ends.
    let process = running.id();
    let is_at_rest = || status_of(process, "State").is_none_or(|state| state.starts_with(['T', 'Z']));
    wait_until(is_at_rest, "stopped or ended");
    assert_eq!(scene.stored(), Some(1));
    send("CONT", process);
    running.wait().expect_exit(0);
    assert_eq!(scene.settle().requests.len(), 1);
    assert_eq!(scene.litter(), [""; 0]);
}

#[test]
fn ctrl_c_waits_until_the_response_is_safe() {
    if !Need::Terminal.is_met() {
        return;
    }
    let (sender, keyboard) = channel();
    let keyboard = Mutex::new(keyboard);
    let mut scene = Scene::staged("ctrl-c", Footing::Plain, |workspace, step| {
        let directory = workspace.directory();
        Script::once([step.on_request(move |_| {
            let mut keyboard: std::process::ChildStdin =
                keyboard.lock().expect("one request").recv().expect("the program was started");
            keyboard.write_all(b"\x03").expect("press Ctrl-C");
            let processes = processes_in(&directory);
            assert_eq!(processes.len(), 1);
            wait_until(|| is_pending(2, processes[0]), "SIGINT is held back");
        })])
    });
    let at_a_terminal = ["/bin/sh", "-c", "exec script -qec \"$*\" /dev/null", "sh"].map(Into::into);
    let (running, keyboard) = scene.program_under(at_a_terminal.into()).start_with_open_stdin();
    sender.send(keyboard).expect("the server waits for it");
    let outcome = running.wait();
    // script's word for SIGINT.
    let end = if is_ignored(2) { 0 } else { 128 + 2 };
    assert_eq!(outcome.status.code(), Some(end), "{}", outcome.report(&[]));
    assert_eq!(scene.settle().requests.len(), 1);
    assert_eq!((scene.stored(), scene.litter()), (Some(1), vec![]), "{}", outcome.report(&[]));
}

/// The wrapper under which the program is process 1, as in a container.
fn as_first_process() -> Vec<OsString> {
    [own_mounts(), &["--pid", "--fork", "--kill-child"]].concat().into_iter().map(Into::into).collect()
}

#[test]
fn before_the_request_a_signal_acts_at_once() {
    let mut wrappers = vec![vec![]];
    if Need::OwnMounts.is_met() {
        wrappers.push(as_first_process());
    }
    for (wrapper, end) in wrappers.into_iter().zip([(None, Some(15)), (Some(128 + 15), None)]) {
        let mut scene = Scene::staged("signal-early", Footing::Plain, |_, step| {
            Script::once([Step::stall_before_handshake()]).then_always(step)
        });
        let running = scene.program_under(wrapper).args(["--verbose"]).start();
        assert_eq!(running.await_stderr(&[": connected"]), Some(0));
        let processes = processes_in(&scene.workspace.directory());
        assert_eq!(processes.len(), 1);
        send("TERM", processes[0]);
        let outcome = running.wait();
        assert_eq!((outcome.status.code(), outcome.status.signal()), end, "{}", outcome.report(&[]));
        assert_eq!((scene.settle().requests.len(), scene.stored()), (0, Some(0)));
        scene.program().run().expect_exit(0);
        assert_eq!((scene.stored(), scene.litter()), (Some(1), vec![]));
    }
}

#[test]
fn the_first_process_of_a_container_waits_for_the_response_too() {
    if !Need::OwnMounts.is_met() {
        return;
    }
    for (signal, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let mut scene = signalled(signal, number);
        let outcome = scene.program_under(as_first_process()).run();
        let end = if is_ignored(number) { 0 } else { 128 + number };
        assert_eq!(outcome.status.code(), Some(end), "{}", outcome.report(&[]));
        assert_eq!(scene.settle().requests.len(), 1);
        assert_eq!((scene.stored(), scene.litter()), (Some(1), vec![]), "{}", outcome.report(&[]));
    }
}
