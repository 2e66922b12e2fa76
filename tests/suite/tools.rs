//! The programs of this machine that some tests need.
//!
//! What only measures or isolates (valgrind, strace, GNU time, chroot as root) may be missing on
//! the machine of whoever runs `make test`; then the test says so on standard error, past the
//! harness that hides what a passing test prints, and ends. In CI (`CI=true`) nothing may be
//! missing: there, a test that does not run is a test that fails.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{env, thread};

/// Where a program is looked for: `PATH`, and where root's programs are.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = directories.map(|directory| directory.join(program)).find(|path| path.is_file());
    if found.is_none() {
        missing(&format!("no {program} on this machine"));
    }
    found
}

/// Whether this process is root, which `chroot` needs.
pub fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        missing("not root");
    }
    is_root
}

/// Says that the current test does not run. In CI it fails instead.
pub fn missing(what: &str) {
    let is_ci = env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_ci, "{what}: in CI every test must run; .ci/run installs what they need");
    say(&format!("skipped: {what}"));
}

/// Writes a line about the current test where it is seen even if the test passes.
pub fn say(line: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(io::stderr(), "{test}: {line}");
}

/// Where a test may write what is not the program's: beside its workspace, not in it.
pub fn beside(directory: &Path, name: &str) -> PathBuf {
    directory.with_file_name(name)
}
