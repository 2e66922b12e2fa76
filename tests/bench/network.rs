//! The cycle over a network with delay: how long it takes, and how often it waits.

use crate::ledger::Ledger;
use crate::measure::median;
use crate::peers::Peer;
use crate::token_server::Relay;
use std::time::Duration;

/// Round trips of the network, in milliseconds; the first is this machine's own.
pub const DELAYS: [u64; 3] = [0, 30, 100];

const RUNS: usize = 5;

pub struct Walls {
    /// The median for each of `DELAYS`, in seconds.
    pub walls: [f64; DELAYS.len()],
    /// As counted with the longest of the delays: the median, since a machine that stalls for that long
    /// between two words of a program makes two of them.
    pub round_trips: usize,
}

pub fn walls(ledger: &Ledger, peer: &Peer) -> Result<Walls, String> {
    let mut file = ledger.grant("");
    let mut found = Walls { walls: [0.0; DELAYS.len()], round_trips: 0 };
    for (delay, wall) in DELAYS.into_iter().zip(&mut found.walls) {
        let (mut runs, mut round_trips) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let relay = Relay::start(ledger.port(), Duration::from_millis(delay));
            let times = peer.job(ledger, Some(&relay), &file.path).run()?;
            file.verify()?;
            round_trips.push(relay.round_trips());
            runs.push(times.wall.as_secs_f64());
        }
        *wall = median(runs);
        round_trips.sort_unstable();
        found.round_trips = round_trips[RUNS / 2];
    }
    Ok(found)
}
