//! The manual page and the completion for bash, held to `--help`.
//!
//! The page has the same options with the same arguments, variables and defaults (what `--help` puts
//! in brackets), the same exit codes with the same words, and the same version; groff sets it
//! without a warning. The completion, run by bash, offers exactly the options that there are, and
//! after an option with an argument nothing but values that `--help` names.

use crate::kit::Workspace;
use crate::tools;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const PAGE: &str = include_str!("../../src/docusign-refresh.1");
const COMPLETION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dist/docusign-refresh.bash");

/// What is said of each option, or exit code: its heading, such as `--environment NAME`, and the
/// text below it, in one line.
type Items = BTreeMap<String, String>;

fn output_of(option: &str) -> String {
    let workspace = Workspace::new("manual");
    workspace.program().args([option]).run().expect_exit(0).stdout()
}

/// The options of the help page, then its exit codes.
fn items_of_help(help: &str) -> (Items, Items) {
    let (options, exits) = help.split_once("\nExit status\n").expect("the help page has exit codes");
    let mut items = Items::new();
    let mut last = None;
    for line in options.lines().skip_while(|line| !line.starts_with("  TOKEN_FILE")) {
        // Items begin in the third column, and what continues them stands below their text.
        let Some(line) = line.strip_prefix("  ") else {
            last = None;
            continue;
        };
        match line.split_once("  ").filter(|_| !line.starts_with(' ')) {
            Some((heading, text)) => {
                items.insert(heading.to_owned(), text.trim().to_owned());
                last = Some(heading.to_owned());
            }
            None => {
                let last: &String = last.as_ref().expect("a continuation follows an item");
                *items.entry(last.clone()).or_default() += &format!(" {}", line.trim());
            }
        }
    }
    let exits = exits.lines().map(|line| {
        let line = line.trim();
        let (heading, text) = line.split_once("  ").expect("two columns");
        (heading.trim().to_owned(), text.trim().to_owned())
    });
    (items, exits.collect())
}

/// The items of a section of the manual page.
fn items_of_page(section: &str) -> Items {
    let (_, rest) = PAGE.split_once(&format!("\n.SH {section}\n")).expect("the page has the section");
    let section = rest.split("\n.SH ").next().unwrap_or(rest);
    let items = section.split("\n.TP\n").skip(1).map(|item| {
        let item = item.split("\n.SS ").next().unwrap_or(item);
        let mut lines = item.lines().map(plain);
        let heading = lines.next().expect("an item has a heading");
        (heading, lines.collect::<Vec<_>>().join(" "))
    });
    items.collect()
}

/// A line without roff's marks.
fn plain(line: &str) -> String {
    let line = line.replace("\\-", "-").replace("\\fB", "").replace("\\fI", "");
    let Some((request, arguments)) = line.strip_prefix('.').and_then(|line| line.split_once(' ')) else {
        return line;
    };
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in arguments.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("it is never empty").push(other),
        }
    }
    // Requests of two letters change the font from word to word, and set no space between them.
    words.join(if request.len() == 2 { "" } else { " " })
}

/// The variables and the default: what stands in brackets last.
fn settings(text: &str) -> &str {
    text.rfind(" [").map_or("", |at| text[at..].trim_matches(['[', ']', ' ', '.']))
}

#[test]
fn the_page_has_the_options_of_the_help() {
    let (help, _) = items_of_help(&output_of("--help"));
    let page = items_of_page("OPTIONS");
    let short = |items: &Items| -> BTreeMap<String, String> {
        items.iter().map(|(heading, text)| (heading.clone(), settings(text).to_owned())).collect()
    };
    assert!(help.len() > 20, "{help:?}");
    let page: Items = page.into_iter().map(|(heading, text)| (heading, until_bracket(&text))).collect();
    assert_eq!(short(&page), short(&help));
}

/// Up to the end of the last bracket: on the page, more may follow it.
fn until_bracket(text: &str) -> String {
    text.rfind(']').map_or(String::new(), |at| text[..=at].to_owned())
}

#[test]
fn the_page_has_the_exit_codes_of_the_help() {
    let (_, help) = items_of_help(&output_of("--help"));
    assert_eq!(items_of_page("EXIT STATUS"), help);
}

#[test]
fn the_page_is_of_this_version_and_set_without_a_warning() {
    let version = output_of("--version");
    assert!(PAGE.contains(&format!("\n.TH DOCUSIGN-REFRESH 1 \"\" \"{}\" ", version.trim_end())), "not {version}");
    let Some(groff) = tools::find("groff") else { return };
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docusign-refresh.1");
    let output = Command::new(groff).args(["-ww", "-man", "-Tutf8", page]).output().expect("start groff");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What bash offers where the last of these words is being typed.
fn offered(words: &[&str]) -> BTreeSet<String> {
    let script = r#"source "$0"; COMP_WORDS=(docusign-refresh "$@"); COMP_CWORD=$#; _docusign_refresh
        ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash").args(["-c", script, COMPLETION]).args(words).output().expect("start bash");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_options_and_their_values() {
    if tools::find("bash").is_none() {
        return;
    }
    let (help, _) = items_of_help(&output_of("--help"));
    let mut options = BTreeSet::new();
    for (heading, text) in help.iter().filter(|(heading, _)| heading.starts_with('-')) {
        let names = heading.split([',', ' ']).filter(|word| word.starts_with('-'));
        options.extend(names.map(str::to_owned));
        let Some((option, argument)) = heading.split_once(' ').filter(|_| !heading.contains(',')) else { continue };
        assert_eq!(offered(&[option, "-"]), BTreeSet::new(), "{option} takes an argument");
        if argument != "FILE" {
            for value in offered(&[option, ""]) {
                let words = text.split([' ', ',', ';', ':']);
                assert!(words.clone().any(|word| word == value), "{option} {value}: {text}");
            }
        }
    }
    assert_eq!(offered(&["-"]), options);
    assert_eq!(offered(&["--quiet", "--print", "s"]), BTreeSet::from(["status".to_owned()]));
    assert_eq!(offered(&["--environment", "=", "p"]), BTreeSet::from(["production".to_owned()]));
    assert_eq!(offered(&["--environment", "="]).len(), 2);
}
