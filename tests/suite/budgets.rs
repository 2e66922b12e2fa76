//! What the program may cost: bytes, crates, instructions, memory, system calls, round trips.
//!
//! The figures repeat exactly or nearly so, and each has a ceiling close above it, so that growth
//! is a decision somebody takes and not something that happens. Each measured test says its figure
//! and its ceiling on standard error. Times are not here: they are noise on a shared machine.
//!
//! One cycle is: read, lock, draft, one refresh over TLS 1.3 with an ECDSA P-256 chain of the
//! test's own authority, commit. It trusts one root from a file (`--ca-file`), so that the
//! built-in roots are not looked at; reading that file is part of the figure.

use crate::image::{self, CLibrary};
use crate::kit::{self, Outcome, System, TOKEN_FILE, Workspace};
use crate::readme;
use crate::token_server::{Leaf, PATH, Relay, Script, Terms, TokenServer, Version};
use crate::tools;
use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const BUILDING: &str = include_str!("../../src/dist/BUILDING.md");

/// The ceilings for one C library, or system.
struct Budget {
    bytes: u64,
    instructions: u64,
    /// In KiB, of which the kernel counts 128 at a time.
    resident: u64,
    /// The same with a token file of 1 MiB.
    resident_for_a_mebibyte: u64,
    /// With a literal address, and with a name: looking it up takes a thread and three files.
    system_calls: u64,
    system_calls_by_name: u64,
}

const GLIBC: Budget = Budget {
    bytes: 2_990_000,
    instructions: 3_400_000,
    resident: 2_970,
    resident_for_a_mebibyte: 7_680,
    system_calls: 120,
    system_calls_by_name: 170,
};
const MUSL: Budget = Budget {
    bytes: 1_600_000,
    instructions: 3_300_000,
    resident: 1_843,
    resident_for_a_mebibyte: 6_144,
    system_calls: 130,
    system_calls_by_name: 155,
};
const WINDOWS_BYTES: u64 = 1_600_000;

/// What code for backtraces adds: rustup's standard library for musl has it, one that is built here doesn't,
/// and the ceiling of glibc counts it in. Such a one, built from source, added 192 KB.
const BACKTRACES: u64 = 450_000;

/// Connecting, the handshake of TLS 1.3, the request. TLS 1.2 takes one more.
const ROUND_TRIPS: u64 = 3;

/// A token file of so many members is just about as large as one may be.
const MEMBERS_OF_A_MEBIBYTE: usize = 25_000;

/// With either C library.
const INSTRUCTIONS_FOR_A_MEBIBYTE: u64 = 170_000_000;

/// Ours included.
const CRATES: usize = 36;

/// Frameworks and runtimes that this program does without, and will.
const REFUSED: [&str; 8] = ["clap", "anyhow", "thiserror", "tokio", "reqwest", "oauth2", "tempfile", "chrono"];

/// The budget of one cycle on this machine.
fn budget() -> Option<Budget> {
    let budget = image::c_library().map(|library| match library {
        CLibrary::Glibc => GLIBC,
        CLibrary::Musl => MUSL,
    });
    if budget.is_none() {
        tools::say("skipped: not a program of this system");
    }
    budget
}

fn check(what: &str, figure: u64, ceiling: u64) {
    let left = (ceiling as f64 - figure as f64) / ceiling as f64 * 100.0;
    tools::say(&format!("{figure} {what}; the ceiling is {ceiling}, {left:.1} % above"));
    assert!(figure <= ceiling, "{figure} {what}, and not more than {ceiling} are allowed");
}

/// Where the program finds the server.
#[derive(Clone, Copy)]
enum Address {
    Literal,
    Name,
}

/// One cycle under another program, whose arguments may need a file to write to.
fn cycle_under(address: Address, wrapper: impl FnOnce(&Path) -> Vec<OsString>) -> (Outcome, String) {
    cycle_beside(0, address, wrapper)
}

/// The same with so many members in the token file that are nobody's.
fn cycle_beside(members: usize, address: Address, wrapper: impl FnOnce(&Path) -> Vec<OsString>) -> (Outcome, String) {
    let rotation = kit::rotation();
    let server = kit::serve(Script::always(rotation.step()));
    let mut workspace = Workspace::new("budget");
    let lines = (0..members).map(|number| format!("\n  \"member-{number:05}\": \"{number:018}\","));
    let token_file = rotation.first_token_file().replacen('{', &format!("{{{}", lines.collect::<String>()), 1);
    workspace.give(TOKEN_FILE, token_file);
    // Of a file that is refreshed every few hours the lock file has long been there.
    workspace.program().refreshing_at(&server).run().expect_exit(0);

    let written = tools::beside(&workspace.directory(), "figures");
    let ca_file = workspace.ca_file();
    let endpoint = match address {
        Address::Literal => server.endpoint().replace("localhost", "127.0.0.1"),
        Address::Name => server.endpoint(),
    };
    let outcome = workspace
        .program()
        .refreshing_at(&server)
        .without("RUST_LOG")
        .without("RUST_BACKTRACE")
        .without("SSL_CERT_FILE")
        .environment("DOCUSIGN_TOKEN_ENDPOINT", endpoint)
        .args([OsString::from("--ca-file"), ca_file.into()])
        .under(wrapper(&written))
        .run()
        .expect_exit(0);
    assert_eq!((rotation.refreshes(), rotation.reuses()), (2, 0));
    let figures = fs::read_to_string(&written).unwrap_or_default();
    (outcome, figures)
}

fn words<const N: usize>(program: &Path, args: [&str; N], file: &Path) -> Vec<OsString> {
    let args = args.into_iter().map(OsString::from);
    [program.into()].into_iter().chain(args).chain([file.into()]).collect()
}

#[test]
fn the_page_on_building_gives_the_same_ceilings() {
    let bytes = |budget: &Budget| {
        format!("{},{:03},{:03} bytes", budget.bytes / 1_000_000, budget.bytes / 1000 % 1000, budget.bytes % 1000)
    };
    let instructions = |budget: &Budget| format!("{:.1} million", budget.instructions as f64 / 1e6);
    let mebibytes = |kibibytes: u64| format!("{:.1} MiB", kibibytes as f64 / 1024.0);
    let figures: [&dyn Fn(&Budget) -> String; 9] = [
        &bytes,
        &instructions,
        &|_| format!("{} million", INSTRUCTIONS_FOR_A_MEBIBYTE / 1_000_000),
        &|budget| mebibytes(budget.resident),
        &|budget| mebibytes(budget.resident_for_a_mebibyte),
        &|budget| budget.system_calls.to_string(),
        &|budget| budget.system_calls_by_name.to_string(),
        &|_| ROUND_TRIPS.to_string(),
        &|_| CRATES.to_string(),
    ];
    let written: Vec<_> = readme::first_table(BUILDING).into_iter().map(|row| row[1..].to_vec()).collect();
    assert_eq!(written, figures.map(|figure| vec![figure(&GLIBC), figure(&MUSL)]));
    let backtraces = format!("up to {},{:03} bytes more", BACKTRACES / 1000, BACKTRACES % 1000);
    assert!(BUILDING.contains(&backtraces), "{backtraces}");
}

#[test]
fn the_file_is_small() {
    let program = fs::read(kit::binary()).expect("the program is there");
    let hook = b"stack backtrace:";
    let backtraces = if program.windows(hook.len()).any(|bytes| bytes == hook) { BACKTRACES } else { 0 };
    let ceiling = match (kit::system(), image::c_library()) {
        (System::Windows, _) => WINDOWS_BYTES,
        (System::Unix, Some(CLibrary::Glibc)) => GLIBC.bytes,
        (System::Unix, Some(CLibrary::Musl)) => MUSL.bytes + backtraces,
        (System::Unix, None) => return tools::say("skipped: not a program of this system"),
    };
    check("bytes", program.len() as u64, ceiling);
}

#[test]
fn a_cycle_takes_few_instructions() {
    let (Some(budget), Some(valgrind)) = (budget(), tools::find("valgrind")) else { return };
    let instructions = |members| {
        let (outcome, _) = cycle_beside(members, Address::Name, |file| {
            let out = format!("--callgrind-out-file={}", file.display());
            words(&valgrind, ["--tool=callgrind", &out], Path::new("--"))
        });
        let report = outcome.stderr();
        let collected = report.lines().find_map(|line| line.split_once("Collected :"));
        collected.and_then(|(_, number)| number.trim().parse().ok()).expect("callgrind counts")
    };
    check("instructions", instructions(0), budget.instructions);
    check("instructions with a token file of 1 MiB", instructions(MEMBERS_OF_A_MEBIBYTE), INSTRUCTIONS_FOR_A_MEBIBYTE);
}

#[test]
fn a_cycle_takes_little_memory() {
    let (Some(budget), Some(time)) = (budget(), tools::find("time")) else { return };
    let resident = |members| {
        let (_, figures) = cycle_beside(members, Address::Name, |file| words(&time, ["--format=%M", "--output"], file));
        figures.trim().parse().expect("GNU time's %M")
    };
    check("KiB resident at most", resident(0), budget.resident);
    let what = "KiB resident at most with a token file of 1 MiB";
    check(what, resident(MEMBERS_OF_A_MEBIBYTE), budget.resident_for_a_mebibyte);
}

#[test]
fn a_cycle_takes_few_system_calls() {
    let (Some(budget), Some(strace)) = (budget(), tools::find("strace")) else { return };
    let calls = |address| {
        let (_, figures) = cycle_under(address, |file| words(&strace, ["-f", "-qq", "-o"], file));
        // One line a call, but for those that another thread's interrupted.
        let calls = figures.lines().filter(|line| line.contains('(') && !line.contains(" resumed>"));
        calls.count() as u64
    };
    // A machine that stalls makes a run set its time limits again, or look further for the name.
    let fewest = |address| (0..3).map(|_| calls(address)).min().unwrap_or(u64::MAX);
    check("system calls with a literal address", fewest(Address::Literal), budget.system_calls);
    check("system calls with a name", fewest(Address::Name), budget.system_calls_by_name);
}

/// Connecting, the handshake, the request: nothing else is waited for, and nothing is asked twice.
#[test]
fn a_cycle_takes_three_round_trips() {
    let round_trips = |version| {
        let rotation = kit::rotation();
        let terms = Terms::new(Leaf::Localhost).version(version).without_tickets();
        let server = TokenServer::start(kit::tls_on(terms), Script::always(rotation.step()));
        let relay = Relay::start(server.port(), Duration::ZERO);
        let endpoint = format!("https://localhost:{}{PATH}", relay.port());
        let workspace = Workspace::after_login("round-trips");
        let program = workspace.program().refreshing_at(&server);
        program.environment("DOCUSIGN_TOKEN_ENDPOINT", endpoint).run().expect_exit(0);
        assert_eq!(rotation.refreshes(), 1);
        relay.round_trips() as u64
    };
    check("round trips with TLS 1.3", round_trips(Version::Tls13), ROUND_TRIPS);
    check("round trips with TLS 1.2", round_trips(Version::Tls12), ROUND_TRIPS + 1);
}

#[test]
fn the_crates_are_few_and_each_is_there_once() {
    let library = match image::c_library() {
        Some(CLibrary::Musl) => "musl",
        _ => "gnu",
    };
    let target = format!("{}-unknown-linux-{library}", env::consts::ARCH);
    let tree = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--target", &target])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("start cargo");
    let errors = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{errors}");
    let tree = String::from_utf8_lossy(&tree.stdout);
    let crates: BTreeSet<_> =
        tree.lines().filter_map(|line| line.split_whitespace().next().zip(line.split_whitespace().nth(1))).collect();
    let names: BTreeSet<_> = crates.iter().map(|(name, _)| *name).collect();

    check("crates", crates.len() as u64, CRATES as u64);
    assert!(names.contains("docusign-refresh"), "{tree}");
    assert_eq!(names.len(), crates.len(), "two versions of one crate: {crates:?}");
    let refused: Vec<_> = REFUSED.iter().filter(|name| names.contains(*name)).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// A comment stands above each dependency, or above the lines directly before it.
#[test]
fn each_dependency_has_its_reason() {
    let manifest = include_str!("../../Cargo.toml");
    let mut section = "";
    let mut line_above = "";
    let mut dependencies = 0;
    for line in manifest.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if section.ends_with("dependencies") && line.contains('=') && !line.starts_with('#') {
            dependencies += 1;
            assert!(line_above.starts_with("# "), "this dependency has no reason above it: {line}");
        }
        line_above = line;
    }
    assert!(dependencies >= 10, "only {dependencies} dependencies were found");
}
