//! What is different on Windows: who may open a file, who stands in the way of its replacement,
//! what a path is, and how a program is interrupted.
//!
//! The program is the .exe, under wine or on Windows; `tests/windows/in-wine.sh` prepares the
//! first. A second Windows process, the *witness* (`tests/windows/witness.c`), does what scanners,
//! and administrators do. What holds on every system is in `tests/cases` and `meanwhile`,
//! which `make test-windows` runs on the .exe as well.
//!
//! wine keeps of a DACL what the mode bits of a Unix file can say: who else may read. So a DACL
//! that lets nobody else in is told from an open one here. What the program asks for beyond that
//! (owner and group, protection from inheritance, and all of it from the draft's first instant) is
//! read from the log of wine's server. What Windows makes of it can only be seen on Windows. `make
//! test-windows` runs alone what would meet the others.

use crate::kit::{self, Outcome, System, TOKEN_FILE, Workspace};
use crate::token_server::{Protection, Record, Script, Step, TokenServer, json_response};
#[cfg(unix)]
use crate::{canary, scheduled_task, tools};
use std::io::Read as _;
#[cfg(unix)]
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

const WITNESS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../witness.exe");
const READ_ONLY: &str = "0x21";
const HIDDEN_AND_SYSTEM: &str = "0x26";

/// For what comes at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(60);

fn serve(script: Script) -> TokenServer {
    assert_eq!(kit::system(), System::Windows, "make test-windows runs this");
    kit::serve(script)
}

/// The witness with these words.
fn witness(workspace: &Workspace, words: &[&str]) -> Command {
    let runner = env::var("DOCUSIGN_REFRESH_RUNNER").unwrap_or_default();
    let line: Vec<&str> = runner.split_whitespace().chain([WITNESS]).chain(words.iter().copied()).collect();
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).current_dir(workspace.directory());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// What the witness says.
fn testimony(workspace: &Workspace, words: &[&str]) -> String {
    let output = witness(workspace, words).output().expect("run the witness");
    let said = String::from_utf8(output.stdout).expect("it speaks UTF-8").trim().to_owned();
    assert!(output.status.success(), "{words:?}: {said}");
    said
}

/// Starts a witness that is to hold a file, and returns once it does.
fn spawn_holder(command: &mut Command) -> Child {
    let mut holder = command.spawn().expect("start the witness");
    let mut said = [0; 4];
    holder.stdout.as_mut().expect("it is piped").read_exact(&mut said).expect("hear the witness");
    assert_eq!(said, *b"held");
    holder
}

/// A path as Windows writes it. wine shows the Unix file system as drive Z.
fn windows_path(path: &Path) -> String {
    match cfg!(windows) {
        true => path.display().to_string(),
        false => format!("Z:{}", path.display().to_string().replace('/', "\\")),
    }
}

fn is_refreshed(outcome: &Outcome, name: &str) -> bool {
    String::from_utf8_lossy(&outcome.files[name]).contains("Canary7~access+1")
}

/// One run on the token file, by that name, at a server that rotates.
fn refresh_by_name(workspace: &Workspace, name: &str) -> (Outcome, Record) {
    let server = serve(Script::always(kit::rotation().step()));
    let outcome = workspace.program().refreshing_at(&server).args([name]).run();
    (outcome, server.finish())
}

/// The same, and what the witness says before the response is sent.
fn refresh_and_ask_meanwhile(workspace: &Workspace, words: &[&str]) -> (Outcome, String) {
    let question = Mutex::new(witness(workspace, words));
    let (sender, said) = channel();
    let step = kit::rotation().step().on_request(move |_| {
        let output = question.lock().expect("one request").output().expect("run the witness");
        sender.send(String::from_utf8_lossy(&output.stdout).trim().to_owned()).expect("the test waits for it");
    });
    let server = serve(Script::once([step]));
    let outcome = workspace.program().refreshing_at(&server).run();
    (outcome, said.recv_timeout(PATIENCE).expect("the witness was asked"))
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn sixteen_runs_at_once_make_one_request() {
    let rotation = kit::rotation();
    let workspace = Workspace::after_login("sixteen");
    let (sender, arrived) = channel();
    let (response, may_respond) = channel::<()>();
    let may_respond = Mutex::new(may_respond);
    let first = rotation.step().on_request(move |_| {
        sender.send(()).expect("the test waits for it");
        may_respond.lock().expect("one request").recv_timeout(PATIENCE * 2).expect("the test says when");
    });
    let server = serve(Script::once([first]).then_always(rotation.step()));
    let runs: Vec<_> = (0..16).map(|_| workspace.program().refreshing_at(&server).args(["-v"]).start()).collect();
    arrived.recv_timeout(PATIENCE).expect("the request arrives");
    // All sixteen have read the file before the response comes: fifteen wait for the lock.
    let at_rest = ["waiting for another run's lock", "sending the request"];
    let states: Vec<_> = runs.iter().map(|run| run.await_stderr(&at_rest)).collect();
    assert_eq!(states.iter().filter(|state| **state == Some(0)).count(), 15, "{states:?}");
    response.send(()).expect("the server waits");
    for run in runs {
        let outcome = run.wait().expect_exit(0);
        assert!(is_refreshed(&outcome, TOKEN_FILE), "{}", outcome.report(&[]));
    }
    assert_eq!((server.finish().requests.len(), rotation.reuses()), (1, 0));
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn a_lock_that_stays_busy_ends_the_run_before_the_request() {
    let workspace = Workspace::after_login("busy");
    let (sender, arrived) = channel();
    let stalled = Step::stall().on_request(move |_| {
        let _ = sender.send(());
    });
    let server = serve(Script::once([stalled]));
    let mut first = workspace.program().refreshing_at(&server).start();
    arrived.recv_timeout(PATIENCE).expect("the request arrives");
    let outcome = workspace.program().refreshing_at(&server).args(["--lock-timeout", "1s"]).run().expect_exit(75);
    assert!(outcome.stderr().contains("is still locked by another run"), "{}", outcome.report(&[]));
    assert!(outcome.stderr().contains(": Z:\\") || cfg!(windows), "{}", outcome.report(&[]));
    first.kill();
    first.wait();
    assert_eq!(server.finish().requests.len(), 1);
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn a_scanner_in_the_way_is_waited_for() {
    let workspace = Workspace::after_login("scanner");
    let (sender, held) = channel();
    // From the moment at which the refresh token is spent, to well after the first try to rename.
    let scanner = Mutex::new(witness(&workspace, &["hold", TOKEN_FILE, "700", "reading"]));
    let step = kit::rotation().step().on_request(move |_| {
        let scanner = spawn_holder(&mut scanner.lock().expect("one request"));
        sender.send((scanner, Instant::now())).expect("the test waits for it");
    });
    let server = serve(Script::once([step]));
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    let (mut scanner, since) = held.recv_timeout(PATIENCE).expect("the scanner was there");
    assert!(since.elapsed() >= Duration::from_millis(600), "the run ended after {:?}", since.elapsed());
    scanner.wait().expect("the scanner ends");
    assert!(is_refreshed(&outcome, TOKEN_FILE), "{}", outcome.report(&[]));
    assert!(!outcome.files.contains_key("docusign.json.new"));
}

/// Not to be opened at all (error 32).
#[test]
#[ignore = "of the .exe: make test-windows"]
fn a_scanner_that_lets_nobody_read_is_waited_for() {
    let workspace = Workspace::after_login("unreadable");
    let mut scanner = spawn_holder(&mut witness(&workspace, &["hold", TOKEN_FILE, "700", "alone"]));
    let (outcome, record) = refresh_by_name(&workspace, TOKEN_FILE);
    let outcome = outcome.expect_exit(0);
    scanner.wait().expect("the scanner ends");
    assert_eq!(record.requests.len(), 1);
    assert!(is_refreshed(&outcome, TOKEN_FILE), "{}", outcome.report(&[]));
}

/// While a draft is mapped into memory, nobody can cut off its blanks (error 1224): neither the run
/// that has just written it, nor the one that finds it after a crash.
#[test]
#[ignore = "of the .exe: make test-windows"]
fn a_scanner_that_maps_the_draft_is_waited_for() {
    let mut workspace = Workspace::after_login("mapped");
    let hold = ["hold", "docusign.json.new", "700", "mapped"];
    let (sender, held) = channel();
    let scanner = Mutex::new(witness(&workspace, &hold));
    let step = kit::rotation().step().on_request(move |_| {
        sender.send(spawn_holder(&mut scanner.lock().expect("one request"))).expect("the test waits for it");
    });
    let server = serve(Script::once([step]));
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(0);
    let mut scanner = held.recv_timeout(PATIENCE).expect("the scanner was there");
    scanner.wait().expect("the scanner ends");
    assert!(is_refreshed(&outcome, TOKEN_FILE), "{}", outcome.report(&[]));
    assert_eq!(outcome.files.keys().collect::<Vec<_>>(), [TOKEN_FILE, "docusign.json.lock"]);

    let in_a_day = SystemTime::now() + Duration::from_secs(86_400);
    let in_a_day = in_a_day.duration_since(UNIX_EPOCH).expect("a clock that is set").as_secs();
    let drafted = format!(
        r#"{{"access_token": "Canary7-drafted", "refresh_token": "Canary7-drafted-too", "expires_at": {in_a_day}}}"#
    );
    workspace.give("docusign.json.new", format!("{drafted}{}", "\n".repeat(4096)));
    let mut scanner = spawn_holder(&mut witness(&workspace, &hold));
    let outcome = workspace.program().refreshing_at(&server).args(["--min-ttl", "1h"]).run().expect_exit(0);
    scanner.wait().expect("the scanner ends");
    assert_eq!(outcome.files[TOKEN_FILE], format!("{drafted}\n").as_bytes());
}

/// The blank draft of a dead run is deleted, but its name is not free (error 5) until the last who
/// has it open closes it.
#[test]
#[ignore = "of the .exe: make test-windows"]
fn a_deleted_draft_that_someone_has_open_is_waited_for() {
    let mut workspace = Workspace::after_login("deleted");
    workspace.give("docusign.json.new", "\n".repeat(4096));
    let mut scanner = spawn_holder(&mut witness(&workspace, &["hold", "docusign.json.new", "700", "shared"]));
    let started = Instant::now();
    let (outcome, record) = refresh_by_name(&workspace, TOKEN_FILE);
    let outcome = outcome.expect_exit(0);
    // Newer than the wine of the tests, Windows frees the name at once.
    assert!(cfg!(windows) || started.elapsed() >= Duration::from_millis(600), "after {:?}", started.elapsed());
    scanner.wait().expect("the scanner ends");
    assert_eq!(record.requests.len(), 1);
    assert!(is_refreshed(&outcome, TOKEN_FILE) && !outcome.files.contains_key("docusign.json.new"));
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn who_never_lets_go_is_found_before_the_token_is_spent() {
    let workspace = Workspace::after_login("held");
    let mut holder = spawn_holder(&mut witness(&workspace, &["hold", TOKEN_FILE, "60000", "reading"]));
    let (outcome, record) = refresh_by_name(&workspace, TOKEN_FILE);
    let outcome = outcome.expect_exit(73);
    assert_eq!(record.connections, 0);
    assert!(outcome.stderr().contains("hint: nothing was sent"), "{}", outcome.report(&[]));
    holder.kill().expect("end the holder");
    holder.wait().expect("the holder ends");
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn what_could_not_be_put_in_place_is_by_the_next_run() {
    let rotation = kit::rotation();
    let workspace = Workspace::after_login("not-in-place");
    let (sender, held) = channel();
    let holder = Mutex::new(witness(&workspace, &["hold", TOKEN_FILE, "60000", "reading"]));
    let step = rotation.step().on_request(move |_| {
        let holder = spawn_holder(&mut holder.lock().expect("one request"));
        sender.send(holder).expect("the test waits for it");
    });
    let server = serve(Script::once([step]).then_always(rotation.step()));
    let outcome = workspace.program().refreshing_at(&server).run().expect_exit(74);
    let draft = windows_path(&workspace.path("docusign.json.new"));
    assert!(outcome.stderr().contains(&format!("hint: the new tokens are in {draft}:")), "{}", outcome.report(&[]));
    assert!(is_refreshed(&outcome, "docusign.json.new") && !is_refreshed(&outcome, TOKEN_FILE));
    let mut holder = held.recv_timeout(PATIENCE).expect("the holder was there");
    holder.kill().expect("end the holder");
    holder.wait().expect("the holder ends");

    let outcome = workspace.program().refreshing_at(&server).args(["--min-ttl", "1h"]).run().expect_exit(0);
    assert!(outcome.stderr().contains("recovered the tokens of an interrupted run"), "{}", outcome.report(&[]));
    assert!(is_refreshed(&outcome, TOKEN_FILE) && !outcome.files.contains_key("docusign.json.new"));
    assert_eq!((server.finish().requests.len(), rotation.reuses()), (1, 0));
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn a_first_login_makes_a_file_for_this_user_alone() {
    let mut workspace = Workspace::new("first-login");
    workspace.give("closed.json", "{}");
    let open = testimony(&workspace, &["descriptor", "closed.json"]);
    let owner = open.strip_prefix("O:").and_then(|rest| rest.split("G:").next()).expect("it has an owner");
    let closed = testimony(&workspace, &["descriptor", "closed.json", &format!("D:P(A;;FA;;;{owner})")]);
    assert_ne!(open, closed, "the file was closed");

    let question = Mutex::new(witness(&workspace, &["descriptor", "docusign.json.new"]));
    let (sender, said) = channel();
    let rotation = kit::rotation();
    let tokens = rotation.clone();
    let login = Step::responding(move |_| json_response("200 OK", &tokens.authorize_again())).on_request(move |_| {
        let output = question.lock().expect("one request").output().expect("run the witness");
        sender.send(String::from_utf8_lossy(&output.stdout).trim().to_owned()).expect("the test waits for it");
    });
    let server = serve(Script::once([login, rotation.step()]));
    let words = ["login", "--authorization-endpoint", "https://a.example/auth"];
    let program = workspace.program().refreshing_at(&server);
    program.clone().args(words).stdin("Canary7-code\r\n").run().expect_exit(0);
    assert_eq!(said.recv_timeout(PATIENCE).expect("the witness was asked"), closed, "the draft");
    assert_eq!(testimony(&workspace, &["descriptor", TOKEN_FILE]), closed, "the file afterwards");

    // And the next run takes it as it is.
    program.run().expect_exit(0);
    assert_eq!(testimony(&workspace, &["descriptor", TOKEN_FILE]), closed, "the file after a refresh");
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn a_closed_file_stays_closed_and_its_draft_is_closed() {
    let workspace = Workspace::after_login("closed");
    let open = testimony(&workspace, &["descriptor", TOKEN_FILE]);
    let owner = open.strip_prefix("O:").and_then(|rest| rest.split("G:").next()).expect("it has an owner");
    // What `icacls docusign.json /inheritance:r /grant:r USER:F` makes of it.
    let closed = testimony(&workspace, &["descriptor", TOKEN_FILE, &format!("D:P(A;;FA;;;{owner})")]);
    assert_ne!(open, closed, "the file was closed");

    let (outcome, of_draft) = refresh_and_ask_meanwhile(&workspace, &["descriptor", "docusign.json.new"]);
    assert!(is_refreshed(&outcome.expect_exit(0), TOKEN_FILE));
    assert_eq!(of_draft, closed, "the draft, with the request under way");
    assert_eq!(testimony(&workspace, &["descriptor", TOKEN_FILE]), closed, "the file afterwards");
}

/// Once a program asks wine's server to log requests, it does so to its end: hence alone.
#[cfg(unix)]
#[test]
#[ignore = "of the .exe, and alone: make test-windows"]
fn alone_the_draft_has_dacl_and_owner_before_its_first_byte() {
    let workspace = Workspace::after_login("descriptor");
    assert_eq!(kit::system(), System::Windows, "make test-windows runs this");
    let server = TokenServer::start(Protection::None, Script::once([kit::rotation().step()]));
    let outcome = workspace.program().refreshing_at(&server).environment("WINEDEBUG", "+server").run();
    assert!(is_refreshed(&outcome.expect_exit(0), TOKEN_FILE));

    let log = fs::read(concat!(env!("CARGO_TARGET_TMPDIR"), "/../wineserver.log")).expect("the server's log");
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let line = |from: usize, texts: &[&str]| {
        let is_it = |line: &&str| texts.iter().all(|text| line.contains(text));
        let found = lines[from..].iter().position(is_it).unwrap_or_else(|| panic!("not logged: {texts:?}"));
        (from + found, lines[from + found])
    };
    // What follows this word.
    let after = |word: &str, line: &str| line.split_once(word).map_or("", |(_, rest)| rest).to_owned();
    let (created, creation) = line(0, &["create_file( ", "create=2, ", "docusign.json.new\""]);
    let (thread, _) = creation.split_once(' ').expect("a line begins with its thread");
    let before = lines[..created].iter().rev().find(|line| line.contains("get_security_object() = 0"));
    let dacl = after("dacl=", before.expect("the token file was asked for its DACL"));
    let (dacl, _) = dacl.split_once("}}").expect("a DACL ends with its last entry");
    assert!(dacl.contains("ACCESS_ALLOWED"), "{dacl}");
    assert!(
        creation.contains("sd={control=00001004,") && creation.contains(dacl),
        "protected, and the same: {creation}"
    );

    let (opened, handle) = line(created, &[thread, "create_file() = 0 "]);
    let handle = after("handle=", handle);
    let handle = handle.split(' ').next().unwrap_or_default();
    // Who writes to a file asks the server for it first.
    let (written, _) = line(opened, &[thread, &format!("get_handle_fd( handle={handle} )")]);
    let given = |parts: &str| {
        let (at, line) =
            line(opened, &[thread, &format!("set_security_object( handle={handle}, security_info={parts},")]);
        assert!(at < written, "after the first byte: {line}");
        line
    };
    assert!(given("00000004").contains(dacl), "the DACL");
    let owner = given("00000003");
    assert!(owner.contains("owner=S-1-") && owner.contains("group=S-1-"), "{owner}");
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn attributes_are_kept_and_the_draft_has_them() {
    let workspace = Workspace::after_login("attributes");
    let before = testimony(&workspace, &["attributes", TOKEN_FILE, HIDDEN_AND_SYSTEM]);
    let (outcome, of_draft) = refresh_and_ask_meanwhile(&workspace, &["attributes", "docusign.json.new"]);
    assert!(is_refreshed(&outcome.expect_exit(0), TOKEN_FILE));
    assert_eq!(of_draft, before, "the draft, with the request under way");
    assert_eq!(testimony(&workspace, &["attributes", TOKEN_FILE]), before);
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn a_read_only_file_is_found_before_the_token_is_spent() {
    let workspace = Workspace::after_login("read-only");
    testimony(&workspace, &["attributes", TOKEN_FILE, READ_ONLY]);
    let (outcome, record) = refresh_by_name(&workspace, TOKEN_FILE);
    let outcome = outcome.expect_exit(73);
    assert_eq!(record.connections, 0);
    let wanted = "docusign-refresh: docusign.json: the token file is read-only\n\
                  hint: nothing was sent; make it replaceable: attrib -r docusign.json\n";
    assert_eq!(outcome.stderr(), wanted);
    assert!(!outcome.files.contains_key("docusign.json.new"));
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn a_file_with_two_names_is_refused() {
    let workspace = Workspace::after_login("two-names");
    fs::hard_link(workspace.path(TOKEN_FILE), workspace.path("other.json")).expect("make a second name");
    let server = serve(Script::default());
    let outcome = workspace.program().refreshing_at(&server).start().observe().expect_exit(66);
    assert!(outcome.stderr().contains("other hard links"), "{}", outcome.report(&[]));
    assert_eq!(server.finish().connections, 0);
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn every_way_to_write_a_path_leads_to_the_file() {
    for name in
        ["docusign.json", "a b.json", "tökens 日本.json", "sub dir/tokens.json", "console.json", "com10", "com.json"]
    {
        let mut workspace = Workspace::new("path");
        workspace.give(name, kit::rotation().first_token_file());
        let whole = windows_path(&workspace.path(name));
        let relative_to_drive = format!("{}{}", &windows_path(Path::new("/"))[..2], name.replace('/', "\\"));
        let ways =
            [name.to_owned(), name.replace('/', "\\"), whole.clone(), format!(r"\\?\{whole}"), relative_to_drive];
        for way in ways {
            workspace.give(name, kit::rotation().first_token_file());
            let (outcome, record) = refresh_by_name(&workspace, &way);
            let outcome = outcome.expect_exit(0);
            assert_eq!(record.requests.len(), 1);
            assert!(is_refreshed(&outcome, name), "{}", outcome.report(&[]));
            // Redirected, it is UTF-8, without a mark; and it is the name that was given.
            let line = format!("docusign-refresh: {way}: refreshed; ");
            assert!(outcome.stderr().starts_with(&line), "{}", outcome.report(&[]));
        }
    }
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn messages_do_not_show_verbatim_paths() {
    let workspace = Workspace::after_login("verbatim");
    fs::create_dir(workspace.path("docusign.json.new")).expect("stand in the way");
    let (outcome, _) = refresh_by_name(&workspace, TOKEN_FILE);
    let outcome = outcome.expect_exit(73);
    let line = format!("docusign-refresh: {}: ", windows_path(&workspace.path("docusign.json.new")));
    assert!(outcome.stderr().starts_with(&line), "{}", outcome.report(&[]));
}

#[test]
#[ignore = "of the .exe: make test-windows"]
fn devices_and_streams_are_no_token_files() {
    let workspace = Workspace::after_login("devices");
    for name in [
        "CON",
        "nul",
        "NUL.json",
        "com1.txt",
        "sub\\aux",
        r"\\.\NUL",
        "CONIN$",
        "LPT¹",
        "nul .txt",
        "docusign.json:stream",
    ] {
        let (outcome, record) = refresh_by_name(&workspace, name);
        let outcome = outcome.expect_exit(66);
        let line = format!("docusign-refresh: {name}: cannot be used as the token file: it is a device");
        assert!(outcome.stderr().starts_with(&line), "{}", outcome.report(&[]));
        assert_eq!(record.connections, 0);
    }
}

/// A device is a file without end, or without content, and never asked for a secret.
#[test]
#[ignore = "of the .exe: make test-windows"]
fn devices_hold_no_secret() {
    let workspace = Workspace::after_login("devices-as-secret");
    let nothing_is_there = "NUL: the client secret is empty";
    for (option, device, code, said) in [
        ("--client-secret-file", "NUL", 78, nothing_is_there),
        ("--client-secret-file", "CON", 66, "CON: cannot read the client secret: "),
        ("--ca-file", "NUL", 66, "NUL: cannot be used as the CA file: it contains no PEM certificate"),
        ("--client-cert", "NUL", 66, "NUL: cannot be used as the client certificate: "),
    ] {
        let server = serve(Script::default());
        let program = workspace.program().refreshing_at(&server).without("DOCUSIGN_CLIENT_SECRET");
        let outcome = program.args([option, device]).run().expect_exit(code);
        let line = format!("docusign-refresh: {said}");
        assert!(outcome.stderr().starts_with(&line), "{}", outcome.report(&[]));
        assert_eq!(server.finish().connections, 0);
    }
}

/// What Task Scheduler runs, word for word, on a machine whose directories have other names: twice,
/// so that the second run's words are added to the log, and its exit code is the task's.
#[cfg(unix)]
#[test]
#[ignore = "of the .exe: make test-windows"]
fn the_scheduled_task_refreshes_and_logs() {
    let task = scheduled_task::action();
    let rotation = kit::rotation();
    let refusal = Step::response(json_response("400 Bad Request", r#"{"error":"invalid_grant"}"#));
    let server = serve(Script::once([rotation.step(), refusal]));
    let mut workspace = Workspace::after_login("task");
    workspace.give("client-secret", format!("{}\r\n", kit::CLIENT_SECRET));
    // A directory with a space in its name, as there: the quotes count.
    let programs = workspace.beside("Program Files");
    fs::create_dir(&programs).expect("make a directory beside the workspace");
    symlink(kit::binary(), programs.join("docusign-refresh.exe")).expect("install the program");
    let mut arguments = task.arguments;
    for (there, here) in [
        (r"C:\Program Files\docusign-refresh\", format!("{}\\", windows_path(&programs))),
        ("--environment production", format!("--token-endpoint {}", server.endpoint())),
        ("YOUR-INTEGRATION-KEY", kit::CLIENT_ID.to_owned()),
    ] {
        assert_eq!(arguments.matches(there).count(), 1, "{there} in {arguments}");
        arguments = arguments.replace(there, &here);
    }
    let file = workspace.beside("arguments");
    fs::write(&file, arguments).expect("write the arguments");

    let run = || {
        let mut command = witness(&workspace, &["task", &task.command, &windows_path(&file)]);
        let output = command.env("SSL_CERT_FILE", workspace.ca_file()).output().expect("run the witness");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let log = String::from_utf8(workspace.read("refresh.log")).expect("it is UTF-8");
        assert_eq!(canary::find(log.as_bytes()), None);
        (output.status.code(), log)
    };
    let (code, first) = run();
    let wanted =
        "docusign-refresh: docusign.json: refreshed; the access token is valid for 8h; the refresh token was rotated\n";
    assert_eq!((code, first.as_str()), (Some(0), wanted));
    assert!(String::from_utf8_lossy(&workspace.read(TOKEN_FILE)).contains(&rotation.live_refresh_token()));
    let (code, both) = run();
    let second = both.strip_prefix(wanted).expect("the log is added to");
    assert!(
        code == Some(77) && second.starts_with("docusign-refresh: ") && second.contains("\nhint: "),
        "{code:?}: {second}"
    );
    assert_eq!(server.finish().requests.len(), 2);
}

/// The calls by which one thread waits for another, as /proc/.../syscall begins: of a 64-bit wine, and of a 32-bit one.
#[cfg(unix)]
const FUTEX: [&str; 3] = ["202 ", "240 ", "422 "];

/// A run that gets Ctrl-C while the first of these responses is outstanding; then `meanwhile` is called.
///
/// wine makes a Ctrl-C of SIGINT, and delivers it as Windows does: on a thread that it starts for
/// it. Its own handler then ends the process with 0, where that of Windows has 0xC000013A.
#[cfg(unix)]
fn interrupted(workspace: &Workspace, mut steps: Vec<Step>, meanwhile: impl FnOnce()) -> (Outcome, Record) {
    let (sender, arrived) = channel();
    let (response, may_respond) = channel::<()>();
    let may_respond = Mutex::new(may_respond);
    steps[0] = steps[0].clone().on_request(move |_| {
        sender.send(()).expect("the test waits for it");
        may_respond.lock().expect("one request").recv_timeout(PATIENCE * 2).expect("the test says when");
    });
    assert_eq!(kit::system(), System::Windows, "make test-windows runs this");
    // At a literal address no thread looks up a name: the program has but one.
    let server = TokenServer::start(Protection::None, Script::once(steps));
    let run = workspace.program().refreshing_at(&server).start();
    arrived.recv_timeout(PATIENCE).expect("the request arrives");
    let process = PathBuf::from(format!("/proc/{}/task", run.id()));
    let others = || {
        let threads = fs::read_dir(&process).expect("it runs").map(|entry| entry.expect("read it").path());
        threads.filter(|thread| !thread.ends_with(run.id().to_string())).collect::<Vec<_>>()
    };
    assert_eq!(others(), [] as [PathBuf; 0]);
    let kill = Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("run kill");
    assert!(kill.success());
    // A thread that is not there yet waits for wine's server if for anything, in a read.
    let is_waiting = || {
        let call = |thread: &PathBuf| fs::read_to_string(thread.join("syscall")).expect("it is a child's");
        others().first().is_some_and(|thread| FUTEX.iter().any(|futex| call(thread).starts_with(futex)))
    };
    let started = Instant::now();
    while !is_waiting() && started.elapsed() < PATIENCE {
        thread::yield_now();
    }
    assert!(is_waiting(), "the handler waits on a thread of its own: {:?}", others());
    meanwhile();
    response.send(()).expect("the server waits");
    (run.wait(), server.finish())
}

#[cfg(unix)]
#[test]
#[ignore = "of the .exe: make test-windows"]
fn an_interruption_waits_until_the_response_is_safe() {
    let workspace = Workspace::after_login("interrupted");
    let (outcome, record) = interrupted(&workspace, vec![kit::rotation().step()], || ());
    assert!(is_refreshed(&outcome, TOKEN_FILE), "{}", outcome.report(&[]));
    // A 32-bit wine may add a line, "wine client error", when two of its threads end the process at once.
    let standard_error = outcome.stderr();
    let word = standard_error.lines().find(|line| !line.starts_with("wine client error:"));
    assert_eq!(word, None, "it ended without a last word");
    assert_eq!(record.requests.len(), 1);
}

/// Windows keeps its list of handlers locked while one of them waits.
#[cfg(unix)]
#[test]
#[ignore = "of the .exe: make test-windows"]
fn an_interruption_waits_for_another_attempt_too() {
    let workspace = Workspace::after_login("interrupted-twice");
    let steps = vec![Step::close_after_request(), kit::rotation().step()];
    let (outcome, record) = interrupted(&workspace, steps, || ());
    assert!(is_refreshed(&outcome, TOKEN_FILE), "{}", outcome.report(&[]));
    assert_eq!(record.requests.len(), 2);
}

#[cfg(unix)]
#[test]
#[ignore = "of the .exe: make test-windows"]
fn an_interruption_waits_until_a_failure_is_told() {
    let workspace = Workspace::after_login("interrupted-held");
    let mut holder = None;
    let hold = || holder = Some(spawn_holder(&mut witness(&workspace, &["hold", TOKEN_FILE, "60000", "reading"])));
    let (outcome, _) = interrupted(&workspace, vec![kit::rotation().step()], hold);
    let outcome = outcome.expect_exit(74);
    assert!(outcome.stderr().contains("docusign.json.new:"), "{}", outcome.report(&[]));
    assert!(is_refreshed(&outcome, "docusign.json.new"), "{}", outcome.report(&[]));
    let mut holder = holder.expect("the holder was there");
    holder.kill().expect("end the holder");
    holder.wait().expect("the holder ends");
}

/// Alone: once in 150 runs of all these tests, a Ctrl-C of wine's came with this console, to every run that
/// was under way.
#[cfg(unix)]
#[test]
#[ignore = "of the .exe, and alone: make test-windows"]
fn alone_a_console_shows_names_as_they_are() {
    if tools::find("script").is_none() {
        return;
    }
    let server = serve(Script::default());
    let workspace = Workspace::new("console");
    let runner = env::var("DOCUSIGN_REFRESH_RUNNER").unwrap_or_default();
    let line = format!("{runner} '{}' 'tö日 ken.json' --client-id x", kit::binary().display());
    let mut console = Command::new("script");
    console.args(["--quiet", "--command", &line, "/dev/null"]).current_dir(workspace.directory());
    let output = console.stdin(Stdio::null()).output().expect("run script");
    let shown = String::from_utf8(output.stdout).expect("the terminal gets UTF-8");
    assert!(shown.contains("docusign-refresh: tö日 ken.json: cannot read the token file"), "{shown}");
    server.finish();
}
