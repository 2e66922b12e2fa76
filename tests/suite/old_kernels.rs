//! The program on kernels from Linux 2.6.32 on, of December 2009: that of RHEL 6 and of Debian 6.
//!
//! Each system call that is newer does not exist there. The program asks for some of them all the same, and
//! takes what came before: /dev/urandom for getrandom(2), stat(2) for statx(2). What is checked here is
//! which calls there are, not what each can do; and x86_64 alone, since other processors count differently.

use crate::kit::{self, System, TOKEN_FILE, Workspace};
use crate::seccomp::Calls;
use crate::token_server::Script;
use crate::tools;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// perf_event_open(2), of 2.6.31, has the number 298 on x86_64, and recvmmsg(2), of 2.6.33, the next
/// (arch/x86/entry/syscalls/syscall_64.tbl).
const SINCE_2_6_33: Calls = 299..=u32::MAX;

/// getrandom(2), of Linux 3.17.
const GETRANDOM: u32 = 318;

fn is_x86_64() -> bool {
    let is_x86_64 = cfg!(target_arch = "x86_64")
        && kit::system() == System::Unix
        && env::var_os("DOCUSIGN_REFRESH_RUNNER").is_none();
    if !is_x86_64 {
        tools::say("skipped: not a program for x86_64, run by the processor");
    }
    is_x86_64
}

/// The whole cycle: the first finds its server by address, the next by name, the last finds the draft of
/// a run that was killed.
#[test]
fn the_whole_cycle_works_on_linux_2_6_32() {
    if !is_x86_64() {
        return;
    }
    let rotation = kit::rotation();
    let server = kit::serve(Script::always(rotation.step()));
    let mut workspace = Workspace::new("linux-2.6.32");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    for endpoint in [server.endpoint().replace("localhost", "127.0.0.1"), server.endpoint()] {
        let program = workspace.program().refreshing_at(&server).environment("DOCUSIGN_TOKEN_ENDPOINT", endpoint);
        let outcome = program.args(["--verbose"]).on_a_kernel_without([SINCE_2_6_33]).run().expect_exit(0);
        let stored = String::from_utf8_lossy(&outcome.files[TOKEN_FILE]).into_owned();
        assert!(stored.contains(&rotation.live_refresh_token()), "{}", outcome.report(&[]));
    }
    assert_eq!((rotation.refreshes(), rotation.reuses()), (2, 0));

    let in_eight_hours = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 28_800;
    let tokens = r#""access_token": "Canary7-drafted", "refresh_token": "Canary7-drafted-too""#;
    let draft = format!("{{{tokens}, \"expires_at\": {in_eight_hours}}}");
    workspace.give("docusign.json.new", draft.clone());
    let program = workspace.program().refreshing_at(&server).args(["--min-ttl", "1h"]);
    let outcome = program.on_a_kernel_without([SINCE_2_6_33]).run().expect_exit(0);
    assert_eq!(outcome.files[TOKEN_FILE].trim_ascii(), draft.as_bytes(), "{}", outcome.report(&[]));
}

/// A sandbox that forbids one call is such a kernel, too.
#[test]
fn a_kernel_without_getrandom_has_another_source() {
    if !is_x86_64() {
        return;
    }
    let server = kit::serve(Script::always(kit::rotation().step()));
    let workspace = Workspace::after_login("no-getrandom");
    workspace.program().refreshing_at(&server).on_a_kernel_without([GETRANDOM..=GETRANDOM]).run().expect_exit(0);
    assert_eq!(server.finish().requests.len(), 1);
}
