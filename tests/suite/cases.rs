//! Runs the cases in `tests/cases`. A new case is one file there, and no code.
//!
//! `NAME.case` begins with prose: what it shows, and its source (RFC section, provider, issue).
//! Then come sections, each headed by a line `-- KIND NAME (MODIFIERS) --`. One empty line before
//! the next section is layout. Given are:
//!
//! | section | its lines |
//! |---|---|
//! | `args` | the command line, one argument a line; `""` is an empty one |
//! | `environment` | `NAME=VALUE`; `NAME` alone takes a preset variable away |
//! | `bare` | no preset: neither variables nor token file |
//! | `stdin` | standard input |
//! | `file NAME` | a file in the working directory |
//! | `link NAME` | a symbolic link there; the line is where it leads |
//! | `response` | the server's response to the next request: a head, an empty line, a body |
//! | `response usual` | none: the tokens `Canary7-new-access` and `Canary7-new-refresh` for 28800 s |
//! | `server` | what it does instead, one a line: `close-before-handshake`, `stall-before-handshake`, `plain-http`, `close-before-request` (a reset), `close-after-request`, `close-after-head`, `close-in-body`, `stall`, `rotating`, `rotating with N replays` |
//! | `certificate` | `expired`, `not-yet-valid`, `other-name`, instead of a good one |
//! | `only unix: REASON` | the case is not for the other system (`windows`) |
//!
//! Wanted are:
//!
//! | section | its lines | if absent |
//! |---|---|---|
//! | `exit` | the exit code | an error |
//! | `stdout` | all of standard output | there is none |
//! | `stderr` | all of standard error | after exit code 0 one line, no warning; else an error |
//! | `stored NAME` | a file afterwards | if given, it is unchanged; else, it is not there |
//! | `stored usual` | none: `docusign.json` is the preset one after a `response usual` | |
//! | `removed NAME` | none: the file is gone | |
//! | `requests` | how many came: `2`, or `2+` for at least two | one for each response |
//! | `request` | of each request in turn, any of: `POST /path HTTP/1.1`; `Name: value`; `no Name`; `basic ID:SECRET` as joined before base64; `body TEXT` as sent; `form NAME=VALUE` decoded; `no form NAME` | nothing more than is wanted of all |
//!
//! Preset are `DOCUSIGN_TOKEN_ENDPOINT=$ENDPOINT`, `DOCUSIGN_CLIENT_ID=$CLIENT_ID`,
//! `DOCUSIGN_CLIENT_SECRET` and `SSL_CERT_FILE=$CA`, and, if the case gives no `docusign.json`,
//! the one whose refresh token the `rotating` server takes. The server serves `$ENDPOINT`, at
//! `$HOST:$PORT`, and without TLS `$HTTP_ENDPOINT`, at `$HTTP_PORT`; `$DIR` is the working
//! directory. `$NOW+N`, `$TIME+N`, `$LOCAL+N` and `$DATE+N` are the time in N seconds, as epoch seconds,
//! in RFC 3339, the same without its zone, and as in HTTP. Wanted text may have gaps: see `pattern.rs`.
//!
//! Modifiers say what text can't: `utf-16le`, `utf-16be`, `bom`, `crlf`, `no final newline`,
//! `escaped` (`\n \r \t \0 \\ \xNN \u{N}`), for files `mode 0640`, for responses `raw` (bytes as they
//! stand, where else the head gets CRLF and `Content-Length: auto` its number), `cut` (TCP ends
//! after it without TLS's goodbye) and, for the last response or behaviour, `repeated`.
//!
//! Wanted of every case, and never written: no secret leaks (see `kit.rs`; each token and secret
//! in a case holds `Canary7`); no file appears that is not named, but for an empty `NAME.lock`;
//! links stay links; every request is the form that RFC 6749, section 6 describes, or, after the word `login`,
//! section 4.1.3; no response is
//! left over. `CASE=NAME` runs those cases alone whose name contains NAME.

use crate::case::{Behaviour, Case, Count, GivenStep, NAMES, Presets, Repetition, Values};
use crate::kit::{self, CLIENT_ID, CLIENT_SECRET, Outcome, System, TOKEN_FILE, Workspace};
use crate::pattern::{Pattern, Visible};
use crate::token_server::{Client, PATH, Protection, Record, Request, Rotation, Script, Step, TokenServer};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

/// Fewer than this were not all found.
const AT_LEAST: usize = 150;
const THREADS: usize = 4;

enum Verdict {
    Passed,
    /// It is for the other system.
    Skipped,
    Failed(String),
}

#[test]
fn every_case_holds() {
    let filter = std::env::var("CASE").unwrap_or_default();
    let cases = load(&filter);
    if filter.is_empty() {
        assert!(cases.len() >= AT_LEAST, "only {} cases were found", cases.len());
    } else {
        assert!(!cases.is_empty(), "no case is named {filter}");
    }

    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = run(case);
                    verdicts.lock().expect("no thread panicked").push(verdict);
                }
            });
        }
    });

    let verdicts = verdicts.into_inner().expect("no thread panicked");
    let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|v| wanted(v)).count();
    let passed = count(|verdict| matches!(verdict, Verdict::Passed));
    let skipped = count(|verdict| matches!(verdict, Verdict::Skipped));
    let mut reports: Vec<&str> = verdicts
        .iter()
        .filter_map(|verdict| match verdict {
            Verdict::Failed(report) => Some(report.as_str()),
            _ => None,
        })
        .collect();
    reports.sort_unstable();
    let summary = format!("{passed} cases hold, {skipped} are for another system, {} fail", reports.len());
    println!("{summary}");
    assert!(reports.is_empty(), "{summary}\n\n{}", reports.join("\n"));
}

/// Every case whose name contains the filter, in the order of their names.
fn load(filter: &str) -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = fs::read_dir(directory).expect("list tests/cases");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("list tests/cases").path()).collect();
    paths.sort();
    let mut errors = Vec::new();
    let mut cases = Vec::new();
    for path in paths {
        let file = path.display().to_string();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_none_or(|extension| extension != "case") {
            errors.push(format!("{file}: not a case"));
        } else if name.contains(filter) {
            let text = fs::read_to_string(&path).expect("read a case");
            match Case::parse(&name, &file, &text) {
                Ok(case) => cases.push(case),
                Err(error) => errors.push(error),
            }
        }
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    cases
}

fn run(case: &Case) -> Verdict {
    if case.only.is_some_and(|system| system != kit::system()) {
        return Verdict::Skipped;
    }
    let mut workspace = Workspace::new(&case.name);
    let client = Client { id: CLIENT_ID.to_owned(), secret: CLIENT_SECRET.to_owned() };
    let rotation = Rotation::new(client);

    // The steps may speak of the ports, so they are added once there are ports.
    let script = Script::default();
    let server = TokenServer::start(kit::tls(case.certificate), script.clone());
    let plain = TokenServer::start(Protection::None, script.clone());
    let values = values(&workspace, &server, &plain);
    let script = steps(case, script, &rotation, &values);

    give_files(case, &mut workspace, &rotation, &values);
    let mut program = workspace.program();
    if case.presets == Presets::Usual {
        program = program.refreshing_at(&server);
    }
    for variable in case.environment.given_lines(&values) {
        program = match variable.iter().position(|&byte| byte == b'=') {
            Some(at) => program.environment(os(&variable[..at]), os(&variable[at + 1..])),
            None => program.without(os(&variable)),
        };
    }
    program = program.args(case.args.given_lines(&values).iter().map(|arg| os(arg))).stdin(case.stdin.given(&values));

    let outcome = program.start().observe();
    let mut record = server.finish();
    let plain = plain.finish();
    record.connections += plain.connections;
    record.unexpected += plain.unexpected;
    record.requests.extend(plain.requests);

    let mut faults = outcome.leaks();
    faults.extend(judge_outcome(case, &outcome, &values));
    faults.extend(judge_files(case, &workspace, &outcome, &values));
    faults.extend(judge_requests(case, &record, &script, &values));
    if faults.is_empty() {
        return Verdict::Passed;
    }
    workspace.keep();
    let report = outcome.report(&faults);
    let seen = kit::report_of(&record);
    Verdict::Failed(format!("==== {} ===={report}{seen}", case.name))
}

fn values(workspace: &Workspace, server: &TokenServer, plain: &TokenServer) -> Values {
    let named = NAMES.map(|name| {
        let value = match name {
            "HTTP_ENDPOINT" => plain.endpoint(),
            "HTTP_PORT" => plain.port().to_string(),
            "ENDPOINT" => server.endpoint(),
            "CLIENT_ID" => CLIENT_ID.to_owned(),
            "HOST" => "localhost".to_owned(),
            "PORT" => server.port().to_string(),
            "DIR" => workspace.directory().display().to_string(),
            "CA" => workspace.ca_file().display().to_string(),
            name => unreachable!("{name}"),
        };
        (name, value)
    });
    Values { named: named.into(), now: SystemTime::now() }
}

fn steps(case: &Case, script: Script, rotation: &Rotation, values: &Values) -> Script {
    let mut steps: Vec<Step> = case
        .steps
        .iter()
        .map(|step| match step {
            GivenStep::Response(text) => Step::response(text.response(values)),
            GivenStep::CutResponse(text) => Step::cut(text.response(values)),
            GivenStep::Named(behaviour) => named_step(*behaviour, rotation),
        })
        .collect();
    let rotates = |step: &GivenStep| matches!(step, GivenStep::Named(Behaviour::Rotating { .. }));
    if case.last_step == Repetition::Always || case.steps.last().is_some_and(rotates) {
        let last = steps.pop().expect("there is a step to repeat");
        return script.followed_by(steps).then_always(last);
    }
    script.followed_by(steps)
}

fn named_step(behaviour: Behaviour, rotation: &Rotation) -> Step {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n";
    match behaviour {
        Behaviour::CloseBeforeHandshake => Step::close_before_handshake(),
        Behaviour::StallBeforeHandshake => Step::stall_before_handshake(),
        Behaviour::PlainHttp => Step::plain_http(),
        Behaviour::CloseBeforeRequest => Step::close_before_request(),
        Behaviour::CloseAfterRequest => Step::close_after_request(),
        Behaviour::CloseAfterHead => Step::cut(head),
        Behaviour::CloseInBody => Step::cut(format!("{head}{{\"access_token\":\"Canary7-half")),
        Behaviour::Stall => Step::stall(),
        Behaviour::Rotating { replays } => rotation.clone().with_replays(replays).step(),
    }
}

fn give_files(case: &Case, workspace: &mut Workspace, rotation: &Rotation, values: &Values) {
    let files = case.files.iter().map(|(name, _)| name);
    let mut names = files.chain(case.links.iter().map(|(name, _)| name));
    if case.presets == Presets::Usual && names.all(|name| name != TOKEN_FILE) {
        workspace.give(TOKEN_FILE, rotation.first_token_file());
    }
    for (name, text) in &case.files {
        workspace.give(name, text.given(values));
        if let Some(mode) = text.mode {
            set_mode(&workspace.path(name), mode);
        }
    }
    for (name, target) in &case.links {
        workspace.link(name, target);
    }
}

fn judge_outcome(case: &Case, outcome: &Outcome, values: &Values) -> Vec<String> {
    let mut faults = Vec::new();
    if outcome.status.code() != Some(case.exit) {
        faults.push(format!("wanted exit code {}, got {}", case.exit, outcome.status));
    }
    let one_line = || b"docusign-refresh: [..]\n".to_vec();
    let stdout = case.stdout.as_ref().map_or(Vec::new(), |wanted| wanted.wanted(values));
    let stderr = case.stderr.as_ref().map_or_else(one_line, |wanted| wanted.wanted(values));
    faults.extend(difference("standard output", &stdout, &outcome.stdout, outcome));
    faults.extend(difference("standard error", &stderr, &outcome.stderr, outcome));
    faults
}

fn difference(name: &str, wanted: &[u8], got: &[u8], outcome: &Outcome) -> Option<String> {
    if Pattern::new(wanted).matches(got, outcome.span) {
        return None;
    }
    Some(format!("wanted in {name}:\n{}  got:\n{}", Visible(wanted), Visible(got)))
}

fn judge_files(case: &Case, workspace: &Workspace, outcome: &Outcome, values: &Values) -> Vec<String> {
    let mut faults = Vec::new();
    let mut unexplained: BTreeSet<&str> = outcome.files.keys().map(String::as_str).collect();
    let linked = |name: &str| case.links.iter().any(|(link, _)| link == name);

    for (wanted_name, wanted) in &case.stored {
        let pattern = Pattern::new(wanted_name.as_bytes());
        let names = outcome.files.keys();
        let mut names = names.filter(|name| pattern.matches(name.as_bytes(), outcome.span));
        let Some(name) = names.next() else {
            faults.push(format!("{wanted_name} is not there"));
            continue;
        };
        unexplained.remove(name.as_str());
        let got = &outcome.files[name];
        faults.extend(difference(name, &wanted.wanted(values), got, outcome));
        if let Some(mode) = wanted.mode {
            faults.extend(wrong_mode(&workspace.path(name), mode));
        }
    }
    for (name, before) in workspace.given() {
        let is_wanted = case.stored.iter().any(|(stored, _)| stored == name);
        match outcome.files.get(name) {
            _ if is_wanted => {}
            None if case.removed.contains(name) => {}
            None => faults.push(format!("{name} is gone")),
            Some(_) if case.removed.contains(name) => faults.push(format!("{name} is still there")),
            Some(after) if after == before => {}
            Some(after) => {
                faults.push(format!("{name} was changed, from:\n{}  to:\n{}", Visible(before), Visible(after)))
            }
        }
        unexplained.remove(name.as_str());
    }
    for (link, target) in &case.links {
        if fs::read_link(workspace.path(link)).is_err() {
            faults.push(format!("{link} is no longer a link to {target}"));
        }
    }
    for name in unexplained {
        let is_lock = name.ends_with(".lock") && outcome.files[name].is_empty();
        if !is_lock && !linked(name) {
            faults.push(format!("{name} was left behind"));
        }
    }
    faults
}

fn judge_requests(case: &Case, record: &Record, script: &Script, values: &Values) -> Vec<String> {
    let mut faults = Vec::new();
    let came = record.requests.len();
    match case.requests {
        Count::Exactly(wanted) if came != wanted => {
            faults.push(format!("wanted {wanted} requests, {came} came"));
        }
        Count::AtLeast(wanted) if came < wanted => {
            faults.push(format!("wanted at least {wanted} requests, {came} came"));
        }
        _ => {}
    }
    if record.unexpected > 0 {
        faults.push(format!("{} requests were not expected", record.unexpected));
    }
    if script.remaining() > 0 {
        faults.push(format!("{} steps of the server were not taken", script.remaining()));
    }
    let mut fault = |number: usize, line: &str| {
        faults.push(format!("not so in request {}: {line}", number + 1));
    };
    let is_login = case.args.text.lines().any(|word| word == "login");
    let grant = if is_login { "form grant_type=authorization_code" } else { "form grant_type=refresh_token" };
    for (number, request) in record.requests.iter().enumerate() {
        for line in WANTED_OF_ALL.into_iter().chain([grant]) {
            if !holds(line, request) && !is_wanted_otherwise(case, line) {
                fault(number, line);
            }
        }
        if request.target() != PATH && case.presets == Presets::Usual {
            fault(number, PATH);
        }
        let wanted = case.wanted_requests.get(number).cloned().unwrap_or_default();
        for line in wanted.given_lines(values) {
            let line = String::from_utf8_lossy(&line);
            if !holds(&line, request) {
                fault(number, &line);
            }
        }
    }
    if case.wanted_requests.len() > came {
        faults.push("there are more sections `request` than requests".to_owned());
    }
    faults
}

/// RFC 6749, sections 4.1.3 and 6 and appendix B, and what a good client adds.
const WANTED_OF_ALL: [&str; 7] = [
    "POST [..] HTTP/1.1",
    "Content-Type: application/x-www-form-urlencoded",
    "Accept: application/json",
    "User-Agent: docusign-refresh/[..]",
    "Host: [..]",
    "no Cookie",
    "no Expect",
];

/// Whether the case wants another value of the same field.
fn is_wanted_otherwise(case: &Case, line: &str) -> bool {
    let name = line.split_inclusive(": ").next().filter(|name| name.ends_with(": "));
    let is_other = |name| case.wanted_requests.iter().any(|wanted| wanted.lines().any(|line| line.starts_with(name)));
    name.is_some_and(is_other)
}

/// Whether one line of a `request` section is true of this request.
fn holds(line: &str, request: &Request) -> bool {
    let fits = |pattern: &str, text: &str| {
        let now = SystemTime::now();
        let span = crate::pattern::Span { start: now, end: now };
        Pattern::new(pattern.as_bytes()).matches(text.as_bytes(), span)
    };
    let any_pair = |wanted: &str| {
        let form = request.form();
        form.iter().any(|(name, value)| fits(wanted, &format!("{name}={value}")))
    };
    if let Some(name) = line.strip_prefix("no form ") {
        request.parameter(name).is_none()
    } else if let Some(name) = line.strip_prefix("no ") {
        request.field(name).is_none()
    } else if let Some(pair) = line.strip_prefix("form ") {
        any_pair(pair)
    } else if let Some(body) = line.strip_prefix("body ") {
        fits(body, &String::from_utf8_lossy(&request.body))
    } else if let Some(credentials) = line.strip_prefix("basic ") {
        request.basic().is_some_and(|basic| fits(credentials, &basic))
    } else if let Some((name, value)) = line.split_once(": ") {
        request.field(name).is_some_and(|got| fits(value, got))
    } else {
        fits(line, &request.line)
    }
}

#[cfg(unix)]
fn os(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os(bytes: &[u8]) -> OsString {
    str::from_utf8(bytes).expect("only Unix takes any bytes").into()
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set a file's mode");
}

#[cfg(unix)]
fn wrong_mode(path: &Path, wanted: u32) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).expect("it was just read");
    let mode = metadata.permissions().mode() & 0o7777;
    (mode != wanted && kit::system() == System::Unix)
        .then(|| format!("{}: wanted mode {wanted:04o}, got {mode:04o}", path.display()))
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}

#[cfg(not(unix))]
fn wrong_mode(_: &Path, _: u32) -> Option<String> {
    None
}
