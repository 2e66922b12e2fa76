//! The program in a mount namespace of its own, in which files of the system are ours: the hosts
//! file, the resolver's configuration, the certificate store. The network stays the test's, which may be
//! in a namespace itself.
//!
//! It takes root, `unshare` and `mount` of util-linux, and `ip` of iproute2. Nothing of it outlives the
//! program.

use crate::needs::Need;
use crate::tools;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What is to stand at a path of the system, which has to exist.
pub struct Stand {
    pub at: &'static str,
    pub file: PathBuf,
}

/// The wrapper for `Program::under`, or None if this machine can't do it.
pub fn where_stand(stands: &[Stand]) -> Option<Vec<OsString>> {
    let unshare = tools::find("unshare")?;
    if !tools::is_root() || !Need::OwnMounts.is_met() {
        return None;
    }
    if let Some(stand) = stands.iter().find(|stand| !Path::new(stand.at).exists()) {
        tools::missing(&format!("no {} on this machine", stand.at));
        return None;
    }
    let mounts: Vec<String> =
        stands.iter().map(|stand| format!("mount --bind '{}' {} && ", stand.file.display(), stand.at)).collect();
    let script = format!("{}exec \"$0\" \"$@\"", mounts.concat());
    Some(vec![unshare.into(), "--mount".into(), "/bin/sh".into(), "-c".into(), script.into()])
}

/// Whether this process is in a network namespace of its own, where every port of the loopback interface
/// is free and nothing else is reached. If not, calls this program again in one, for the test of this
/// name, and fails as that does.
pub fn has_network_of_its_own(test: &str) -> bool {
    const MARK: &str = "DOCUSIGN_REFRESH_OWN_NETWORK";
    if env::var_os(MARK).is_some() {
        return true;
    }
    let (Some(unshare), Some(ip)) = (tools::find("unshare"), tools::find("ip")) else { return false };
    if !tools::is_root() {
        return false;
    }
    let script = format!("{} link set lo up && exec \"$0\" \"$@\"", ip.display());
    let output = Command::new(unshare)
        .args(["--net", "/bin/sh", "-c", &script])
        .arg(env::current_exe().expect("the path of this program"))
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "1")
        .output()
        .expect("start unshare");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{stdout}");
    assert!(output.status.success(), "{test}, in a network of its own: {}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains("1 passed"), "{test}: no such test\n{stdout}");
    false
}

/// An `/etc` with these files alone, beside a workspace.
pub fn etc(directory: &Path, files: &[(&str, &str)]) -> Stand {
    let etc = tools::beside(directory, "etc");
    fs::create_dir(&etc).expect("make a directory beside the workspace");
    for (name, text) in files {
        fs::write(etc.join(name), text).expect("write a file beside the workspace");
    }
    Stand { at: "/etc", file: etc }
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
