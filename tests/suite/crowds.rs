//! Many runs at once on one token file.
//!
//! The server rotates and knows no grace: one request too many, with a token that was read too
//! early, and the family is revoked. Meanwhile readers, who never lock, see a complete token file
//! at every moment.
//!
//! - Runs that meet refresh once: whoever waited finds fresh tokens, and sends nothing.
//! - Runs with `--min-ttl` refresh once, whenever they start.
//! - Runs that are killed at random and started again get there in the end. A spent token comes
//!   back only from a run that was killed, or after one: of those that come to their own end, no
//!   two send the same. (Here the server forgives; `kills` shows at which calls a kill costs a token.)
//!
//! The kills come from the seed that is printed; `CROWD_SEED` repeats one.

use crate::kit::{Running, TOKEN_FILE};
use crate::scene::{Footing, Scene};
use crate::token_server::Script;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::Path;
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

const CROWD: usize = 64;

/// What `--verbose` says of a run's way, in order; the first only if the lock is taken.
const STATIONS: [&str; 5] =
    ["waiting for another run's lock", ": locked", "the draft is in place", "sending the request", ": committed"];

/// Ends the reading, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads the token file over and over while `meanwhile` runs, and counts.
fn while_reading(token_file: &Path, meanwhile: impl FnOnce()) -> usize {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_over.load(Ordering::Relaxed) {
                let content = fs::read(token_file).expect("it is always there");
                let tokens: serde_json::Value = serde_json::from_slice(&content).expect("it is always complete");
                assert!(tokens["refresh_token"].is_string() && tokens["access_token"].is_string());
                reads += 1;
            }
            reads
        });
        let over = Over(&is_over);
        meanwhile();
        drop(over);
        reader.join().expect("every read is complete")
    })
}

#[test]
fn runs_that_meet_make_one_request() {
    let (all_wait, go) = channel();
    let go = Mutex::new(go);
    let mut scene = Scene::staged("crowd", Footing::Plain, |_, step| {
        // The response is held back until every other run has read the old tokens and waits.
        let held = step.clone().on_request(move |_| go.lock().expect("one request").recv().expect("the others wait"));
        Script::once([held]).then_always(step)
    });
    let reads = while_reading(&scene.workspace.path(TOKEN_FILE), || {
        let crowd: Vec<Running> = (0..CROWD).map(|_| scene.program().args(["--verbose"]).start()).collect();
        let waiting = crowd.iter().filter(|run| run.await_stderr(&STATIONS[..2]) == Some(0)).count();
        assert_eq!(waiting, CROWD - 1, "one run holds the lock");
        all_wait.send(()).expect("the server waits for it");
        let ends: Vec<String> = crowd.into_iter().map(|run| run.wait().expect_exit(0).stderr()).collect();
        let idle = ends.iter().filter(|stderr| stderr.contains("another run has just refreshed it")).count();
        assert_eq!(idle, CROWD - 1, "these found fresh tokens");
    });
    let record = scene.settle();
    println!("{CROWD} runs that met: {} request, {reads} reads", record.requests.len());
    assert_eq!(record.requests.len(), 1);
    assert_eq!((scene.stored(), scene.rotation.refreshes(), scene.rotation.reuses()), (Some(1), 1, 0));
    assert_eq!(scene.litter(), [""; 0]);
}

#[test]
fn runs_with_min_ttl_make_one_request_whenever_they_start() {
    let mut scene = Scene::new("crowd-with-min-ttl", Footing::Plain);
    let reads = while_reading(&scene.workspace.path(TOKEN_FILE), || {
        let crowd: Vec<Running> = (0..CROWD).map(|_| scene.program().args(["--min-ttl", "10m"]).start()).collect();
        crowd.into_iter().for_each(|run| drop(run.wait().expect_exit(0)));
    });
    let record = scene.settle();
    println!("{CROWD} runs with --min-ttl: {} request, {reads} reads", record.requests.len());
    assert_eq!(record.requests.len(), 1);
    assert_eq!((scene.stored(), scene.rotation.refreshes(), scene.rotation.reuses()), (Some(1), 1, 0));
    assert_eq!(scene.litter(), [""; 0]);
}

/// Marsaglia's xorshift: a seed's numbers, each smaller than `end`.
fn random(state: &mut u64, end: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 33) as usize % end
}

#[test]
fn runs_that_are_killed_and_started_again_get_there() {
    const RUNNERS: usize = 24;
    const KILLS: usize = 3;
    let seed = env::var("CROWD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(process::id());
    println!("CROWD_SEED={seed}");

    let mut scene = Scene::new("crowd-killed", Footing::Plain);
    let _forgiving = scene.rotation.clone().with_replays(usize::MAX).without_revocation();
    let started = AtomicUsize::new(0);
    let killed = Mutex::new(BTreeSet::new());
    // Kills so many runs, each at a random station of its way, then lets one come to its end. Each
    // tells the server its number.
    let kill_some = |runner: usize| {
        let mut state = u64::from(seed) << 8 | runner as u64 | 1 << 63;
        let mut kills = 0;
        loop {
            let number = started.fetch_add(1, Ordering::Relaxed).to_string();
            let mut run = scene.program().args(["--verbose", "--param", &format!("run={number}")]).start();
            if kills < KILLS && run.await_stderr(&[STATIONS[random(&mut state, STATIONS.len())]]).is_some() {
                run.kill();
            }
            let outcome = run.wait();
            if outcome.status.code().is_none() {
                kills += 1;
                killed.lock().expect("no thread panicked").insert(number);
                continue;
            }
            outcome.expect_exit(0);
            if kills == KILLS {
                return;
            }
        }
    };
    let reads = while_reading(&scene.workspace.path(TOKEN_FILE), || {
        thread::scope(|scope| {
            for runner in 0..RUNNERS {
                scope.spawn({
                    let kill_some = &kill_some;
                    move || kill_some(runner)
                });
            }
        });
    });

    let record = scene.settle();
    let killed = killed.into_inner().expect("no thread panicked");
    let mut senders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in &record.requests {
        let token = request.parameter("refresh_token").expect("a refresh token");
        senders.entry(token).or_default().push(request.parameter("run").expect("a number"));
    }
    for (token, runs) in &senders {
        let alive = runs.iter().filter(|run| !killed.contains(*run)).count();
        assert!(alive <= 1, "{token} was sent by {runs:?}; killed were {killed:?}");
    }
    println!(
        "{} runs, {} of them killed: {} refreshes, {} spent tokens came back, {reads} reads",
        started.load(Ordering::Relaxed),
        killed.len(),
        scene.rotation.refreshes(),
        scene.rotation.reuses()
    );
    assert_eq!(killed.len(), RUNNERS * KILLS);
    assert_eq!(scene.stored(), Some(scene.rotation.refreshes()));
    assert_eq!(scene.litter(), [""; 0]);
}
