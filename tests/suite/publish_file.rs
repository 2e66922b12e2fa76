//! The access token in a file of its own: what Unix keeps and refuses. What it holds, and most refusals, are cases.

use crate::image::{self, CLibrary};
use crate::kit::{self, TOKEN_FILE, Workspace};
use crate::needs::Need;
use crate::places::with_mounts;
use crate::scene::{Footing, Scene};
use crate::token_server::{Script, Step};
use crate::tools;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const FILE: &str = "access-token";

fn access_token(workspace: &Workspace) -> String {
    let stored: serde_json::Value = serde_json::from_slice(&workspace.read(TOKEN_FILE)).expect("a token file");
    stored["access_token"].as_str().expect("an access token").to_owned()
}

fn mode(workspace: &Workspace, name: &str) -> u32 {
    fs::metadata(workspace.path(name)).expect("it is there").mode() & 0o7777
}

/// With every character of a token that has a meaning to somebody.
#[test]
fn curl_and_a_shell_read_the_token_back() {
    let Some(curl) = tools::find("curl") else { return };
    let token = "Canary7-a.b_c~d+e/f==";
    for (format, file) in [("header", "token.header"), ("env", "token.env")] {
        let mut workspace = Workspace::new("file-readers");
        let end = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs() + 3600;
        let tokens = format!(r#"{{"access_token":"{token}","refresh_token":"Canary7-r","expires_at":{end}}}"#);
        workspace.give(TOKEN_FILE, tokens);
        let server = kit::serve(Script::always(Step::response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")));
        let program = workspace.program().refreshing_at(&server).args(["--min-ttl", "1m", "--access-token-file", file]);
        program.args(["--access-token-format", format]).run().expect_exit(0);
        let mut reader = match format {
            "header" => Command::new(&curl),
            _ => Command::new("sh"),
        };
        match format {
            "header" => {
                reader.args(["--silent", "--fail", "--insecure", "--header", &format!("@{file}"), &server.endpoint()])
            }
            _ => reader.args(["-c", &format!(". ./{file} && printf %s \"$DOCUSIGN_ACCESS_TOKEN\"")]),
        };
        let output = reader.current_dir(workspace.directory()).output().expect("start the reader");
        assert!(output.status.success(), "{format}");
        match format {
            "header" => {
                let sent = server.finish().requests[0].field("Authorization").map(str::to_owned);
                assert_eq!(sent, Some(format!("Bearer {token}")));
            }
            _ => assert_eq!(String::from_utf8_lossy(&output.stdout), token),
        }
    }
}

#[test]
fn a_new_file_is_for_the_group_as_far_as_the_umask_lets_it() {
    for (umask, wanted) in [("022", 0o640), ("077", 0o600), ("000", 0o640)] {
        let scene = Scene::new("file-new", Footing::Plain);
        let words = ["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"].map(Into::into);
        scene.program_under(words.into()).args(["--access-token-file", FILE]).run().expect_exit(0);
        assert_eq!(mode(&scene.workspace, FILE), wanted, "{umask}");
        assert_eq!(scene.litter(), [FILE]);
    }
}

#[test]
fn mode_and_link_are_kept() {
    let mut scene = Scene::new("file-kept", Footing::Plain);
    scene.workspace.give("readers/token", "old");
    let path = scene.workspace.path("readers/token");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("set the mode");
    scene.workspace.link(FILE, "readers/token");
    scene.program().environment("DOCUSIGN_ACCESS_TOKEN_FILE", FILE).run().expect_exit(0);
    assert_eq!(scene.workspace.read("readers/token"), access_token(&scene.workspace).into_bytes());
    assert!(scene.workspace.path(FILE).is_symlink());
    assert_eq!(mode(&scene.workspace, "readers/token"), 0o604);
}

/// A link that leads nowhere yet stays, and the file comes to be where it leads.
#[test]
fn a_link_to_a_file_that_is_not_there_is_followed() {
    let scene = Scene::new("file-dangling", Footing::Plain);
    fs::create_dir(scene.workspace.path("readers")).expect("make a directory");
    symlink("readers/token", scene.workspace.path(FILE)).expect("make a link");
    let outcome = scene.program().args(["--access-token-file", FILE]).start().observe().expect_exit(0);
    assert!(scene.workspace.path(FILE).is_symlink());
    assert_eq!(outcome.files["readers/token"], access_token(&scene.workspace).into_bytes());
}

#[test]
fn owner_and_group_are_kept() {
    if !Need::OtherUsers.is_met() {
        return;
    }
    let mut scene = Scene::new("file-owner", Footing::Plain);
    scene.workspace.give(FILE, "");
    std::os::unix::fs::chown(scene.workspace.path(FILE), Some(65534), Some(12345)).expect("change the owner");
    scene.program().args(["--access-token-file", FILE]).run().expect_exit(0);
    let metadata = fs::metadata(scene.workspace.path(FILE)).expect("it is there");
    assert_eq!((metadata.uid(), metadata.gid()), (65534, 12345));
}

/// What is there already is not written again: its inode stays.
#[test]
fn a_fresh_run_writes_only_what_differs() {
    let scene = Scene::new("file-fresh", Footing::Plain);
    let publish = || {
        scene
            .program()
            .args(["--access-token-file", FILE, "--min-ttl", "10m", "--print", "status"])
            .run()
            .expect_exit(0)
    };
    scene.program().run().expect_exit(0);
    assert!(publish().stderr().contains("; published to access-token"));
    let inode = || fs::metadata(scene.workspace.path(FILE)).expect("it is there").ino();
    let first = inode();
    let outcome = publish();
    assert!(outcome.stderr().contains("; access-token is up to date"), "{}", outcome.stderr());
    let told: serde_json::Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    assert_eq!(told["published"], serde_json::json!([{"access_token_file": FILE, "outcome": "unchanged"}]));
    assert_eq!(inode(), first);
    fs::write(scene.workspace.path(FILE), "other").expect("write it");
    publish();
    assert_eq!(scene.workspace.read(FILE), access_token(&scene.workspace).into_bytes());
    assert_eq!(scene.rotation.refreshes(), 1);
}

/// Each is refused before anything is sent, and stays as it is.
#[test]
fn what_can_not_be_the_file_is_refused() {
    let mut scene = Scene::new("file-refused", Footing::Plain);
    scene.workspace.give("client-secret", kit::CLIENT_SECRET);
    scene.workspace.give("hard", "");
    fs::create_dir(scene.workspace.path("directory")).expect("make a directory");
    fs::hard_link(scene.workspace.path("hard"), scene.workspace.path("hard.2")).expect("make a hard link");
    let made = Command::new("mkfifo").arg(scene.workspace.path("pipe")).status().expect("start mkfifo");
    assert!(made.success());
    scene.workspace.link("link.json", TOKEN_FILE);
    for (file, exit) in [
        (TOKEN_FILE, 64),
        ("./docusign.json", 64),
        ("link.json", 64),
        ("docusign.json.lock", 64),
        ("docusign.json.new", 64),
        ("docusign.json.new.again", 64),
        ("docusign.json.rescue-17", 64),
        ("docusign.json.answer-17", 64),
        ("client-secret", 64),
        ("", 64),
        ("directory", 73),
        ("pipe", 73),
        ("hard", 73),
        ("absent/token", 73),
        ("/dev/null", 73),
        ("/dev/stdout", 73),
    ] {
        let program = scene.program().without("DOCUSIGN_CLIENT_SECRET").args([
            "--client-secret-file",
            "client-secret",
            "--access-token-file",
            file,
        ]);
        let told = program.run().expect_exit(exit).stderr();
        assert!(told.contains("\nhint: "), "{file}: {told}");
    }
    // Its draft would be the token file.
    let told = scene.program().args(["--access-token-file", "tokens", "tokens.new"]).run();
    assert_ne!(told.status.code(), Some(0));
    scene.program().args(["--access-token-format", "header"]).run().expect_exit(64);
    assert_eq!((scene.stored(), scene.rotation.refreshes()), (Some(0), 0));
}

#[test]
fn a_directory_in_the_place_of_the_draft_is_named_before_anything_is_sent() {
    let mut scene = Scene::new("file-draft-directory", Footing::Plain);
    let draft = scene.workspace.path("access-token.new");
    fs::create_dir(&draft).expect("make a directory");
    let outcome = scene.program().args(["--access-token-file", FILE]).run().expect_exit(73);
    let told = format!("{}: cannot be used as the draft of the access token file: it is a directory", draft.display());
    assert!(outcome.stderr().contains(&told), "{}", outcome.report(&[]));
    assert!(outcome.stderr().contains("hint: nothing was sent; remove or rename"), "{}", outcome.report(&[]));
    assert_eq!(scene.settle().connections, 0);
}

/// The draft's name counts, too.
#[test]
fn a_file_whose_draft_would_be_the_token_file_is_refused() {
    let rotation = kit::rotation();
    let mut workspace = Workspace::new("file-draft");
    workspace.give("tokens.new", rotation.first_token_file());
    let server = kit::serve(Script::always(rotation.step()));
    let program = workspace.program().refreshing_at(&server);
    program.args(["--access-token-file", "tokens", "tokens.new"]).run().expect_exit(64);
    assert_eq!(workspace.read("tokens.new"), rotation.first_token_file().into_bytes());
}

/// A run that would refresh finds it before anything is sent: 73. One that has nothing to send says that the token
/// file is safe: 75, and the next run publishes.
#[test]
fn a_directory_that_can_not_be_written_loses_nothing() {
    if !Need::OtherUsers.is_met() {
        return;
    }
    let scene = Scene::new("file-forbidden", Footing::Plain);
    for path in [scene.workspace.path(""), scene.workspace.path(TOKEN_FILE)] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("change the owner");
    }
    fs::create_dir(scene.workspace.path("readers")).expect("make a directory");
    let run = || {
        let words = crate::needs::as_user("65534", "65534", "12345", &[]).into_iter().map(Into::into);
        scene.program_under(words.collect())
    };
    let publish = || run().args(["--access-token-file", "readers/token", "--min-ttl", "10m"]);
    let hint = format!("this user must be able to replace it in {}\n", scene.workspace.path("readers").display());
    let told = publish().run().expect_exit(73).stderr();
    assert!(told.contains("readers/token: cannot be used as the access token file: permission denied"), "{told}");
    assert!(told.contains(&format!("hint: nothing was sent; {hint}")), "{told}");
    assert_eq!(scene.rotation.refreshes(), 0);

    run().run().expect_exit(0);
    let told = publish().run().expect_exit(75).stderr();
    assert!(
        told.contains("readers/token: the access token was not published") && told.contains("; the token file is safe"),
        "{told}"
    );
    assert!(told.ends_with(&format!("hint: {hint}hint: correct this, then run again\n")), "{told}");
    std::os::unix::fs::chown(scene.workspace.path("readers"), Some(65534), None).expect("change the owner");
    publish().run().expect_exit(0);
    assert_eq!(scene.workspace.read("readers/token"), access_token(&scene.workspace).into_bytes());
    assert_eq!(scene.rotation.refreshes(), 1);
}

/// The run ends with 73 and says both; nothing was sent, and no draft is left.
fn expect_nothing_sent(mut scene: Scene, words: Vec<OsString>, file: &str, why: &str, hint: &str) {
    for arguments in [&["--access-token-file", file][..], &["--access-token-file", file, "--dry-run"]] {
        let outcome = scene.program_under(words.clone()).args(arguments.iter().copied()).run().expect_exit(73);
        let wanted = format!("{file}: cannot be used as the access token file: {why}");
        assert!(outcome.stderr().contains(&wanted), "{}", outcome.report(&[wanted]));
        let wanted = format!("hint: nothing was sent; {hint}");
        assert!(outcome.stderr().contains(&wanted), "{}", outcome.report(&[wanted]));
        assert!(!outcome.files.keys().any(|name| name.ends_with(".new")), "{}", outcome.report(&[]));
    }
    assert_eq!(scene.settle().connections, 0);
    assert_eq!(scene.stored(), Some(0));
}

#[test]
fn a_place_that_can_never_be_written_is_found_before_anything_is_sent() {
    if !Need::OwnMounts.is_met() {
        return;
    }
    for (mount, file, why, hint) in [
        (
            "mkdir volume; mount -t tmpfs tmpfs volume; mount -o remount,ro volume",
            "volume/at",
            "read-only file system",
            "this user must be able to replace it in ",
        ),
        (
            "mkdir volume; mount -t tmpfs -o size=64k tmpfs volume; cat /dev/zero 2>&- >volume/ballast || true",
            "volume/at",
            "no space left",
            "make room in ",
        ),
        (
            "touch at other; mount --bind other at",
            "at",
            "resource busy",
            "it is a single-file bind mount and cannot be replaced: instead, mount ",
        ),
    ] {
        // The second run in the same workspace finds the directory there already.
        let mount = mount.replace("mkdir", "mkdir -p");
        expect_nothing_sent(Scene::new("file-never", Footing::Plain), with_mounts(&mount), file, why, hint);
    }
}

#[test]
fn a_file_of_an_owner_that_can_not_be_kept_is_found_before_anything_is_sent() {
    if !Need::OtherUsers.is_met() {
        return;
    }
    let mut scene = Scene::new("file-foreign", Footing::Plain);
    scene.workspace.give(FILE, "");
    for path in [scene.workspace.path(""), scene.workspace.path(TOKEN_FILE)] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("change the owner");
    }
    std::os::unix::fs::chown(scene.workspace.path(FILE), Some(65533), Some(65533)).expect("change the owner");
    let words = crate::needs::as_user("65534", "65534", "12345", &[]).into_iter().map(Into::into);
    let hint = "run as its owner (65533:65533), or make this user its owner with chown or chgrp";
    expect_nothing_sent(scene, words.collect(), FILE, "cannot give the draft its owner and mode: ", hint);
}

#[test]
fn an_immutable_file_is_found_before_anything_is_sent() {
    let Some(chattr) = tools::find("chattr") else { return };
    let mut scene = Scene::new("file-fixed", Footing::Plain);
    scene.workspace.give(FILE, "");
    let path = scene.workspace.path(FILE);
    let change = |sign: &str| {
        let mut command = Command::new(&chattr);
        command.arg(sign).arg(&path).stderr(Stdio::null()).status().expect("start chattr").success()
    };
    if !change("+i") {
        return tools::say("skipped: this user or this file system sets no attributes");
    }
    let outcome = scene.program().args(["--access-token-file", FILE]).run();
    assert!(change("-i"));
    let told = outcome.expect_exit(73).stderr();
    assert!(told.contains("access token file: it is immutable or append-only"), "{told}");
    assert!(told.contains("hint: nothing was sent; make it replaceable: chattr -i -a \"access-token\""), "{told}");
    assert_eq!(scene.settle().connections, 0);
}

/// A link may hold the separator as well; and one that leads to itself is no missing directory.
#[test]
fn links_that_lead_to_no_file_are_refused_with_their_reason() {
    // In the words of the C library that the program has.
    let is_loop = match image::c_library() {
        Some(CLibrary::Musl) => "it cannot be looked up: symbolic link loop",
        _ => "it cannot be looked up: too many levels of symbolic links",
    };
    for (target, why) in [("readers/token/", "it cannot be looked up: is a directory"), (FILE, is_loop)] {
        let scene = Scene::new("file-link", Footing::Plain);
        fs::create_dir(scene.workspace.path("readers")).expect("make a directory");
        symlink(target, scene.workspace.path(FILE)).expect("make a link");
        let hint = "name a regular file, or a new one in a directory that exists";
        expect_nothing_sent(scene, Vec::new(), FILE, why, hint);
    }
}

/// A draft that an interrupted run left is in nobody's way.
#[test]
fn a_leftover_draft_is_replaced() {
    let mut scene = Scene::new("file-leftover", Footing::Plain);
    scene.workspace.give("access-token.new", "half");
    scene.program().args(["--access-token-file", FILE]).run().expect_exit(0);
    assert_eq!(scene.workspace.read(FILE), access_token(&scene.workspace).into_bytes());
    assert!(!scene.workspace.path("access-token.new").exists());
}
