//! What the machine has to let a test do.
//!
//! Some tests need a tool or a right that not every machine has: strace, mounts of their own, a
//! second user, a terminal. `tools` says what becomes of a test whose need is not met.

use crate::kit;
use crate::tools;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A tool or a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// strace, with the right to trace and to inject.
    Strace,
    /// Mounts that only the program sees.
    OwnMounts,
    /// To be root, and to become someone else.
    OtherUsers,
    /// A terminal by util-linux' script.
    Terminal,
}

impl Need {
    /// Whether the test that asks can run.
    pub fn is_met(self) -> bool {
        let probe = match self {
            Need::Strace => {
                ["strace", "-f", "-o", "/dev/null", "-e", "inject=close:error=EIO:when=60000", "true"].to_vec()
            }
            Need::OwnMounts => [own_mounts(), &["sh", "-c", "mount -t tmpfs tmpfs /tmp"]].concat(),
            // That one has to come to the program and to the workspaces.
            Need::OtherUsers => {
                let (binary, workspaces) = (kit::binary().to_str().expect("UTF-8"), env!("CARGO_TARGET_TMPDIR"));
                as_user("65534", "65534", "12345", &["test", "-x", binary, "-a", "-x", workspaces])
            }
            Need::Terminal => ["script", "-qec", "true", "/dev/null"].to_vec(),
        };
        let is_met = succeeds(&probe);
        if !is_met {
            tools::missing(&format!("{self:?}: {} fails", probe.join(" ")));
        }
        is_met
    }
}

/// What to put before a command that is to have mounts of its own.
pub fn own_mounts() -> &'static [&'static str] {
    static AS_ROOT: LazyLock<bool> = LazyLock::new(|| succeeds(&["unshare", "--mount", "true"]));
    if *AS_ROOT { &["unshare", "--mount"] } else { &["unshare", "--map-root-user", "--mount"] }
}

/// A command, run by another user with one more group.
pub fn as_user<'a>(user: &'a str, group: &'a str, other_group: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    let words = ["setpriv", "--reuid", user, "--regid", group, "--groups", other_group];
    [&words, command].concat()
}

fn succeeds(command: &[&str]) -> bool {
    let status = Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
