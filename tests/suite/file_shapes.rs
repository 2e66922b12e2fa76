//! What kind of file the token file is, and whose.
//!
//! It is replaced as a whole, so whatever it was has to be given to its replacement: owner, group
//! and mode, before it holds a token. Who can't do that is told before anything is spent. A
//! symbolic link is followed, and stays. What a rename can't replace is refused: the server is not
//! even connected to, and nothing is left behind.

use crate::kit::{Outcome, TOKEN_FILE};
use crate::needs::{self, Need};
use crate::scene::{DRAFT, Footing, LOCK, Scene};
use crate::token_server::Script;
use crate::tools;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// Someone who is not root, his group, and one more that he is in.
const USER: u32 = 65534;
const GROUP: u32 = 65534;
const OTHER_GROUP: u32 = 12345;
/// Someone else, and a group that the user is not in.
const STRANGER: u32 = 54321;

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    user: u32,
    group: u32,
    mode: u32,
}

impl Access {
    fn of(path: &Path) -> Access {
        let metadata = fs::metadata(path).expect("it is there");
        Access { user: metadata.uid(), group: metadata.gid(), mode: metadata.mode() & 0o7777 }
    }

    fn give(self, path: &Path) {
        chown(path, Some(self.user), Some(self.group)).expect("give it away");
        fs::set_permissions(path, Permissions::from_mode(self.mode)).expect("set its mode");
    }
}

/// A scene whose token file has this access, and whose draft has it, too, when the request comes.
fn scene_of(access: Access) -> Scene {
    let scene = Scene::staged("access", Footing::Plain, |workspace, step| {
        let draft = workspace.path(DRAFT);
        Script::always(step.on_request(move |_| assert_eq!(Access::of(&draft), access)))
    });
    access.give(&scene.workspace.path(TOKEN_FILE));
    scene
}

fn as_the_user() -> Vec<OsString> {
    let words = needs::as_user("65534", "65534", "12345", &[]);
    words.into_iter().map(OsString::from).collect()
}

#[test]
fn owner_group_and_mode_are_kept_by_root() {
    if !Need::OtherUsers.is_met() {
        return;
    }
    // A change of owner takes the last one's first bit away, if it comes second.
    for mode in [0o600, 0o640, 0o644, 0o666, 0o400, 0o444, 0o4700] {
        let access = Access { user: USER, group: OTHER_GROUP, mode };
        let mut scene = scene_of(access);
        let token_file = scene.workspace.path(TOKEN_FILE);
        let before = fs::metadata(&token_file).expect("it is there").ino();
        scene.program().run().expect_exit(0);
        scene.settle();
        assert_eq!((scene.stored(), Access::of(&token_file)), (Some(1), access));
        assert_ne!(fs::metadata(&token_file).expect("it is there").ino(), before, "it was replaced");
        // Whoever may write the token file may lock it.
        let lock = Access { mode: mode & 0o666 | 0o600, ..access };
        assert_eq!(Access::of(&scene.workspace.path(LOCK)), lock);
    }
}

#[test]
fn group_and_mode_are_kept_by_the_owner() {
    if !Need::OtherUsers.is_met() {
        return;
    }
    for (group, mode) in [(GROUP, 0o600), (OTHER_GROUP, 0o640), (OTHER_GROUP, 0o660), (GROUP, 0o400)] {
        let access = Access { user: USER, group, mode };
        let mut scene = scene_of(access);
        chown(scene.workspace.directory(), Some(USER), Some(GROUP)).expect("give the directory away");
        scene.program_under(as_the_user()).run().expect_exit(0);
        scene.settle();
        assert_eq!((scene.stored(), Access::of(&scene.workspace.path(TOKEN_FILE))), (Some(1), access));
    }
}

#[test]
fn who_cannot_keep_owner_or_group_is_told_before_anything_is_spent() {
    if !Need::OtherUsers.is_met() {
        return;
    }
    for (user, group) in [(STRANGER, GROUP), (USER, STRANGER)] {
        let access = Access { user, group, mode: 0o644 };
        let mut scene = scene_of(access);
        chown(scene.workspace.directory(), Some(USER), Some(GROUP)).expect("give the directory away");
        let outcome = scene.program_under(as_the_user()).run().expect_exit(73);
        assert!(outcome.stderr().contains("owner and mode of the token file"), "{}", outcome.report(&[]));
        assert!(
            outcome.stderr().contains("or make this user its owner with chown or chgrp"),
            "{}",
            outcome.report(&[])
        );
        assert_eq!(scene.settle().connections, 0);
        assert_eq!((scene.stored(), scene.litter()), (Some(0), vec![]));
        assert_eq!(Access::of(&scene.workspace.path(TOKEN_FILE)), access);
    }
}

/// `chattr +i` keeps root, too, from replacing a file; `+a` leaves it to be appended to.
#[test]
fn a_file_that_nobody_may_replace_is_found_before_anything_is_spent() {
    let Some(chattr) = tools::find("chattr") else { return };
    for attribute in ["i", "a"] {
        let mut scene = Scene::new("fixed", Footing::Plain);
        let tokens = scene.workspace.path(TOKEN_FILE);
        let change = |sign: &str| {
            let mut command = Command::new(&chattr);
            command.arg(format!("{sign}{attribute}")).arg(&tokens).stderr(Stdio::null()).status().expect("start chattr")
        };
        if !change("+").success() {
            tools::say("skipped: this user or this file system sets no attributes");
            return;
        }
        let outcome = scene.program().run();
        assert!(change("-").success());
        let outcome = outcome.expect_exit(73);
        assert!(outcome.stderr().contains("chattr -i -a docusign.json"), "{}", outcome.report(&[]));
        assert_eq!(scene.settle().connections, 0);
        assert_eq!((scene.stored(), scene.litter()), (Some(0), vec![]));
    }
}

#[test]
fn links_are_followed_and_stay() {
    let mut scene = Scene::new("links", Footing::Plain);
    let tokens = scene.rotation.first_token_file();
    let var = scene.workspace.path("var");
    scene.workspace.give("var/lib/tokens.json", tokens);
    scene.workspace.give("etc/app/README", "");
    fs::remove_file(scene.workspace.path(TOKEN_FILE)).expect("make place for a link");
    // To the next link, across directories, relative and absolute; and one in the way.
    scene.workspace.link(TOKEN_FILE, "etc/app/current");
    scene.workspace.link("etc/app/current", "../../state/lib/tokens.json");
    scene.workspace.link("state", var.to_str().expect("UTF-8"));

    scene.program().run().expect_exit(0);
    scene.settle();
    let content = scene.workspace.read("var/lib/tokens.json");
    assert_eq!(scene.refreshes_behind(&content), Some(1));
    let leads = |name: &str| fs::read_link(scene.workspace.path(name)).expect("it is a link");
    assert_eq!(leads(TOKEN_FILE), Path::new("etc/app/current"));
    assert_eq!(leads("etc/app/current"), Path::new("../../state/lib/tokens.json"));
    assert_eq!(leads("state"), var);
    let names: Vec<String> = scene.workspace.files().into_keys().collect();
    let real = ["var/lib/tokens.json", "var/lib/tokens.json.lock"];
    assert_eq!(names, [&[TOKEN_FILE, "etc/app/README", "etc/app/current", "state"], real.as_slice()].concat());
}

/// The run is refused with 66, names its reason, and touches nothing.
fn expect_refusal(mut scene: Scene, token_file: &str, reason: &str) -> Outcome {
    let before: Vec<String> = scene.workspace.files().into_keys().collect();
    let outcome = scene.program().args([token_file]).run().expect_exit(66);
    let stderr = outcome.stderr();
    assert!(stderr.contains(token_file) && stderr.contains(reason), "{}", outcome.report(&[reason.to_owned()]));
    assert!(stderr.contains("hint:"), "{}", outcome.report(&[]));
    assert_eq!(scene.settle().connections, 0);
    assert_eq!(outcome.files.keys().cloned().collect::<Vec<_>>(), before);
    assert_eq!(scene.stored(), Some(0));
    outcome
}

#[test]
fn what_a_rename_cannot_replace_is_refused() {
    let scene = || Scene::new("refused", Footing::Plain);
    expect_refusal(scene(), "/dev/null", "a device");
    expect_refusal(scene(), "/dev/stdin", "a device");
    expect_refusal(scene(), "/dev/fd/0", "a device");
    expect_refusal(scene(), "/proc/self/fd/0", "a device");
    expect_refusal(scene(), ".", "a directory");
    expect_refusal(scene(), "missing.json", "no such file");

    let with_pipe = scene();
    let pipe = with_pipe.workspace.path("pipe");
    assert!(Command::new("mkfifo").arg(pipe).status().expect("run mkfifo").success());
    expect_refusal(with_pipe, "pipe", "not a regular file");

    let with_device = scene();
    symlink("/dev/null", with_device.workspace.path("null.json")).expect("make a link");
    expect_refusal(with_device, "null.json", "not a regular file");

    let mut with_two_names = scene();
    with_two_names.workspace.give("twin.json", "");
    let path = |name: &str| with_two_names.workspace.path(name);
    fs::remove_file(path("twin.json")).expect("make place for it");
    fs::hard_link(path(TOKEN_FILE), path("twin.json")).expect("give it another name");
    expect_refusal(with_two_names, TOKEN_FILE, "other hard links");

    let dangling = scene();
    symlink("nowhere/tokens.json", dangling.workspace.path("dangling.json")).expect("make a link");
    let outcome = expect_refusal(dangling, "dangling.json", "no such file");
    assert!(outcome.files.contains_key("dangling.json"));
}

/// Memory that looks like a directory is a good place for tokens: no disk ever holds them.
#[test]
fn a_file_in_dev_shm_is_a_file() {
    if !Path::new("/dev/shm").is_dir() {
        return;
    }
    let mut scene = Scene::new("shm", Footing::Plain);
    let directory = Path::new("/dev/shm").join(format!("docusign-refresh.{}", std::process::id()));
    fs::create_dir_all(&directory).expect("make a directory in memory");
    let token_file = directory.join(TOKEN_FILE);
    fs::write(&token_file, scene.rotation.first_token_file()).expect("write the token file");
    let outcome = scene.program().args([&token_file]).run();
    let content = fs::read(&token_file);
    fs::remove_dir_all(&directory).expect("clean up");
    outcome.expect_exit(0);
    scene.settle();
    assert_eq!(scene.refreshes_behind(&content.expect("it is there")), Some(1));
}
