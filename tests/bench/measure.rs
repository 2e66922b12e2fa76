//! What one run of a command costs, by the means that the machine has for it.
//!
//! Each figure covers the command with all its threads and all the processes that it starts and waits
//! for, and nothing of this one, in which the server runs:
//!
//! - wall: from before the start until after the end;
//! - CPU: user and system time of the processes that were waited for, by `getrusage`. One command runs at
//!   a time;
//! - resident: the largest of the processes, by GNU time. (The kernel counts what a process was
//!   before `exec` as well, and GNU time is small: about 1 MiB, which is the least it can show);
//! - instructions: in user mode, by valgrind's callgrind, summed over the processes;
//! - system calls: by `strace -f -c`.
//!
//! A run that fails gives no figure but what it said. `controls` shows that these counts count.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than Node takes under valgrind on a slow machine.
const PATIENCE: &str = "300";

/// A command line with its environment, which has nothing else in it.
#[derive(Clone)]
pub struct Job {
    pub words: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
}

#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub wall: Duration,
    pub cpu: Duration,
}

impl Job {
    /// Runs it once.
    pub fn run(&self) -> Result<Times, String> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let before = cpu_of_children();
        let start = Instant::now();
        let output = command.output().map_err(|error| format!("{}: {error}", self.words[0]))?;
        let wall = start.elapsed();
        let cpu = cpu_of_children() - before;
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(Times { wall, cpu })
    }

    /// The same under another program.
    fn under(&self, words: &[&str]) -> Job {
        let words = words.iter().map(|word| (*word).to_owned());
        Job { words: words.chain(self.words.iter().cloned()).collect(), environment: self.environment.clone() }
    }

    /// In KiB.
    pub fn resident(&self, scratch: &Path) -> Result<u64, String> {
        let file = fresh(scratch, "time")?;
        self.under(&["/usr/bin/time", "--format=%M", "--output", &file.display().to_string()]).run()?;
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        text.trim().parse().map_err(|_| format!("GNU time said {text}"))
    }

    pub fn instructions(&self, scratch: &Path) -> Result<u64, String> {
        let directory = fresh(scratch, "callgrind")?;
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let log = format!("--log-file={}/%p", directory.display());
        let valgrind = ["timeout", PATIENCE, "valgrind", "--tool=callgrind", "--trace-children=yes"];
        self.under(&[&valgrind[..], &["--callgrind-out-file=/dev/null", &log]].concat()).run()?;
        let mut sum = 0;
        for entry in fs::read_dir(directory).map_err(|error| error.to_string())?.flatten() {
            let text = fs::read_to_string(entry.path()).map_err(|error| error.to_string())?;
            // A process that only forked and then became another one has collected as well.
            let collected = text.lines().filter_map(|line| line.split_once("Collected :"));
            sum += collected.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum::<u64>();
        }
        if sum == 0 { Err("callgrind counted nothing".to_owned()) } else { Ok(sum) }
    }

    pub fn system_calls(&self, scratch: &Path) -> Result<u64, String> {
        let file = fresh(scratch, "strace")?;
        self.under(&["strace", "-f", "-c", "-qq", "-o", &file.display().to_string()]).run()?;
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        let total = text.lines().find(|line| line.ends_with(" total"));
        // Of the row's cells the calls are the fourth; the errors after it may be missing.
        let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
        calls.ok_or_else(|| format!("strace said {text}"))
    }
}

/// The name of something that is not there.
fn fresh(scratch: &Path, name: &str) -> Result<PathBuf, String> {
    let path = scratch.join(name);
    let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", path.display())),
        _ => Ok(path),
    }
}

/// Of all that have been waited for so far, and of those for which they have waited.
fn cpu_of_children() -> Duration {
    cpu_of(libc::RUSAGE_CHILDREN)
}

#[expect(unsafe_code, reason = "std can't tell what a process or its children have used")]
fn cpu_of(whom: libc::c_int) -> Duration {
    // SAFETY: a `rusage` is numbers only, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `rusage` that lives on this frame.
    let result = unsafe { libc::getrusage(whom, &raw mut usage) };
    assert_eq!(result, 0, "getrusage can't fail with these arguments");
    let time =
        |time: libc::timeval| Duration::new(time.tv_sec.unsigned_abs(), (time.tv_usec.unsigned_abs() * 1000) as u32);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// The one in the middle.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What it takes to write a small file and to sync it, in seconds.
pub fn sync(scratch: &Path) -> f64 {
    let path = scratch.join("sync");
    let once = || -> io::Result<f64> {
        let mut file = fs::File::create(&path)?;
        io::Write::write_all(&mut file, &[0; 300])?;
        let start = Instant::now();
        file.sync_all()?;
        Ok(start.elapsed().as_secs_f64())
    };
    median((0..41).map(|_| once().expect("sync a file")).collect())
}

/// What the machine's cores have done so far: for this process and its children, and for all others.
pub fn cpu_of_us_and_others() -> [f64; 2] {
    let stat = fs::read_to_string("/proc/stat").expect("the kernel tells its times");
    let ticks: Vec<f64> = stat.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    // user, nice, system, then idle and waiting for a disk, then interrupts and what the host took.
    let busy = ticks.iter().sum::<f64>() - ticks[3] - ticks[4];
    let ours = (cpu_of(libc::RUSAGE_SELF) + cpu_of_children()).as_secs_f64();
    [ours, busy / 100.0 - ours]
}
