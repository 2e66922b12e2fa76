//! The README, held to the program.
//!
//! Its table of options has the variables and defaults of `--help`, where all are; it fits on few pages; its example, typed into a shell, prints what stands there; the commands that it
//! gives for the first token run, and put neither secret nor code into any process's arguments.

use crate::canary;
use crate::kit::{self, CLIENT_ID, CLIENT_SECRET, TOKEN_FILE, Workspace};
use crate::login;
use crate::pattern::Pattern;
use crate::token_server::{Authorization, Decision, Script};
use crate::tools;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

const README: &str = include_str!("../../README.md");

/// An option in the words of a table: its variables, and its default.
#[derive(Debug, PartialEq, Eq)]
struct Described {
    variables: BTreeSet<String>,
    default: Option<String>,
}

/// The text of a section, without its heading.
pub fn section(heading: &str) -> &'static str {
    let marked = format!("\n## {heading}\n");
    let (_, section) = README.split_once(&marked).unwrap_or_else(|| panic!("the README has no section {heading}"));
    section.split("\n## ").next().unwrap_or(section)
}

/// The rows of the first table of a section, cell by cell, without the marks of markdown.
pub fn table(heading: &str) -> Vec<Vec<String>> {
    first_table(section(heading))
}

/// The same of another page.
pub fn first_table(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2).map(|row| {
        // A bar in a cell is escaped.
        let row = row.replace("\\|", "\u{1}");
        let cells = row.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|"));
        cells.map(|cell| cell.replace(['`', '*'], "")).collect()
    });
    rows.collect()
}

#[test]
fn its_options_are_those_of_the_help_page() {
    let shown = options_in_help();
    let rows = table("Refresh");
    assert_eq!(rows.len(), 6, "the options that most runs need");
    for row in rows {
        let [option, variables, default, _] = row.try_into().unwrap_or_else(|row| panic!("not four cells: {row:?}"));
        let default = Some(default).filter(|default| !default.is_empty());
        let written = Described { variables: variables_in(&variables), default };
        assert_eq!(shown.get(name_of(&option)), Some(&written), "{option}");
    }
}

/// A newcomer needs a page; the manual is another one.
#[test]
fn it_is_short() {
    assert!(README.lines().count() <= 250, "{} lines", README.lines().count());
}

/// What it leads to is there.
#[test]
fn its_links_lead_somewhere() {
    for link in README.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
        let is_there = match link.strip_prefix('#') {
            Some(anchor) => {
                README.lines().any(|line| line.strip_prefix("## ").is_some_and(|heading| anchor_of(heading) == anchor))
            }
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join(link).is_file(),
        };
        assert!(is_there, "{link}");
    }
}

fn anchor_of(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-").replace(',', "")
}

/// `--environment` of `--environment NAME`, `--quiet` of `-q, --quiet`.
fn name_of(option: &str) -> &str {
    option.split_whitespace().find(|word| !word.ends_with(',')).unwrap_or_default()
}

/// Words of capitals with an underscore between them.
fn variables_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    words.filter(|word| word.contains('_')).map(str::to_owned).collect()
}

fn options_in_help() -> BTreeMap<String, Described> {
    let workspace = Workspace::new("help");
    let help = workspace.program().args(["--help"]).run().expect_exit(0).stdout();
    let (page, _) = help.split_once("Exit status\n").expect("the help page has a table of exit codes");
    let mut entries: Vec<String> = Vec::new();
    for line in page.lines().skip_while(|line| !line.starts_with("  TOKEN_FILE")) {
        match (line.strip_prefix("      "), entries.last_mut()) {
            (Some(more), Some(entry)) => *entry += &format!(" {}", more.trim()),
            _ if line.starts_with("  ") => entries.push(line.to_owned()),
            _ => {}
        }
    }
    let described = entries.iter().map(|entry| {
        let brackets = entry.rsplit_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(inside, _)| inside);
        // [::1] is an address, and [USER:PASSWORD@] a part of a URL.
        let brackets = brackets.filter(|inside| !inside.contains("::") && !inside.contains('@')).unwrap_or_default();
        let default = match brackets.split_once("; ") {
            Some((_, default)) => Some(default),
            None => Some(brackets).filter(|text| !text.is_empty() && variables_in(text).is_empty()),
        };
        let described = Described { variables: variables_in(brackets), default: default.map(str::to_owned) };
        (name_of(entry.trim()).to_owned(), described)
    });
    described.collect()
}

/// The shell listings of a section, without their fences.
fn listings(heading: &str) -> Vec<&'static str> {
    let parts = section(heading).split("\n```");
    // Every other part is a listing; its first line says of which language.
    parts.skip(1).step_by(2).filter_map(|part| Some(part.split_once('\n')?.1)).collect()
}

/// A directory in which the program is installed under its name.
fn installed(workspace: &Workspace) -> String {
    let directory = tools::beside(&workspace.directory(), "bin");
    fs::create_dir(&directory).expect("make a directory");
    symlink(kit::binary(), directory.join("docusign-refresh")).expect("install the program");
    format!("{}:/usr/local/bin:/usr/bin:/bin", directory.display())
}

/// Runs commands in a shell, as in a terminal, where both streams are one.
fn terminal(commands: &str) -> [String; 3] {
    ["/bin/sh".to_owned(), "-ec".to_owned(), format!("exec 2>&1\n{commands}")]
}

/// Types the lines that begin with `$ ` into a shell where the default endpoint is ours.
#[test]
fn its_example_prints_what_it_says() {
    let example =
        README.split("\n```").nth(1).and_then(|listing| Some(listing.split_once('\n')?.1)).expect("a listing");
    let (typed, wanted): (Vec<&str>, Vec<&str>) = example.lines().partition(|line| line.starts_with("$ "));
    let commands: String = typed.iter().map(|line| format!("{}\n", &line[2..])).collect();
    let wanted: String = wanted.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!((typed.len(), wanted.lines().count()), (4, 2), "{example}");

    let rotation = kit::rotation();
    let server = kit::serve(Script::always(rotation.step()));
    let mut workspace = Workspace::new("readme-example");
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    workspace.give("client-secret", format!("{CLIENT_SECRET}\n"));
    let path = installed(&workspace);
    let outcome = workspace
        .program()
        .refreshing_at(&server)
        .without("DOCUSIGN_CLIENT_ID")
        .without("DOCUSIGN_CLIENT_SECRET")
        .environment("PATH", path)
        .under(terminal(&commands))
        .run()
        .expect_exit(0);
    // How many seconds have gone by is not the same each time.
    let wanted = Pattern::new(wanted.replace("7h 59m 59s", "[..]").as_bytes());
    assert!(wanted.matches(&outcome.stdout, outcome.span), "{}", outcome.report(&["not as in the README".to_owned()]));
    assert_eq!((rotation.refreshes(), rotation.reuses()), (1, 0));
}

/// The commands for a login, typed into a shell, store the tokens for nobody else to read, and show neither
/// secret nor code to other processes.
#[test]
fn its_commands_for_the_first_token_work_and_hide_the_secret() {
    let Some(strace) = tools::find("strace") else { return };
    let rotation = kit::rotation();
    let authorization = Authorization::new(&rotation, "http://localhost/");
    let server = kit::serve(Script::always(authorization.step()));
    let mut workspace = Workspace::new("readme-first-token");
    workspace.give("client-secret", format!("{CLIENT_SECRET}\n"));

    let listings = listings("Log in");
    let commands = listings.first().expect("the commands that get the token");
    let here = commands.replace("INTEGRATION_KEY", CLIENT_ID).replace(
        "docusign-refresh login",
        &format!("docusign-refresh login --authorization-endpoint {}", server.authorization_endpoint()),
    );
    assert_eq!(commands.lines().count(), 3, "{commands}");
    let calls = tools::beside(&workspace.directory(), "calls");
    let traced =
        [strace.into_os_string(), "-fqqs9999".into(), "-e".into(), "execve".into(), "-o".into(), calls.clone().into()];
    let (running, mut stdin) = workspace
        .program()
        .environment("SSL_CERT_FILE", workspace.ca_file())
        .environment("DOCUSIGN_TOKEN_ENDPOINT", server.endpoint())
        .environment("PATH", installed(&workspace))
        .under(traced.into_iter().chain(["/bin/sh".into(), "-ec".into(), here.into()]))
        .start_with_open_stdin();
    let address = login::printed_address(&running);
    let redirected = authorization.browse(&address, Decision::Allow).expect("the browser is sent back");
    writeln!(stdin, "{redirected}").expect("paste it");
    let outcome = running.wait().expect_exit(0);
    assert_eq!(outcome.stdout(), "");
    let mode = fs::metadata(workspace.path(TOKEN_FILE)).expect("it is there").mode();
    assert_eq!((mode & 0o7777, rotation.refreshes()), (0o600, 1));
    let calls = fs::read(calls).expect("strace wrote it");
    assert!(String::from_utf8_lossy(&calls).contains("\"login\""), "no call of the program was seen");
    assert_eq!(canary::find(&calls), None);
}
