//! Many token files through `xargs -P`, and a large one: time per file, and memory.

use crate::ledger::{Ledger, TokenFile};
use crate::measure::{Job, median};
use crate::peers::Peer;
use std::fs;
use std::path::Path;

/// How many files there are at each step; each is of its own family of tokens.
pub const FILES: [usize; 4] = [1, 10, 100, 1000];

/// A step is repeated until so many files, or a little more, have been refreshed.
const ENOUGH: usize = 30;

/// As many at a time as the machine has cores, which the server uses as well.
pub const AT_ONCE: usize = 2;

/// A little below what docusign-refresh reads at most.
const LARGE: usize = 1024 * 1024 - 1024;

/// It has many small members, of this length.
const MEMBER: usize = 43;

/// What one file took, in seconds, and the largest process of all, in KiB.
pub struct Step {
    pub wall: f64,
    pub cpu: f64,
    pub resident: u64,
}

/// The steps of `FILES`, then the large file.
pub type Steps = Result<Vec<Step>, String>;

pub fn walk(ledger: &Ledger, peer: &Peer, scratch: &Path) -> Steps {
    let mut steps = Vec::new();
    for count in FILES {
        let mut files: Vec<_> = (0..count).map(|_| ledger.grant("")).collect();
        steps.push(step(ledger, peer, scratch, &mut files)?);
    }
    let more: String =
        (0..LARGE / MEMBER).map(|number| format!(",\n  \"member-{number:06}\": \"{number:020}\"")).collect();
    assert_eq!(more.len(), LARGE / MEMBER * MEMBER);
    steps.push(step(ledger, peer, scratch, &mut [ledger.grant(&more)])?);
    Ok(steps)
}

fn step(ledger: &Ledger, peer: &Peer, scratch: &Path, files: &mut [TokenFile]) -> Result<Step, String> {
    let list = scratch.join("files");
    let names: String = files.iter().map(|file| format!("{}\n", file.path.display())).collect();
    fs::write(&list, names).map_err(|error| error.to_string())?;
    // By its path: std forks itself for a name that it has to look up, and this process, with all that the
    // server holds, takes 10 ms to fork.
    let xargs =
        ["/usr/bin/xargs", "-a", &list.display().to_string(), "-n", "1", "-P", &AT_ONCE.to_string()].map(str::to_owned);
    let job = peer.job_without_file(ledger, None);
    let job = Job { words: [&xargs[..], &job.words].concat(), ..job };
    // The first run makes what later ones find, and is the one whose memory is measured.
    let resident = job.resident(scratch)?;
    files.iter_mut().try_for_each(TokenFile::verify)?;
    let count = files.len();
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ENOUGH.div_ceil(count) {
        let times = job.run()?;
        files.iter_mut().try_for_each(TokenFile::verify)?;
        wall.push(times.wall.as_secs_f64() / count as f64);
        cpu.push(times.cpu.as_secs_f64() / count as f64);
    }
    Ok(Step { wall: median(wall), cpu: median(cpu), resident })
}
