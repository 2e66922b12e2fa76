//! The program where the clock is far from now: a board without a battery, and every host after 2038, when
//! the seconds since 1970 need more than 31 bits.
//!
//! Nobody may set this machine's clock for a test, and a static program loads no library that could lie to
//! it. So it runs in qemu's emulator of its processor, which asks a C library for the time, and into which
//! `clocks.c` is loaded. `make check-dist` does the same with the programs of 32 bits.

use crate::kit::{self, Program, System, TOKEN_FILE, Workspace};
use crate::token_server::{Script, TokenServer};
use crate::tools;
use std::env;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The second day of 1970, UTC.
const DAY_TWO: i64 = 86_400;
/// New Year of 2040, UTC.
const YEAR_2040: i64 = 2_208_988_800;

/// What moves clocks; none where it can't be made.
fn mover(workspace: &Workspace) -> Option<String> {
    if kit::system() != System::Unix {
        tools::say("skipped: not a program for Linux");
        return None;
    }
    let compiler = tools::find("cc")?;
    let library = tools::beside(&workspace.directory(), "clocks.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/clocks.c");
    let status = Command::new(compiler).args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).status();
    assert!(status.expect("start cc").success());
    library.into_os_string().into_string().ok()
}

/// The program, in an emulator whose clock shows this time.
fn program_at<'w>(time: i64, workspace: &'w Workspace, server: &TokenServer) -> Option<Program<'w>> {
    let mover = mover(workspace)?;
    let mut emulator = Vec::new();
    if env::var_os("DOCUSIGN_REFRESH_RUNNER").is_none() {
        emulator.push(tools::find(&format!("qemu-{}", env::consts::ARCH))?);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("this machine's clock is right").as_secs();
    let offset = time - i64::try_from(now).expect("it fits");
    let program = workspace.program().refreshing_at(server).under(emulator);
    Some(program.environment("LD_PRELOAD", mover).environment("CLOCK_OFFSET", offset.to_string()))
}

#[test]
fn a_clock_of_1970_is_what_the_message_is_about() {
    let server = kit::serve(Script::default());
    let workspace = Workspace::after_login("clock-1970");
    let Some(program) = program_at(DAY_TWO, &workspace, &server) else { return };
    let outcome = program.run().expect_exit(78);
    let message = outcome.stderr();
    assert!(message.contains("the server's certificate is not trusted: it is not valid yet"), "{message}");
    assert!(message.contains("\nhint: check this machine's clock"), "{message}");
    assert_eq!(outcome.files[TOKEN_FILE], workspace.given()[TOKEN_FILE]);
    assert_eq!(server.finish().requests.len(), 0, "nothing was sent");
}

/// The server's certificate is checked at that time, and the new expiry is of that time.
#[test]
fn a_clock_of_2040_is_as_good_as_todays() {
    let server = kit::serve(Script::always(kit::rotation().step()));
    let workspace = Workspace::after_login("clock-2040");
    let Some(program) = program_at(YEAR_2040, &workspace, &server) else { return };
    let outcome = program.run().expect_exit(0);
    let stored: serde_json::Value = serde_json::from_slice(&outcome.files[TOKEN_FILE]).expect("a token file");
    let expires_at = stored["expires_at"].as_i64().expect("in seconds");
    let late = expires_at - YEAR_2040 - 28_800;
    assert!((0..=120).contains(&late), "{}", outcome.report(&[]));

    let Some(program) = program_at(YEAR_2040, &workspace, &server) else { return };
    let outcome = program.args(["--min-ttl", "7h"]).run().expect_exit(0);
    assert!(outcome.stderr().contains("still fresh"), "{}", outcome.report(&[]));
    let Some(program) = program_at(YEAR_2040 + 28_800, &workspace, &server) else { return };
    program.args(["--min-ttl", "7h"]).run().expect_exit(0);
    assert_eq!(server.finish().requests.len(), 2, "one of three runs found a fresh token");
}
