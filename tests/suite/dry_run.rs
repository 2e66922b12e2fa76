//! `--dry-run` on what an interrupted run left.
//!
//! It changes nothing: every file is afterwards what it was, byte for byte. Only a lock file that was not there
//! is, since nobody may look at a draft without it. It tells what a real run would recover, and that one does.

use crate::kit::{self, TOKEN_FILE};
use crate::scene::{AGAIN, DRAFT, Footing, LOCK, Scene};
use std::fs;

/// What lies there, and what a dry run and a real one say of it.
struct Left {
    files: Vec<(&'static str, String)>,
    dry: &'static [&'static str],
    real: &'static [&'static str],
}

fn left() -> Vec<Left> {
    let issued = kit::rotation();
    let whole = issued.token_file_after(1, 0);
    let part = whole[..60].to_owned();
    let blank = "\x0C".repeat(5000);
    let note = |text: &str| (LOCK, text.to_owned());
    let recover: (&[&str], &[&str]) =
        (&["would recover the tokens of an interrupted run"], &["recovered the tokens of an interrupted run"]);
    let save: (&[&str], &[&str]) = (&["would save an incomplete draft of an interrupted run"], &["it was saved as"]);
    vec![
        Left { files: vec![], dry: &[], real: &[] },
        Left { files: vec![(DRAFT, blank.clone())], dry: &[], real: &[] },
        Left { files: vec![(AGAIN, blank)], dry: &[], real: &[] },
        Left { files: vec![(DRAFT, issued.first_token_file())], dry: &[], real: &[] },
        Left { files: vec![(DRAFT, whole.clone())], dry: recover.0, real: recover.1 },
        Left { files: vec![(AGAIN, whole.clone())], dry: recover.0, real: recover.1 },
        Left { files: vec![(DRAFT, whole.clone() + &"\x0C".repeat(99))], dry: recover.0, real: recover.1 },
        Left { files: vec![(DRAFT, part.clone())], dry: save.0, real: save.1 },
        Left { files: vec![(AGAIN, part.clone())], dry: save.0, real: save.1 },
        Left {
            files: vec![(DRAFT, whole.clone()), note("0123abcd\n")],
            dry: &["would save the tokens of an interrupted run, and keep the token file, which holds another login"],
            real: &["an interrupted run refreshed a login that the token file no longer holds"],
        },
        Left {
            files: vec![(DRAFT, whole), (TOKEN_FILE, "{\"access_tok".to_owned()), note("0123abcd\n")],
            dry: &[
                "would recover the tokens of an interrupted run, and save the current content, which is not a token file",
            ],
            real: &["the previous content was not a token file and was saved as"],
        },
    ]
}

#[test]
fn a_dry_run_changes_nothing_and_tells_what_a_real_one_does() {
    for Left { files, dry, real } in left() {
        let mut scene = Scene::new("dry-run", Footing::Plain);
        for (name, content) in &files {
            fs::write(scene.workspace.path(name), content).expect("leave a file");
        }
        let before = scene.workspace.files();
        for arguments in [&["--dry-run"][..], &["--dry-run", "--quiet"], &["--dry-run", "--verbose"]] {
            let outcome = scene.program().args(arguments.iter().copied()).run().expect_exit(0);
            let mut after = outcome.files.clone();
            if !before.contains_key(LOCK) {
                assert_eq!(after.remove(LOCK), Some(Vec::new()), "{}", outcome.report(&[]));
            }
            assert_eq!(after, before, "{}", outcome.report(&[]));
            let warnings = outcome.stderr().lines().filter(|line| line.contains("warning: a real run would")).count();
            assert_eq!(warnings, dry.len(), "{}", outcome.report(&[]));
            assert!(dry.iter().all(|text| outcome.stderr().contains(text)), "{}", outcome.report(&[]));
        }
        assert_eq!(scene.settle().connections, 0);

        let outcome = scene.program().args(["--min-ttl", "1s"]).run();
        scene.settle();
        assert!(real.iter().all(|text| outcome.stderr().contains(text)), "{}", outcome.report(&[]));
        assert_eq!(outcome.stderr().contains("warning: "), !real.is_empty(), "{}", outcome.report(&[]));
        assert!(!outcome.files.contains_key(DRAFT) && !outcome.files.contains_key(AGAIN), "{}", outcome.report(&[]));
    }
}
