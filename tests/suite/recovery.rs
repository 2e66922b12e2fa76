//! What a run does about what an earlier one left.
//!
//! A run that died between the sync of its draft and the rename left the only copy of the live
//! tokens in the draft. The next run puts them in place, whatever clocks say; but if a human has
//! authorized again since, theirs stays, and the draft is set aside. What a run left that died
//! earlier is removed. What is no file, where the draft or the lock should be, is never followed.

use crate::kit::{self, TOKEN_FILE};
use crate::needs::{self, Need};
use crate::scene::{AGAIN, DRAFT, Footing, LOCK, Scene};
use crate::strace::{self, Injection};
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// What fills a blank draft: JSON takes it nowhere.
const FILL: u8 = 0x0C;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn date(scene: &Scene, file: &str, to: SystemTime) {
    let file = File::options().write(true).open(scene.workspace.path(file)).expect("open it");
    file.set_modified(to).expect("date it");
}

/// The next run refreshes with the tokens of the draft.
fn expect_promotion(mut scene: Scene) {
    let outcome = scene.program().run().expect_exit(0);
    assert!(outcome.stderr().contains("recovered the tokens of an interrupted run"), "{}", outcome.report(&[]));
    scene.settle();
    assert_eq!((scene.rotation.refreshes(), scene.rotation.reuses()), (2, 0));
    assert_eq!((scene.stored(), scene.litter()), (Some(2), vec![]));
}

/// The next run refreshes with the tokens that a human has brought, and the draft is set aside.
fn expect_rescue(mut scene: Scene) {
    let outcome = scene.program().run().expect_exit(0);
    scene.settle();
    assert_eq!((scene.rotation.refreshes(), scene.rotation.reuses()), (3, 0));
    let litter = scene.litter();
    assert!(matches!(litter.as_slice(), [rescue] if rescue.starts_with("docusign.json.rescue-")), "{litter:?}");
    assert_eq!(scene.refreshes_behind(&outcome.files[&litter[0]]), Some(1));
    assert!(outcome.stderr().contains(&litter[0]), "{}", outcome.report(&[]));
}

#[test]
fn a_complete_draft_is_promoted_whatever_clocks_say() {
    if !Need::Strace.is_met() {
        return;
    }
    let scene = || Scene::new("promoted", Footing::Plain);
    expect_promotion(scene().died_at("rename", 1));

    // The sync was not even begun, nor the fill cut off; or a power cut has made zeros of it. Version 0.1.0 filled
    // with newlines.
    let scene_with_fill = || scene().died_at("ftruncate", 1);
    assert!(scene_with_fill().workspace.read(DRAFT).ends_with(&[FILL; 8]));
    expect_promotion(scene_with_fill());
    for other in [0, b'\n'] {
        let scene = scene_with_fill();
        let other_fill = |byte: u8| if byte == FILL { other } else { byte };
        let draft = scene.workspace.read(DRAFT).into_iter().map(other_fill).collect::<Vec<_>>();
        fs::write(scene.workspace.path(DRAFT), draft).expect("fill it otherwise");
        expect_promotion(scene);
    }

    // When the token file was written, the clock was wrong; or the draft's was.
    let from_the_future = scene();
    date(&from_the_future, TOKEN_FILE, SystemTime::now() + YEAR);
    expect_promotion(from_the_future.died_at("rename", 1));
    let old_draft = scene().died_at("rename", 1);
    date(&old_draft, DRAFT, SystemTime::now() - YEAR);
    expect_promotion(old_draft);

    // A human looked at both, and saved the token file as it was.
    let touched = scene().died_at("rename", 1);
    fs::read(touched.workspace.path(DRAFT)).expect("look at it");
    fs::write(touched.workspace.path(TOKEN_FILE), touched.rotation.first_token_file()).expect("save it");
    expect_promotion(touched);
}

/// An editor was killed, or a human who logged in again forgot a brace: it is no token file, but
/// nobody else has a copy.
#[test]
fn what_is_no_token_file_gives_way_and_is_kept() {
    if !Need::Strace.is_met() {
        return;
    }
    for text in ["{\"access_tok", "", "{\"refresh_token\": \"Canary7-login\",}\n"] {
        let mut scene = Scene::new("kept", Footing::Plain).died_at("rename", 1);
        fs::write(scene.workspace.path(TOKEN_FILE), text).expect("write it");
        let outcome = scene.program().run().expect_exit(0);
        scene.settle();
        assert_eq!((scene.rotation.refreshes(), scene.rotation.reuses(), scene.stored()), (2, 0, Some(2)));
        let litter = scene.litter();
        assert!(matches!(litter.as_slice(), [rescue] if rescue.starts_with("docusign.json.rescue-")), "{litter:?}");
        assert_eq!(outcome.files[&litter[0]], text.as_bytes());
        assert!(outcome.stderr().contains(&litter[0]), "{}", outcome.report(&[]));
        let mode = |name: &str| fs::metadata(scene.workspace.path(name)).expect("it is there").mode();
        assert_eq!(mode(&litter[0]), mode(TOKEN_FILE));
    }
}

/// What a run leaves that wrote its draft a second time, because the disk did not take the first or
/// someone edited the token file.
#[test]
fn a_second_draft_is_promoted_if_it_is_complete() {
    if !Need::Strace.is_met() {
        return;
    }
    // The first of these writes is the fingerprint, the second the draft.
    let the_draft_fails = Injection::fail("pwrite64", 2, "EIO");
    for (name, then) in [("killed", Injection::kill("rename", 1)), ("failed", Injection::fail("rename", 1, "EIO"))] {
        let mut scene = Scene::new(name, Footing::Plain);
        let words = strace::words(&scene.log(), [&the_draft_fails, &then]);
        let (outcome, trace) = strace::run(scene.program_under(words), &scene.log());
        scene.settle();
        assert_eq!(scene.rotation.refreshes(), 1, "{}", trace.report());
        assert_eq!(scene.refreshes_behind(&outcome.files[AGAIN]), Some(1), "{}", trace.report());
        if name == "failed" {
            let outcome = outcome.expect_exit(74);
            assert!(outcome.stderr().contains(&format!("{AGAIN}: copy")), "{}", outcome.report(&[]));
        }
        expect_promotion(scene);
    }

    // Both are complete; or only the first, as far as the second had come.
    let scene = Scene::new("both", Footing::Plain).died_at("rename", 1);
    fs::copy(scene.workspace.path(DRAFT), scene.workspace.path(AGAIN)).expect("copy the draft");
    expect_promotion(scene);
    for (length, text) in [("nothing", ""), ("half", "{\"access_token\": \"Canary7-ha")] {
        let scene = Scene::new(length, Footing::Plain).died_at("rename", 1);
        fs::write(scene.workspace.path(AGAIN), text).expect("write a part");
        expect_promotion(scene);
    }
}

/// Someone removed the first draft by hand, and with it what the second one was to replace.
#[test]
fn a_second_draft_alone_is_promoted_too() {
    if !Need::Strace.is_met() {
        return;
    }
    let scene = Scene::new("only-the-second", Footing::Plain).died_at("rename", 1);
    fs::rename(scene.workspace.path(DRAFT), scene.workspace.path(AGAIN)).expect("rename the draft");
    expect_promotion(scene);
}

/// After a power cut the second draft may be a name without content; the first one is on the disk.
#[test]
fn a_second_draft_is_synced_before_it_replaces_the_first() {
    if !Need::Strace.is_met() {
        return;
    }
    let scene = Scene::new("sync-the-second", Footing::Plain).died_at("rename", 1);
    fs::copy(scene.workspace.path(DRAFT), scene.workspace.path(AGAIN)).expect("copy the draft");
    let (outcome, trace) = strace::run(scene.program_under(strace::words(&scene.log(), None)), &scene.log());
    outcome.expect_exit(0);
    let synced = trace.position(|call| call.name == "fsync" && call.is_on(AGAIN));
    let renamed = trace.position(|call| call.name == "rename" && call.is_on(AGAIN));
    assert!(synced.is_some() && synced < renamed, "{}", trace.report());
}

/// The draft has the mode of the token file, and its owner may not be root.
#[test]
fn a_draft_that_nobody_may_write_is_promoted() {
    if !Need::Strace.is_met() || !Need::OtherUsers.is_met() {
        return;
    }
    for call in ["rename", "ftruncate"] {
        let scene = Scene::new("read-only-draft", Footing::Plain).died_at(call, 1);
        for name in ["", LOCK, DRAFT, TOKEN_FILE] {
            chown(scene.workspace.path(name), Some(65534), Some(65534)).expect("give it away");
        }
        for name in [DRAFT, TOKEN_FILE] {
            fs::set_permissions(scene.workspace.path(name), Permissions::from_mode(0o400)).expect("close it");
        }
        let words = needs::as_user("65534", "65534", "65534", &[]).into_iter().map(OsString::from).collect();
        let outcome = scene.program_under(words).args(["--min-ttl", "1m"]).run().expect_exit(0);
        assert!(outcome.stderr().contains("recovered the tokens of an interrupted run"), "{}", outcome.report(&[]));
        assert_eq!((scene.stored(), scene.litter()), (Some(1), vec![]));
        let mode = fs::metadata(scene.workspace.path(TOKEN_FILE)).expect("it is there").mode();
        assert_eq!(mode & 0o7777, 0o400);
    }
}

#[test]
fn without_a_token_file_the_draft_is_named() {
    if !Need::Strace.is_met() {
        return;
    }
    let scene = Scene::new("only-the-draft", Footing::Plain).died_at("rename", 1);
    fs::remove_file(scene.workspace.path(TOKEN_FILE)).expect("delete it");
    let outcome = scene.program().run().expect_exit(66);
    let wanted = "hint: to use it, rename docusign.json.new to docusign.json\n";
    assert!(outcome.stderr().ends_with(wanted), "{}", outcome.report(&[]));
    fs::rename(scene.workspace.path(DRAFT), scene.workspace.path(TOKEN_FILE)).expect("do so");
    assert_eq!(scene.stored(), Some(1));
    scene.program().run().expect_exit(0);
    assert_eq!((scene.stored(), scene.litter()), (Some(2), vec![]));
}

#[test]
fn after_a_recovery_the_lock_file_says_nothing() {
    if !Need::Strace.is_met() {
        return;
    }
    let mut scene = Scene::new("silent-lock", Footing::Plain).died_at("rename", 1);
    assert!(!scene.workspace.read(LOCK).is_empty());
    let outcome = scene.program().args(["--min-ttl", "1m"]).run().expect_exit(0);
    assert!(outcome.stderr().contains("still fresh"), "{}", outcome.report(&[]));
    scene.settle();
    assert_eq!((scene.rotation.refreshes(), scene.stored(), scene.litter()), (1, Some(1), vec![]));
}

/// A power cut may leave a part of each in a file that was being overwritten, and, if the seam is in
/// a token, a third token.
#[test]
fn a_mounted_file_that_was_half_overwritten_is_repaired() {
    if !Need::Strace.is_met() || !Need::OwnMounts.is_met() {
        return;
    }
    for torn in ["{\"access_tok", r#"{"access_token": "Canary7-torn", "refresh_token": "Canary7-torn"}"#] {
        // The first write is the fingerprint, the second the draft.
        let scene = Scene::new("torn", Footing::Mounted).died_at("write", 1);
        fs::write(scene.workspace.path(scene.token_file()), torn).expect("tear it");
        expect_promotion(scene);
    }
}

#[test]
fn tokens_of_a_new_login_are_not_replaced_by_an_older_draft() {
    if !Need::Strace.is_met() {
        return;
    }
    let scene = Scene::new("set-aside", Footing::Plain).died_at("rename", 1);
    fs::write(scene.workspace.path(TOKEN_FILE), scene.rotation.authorize_again()).expect("log in");
    expect_rescue(scene);

    // Brought from another machine, with its date.
    let scene = Scene::new("set-aside-old", Footing::Plain).died_at("rename", 1);
    fs::write(scene.workspace.path(TOKEN_FILE), scene.rotation.authorize_again()).expect("log in");
    date(&scene, TOKEN_FILE, SystemTime::now() - YEAR);
    fs::read(scene.workspace.path(DRAFT)).expect("a backup reads it");
    expect_rescue(scene);

    // The run told of its failure, and the human of it acted.
    let mut scene = Scene::new("set-aside-74", Footing::Plain);
    let words = strace::words(&scene.log(), Some(&Injection::fail("rename", 1, "EIO")));
    scene.program_under(words).run().expect_exit(74);
    scene.settle();
    fs::write(scene.workspace.path(TOKEN_FILE), scene.rotation.authorize_again()).expect("log in");
    expect_rescue(scene);
}

#[test]
fn a_draft_without_new_tokens_is_removed() {
    let issued = kit::rotation();
    let drafts = [
        ("empty", String::new()),
        ("blank", "\x0C".repeat(5000)),
        ("blank, by version 0.1.0", "\n".repeat(5000)),
        ("blank, half of it on the disk", "\x0C".repeat(500) + &"\0".repeat(500)),
        ("the same", issued.first_token_file()),
    ];
    for name in [DRAFT, AGAIN] {
        for (what, draft) in &drafts {
            let mut scene = Scene::new("removed", Footing::Plain);
            fs::write(scene.workspace.path(name), draft).expect("leave a draft");
            scene.program().run().expect_exit(0);
            scene.settle();
            assert_eq!((scene.stored(), scene.litter(), scene.rotation.reuses()), (Some(1), vec![], 0), "{what}");
        }
    }
}

/// Not blank, and not complete: whatever it is, it may hold the only copy of something.
#[test]
fn a_part_of_something_is_saved_and_told() {
    let whole = kit::rotation().token_file_after(1, 1);
    let parts = [
        whole[..1].to_owned(),
        whole[..100].to_owned(),
        whole[..whole.len() - 2].to_owned(),
        format!("{}\n\n\n\n", &whole[..100]),
        "not JSON at all".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
    ];
    for names in [&[DRAFT][..], &[AGAIN], &[DRAFT, AGAIN]] {
        for part in &parts {
            let mut scene = Scene::new("part", Footing::Plain);
            names.iter().for_each(|name| fs::write(scene.workspace.path(name), part).expect("leave a part"));
            let outcome = scene.program().args(["--quiet"]).run().expect_exit(0);
            scene.settle();
            let litter = scene.litter();
            assert_eq!((scene.stored(), litter.len()), (Some(1), names.len()), "{litter:?}");
            for name in litter {
                assert!(name.starts_with("docusign.json.rescue-") && outcome.stderr().contains(&name), "{name}");
                assert_eq!(outcome.files[&name], part.as_bytes());
            }
        }
    }
}

/// A power cut may leave any part of a draft that was being written, with fill or zeros where the rest is
/// missing. The lock file then still has the note of that run.
#[test]
fn tokens_are_salvaged_from_a_draft_that_a_power_cut_tore() {
    if !Need::Strace.is_met() {
        return;
    }
    let died = || Scene::new("torn-draft", Footing::Plain).died_at("rename", 1);
    let whole = died().workspace.read(DRAFT);
    let refresh_token_ends = String::from_utf8_lossy(&whole).find("\"expires_in\"").expect("it comes behind") - 5;
    for end in (1..whole.len()).step_by(7) {
        for (name, missing) in [(DRAFT, FILL), (DRAFT, 0), (AGAIN, 0)] {
            let mut scene = died();
            let draft = scene.workspace.read(DRAFT);
            let mut torn = draft[..end].to_vec();
            torn.resize(draft.len(), missing);
            fs::remove_file(scene.workspace.path(DRAFT)).expect("there is one");
            fs::write(scene.workspace.path(name), torn).expect("tear it");
            let is_salvaged = end >= refresh_token_ends;
            let outcome = scene.program().run().expect_exit(if is_salvaged { 0 } else { 77 });
            scene.settle();
            let end = (outcome.stderr().contains("recovered the tokens of an interrupted run"), scene.litter());
            assert_eq!(end, (is_salvaged, vec![]), "{}", outcome.report(&[]));
            if is_salvaged {
                assert_eq!((scene.rotation.refreshes(), scene.rotation.reuses()), (2, 0));
                assert_eq!(scene.stored(), Some(2));
            }
        }
    }
}

/// Somebody wrote it, or a power cut tore it: it says nothing about the draft.
#[test]
fn a_note_that_is_not_a_runs_counts_as_none() {
    if !Need::Strace.is_met() {
        return;
    }
    let died = || Scene::new("no-note", Footing::Plain).died_at("rename", 1);
    let note = String::from_utf8(died().workspace.read(LOCK)).expect("text");
    let fingerprint = note.trim_end();
    for text in [
        fingerprint.to_owned(),
        format!("{fingerprint}\r\n"),
        format!("{note}12345\n"),
        fingerprint.to_uppercase() + "\n",
        "0".repeat(7) + "\n\n",
        "12345\n".to_owned(),
        "{}".to_owned(),
        " ".to_owned(),
        "\0".repeat(9),
        "\0".repeat(64),
    ] {
        let scene = died();
        fs::write(scene.workspace.path(LOCK), &text).expect("leave a text");
        println!("{text:?}");
        expect_promotion(scene);
    }
}

/// Somebody copied the draft, or changed its mode or that of the token file: the token file's counts.
#[test]
fn a_recovered_draft_gets_the_protection_of_the_token_file() {
    if !Need::Strace.is_met() || !Need::OtherUsers.is_met() {
        return;
    }
    let as_the_user = || needs::as_user("65534", "65534", "65534", &[]).into_iter().map(OsString::from).collect();
    // Owner, group and mode of the token file; mode of the draft, which is the user's; the mode afterwards.
    let table = [
        ("root", (0, 0), 0o600, 0o666, 0o600),
        ("root", (0, 12345), 0o640, 0o600, 0o640),
        ("root", (65534, 65534), 0o400, 0o777, 0o400),
        ("the user", (65534, 65534), 0o600, 0o666, 0o600),
        ("the user", (65534, 65534), 0o644, 0o600, 0o644),
        // He can give away neither file nor group: the group stays his, and gets nothing.
        ("the user", (0, 12345), 0o664, 0o666, 0o604),
        ("the user", (0, 65534), 0o664, 0o666, 0o664),
    ];
    for (who, (user, group), mode, mode_of_draft, wanted) in table {
        for name in [DRAFT, AGAIN] {
            let scene = Scene::new("other-mode", Footing::Plain).died_at("rename", 1);
            let path = |name: &str| scene.workspace.path(name);
            fs::rename(path(DRAFT), path(name)).expect("rename the draft");
            for (name, user, group, mode) in [
                ("", 65534, 65534, 0o755),
                (LOCK, 65534, 65534, 0o600),
                (name, 65534, 65534, mode_of_draft),
                (TOKEN_FILE, user, group, mode),
            ] {
                chown(path(name), Some(user), Some(group)).expect("give it away");
                fs::set_permissions(path(name), Permissions::from_mode(mode)).expect("set its mode");
            }
            let words = if who == "root" { Vec::new() } else { as_the_user() };
            let outcome = scene.program_under(words).args(["--min-ttl", "1m"]).run().expect_exit(0);
            assert!(outcome.stderr().contains("recovered the tokens of an interrupted run"), "{}", outcome.report(&[]));
            assert_eq!((scene.stored(), scene.litter()), (Some(1), vec![]));
            let metadata = fs::metadata(path(TOKEN_FILE)).expect("it is there");
            assert_eq!(metadata.mode() & 0o7777, wanted, "{who}, {user}:{group} {mode:o}, {mode_of_draft:o}");
            if who == "root" {
                assert_eq!((metadata.uid(), metadata.gid()), (user, group));
            }
        }
    }
}

#[test]
fn a_lock_file_that_a_dead_run_left_blocks_nobody() {
    for left in ["", "0123abcd\n", "4711"] {
        let mut scene = Scene::new("left-lock", Footing::Plain);
        fs::write(scene.workspace.path(LOCK), left).expect("leave a lock file");
        scene.program().run().expect_exit(0);
        scene.settle();
        assert_eq!((scene.stored(), scene.litter()), (Some(1), vec![]));
    }
}

#[test]
fn what_stands_in_the_place_of_draft_or_lock_is_not_followed() {
    for name in [DRAFT, AGAIN, LOCK] {
        for what in ["a link", "a dangling link", "a directory", "a pipe"] {
            let mut scene = Scene::new("planted", Footing::Plain);
            let (path, bait) = (scene.workspace.path(name), scene.workspace.beside("bait"));
            match what {
                "a directory" => fs::create_dir(path).expect("make a directory"),
                "a pipe" => make_pipe(&path),
                "a link" => {
                    fs::write(&bait, "bait").expect("make a bait");
                    symlink(&bait, path).expect("make a link");
                }
                _ => symlink(&bait, path).expect("make a link"),
            }
            let outcome = scene.program().run().expect_exit(73);
            let hint = format!("remove or rename {}, which", scene.workspace.path(name).display());
            assert!(outcome.stderr().contains(&hint), "{}", outcome.report(&[]));
            assert_eq!((scene.settle().connections, scene.stored()), (0, Some(0)), "{what} at {name}");
            let wanted = if what == "a link" { Some(b"bait".to_vec()) } else { None };
            assert_eq!(fs::read(&bait).ok(), wanted, "{what} at {name} was followed");
        }
    }
}

/// Without a token file, too, the lock file is looked at.
#[test]
fn a_pipe_in_the_place_of_the_lock_does_not_make_a_run_wait() {
    let scene = Scene::with_first_login("pipe");
    make_pipe(&scene.workspace.path(LOCK));
    scene.program().run().expect_exit(66);
    scene.first_run_under(Vec::new()).run().expect_exit(73);
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("start mkfifo").success());
}
