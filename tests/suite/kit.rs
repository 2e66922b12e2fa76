//! How a test runs the program that ships.
//!
//! A [`Workspace`] is a fresh directory; a [`Program`] is a command in it, with an environment of
//! which the test knows every variable; an [`Outcome`] is all that the run left behind. The
//! program is the file that `DOCUSIGN_REFRESH_BINARY` names, by default the one that `make` builds.
//! A Windows program is run by the command in `DOCUSIGN_REFRESH_RUNNER` (`wine`, say).
//!
//! Each run has `RUST_LOG=trace` and `RUST_BACKTRACE=full` set, so that a library that logs has its chance to
//! leak, and each outcome is searched for secrets: see `leaks`.
//!
//! A failed test shows the whole outcome and keeps the directory. A run that hangs is killed
//! after two minutes.

use crate::leaks::Traces;
use crate::pattern::{Span, Visible};
#[cfg(target_os = "linux")]
use crate::seccomp::{self, Calls};
use crate::token_server::{Authority, Client, Leaf, Protection, Record, Rotation, Script, Terms, TokenServer};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::Ipv4Addr;
#[cfg(unix)]
use std::os::unix::fs::symlink;
#[cfg(windows)]
use std::os::windows::fs::symlink_file as symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, thread};

/// The token file, unless a test says otherwise.
pub const TOKEN_FILE: &str = "docusign.json";

/// The client that the usual environment names.
pub const CLIENT_ID: &str = "5f2a7c1e-0d2b-4b6e-9a53-3c1d2e4f5a6b";
pub const CLIENT_SECRET: &str = "Canary7-c4b1-4e0a-8f55-9d7e21a60b3f";

/// Connections to this are refused: the kernel does not choose port 1, and nobody asks for it.
pub const NOBODY: &str = "127.0.0.1:1";

/// Longer than the program's own time-out and its lock's together.
const HANG: Duration = Duration::from_secs(120);

/// A loopback address that no other process uses, for what can't let the kernel choose its port:
/// 127.64.0.0 and what follows, by the process' id, which has 22 bits on Linux.
pub fn loopback_of_this_process() -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 64, 0, 0).to_bits() + process::id() % (1 << 22))
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("Token server of the tests"));

/// TLS by the authority that every workspace trusts.
pub fn tls(leaf: Leaf) -> Protection {
    AUTHORITY.protect(leaf)
}

/// TLS by that authority, on these terms.
pub fn tls_on(terms: Terms) -> Protection {
    AUTHORITY.protect_on(terms)
}

/// The authority that every workspace trusts.
pub fn authority() -> &'static Authority {
    &AUTHORITY
}

/// A family of tokens that the usual client has been granted.
pub fn rotation() -> Rotation {
    Rotation::new(Client { id: CLIENT_ID.to_owned(), secret: CLIENT_SECRET.to_owned() })
}

/// The usual server: the name localhost, TLS by that authority.
pub fn serve(script: Script) -> TokenServer {
    TokenServer::start(tls(Leaf::Localhost), script)
}

/// The program under test. A suite without it has nothing to say.
pub fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let built = concat!(env!("CARGO_TARGET_TMPDIR"), "/../dist/docusign-refresh");
        let path = env::var_os("DOCUSIGN_REFRESH_BINARY").unwrap_or_else(|| built.into());
        let path = fs::canonicalize(&path);
        path.unwrap_or_else(|error| panic!("{built}: {error}: run `make` first"))
    });
    &BINARY
}

/// The systems that a case can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    Unix,
    Windows,
}

/// The system that the program under test was built for, which under wine is not the test's own.
pub fn system() -> System {
    match binary().extension() {
        Some(extension) if extension == "exe" => System::Windows,
        _ => System::Unix,
    }
}

/// A fresh directory, with the authority's certificate beside it.
pub struct Workspace {
    root: PathBuf,
    given: BTreeMap<String, Vec<u8>>,
    links: BTreeSet<String>,
    afterwards: Afterwards,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    Remove,
    Keep,
}

impl Workspace {
    /// The name is for the human who has to look into the directory.
    pub fn new(name: &str) -> Workspace {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{process}.{number}"));
        fs::create_dir_all(root.join("work")).expect("create a workspace");
        let root = fs::canonicalize(root).expect("resolve the workspace");
        AUTHORITY.write_pem(&root.join("ca.pem"));
        Workspace { root, given: BTreeMap::new(), links: BTreeSet::new(), afterwards: Afterwards::Remove }
    }

    /// With the token file as it is after a login at the server of a `rotation`.
    pub fn after_login(name: &str) -> Workspace {
        let mut workspace = Workspace::new(name);
        workspace.give(TOKEN_FILE, rotation().first_token_file());
        workspace
    }

    /// Where the program runs.
    pub fn directory(&self) -> PathBuf {
        self.root.join("work")
    }

    /// The certificate of the authority behind `tls`.
    pub fn ca_file(&self) -> PathBuf {
        self.beside("ca.pem")
    }

    /// A place for what the test keeps to itself: beside the directory, not in it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Writes a file that may hold secrets, with the directories above it.
    pub fn give(&mut self, name: &str, content: impl Into<Vec<u8>>) {
        let path = self.path(name);
        let content = content.into();
        let above = path.parent().expect("a file is in a directory");
        fs::create_dir_all(above).expect("create a directory in the workspace");
        fs::write(path, &content).expect("write a file into the workspace");
        self.given.insert(name.to_owned(), content);
    }

    /// Makes a symbolic link.
    pub fn link(&mut self, name: &str, target: &str) {
        symlink(target, self.path(name)).expect("make a link in the workspace");
        self.links.insert(name.to_owned());
    }

    /// The files given, as they were.
    pub fn given(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.given
    }

    /// Every file there is now, by its name relative to the directory. A link that leads nowhere
    /// reads as empty, and so does one to a directory, or a pipe.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.directory()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("list the workspace") {
                let path = entry.expect("list the workspace").path();
                if path.is_dir() && !path.is_symlink() {
                    directories.push(path);
                    continue;
                }
                let name = path.strip_prefix(self.directory()).expect("it is below");
                let name = name.to_string_lossy().replace('\\', "/");
                let content = if path.is_file() { fs::read(path) } else { Ok(Vec::new()) };
                files.insert(name, content.unwrap_or_default());
            }
        }
        files
    }

    /// The content of one file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Leaves the directory behind for a human to look at.
    pub fn keep(&mut self) {
        self.afterwards = Afterwards::Keep;
    }

    /// The program, to be run here, with no variable set but the two of the module's head.
    pub fn program(&self) -> Program<'_> {
        Program {
            workspace: self,
            wrapper: Vec::new(),
            args: Vec::new(),
            environment: ["RUST_LOG=trace", "RUST_BACKTRACE=full"]
                .into_iter()
                .filter_map(|variable| variable.split_once('='))
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            stdin: Vec::new(),
            #[cfg(target_os = "linux")]
            missing_calls: Vec::new(),
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.afterwards == Afterwards::Remove && !thread::panicking() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// A command line that has not been run yet.
#[derive(Clone)]
pub struct Program<'w> {
    workspace: &'w Workspace,
    wrapper: Vec<OsString>,
    args: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    stdin: Vec<u8>,
    #[cfg(target_os = "linux")]
    missing_calls: Vec<Calls>,
}

impl<'w> Program<'w> {
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub fn without(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.remove(name.as_ref());
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// The usual environment: this server, the usual client, the authority of the tests.
    pub fn refreshing_at(self, server: &TokenServer) -> Self {
        let ca_file = self.workspace.ca_file();
        self.environment("DOCUSIGN_TOKEN_ENDPOINT", server.endpoint())
            .environment("DOCUSIGN_CLIENT_ID", CLIENT_ID)
            .environment("DOCUSIGN_CLIENT_SECRET", CLIENT_SECRET)
            .environment("SSL_CERT_FILE", ca_file)
    }

    /// Runs the program as the last arguments of another (`strace`, `valgrind`).
    pub fn under<A: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = A>) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// Runs the program on a kernel that lacks these system calls.
    #[cfg(target_os = "linux")]
    pub fn on_a_kernel_without(mut self, calls: impl IntoIterator<Item = Calls>) -> Self {
        self.missing_calls.extend(calls);
        self
    }

    /// Starts the program and leaves it running.
    pub fn start(self) -> Running<'w> {
        let input = self.stdin.clone();
        let (running, mut stdin) = self.start_with_open_stdin();
        // A program that exits without reading all of its input is no fault of the test's.
        thread::spawn(move || stdin.write_all(&input));
        running
    }

    /// Starts the program with a standard input that the test writes to while it runs.
    pub fn start_with_open_stdin(self) -> (Running<'w>, ChildStdin) {
        let mut words = self.wrapper.clone();
        let runner = env::var("DOCUSIGN_REFRESH_RUNNER").unwrap_or_default();
        words.extend(runner.split_whitespace().map(OsString::from));
        words.push(binary().into());
        words.extend(self.args.iter().cloned());

        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(self.workspace.directory())
            .env_clear()
            .envs(inherited(&runner))
            .envs(&self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(target_os = "linux")]
        if !self.missing_calls.is_empty() {
            seccomp::without(&self.missing_calls, &mut command);
        }
        let start = SystemTime::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {}: {error}", words[0].display()));

        let stdin = child.stdin.take().expect("it is piped");
        let stdout = Stream::collect(child.stdout.take().expect("it is piped"));
        let stderr = Stream::collect(child.stderr.take().expect("it is piped"));
        (Running { program: self, words, child, stdout, stderr, start }, stdin)
    }

    /// Runs the program to its end, and fails the test if it leaked a secret.
    pub fn run(self) -> Outcome {
        self.start().wait()
    }
}

/// What the program can't do without where it is not a plain Unix program: wine finds its files
/// by `HOME` and `PATH`, a 32-bit one also by `LD_LIBRARY_PATH`, and `LC_ALL` says in what encoding it
/// gets the rest; sockets on Windows need `SystemRoot`.
fn inherited(runner: &str) -> Vec<(&'static str, OsString)> {
    let names: &[&str] = if cfg!(windows) {
        &["SystemRoot"]
    } else if runner.is_empty() {
        &[]
    } else {
        &["HOME", "PATH", "LD_LIBRARY_PATH", "WINEPREFIX", "WINEDEBUG", "WINEDLLPATH", "LC_ALL"]
    };
    let set = |name: &&'static str| Some((*name, env::var_os(name)?));
    names.iter().filter_map(set).collect()
}

/// A stream that is read as it comes, on a thread of its own.
struct Stream(Arc<(Mutex<Heard>, Condvar)>);

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    is_ended: bool,
}

impl Stream {
    fn collect(mut stream: impl Read + Send + 'static) -> Stream {
        let shared = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let other_end = Stream(Arc::clone(&shared));
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            loop {
                let read = stream.read(&mut chunk).unwrap_or(0);
                let mut heard = other_end.heard();
                heard.bytes.extend(&chunk[..read]);
                heard.is_ended = read == 0;
                other_end.0.1.notify_all();
                if heard.is_ended {
                    return;
                }
            }
        });
        Stream(shared)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the stream is as `wanted`, or has ended; after two minutes, gives up.
    fn wait_until(&self, wanted: impl Fn(&[u8]) -> bool) -> MutexGuard<'_, Heard> {
        let deadline = Instant::now() + HANG;
        let mut heard = self.heard();
        while !heard.is_ended && !wanted(&heard.bytes) && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            heard = self.0.1.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        heard
    }

    fn await_line(&self, start: &str) -> String {
        let find = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.find(|line| line.starts_with(start)).map(|line| line.trim_end().to_owned())
        };
        let heard = self.wait_until(|bytes| find(bytes).is_some());
        find(&heard.bytes).unwrap_or_else(|| panic!("no line begins with {start}:\n{}", Visible(&heard.bytes)))
    }

    /// All of it, or nothing if there is no end.
    fn to_end(&self) -> Option<Vec<u8>> {
        let heard = self.wait_until(|_| false);
        heard.is_ended.then(|| heard.bytes.clone())
    }
}

/// The program while it runs.
pub struct Running<'w> {
    program: Program<'w>,
    words: Vec<OsString>,
    child: Child,
    stdout: Stream,
    stderr: Stream,
    start: SystemTime,
}

impl Running<'_> {
    /// The id of the process, or of what it runs under.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until standard error holds one of these texts, and tells which. Nothing, if it has
    /// ended without.
    pub fn await_stderr(&self, texts: &[&str]) -> Option<usize> {
        let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        let said = |bytes: &[u8]| texts.iter().position(|text| holds(bytes, text));
        let heard = self.stderr.wait_until(|bytes| said(bytes).is_some());
        let said = said(&heard.bytes);
        assert!(said.is_some() || heard.is_ended, "not said within {HANG:?}: {texts:?}");
        said
    }

    /// Waits until standard error holds a line that begins so, and gives it.
    pub fn await_line(&self, start: &str) -> String {
        self.stderr.await_line(start)
    }

    /// The same for standard output, which at a terminal is both.
    #[cfg(unix)]
    pub fn await_line_of_stdout(&self, start: &str) -> String {
        self.stdout.await_line(start)
    }

    /// Ends the program as no handler can prevent.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill the program");
    }

    /// Waits for the end, and fails the test if a secret was leaked on the way.
    pub fn wait(self) -> Outcome {
        let outcome = self.observe();
        let leaks = outcome.leaks();
        assert!(leaks.is_empty(), "{}", outcome.report(&leaks));
        outcome
    }

    /// Waits for the end, and leaves the judgement to the caller.
    pub fn observe(mut self) -> Outcome {
        let stderr = self.stderr.to_end();
        let stdout = self.stdout.to_end();
        let hung = stderr.is_none() || stdout.is_none();
        if hung {
            self.kill();
        }
        let status = self.child.wait().expect("wait for the program");
        let end = SystemTime::now();
        let workspace = self.program.workspace;
        let outcome = Outcome {
            status,
            stdout: stdout.unwrap_or_default(),
            stderr: stderr.unwrap_or_default(),
            files: workspace.files(),
            span: Span { start: self.start, end },
            // A login makes the token file.
            given: workspace.given.keys().chain(&workspace.links).cloned().chain([TOKEN_FILE.to_owned()]).collect(),
            command: self.words,
            args: self.program.args,
            environment: self.program.environment,
            directory: workspace.directory(),
            stdin: self.program.stdin,
        };
        assert!(!hung, "{}", outcome.report(&[format!("killed after {HANG:?}")]));
        outcome
    }
}

/// All that a run left behind.
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// The workspace afterwards.
    pub files: BTreeMap<String, Vec<u8>>,
    pub span: Span,
    /// The names of the files and links that the test made.
    given: BTreeSet<String>,
    command: Vec<OsString>,
    args: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    stdin: Vec<u8>,
}

impl Outcome {
    /// Fails the test unless the program exited with this code.
    pub fn expect_exit(self, code: i32) -> Outcome {
        if self.status.code() != Some(code) {
            panic!("{}", self.report(&[format!("wanted exit code {code}")]));
        }
        self
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Every place that has a secret which does not belong there.
    pub fn leaks(&self) -> Vec<String> {
        let Self { stdout, stderr, files, given, args, environment, .. } = self;
        Traces { stdout, stderr, files, given, args, environment }.leaks()
    }

    /// Everything that helps to understand a failure, and how to repeat it.
    pub fn report(&self, faults: &[String]) -> String {
        let mut text = String::from("\n");
        for fault in faults {
            let _ = writeln!(text, "- {}", fault.trim_end());
        }
        let command: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "command: {}", command.join(" "));
        let _ = writeln!(text, "directory: {}", self.directory.display());
        let _ = writeln!(text, "environment:");
        for (name, value) in &self.environment {
            let _ = writeln!(text, "    {}={}", name.display(), quoted(value));
        }
        if !self.stdin.is_empty() {
            let _ = write!(text, "standard input:\n{}", Visible(&self.stdin));
        }
        let _ = writeln!(text, "status: {}", self.status);
        let _ = write!(text, "standard output:\n{}", Visible(&self.stdout));
        let _ = write!(text, "standard error:\n{}", Visible(&self.stderr));
        for (name, content) in &self.files {
            let _ = match content.trim_ascii().is_empty() && content.len() > 100 {
                true => writeln!(text, "{name} afterwards: {} blanks", content.len()),
                false => write!(text, "{name} afterwards:\n{}", Visible(content)),
            };
        }
        text
    }
}

/// The word as a shell needs it.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What a server has seen, for a report.
pub fn report_of(record: &Record) -> String {
    let mut text = format!("server: {} connections\n", record.connections);
    for failure in &record.failed_handshakes {
        let _ = writeln!(text, "failed handshake: {failure}");
    }
    for request in &record.requests {
        let mut lines = request.line.clone();
        for line in request.fields.iter().map(String::as_str).chain([""]) {
            let _ = write!(lines, "\n{line}");
        }
        let body = String::from_utf8_lossy(&request.body);
        let _ = write!(lines, "\n{body}");
        let _ = write!(text, "request:\n{}", Visible(lines.as_bytes()));
    }
    text
}
