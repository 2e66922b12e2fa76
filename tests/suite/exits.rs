//! Every exit code, in the program, in the README, and in a run that ends with it.
//!
//! There is one table in the program, and `--help` shows it; the README has the same codes and
//! names. This walks both. And for each code there are runs that end with it, at a real server:
//! each fails in the form that all messages have, and leaves the tokens where they are safe.
//!
//! ```text
//! docusign-refresh: SUBJECT: what failed: why
//! hint: the next step
//! ```
//!
//! No line ends in a full stop, and neither the message nor a hint begins with a capital letter,
//! unless its first word is a name.

use crate::kit::{self, Outcome, TOKEN_FILE, Workspace};
use crate::readme;
use crate::token_server::{Leaf, Script, Step, TokenServer, json_response};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const THEIRS: &str = r#"{"access_token": "Canary7-theirs", "refresh_token": "Canary7-theirs-too"}"#;

/// A code and its name; 0 has none.
type Exit = (i32, String);

/// A run that ends with a code, and how that comes about.
struct Ending {
    code: i32,
    /// What a human would say has happened.
    when: &'static str,
    /// What the server does.
    script: Script,
    /// What stands in the token file.
    stored: String,
    args: &'static [&'static str],
    /// What is done to the workspace before the run.
    prepare: fn(&mut Workspace),
}

impl Ending {
    /// A run at a server that rotates, unless changed.
    fn of(code: i32, when: &'static str) -> Ending {
        let rotation = kit::rotation();
        let stored = rotation.first_token_file();
        Ending { code, when, script: Script::always(rotation.step()), stored, args: &[], prepare: |_| {} }
    }

    fn args(self, args: &'static [&'static str]) -> Ending {
        Ending { args, ..self }
    }

    fn stored(self, content: &str) -> Ending {
        Ending { stored: content.to_owned(), ..self }
    }

    fn prepare(self, prepare: fn(&mut Workspace)) -> Ending {
        Ending { prepare, ..self }
    }

    fn response(self, status: &str, body: &str) -> Ending {
        self.step(Step::response(json_response(status, body)))
    }

    fn step(self, step: Step) -> Ending {
        Ending { script: Script::always(step), ..self }
    }

    fn run(self) -> Outcome {
        let server = kit::serve(self.script);
        let mut workspace = Workspace::new(&format!("exit-{}", self.code));
        workspace.give(TOKEN_FILE, self.stored);
        (self.prepare)(&mut workspace);
        let program = workspace.program().refreshing_at(&server).args(self.args.iter().copied());
        let outcome = program.run();
        assert_eq!(outcome.status.code(), Some(self.code), "{}", outcome.report(&[self.when.to_owned()]));
        outcome
    }
}

/// At least one for each code, and one for each reason that the tables name.
fn endings() -> Vec<Ending> {
    let with = Ending::of;
    let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    let in_an_hour = in_an_hour.duration_since(UNIX_EPOCH).expect("a clock that is set").as_secs();
    let fresh = format!(r#"{{"access_token":"Canary7-a","refresh_token":"Canary7-r","expires_at":{in_an_hour}}}"#);
    vec![
        with(0, "refreshed"),
        with(0, "still fresh").stored(&fresh).args(&["--min-ttl", "10m"]),
        with(64, "no such option").args(&["--refresh"]),
        with(64, "an option without its value").args(&["--print"]),
        with(65, "no JSON").stored("Canary7"),
        with(65, "no refresh token").stored(r#"{"access_token":"Canary7"}"#),
        with(65, "a member twice").stored(r#"{"refresh_token":"Canary7-1","refresh_token":"Canary7-2"}"#),
        with(66, "no token file").args(&["elsewhere.json"]),
        with(66, "no secret file").args(&["--client-secret-file", "elsewhere"]),
        with(66, "no CA file").args(&["--ca-file", "elsewhere.pem"]),
        with(66, "no key file").args(&["--client-cert", "elsewhere.pem"]),
        with(73, "something else has the lock's name").prepare(|workspace| occupy(workspace, ".lock")),
        with(73, "something else has the draft's name").prepare(|workspace| occupy(workspace, ".new")),
        with(75, "a busy lock").args(&["--lock-timeout", "0s"]).prepare(|workspace| {
            let lock = File::create(workspace.path("docusign.json.lock")).expect("make the lock file");
            lock.lock().expect("lock it");
            // For as long as this process lives: nobody else runs in this workspace.
            std::mem::forget(lock);
        }),
        with(75, "no response").step(Step::close_after_request()).args(&["--no-replay"]),
        with(75, "HTTP status 408").response("408 Request Timeout", "").args(&["--no-replay"]),
        with(75, "HTTP status 500").response("500 Internal Server Error", "").args(&["--no-replay"]),
        with(75, "HTTP status 429, for longer than we have")
            .step(Step::response("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n")),
        with(76, "a redirect").step(Step::response(
            "HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n",
        )),
        with(76, "HTML").response("200 OK", "<html>Canary7</html>").args(&["--no-replay"]),
        with(74, "a response that is not understood").response("200 OK", r#"{"hello":"Canary7"}"#),
        with(77, "a dead refresh token").response("400 Bad Request", r#"{"error":"invalid_grant"}"#),
        with(77, "a login is wanted").response("400 Bad Request", r#"{"error":"interaction_required"}"#),
        with(78, "a wrong client").response("401 Unauthorized", r#"{"error":"invalid_client"}"#),
        with(78, "a wrong client, as Docusign says it")
            .response("400 Bad Request", r#"{"error":"invalid_grant","error_description":"unauthorized_client"}"#),
        with(78, "plain http to a name").args(&["--token-endpoint", "http://localhost/oauth/token"]),
    ]
}

/// Puts a directory where the program wants a file beside the token file.
fn occupy(workspace: &mut Workspace, suffix: &str) {
    fs::create_dir(workspace.path(&format!("{TOKEN_FILE}{suffix}"))).expect("make a directory");
}

#[test]
fn the_program_and_the_readme_have_the_same_codes() {
    let shown = codes_in_help();
    let written: BTreeSet<Exit> = readme::table("Exit status")
        .iter()
        .map(|row| {
            let code = row[0].parse().unwrap_or_else(|_| panic!("no exit code: {}", row[0]));
            assert_eq!(row[1], format!("{code:#X}").replace("0X", "0x"), "exit code {code} in hex");
            (code, row[2].clone())
        })
        .collect();
    assert_eq!(shown, written);
}

#[test]
fn each_code_is_the_end_of_some_run() {
    let shown: BTreeSet<i32> = codes_in_help().into_iter().map(|(code, _)| code).collect();
    let mut seen = BTreeSet::new();
    for ending in endings() {
        let code = ending.code;
        let sent = ending.stored.clone();
        let outcome = ending.run();
        seen.insert(code);
        if code != 0 {
            check_message(&outcome);
            let stored = outcome.files.get(TOKEN_FILE).map(|content| String::from_utf8_lossy(content).into_owned());
            assert_eq!(stored, Some(sent), "{}", outcome.report(&[]));
        }
    }
    // This one takes more than a scripted response: see the next test.
    seen.insert(74);
    assert_eq!(shown, seen);
}

/// Code 74, twice: someone else's tokens stand there; or nothing can be put there at all.
#[test]
fn a_response_that_cannot_be_stored_in_place_is_named_and_kept() {
    let meanwhile: [fn(&std::path::Path); 2] = [
        |tokens| fs::write(tokens, THEIRS).expect("log in"),
        |tokens| {
            fs::remove_file(tokens).expect("remove the token file");
            fs::create_dir(tokens).expect("make a directory of its name");
        },
    ];
    for action in meanwhile {
        let rotation = kit::rotation();
        let mut workspace = Workspace::new("exit-74");
        workspace.give(TOKEN_FILE, rotation.first_token_file());
        let tokens = workspace.path(TOKEN_FILE);
        let server = TokenServer::start(
            kit::tls(Leaf::Localhost),
            Script::once([rotation.step().on_request(move |_| action(&tokens))]),
        );
        let outcome = workspace.program().refreshing_at(&server).run().expect_exit(74);
        check_message(&outcome);
        let kept = outcome.files.iter().find(|(_, content)| {
            let content = String::from_utf8_lossy(content);
            content.contains(&rotation.live_refresh_token())
        });
        let (name, _) = kept.unwrap_or_else(|| panic!("{}", outcome.report(&["the new tokens are lost".to_owned()])));
        assert!(outcome.stderr().contains(name.as_str()), "{}", outcome.report(&[format!("{name} is not named")]));
    }
}

/// The form of every message. See the head.
fn check_message(outcome: &Outcome) {
    let text = outcome.stderr();
    let mut faults = Vec::new();
    let (message, hints) = text.split_once('\n').unwrap_or((&text, ""));
    let parts: Vec<&str> = message.splitn(3, ": ").collect();
    match parts.as_slice() {
        ["docusign-refresh", subject, what] if !subject.is_empty() => faults.extend(fault_of_words(what)),
        _ => faults.push("the first line is not `docusign-refresh: SUBJECT: …`".to_owned()),
    }
    if hints.is_empty() {
        faults.push("no hint tells what to do next".to_owned());
    }
    for line in hints.lines() {
        match line.strip_prefix("hint: ") {
            Some(hint) => faults.extend(fault_of_words(hint)),
            None => faults.push(format!("not a hint: {line}")),
        }
    }
    if !outcome.stdout.is_empty() {
        faults.push("a run that failed wrote to standard output".to_owned());
    }
    assert!(faults.is_empty(), "{}", outcome.report(&faults));
}

fn fault_of_words(words: &str) -> Option<String> {
    /// First words that are names.
    const NAMES: [&str; 3] = ["Docusign", "HTTP", "TLS"];
    let first = words.split_whitespace().next().unwrap_or_default();
    if words.ends_with('.') {
        Some(format!("a full stop at the end: {words}"))
    } else if first.starts_with(char::is_uppercase) && !NAMES.contains(&first) {
        Some(format!("a capital letter at the beginning: {words}"))
    } else {
        None
    }
}

/// The table at the end of the help page.
fn codes_in_help() -> BTreeSet<Exit> {
    let workspace = Workspace::new("help");
    let help = workspace.program().args(["--help"]).run().expect_exit(0).stdout();
    let (_, table) = help.split_once("Exit status\n").expect("the help page has a table of exit codes");
    let rows = table.lines().map(|line| {
        let mut words = line.split_whitespace();
        let code: i32 = words.next().and_then(|word| word.parse().ok()).expect("a row begins with its code");
        // Code 0 has no name: an explanation follows at once.
        let name = words.next().filter(|word| word.chars().all(char::is_uppercase)).unwrap_or_default();
        (code, name.to_owned())
    });
    rows.collect()
}
