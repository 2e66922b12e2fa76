//! Where the token file is.
//!
//! A place in which the new tokens could not be saved is found before the refresh token is spent:
//! the run ends with 73, the server is not even connected to, the token file is untouched, and the
//! hint names the mount or the right that is missing. A single file that is mounted by itself, as
//! into a container, can be saved, though not by a rename: see also `kills` and `failures`.

use crate::kit::TOKEN_FILE;
use crate::needs::{self, Need};
use crate::scene::{Footing, LOCK, Scene};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

/// The words that run `script` with mounts of its own, and then the program.
pub fn with_mounts(script: &str) -> Vec<OsString> {
    let script = format!("set -e; {script}; exec \"$@\"");
    let words = [needs::own_mounts(), &["sh", "-c", &script, "sh"]].concat();
    words.into_iter().map(OsString::from).collect()
}

/// The run ends with 73, and says all of this; nothing was sent.
fn expect_nothing_spent(mut scene: Scene, words: Vec<OsString>, token_file: &str, says: &[&str]) {
    let outcome = scene.program_under(words).args([token_file]).run().expect_exit(73);
    for text in says {
        assert!(outcome.stderr().contains(text), "{}", outcome.report(&[format!("wanted: {text}")]));
    }
    assert!(outcome.stderr().contains("nothing was sent"), "{}", outcome.report(&[]));
    assert_eq!(scene.settle().connections, 0, "{}", outcome.report(&[]));
    assert_eq!((scene.stored(), scene.litter()), (Some(0), vec![]), "{}", outcome.report(&[]));
}

#[test]
fn a_read_only_file_system_is_found_before_anything_is_spent() {
    if !Need::OwnMounts.is_met() {
        return;
    }
    let read_only = "mkdir volume; mount -t tmpfs tmpfs volume; cp docusign.json volume; mount -o remount,ro volume";
    let scene = Scene::new("read-only", Footing::Plain);
    let hint = format!("{} is on a read-only file system: mount it writable", scene.workspace.path("volume").display());
    expect_nothing_spent(scene, with_mounts(read_only), "volume/docusign.json", &[&hint]);

    // As a Kubernetes Secret is mounted, with a lock from better days.
    let with_lock = read_only.replace("; mount -o", "; touch volume/docusign.json.lock; mount -o");
    let scene = Scene::new("read-only-with-lock", Footing::Plain);
    expect_nothing_spent(scene, with_mounts(&with_lock), "volume/docusign.json", &["read-only file system"]);
}

#[test]
fn a_full_file_system_is_found_before_anything_is_spent() {
    if !Need::OwnMounts.is_met() {
        return;
    }
    // Too small for a draft as large as a response may be; full; and without an inode left.
    for full in [
        "mount -t tmpfs -o size=512k tmpfs volume; cp docusign.json volume",
        "mount -t tmpfs -o size=2m tmpfs volume; cp docusign.json volume; cat /dev/zero 2>&- >volume/ballast || true",
        "mount -t tmpfs -o nr_inodes=3 tmpfs volume; cp docusign.json volume; touch volume/docusign.json.lock",
    ] {
        let scene = Scene::new("full", Footing::Plain);
        let hint = format!("make room in {}", scene.workspace.path("volume").display());
        let mount = format!("mkdir volume; {full}");
        expect_nothing_spent(scene, with_mounts(&mount), "volume/docusign.json", &[&hint, "no space left"]);
    }
}

#[test]
fn a_file_that_is_mounted_read_only_is_found_before_anything_is_spent() {
    if !Need::OwnMounts.is_met() {
        return;
    }
    let mount = "touch file.json; mount --bind docusign.json file.json; mount -o remount,bind,ro file.json";
    let mut scene = Scene::new("file-read-only", Footing::Plain);
    scene.workspace.give("file.json", "");
    scene.workspace.give("file.json.lock", "");
    let hint = "instead of the file, mount its directory, and make it writable";
    expect_nothing_spent(
        scene,
        with_mounts(mount),
        "file.json",
        &["is a single-file bind mount and is not writable", hint],
    );
}

#[test]
fn a_file_that_is_mounted_from_a_full_volume_is_found_before_anything_is_spent() {
    if !Need::OwnMounts.is_met() {
        return;
    }
    let mount = "mkdir volume; mount -t tmpfs -o size=512k tmpfs volume; cp docusign.json volume/source.json
        mount --bind volume/source.json docusign.json";
    let scene = Scene::new("file-full", Footing::Plain);
    let says = ["is a single-file bind mount and is not writable: no space left", "make room on its volume"];
    expect_nothing_spent(scene, with_mounts(mount), TOKEN_FILE, &says);
}

#[test]
fn a_file_that_is_mounted_by_itself_is_overwritten_in_place() {
    if !Need::OwnMounts.is_met() {
        return;
    }
    let mut scene = Scene::new("file-mounted", Footing::Mounted);
    let source = scene.workspace.path(scene.token_file());
    let before = fs::metadata(&source).expect("it is there").ino();
    for refreshes in 1..=3 {
        let outcome = scene.program().run().expect_exit(0);
        assert!(outcome.stderr().contains("a mount point and was overwritten in place"), "{}", outcome.report(&[]));
        assert!(outcome.stderr().contains("mount its directory instead"), "{}", outcome.report(&[]));
        scene.settle();
        assert_eq!((scene.stored(), scene.litter()), (Some(refreshes), vec![]));
    }
    assert_eq!(fs::metadata(&source).expect("it is there").ino(), before);
    assert_eq!(scene.rotation.reuses(), 0);
}

#[test]
fn a_directory_that_one_may_not_write_is_found_before_anything_is_spent() {
    if !Need::OtherUsers.is_met() {
        return;
    }
    let as_the_user = || needs::as_user("65534", "65534", "12345", &[]).into_iter().map(OsString::from).collect();
    let hint = |scene: &Scene| {
        let directory = scene.workspace.directory();
        format!("the token file's owner, who must be able to write in {}", directory.display())
    };
    // The directory is root's, then the user's own, but closed.
    for owner in [0, 65534] {
        for lock in ["no lock", "a lock"] {
            let scene = Scene::new("closed", Footing::Plain);
            let directory = scene.workspace.directory();
            chown(scene.workspace.path(TOKEN_FILE), Some(65534), Some(65534)).expect("give the file away");
            if lock == "a lock" {
                fs::write(scene.workspace.path(LOCK), "").expect("leave a lock");
                chown(scene.workspace.path(LOCK), Some(65534), Some(65534)).expect("give the lock away");
            }
            chown(&directory, Some(owner), Some(owner)).expect("give the directory away");
            fs::set_permissions(&directory, Permissions::from_mode(0o555)).expect("close the directory");
            let hint = hint(&scene);
            expect_nothing_spent(scene, as_the_user(), TOKEN_FILE, &[&hint, "permission denied"]);
        }
    }
}
