//! The Makefile and the table of systems, as a reader finds them.

use std::collections::BTreeSet;
use std::process::Command;

const MAKEFILE: &str = include_str!("../../Makefile");
const README: &str = include_str!("../../README.md");
const SYSTEMS: &str = include_str!("../../src/dist/systems");

/// The targets that are no files.
fn targets() -> BTreeSet<String> {
    let joined = MAKEFILE.replace("\\\n", " ");
    let lists = joined.lines().filter_map(|line| line.strip_prefix(".PHONY:"));
    lists.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn make_help_lists_every_target() {
    let output = Command::new("make").arg("help").current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("run make");
    let page = String::from_utf8(output.stdout).expect("UTF-8");
    let listed = page.lines().filter_map(|line| line.strip_prefix("make "));
    let mut listed: BTreeSet<String> =
        listed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    // The first line is of `make` alone.
    assert!(listed.remove("the") && listed.insert("all".to_owned()), "{page}");
    assert_eq!(listed, targets(), "{page}");
}

/// `make check-dist` compares the archives themselves.
#[test]
fn the_readme_lists_what_is_published() {
    let systems = SYSTEMS.lines().filter(|line| !line.starts_with('#'));
    for system in systems.filter_map(|line| line.split_whitespace().next()) {
        let kind = if system.ends_with("-windows") { "zip" } else { "tar.gz" };
        let row = format!("\n| `docusign-refresh-VERSION-{system}.{kind}` | ");
        assert!(README.contains(&row), "{row}");
    }
}
