//! Token files whose name, or whole path, is almost as long as the system lets it be.
//!
//! A name that leaves no room for those of the lock, the drafts, and saved tokens is found before the request:
//! else the tokens would be spent, and could not be set aside. Every shorter name does whatever is needed.

use crate::kit::{self, Workspace};
use crate::token_server::Script;
use std::fs;

/// The longest name that Linux file systems take, and the longest path (without the final NUL).
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4095;

/// What `.rescue-` and ten digits take.
const SUFFIX: usize = 18;

/// Runs on a token file while another login is stored, which takes each of the names but the second draft's.
fn expect_safety(workspace: &mut Workspace, name: &str, has_room: bool) {
    let rotation = kit::rotation();
    let path = workspace.path(name);
    workspace.give(name, rotation.first_token_file());
    let target = path.clone();
    let login = "{\"refresh_token\": \"Canary7-login\"}";
    let step = rotation.step().on_request(move |_| fs::write(&target, login).expect("log in"));
    let server = kit::serve(Script::once([step]).then_always(rotation.step()));
    let program = || workspace.program().refreshing_at(&server).args([&path]);
    let outcome = program().run().expect_exit(if has_room { 74 } else { 73 });
    if has_room {
        let rescue = outcome.files.keys().find(|file| file.starts_with(&format!("{name}.rescue-")));
        let rescue = rescue.unwrap_or_else(|| panic!("{}", outcome.report(&[])));
        fs::rename(workspace.path(rescue), &path).expect("use the tokens that were set aside");
        program().run().expect_exit(0);
        assert_eq!((server.finish().requests.len(), rotation.reuses()), (2, 0));
        return;
    }
    assert!(outcome.stderr().contains("name is too long"), "{}", outcome.report(&[]));
    assert!(outcome.stderr().contains("hint: nothing was sent; "), "{}", outcome.report(&[]));
    assert_eq!(server.finish().connections, 0);
    assert_eq!(outcome.files, *workspace.given(), "nothing else is there");
}

#[test]
fn a_name_too_long_for_its_companions_is_found_before_the_request() {
    for length in MAX_NAME - SUFFIX - 2..=MAX_NAME {
        let mut workspace = Workspace::new("long-name");
        expect_safety(&mut workspace, &"n".repeat(length), length + SUFFIX <= MAX_NAME);
    }
}

#[test]
fn a_path_too_long_for_its_companions_is_found_before_the_request() {
    for length in MAX_PATH - SUFFIX - 2..=MAX_PATH {
        let mut workspace = Workspace::new("long-path");
        let above = workspace.path("n").as_os_str().len() - "n".len();
        let mut name = String::new();
        while length - above - name.len() > 250 {
            name += &("d".repeat(200) + "/");
        }
        let rest = length - above - name.len() - "/n".len();
        name += &("d".repeat(rest) + "/n");
        assert_eq!(workspace.path(&name).as_os_str().len(), length);
        expect_safety(&mut workspace, &name, length + SUFFIX <= MAX_PATH);
    }
}
