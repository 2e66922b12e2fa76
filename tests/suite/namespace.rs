//! The program in a mount namespace of its own, in which files of the system are ours: the hosts
//! file, the resolver's configuration, the certificate store. The network stays the test's.
//!
//! It takes root, and `unshare` and `mount` of util-linux. Nothing of it outlives the program.

use crate::tools;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What is to stand at a path of the system, which has to exist.
pub struct Stand {
    pub at: &'static str,
    pub file: PathBuf,
}

/// The wrapper for `Program::under`, or None if this machine can't do it.
pub fn where_stand(stands: &[Stand]) -> Option<Vec<OsString>> {
    let unshare = tools::find("unshare")?;
    if !tools::is_root() {
        return None;
    }
    let mounts: Vec<String> =
        stands.iter().map(|stand| format!("mount --bind '{}' {} && ", stand.file.display(), stand.at)).collect();
    let script = format!("{}exec \"$0\" \"$@\"", mounts.concat());
    Some(vec![unshare.into(), "--mount".into(), "/bin/sh".into(), "-c".into(), script.into()])
}

/// Files beside a workspace that know `name` by these addresses and no other name, and, for whatever
/// they don't know, this server.
pub fn names(directory: &Path, known: &[(&str, &str)], nameserver: &str) -> Vec<Stand> {
    let lines: Vec<String> = known.iter().map(|(address, name)| format!("{address} {name}\n")).collect();
    let hosts = ("/etc/hosts", tools::beside(directory, "hosts"), lines.concat());
    let resolver = ("/etc/resolv.conf", tools::beside(directory, "resolv.conf"), format!("nameserver {nameserver}\n"));
    let write = |(at, file, text): (&'static str, PathBuf, String)| {
        std::fs::write(&file, text).expect("write a file beside the workspace");
        Stand { at, file }
    };
    [hosts, resolver].into_iter().map(write).collect()
}
