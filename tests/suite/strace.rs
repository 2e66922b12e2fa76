//! The program's system calls: read from a trace, and made to fail or to kill.
//!
//! strace counts the calls of each name, thread by thread; the N-th one is where an injection
//! strikes. A program that is given the server's literal address has no name to look up, so it has
//! one thread, and N means the same in every run. A kill strikes as the call is entered: the call
//! itself is not made. So the kills at all calls of a run are the kills between any two of them.

use crate::kit::{Outcome, Program};
use std::ffi::OsString;
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

/// Calls that a program of 32 bits makes by another name than one of 64: its own, and the one that tests use.
const NAMES_FOR_32_BITS: [(&str, &str); 3] = [("fcntl64", "fcntl"), ("ftruncate64", "ftruncate"), ("mmap2", "mmap")];

/// What happens to which call.
#[derive(Clone, Debug)]
pub struct Injection(String);

impl Injection {
    fn of(name: &str, what: &str) -> Injection {
        let also = NAMES_FOR_32_BITS.iter().find(|(_, usual)| *usual == name);
        let names = also.map_or_else(|| name.to_owned(), |(own, _)| format!("{name},?{own}"));
        Injection(format!("{names}:{what}"))
    }

    /// SIGKILL on entering the `n`-th call of this name.
    pub fn kill(name: &str, n: usize) -> Injection {
        Injection::of(name, &format!("signal=KILL:when={n}"))
    }

    /// The `n`-th call of this name fails.
    pub fn fail(name: &str, n: usize, errno: &str) -> Injection {
        Injection::of(name, &format!("error={errno}:when={n}"))
    }

    /// The `n`-th call of this name fails, and all after it.
    pub fn fail_from(name: &str, n: usize, errno: &str) -> Injection {
        Injection::of(name, &format!("error={errno}:when={n}+"))
    }
}

/// The words to put before the program's. The trace goes to `log`.
pub fn words<'i>(log: &Path, injections: impl IntoIterator<Item = &'i Injection>) -> Vec<OsString> {
    // -y writes the path behind each file descriptor.
    let mut words: Vec<OsString> = ["strace", "-f", "-y", "-s", "0", "-o"].map(OsString::from).into();
    words.push(log.into());
    for Injection(expression) in injections {
        words.push("-e".into());
        words.push(format!("inject={expression}").into());
    }
    words
}

/// Runs the program, which `words` were put before, to its end.
pub fn run(program: Program<'_>, log: &Path) -> (Outcome, Trace) {
    let outcome = program.run();
    (outcome, Trace::read(log))
}

/// Runs made at a time.
const THREADS: usize = 3;

/// More calls of one name than any run makes.
const TOO_MANY: usize = 1000;

/// Strikes at the first call of each of these kinds, the second, and so on, until there is none. A strike
/// is a run of its own.
pub fn sweep<Kind: Debug + Send>(kinds: Vec<Kind>, strike: impl Fn(&Kind, usize) -> Option<()> + Sync) {
    let kinds = Mutex::new(kinds);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(kind) = { kinds.lock().expect("no thread panicked").pop() } {
                    let made = (1..TOO_MANY).map_while(|n| strike(&kind, n)).count();
                    assert!(made + 1 < TOO_MANY, "{kind:?}");
                }
            });
        }
    });
}

/// One system call.
#[derive(Clone, Debug)]
pub struct Call {
    /// As a program of 64 bits calls it.
    pub name: String,
    /// Arguments and result, as strace writes them.
    text: String,
}

impl Call {
    /// Whether an argument or the result is the file of this name.
    pub fn is_on(&self, file: &str) -> bool {
        [format!("/{file}\""), format!("\"{file}\""), format!("/{file}>")].iter().any(|path| self.text.contains(path))
    }

    /// Whether it opens a file, by whichever name the C library calls it.
    pub fn opens(&self) -> bool {
        matches!(self.name.as_str(), "open" | "openat")
    }

    pub fn is_on_socket(&self) -> bool {
        self.text.contains("<socket:") || self.text.contains("<TCP:")
    }

    /// Whether it came back, for better or worse.
    pub fn is_finished(&self) -> bool {
        !self.text.trim_end().ends_with("= ?") && !self.text.contains("<unfinished ...>")
    }

    /// Whether it failed because a test wanted it to.
    pub fn is_injected(&self) -> bool {
        self.has("(INJECTED)")
    }

    /// What it returned, if that was a number.
    pub fn result(&self) -> usize {
        let result = self.text.rsplit("= ").next().and_then(|result| result.split(' ').next());
        result.and_then(|result| result.trim().parse().ok()).unwrap_or(0)
    }

    /// The last argument, if it is a number.
    pub fn last_argument(&self) -> usize {
        let arguments = self.text.rsplit_once(')').map_or("", |(arguments, _)| arguments);
        arguments.rsplit(", ").next().and_then(|last| last.parse().ok()).unwrap_or(0)
    }

    pub fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.name, self.text)
    }
}

/// All system calls of a run, in their order.
pub struct Trace {
    pub calls: Vec<Call>,
}

impl Trace {
    fn read(log: &Path) -> Trace {
        let log = fs::read(log).expect("strace wrote a log");
        let calls = String::from_utf8_lossy(&log)
            .lines()
            .filter_map(|line| {
                let (_thread, call) = line.split_once(' ')?;
                let call = call.trim_start();
                let (name, _) = call.split_once('(')?;
                let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let usual = NAMES_FOR_32_BITS.iter().find(|(own, _)| *own == name).map_or(name, |(_, usual)| usual);
                is_name.then(|| Call { name: usual.to_owned(), text: call[name.len()..].to_owned() })
            })
            .collect();
        Trace { calls }
    }

    /// Every name that occurs, each once, in the order of the first occurrence. `execve` is left
    /// out: it is strace's, not yet the program's.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for call in &self.calls {
            if call.name != "execve" && !names.contains(&call.name) {
                names.push(call.name.clone());
            }
        }
        names
    }

    /// Where the first call is that is `wanted`.
    pub fn position(&self, wanted: impl Fn(&Call) -> bool) -> Option<usize> {
        self.calls.iter().position(wanted)
    }

    /// Where the sync of the new tokens in the draft came back well: from here on they are safe.
    pub fn safe_from(&self, draft: &str) -> Option<usize> {
        let written = self.position(|call| call.name == "pwrite64" && call.is_on(draft) && call.is_finished())?;
        let synced = |call: &Call| call.name == "fsync" && call.is_on(draft) && call.has("= 0");
        Some(written + self.calls[written..].iter().position(synced)?)
    }

    /// For a failed test.
    pub fn report(&self) -> String {
        self.calls.iter().map(|call| format!("{call}\n")).collect()
    }
}
