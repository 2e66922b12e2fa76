//! The cycle on a slow disk: what it costs there to have the tokens safe before a run goes on.
//!
//! `slow-disk/` is a file system by FUSE, in memory. It takes 10 ms for each sync and hardly any time for
//! anything else, and it counts the syncs; `controls` shows both. It is mounted as long as a [`SlowDisk`] lives.
//! Where the benchmark is killed, the input of its process ends, and with it the mount.

use crate::ledger::Ledger;
use crate::measure::{self, median};
use crate::one_run;
use crate::peers::{CURL_JQ, Peer};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const PROGRAMS: [&str; 5] =
    ["docusign-refresh, published", "docusign-refresh, `make`", CURL_JQ, "crate oauth2", "floor"];

/// An odd number.
const RUNS: usize = 11;

pub struct SlowDisk {
    process: Child,
    answers: BufReader<ChildStdout>,
    directory: PathBuf,
}

/// Of one program: the medians of its runs.
pub struct Figures {
    /// In seconds.
    pub wall: f64,
    pub syncs: f64,
}

pub struct Comparison<'p> {
    /// What it takes to sync a small file, in seconds.
    pub sync: f64,
    pub rows: Vec<(&'p Peer, Result<Figures, String>)>,
}

impl SlowDisk {
    /// Mounts it, empty. Where the machine does not let it, the error says why.
    pub fn mount(scratch: &Path) -> Result<SlowDisk, String> {
        let fuse = Path::new("/dev/fuse");
        File::options().read(true).write(true).open(fuse).map_err(|error| format!("{}: {error}", fuse.display()))?;
        let directory = scratch.join("slow-disk.mounted");
        // A process that was killed has left a mount that nobody serves.
        let _ = Command::new("umount").arg("--lazy").arg(&directory).output();
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let mut command = Command::new(scratch.join("slow-disk"));
        command.arg(&directory).stdin(Stdio::piped()).stdout(Stdio::piped());
        // In a group of its own: Ctrl-C ends the benchmark, and the process then unmounts.
        let mut process = command.process_group(0).spawn().expect("install.sh has built it");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut disk = SlowDisk { process, answers, directory };
        match disk.answer().as_str() {
            "mounted" => Ok(disk),
            why => Err(why.to_owned()),
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How many there have been since it was mounted.
    pub fn syncs(&mut self) -> u64 {
        let questions = self.process.stdin.as_mut().expect("it is piped");
        questions.write_all(b"\n").expect("ask the slow disk");
        self.answer().parse().expect("the slow disk answers with a number")
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("hear from the slow disk");
        line.trim().to_owned()
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // This ends its input first.
        let _ = self.process.wait();
        let _ = fs::remove_dir(&self.directory);
    }
}

/// The programs take turns.
pub fn compare<'p>(disk: &mut SlowDisk, peers: &'p [Peer]) -> Comparison<'p> {
    let sync = measure::sync(disk.directory());
    let ledger = Ledger::open(disk.directory());
    let named = |name| peers.iter().find(|peer| peer.name == name).unwrap_or_else(|| panic!("{name} is no peer"));
    let mut programs = PROGRAMS.map(|name| (named(name), ledger.grant(""), Ok(Vec::new())));
    // The first round warms the caches, and is not counted.
    for round in 0..=RUNS {
        for (peer, file, runs) in &mut programs {
            let Ok(so_far) = runs else { continue };
            let before = disk.syncs();
            match one_run(&ledger, peer, file) {
                Ok(times) if round > 0 => so_far.push((times.wall.as_secs_f64(), (disk.syncs() - before) as f64)),
                Ok(_) => {}
                Err(why) => *runs = Err(why),
            }
        }
    }
    let figures = |runs: Vec<(f64, f64)>| {
        let (wall, syncs) = runs.into_iter().unzip();
        Figures { wall: median(wall), syncs: median(syncs) }
    };
    Comparison { sync, rows: programs.into_iter().map(|(peer, _, runs)| (peer, runs.map(figures))).collect() }
}
