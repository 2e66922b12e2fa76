//! The program where there is little of everything: memory, descriptors, threads.
//!
//! (`bare_root` takes away the files of the system, /proc and /etc/passwd included; `clocks` the time.)

use crate::kit::{self, Program, System, TOKEN_FILE, Workspace};
use crate::needs::{self, Need};
use crate::token_server::{Rotation, Script, TokenServer};
use crate::tools;
use std::os::unix::fs::chown;

/// Nobody's, and nobody else's in these tests: a limit on processes counts all of a user's.
const USER: &str = "64987";

/// A file, the lock, the draft, the directory and the connection, behind the three standard streams.
const DESCRIPTORS: &str = "--nofile=8";
const SIXTEEN_MEBIBYTES: &str = "--as=16777216";
/// The one that the program starts as.
const ONE_THREAD: &str = "--nproc=1";

struct SmallHost {
    rotation: Rotation,
    server: TokenServer,
    workspace: Workspace,
}

impl SmallHost {
    fn new(name: &str) -> SmallHost {
        let rotation = kit::rotation();
        let server = kit::serve(Script::always(rotation.step()));
        let mut workspace = Workspace::new(name);
        workspace.give(TOKEN_FILE, rotation.first_token_file());
        SmallHost { rotation, server, workspace }
    }

    /// The program, which finds its server at this host.
    fn program(&self, host: &str) -> Program<'_> {
        let endpoint = self.server.endpoint().replace("localhost", host);
        self.workspace.program().refreshing_at(&self.server).environment("DOCUSIGN_TOKEN_ENDPOINT", endpoint)
    }

    fn expect_refreshed(&self, program: Program<'_>) {
        let before = self.rotation.refreshes();
        let outcome = program.run().expect_exit(0);
        let stored = String::from_utf8_lossy(&outcome.files[TOKEN_FILE]).into_owned();
        assert!(stored.contains(&self.rotation.live_refresh_token()), "{}", outcome.report(&[]));
        assert_eq!((self.rotation.refreshes(), self.rotation.reuses()), (before + 1, 0));
    }
}

fn has_limits() -> bool {
    kit::system() == System::Unix && tools::find("prlimit").is_some()
}

#[test]
fn sixteen_mebibytes_of_addresses_are_enough() {
    if !has_limits() {
        return;
    }
    let host = SmallHost::new("small-memory");
    for name in ["127.0.0.1", "localhost"] {
        host.expect_refreshed(host.program(name).under(["prlimit", SIXTEEN_MEBIBYTES]));
    }
}

#[test]
fn eight_descriptors_are_enough() {
    if !has_limits() {
        return;
    }
    let host = SmallHost::new("few-descriptors");
    for name in ["127.0.0.1", "localhost"] {
        host.expect_refreshed(host.program(name).under(["prlimit", DESCRIPTORS]));
    }
}

/// A literal address takes no thread, and a name of /etc/hosts none that it could not do without.
#[test]
fn no_second_thread_is_needed() {
    if !has_limits() || !Need::OtherUsers.is_met() {
        return;
    }
    let host = SmallHost::new("no-thread");
    let user = USER.parse().expect("a number");
    for path in [host.workspace.directory(), host.workspace.path(TOKEN_FILE)] {
        chown(path, Some(user), Some(user)).expect("give the tokens away");
    }
    for name in ["127.0.0.1", "localhost"] {
        let one_thread = needs::as_user(USER, USER, USER, &["prlimit", ONE_THREAD]);
        host.expect_refreshed(host.program(name).under(one_thread));
    }
}
