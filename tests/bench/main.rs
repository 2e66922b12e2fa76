//! `make bench`: one cycle (read the token file, refresh it, write it back), side by side with what people
//! use today, on one machine in one go. It prints Markdown: RESULTS.md in this directory is its output.
//!
//! `ledger` is the server, and says whether a run did its work; `peers` are the programs, `measure` what
//! a run costs, `weight` what a peer takes on the disk; `scale`, `network` and `slow_disk` vary the cycle;
//! `controls` shows first that all this would notice a cheat. The server runs in this process, whose time is
//! nobody's figure. A peer whose run fails has no figures but a line that says why.
//!
//! Times are compared in pairs: each run of a peer is followed by one of curl + jq, and the ratio is the
//! median of the pairs' ratios. All peers take turns, so that a busy minute of the machine hits all.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "it reports to a human"
)]

mod controls;
mod ledger;
mod measure;
mod network;
mod peers;
mod scale;
mod slow_disk;
mod table;
#[path = "../token_server/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the rest is for the suite")]
mod token_server;
mod weight;

use ledger::{Ledger, TokenFile};
use measure::{Job, Times};
use peers::{CURL_JQ, Peer};
use slow_disk::SlowDisk;
use std::path::Path;
use std::time::Instant;

/// Pairs of runs, an odd number.
const PAIRS: usize = 41;

/// A file system in memory.
const MEMORY: &str = "/dev/shm/docusign-refresh-bench";

/// One peer's pairs: its own run, and the one of curl + jq after it.
type Pairs = Vec<(Times, Times)>;

/// What a run of one peer uses. A count that could not be made says why.
struct Counts {
    resident: Result<u64, String>,
    instructions: Result<u64, String>,
    system_calls: Result<u64, String>,
}

fn main() {
    let scratch = peers::scratch();
    let ledger = Ledger::open(&scratch.join("token-files"));
    let peers = peers::all();
    let base = peers.iter().find(|peer| peer.name == CURL_JQ).expect("it is among them");
    eprintln!("bench: controls");
    controls::check(&ledger, base);
    let mut disk = SlowDisk::mount(&scratch);
    if let Ok(disk) = &mut disk {
        controls::check_slow_disk(disk);
    }

    table::heading(&peers);
    eprintln!("bench: {PAIRS} pairs of runs on the disk, and as many in memory");
    let (start, before) = (Instant::now(), measure::cpu_of_us_and_others());
    let on_disk = pairs(&ledger, &peers, base);
    let in_memory = pairs(&Ledger::open(Path::new(MEMORY)), &peers, base);
    let after = measure::cpu_of_us_and_others();
    table::times(&peers, &on_disk, &in_memory);
    table::others((after[1] - before[1]) / start.elapsed().as_secs_f64());
    eprintln!("bench: a slow disk");
    table::slow_disk(disk.map(|mut disk| slow_disk::compare(&mut disk, &peers)));

    let mut rows = Vec::new();
    for peer in &peers {
        eprintln!("bench: counts of {}", peer.name);
        rows.push((peer, counts(&ledger, peer, &scratch), network::walls(&ledger, peer)));
    }
    table::counts(&rows);
    table::network(&rows);
    eprintln!("bench: scale");
    let ours = &peers[0];
    table::scale(&[ours, base].map(|peer| (peer, scale::walk(&ledger, peer, &scratch))));
    table::footnotes(&rows);
}

fn pairs(ledger: &Ledger, peers: &[Peer], base: &Peer) -> Vec<Result<Pairs, String>> {
    let mut files: Vec<_> = peers.iter().map(|_| (ledger.grant(""), ledger.grant(""))).collect();
    let mut found: Vec<Result<Pairs, String>> = peers.iter().map(|_| Ok(Vec::new())).collect();
    // The first round warms the caches, and is not counted.
    for round in 0..=PAIRS {
        for ((peer, pairs), (own, other)) in peers.iter().zip(&mut found).zip(&mut files) {
            let Ok(so_far) = pairs else { continue };
            let pair = one_run(ledger, peer, own).and_then(|own| Ok((own, one_run(ledger, base, other)?)));
            match pair {
                Ok(pair) if round > 0 => so_far.push(pair),
                Ok(_) => {}
                Err(why) => *pairs = Err(why),
            }
        }
    }
    found
}

fn one_run(ledger: &Ledger, peer: &Peer, file: &mut TokenFile) -> Result<Times, String> {
    let times = peer.job(ledger, None, &file.path).run()?;
    file.verify()?;
    Ok(times)
}

fn counts(ledger: &Ledger, peer: &Peer, scratch: &Path) -> Counts {
    let mut file = ledger.grant("");
    let mut count = |count: fn(&Job, &Path) -> Result<u64, String>| {
        let figure = count(&peer.job(ledger, None, &file.path), scratch)?;
        file.verify().map(|()| figure)
    };
    Counts {
        resident: count(Job::resident),
        instructions: count(Job::instructions),
        system_calls: count(Job::system_calls),
    }
}
