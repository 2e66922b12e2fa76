//! That the harness would notice: peers that cheat, and counts that are known.
//!
//! These run before anything is measured. A peer that sends nothing, one that sends twice, one that does
//! not store what it got, and one that fails must each be an error of just that kind; each means of
//! measuring must find what was put there to be found, in a process that another process started; and the slow
//! disk must be slow at syncs, count them, and be slow at nothing else.

use crate::ledger::Ledger;
use crate::measure::{Job, median};
use crate::peers::{self, Peer};
use crate::slow_disk::SlowDisk;
use crate::token_server::Relay;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

const SEND: &str = r#"
token=${spent:-$(jq -r .refresh_token "$DOCUSIGN_TOKEN_FILE")}
curl --silent --fail --cacert "$SSL_CERT_FILE" $tls --user "$DOCUSIGN_CLIENT_ID:$DOCUSIGN_CLIENT_SECRET" \
  --data grant_type=refresh_token --data-urlencode "refresh_token=$token" "$DOCUSIGN_TOKEN_ENDPOINT""#;

/// Panics with what was not noticed.
pub fn check(ledger: &Ledger, honest: &Peer) {
    let store = r#" > "$DOCUSIGN_TOKEN_FILE.new" && mv "$DOCUSIGN_TOKEN_FILE.new" "$DOCUSIGN_TOKEN_FILE""#;
    let cheats = [
        (":", "it refreshed 0 times"),
        (&format!("{SEND}{store}; {SEND}{store}"), "it refreshed 2 times"),
        (
            &format!("spent=$(jq -r .refresh_token $DOCUSIGN_TOKEN_FILE){SEND}{store}; {SEND} || :"),
            "was refused 1 times",
        ),
        (SEND, "it did not store the new refresh token"),
        (&format!("{SEND} | jq 'del(.access_token)' {store}"), "it did not store the new access token"),
        ("exit 3", "exit status: 3"),
    ];
    for (script, wanted) in cheats {
        let mut file = ledger.grant("");
        let job = shell(ledger, None, honest, script, &file.path);
        let outcome = job.run().and_then(|_| file.verify());
        assert!(outcome.as_ref().is_err_and(|said| said.contains(wanted)), "{script}: {outcome:?}, not {wanted}");
    }

    let scratch = peers::scratch();
    let none = ledger.grant("");
    let run = |script: &str| shell(ledger, None, honest, script, &none.path);
    let (one, four) = (run("/bin/true; :"), run("/bin/true; /bin/true; /bin/true; /bin/true; :"));
    let ratio = |count: fn(&Job, &Path) -> Result<u64, String>| {
        let [one, four] = [&one, &four].map(|job| count(job, &scratch).expect("count a shell") as f64);
        four / one
    };
    within("instructions of four processes to one's", ratio(Job::instructions), 1.9, 3.0);
    within("system calls of four processes to one's", ratio(Job::system_calls), 1.9, 3.0);
    let hold = run("head -c 50000000 /dev/zero | tail -c 50000000 | wc -c; :").resident(&scratch).expect("GNU time");
    within("KiB of a process that holds 50 MB", hold as f64, 48_000.0, 60_000.0);
    let sleep = run("sleep 0.2; :").run().expect("sleep");
    within("seconds of a sleep of 0.2", sleep.wall.as_secs_f64(), 0.2, 0.5);
    within("CPU seconds of a sleep", sleep.cpu.as_secs_f64(), 0.0, 0.02);
    let work = run("timeout 0.3 sh -c 'while :; do :; done'; :").run().expect("work");
    within("CPU seconds of 0.3 at work", work.cpu.as_secs_f64(), 0.05, 0.32);

    for (tls, round_trips) in [("--tlsv1.3", 3), ("--tls-max 1.2", 4)] {
        let relay = Relay::start(ledger.port(), Duration::from_millis(300));
        let file = ledger.grant("");
        let job = shell(ledger, Some(&relay), honest, &format!("tls='{tls}'{SEND}"), &file.path);
        let times = job.run().expect("curl refreshes");
        assert_eq!(relay.round_trips(), round_trips, "round trips of curl {tls}");
        let least = round_trips as f64 * 0.3;
        within("seconds for these round trips", times.wall.as_secs_f64(), least, least + 0.28);
    }
}

/// Panics with what this disk is not.
pub fn check_slow_disk(disk: &mut SlowDisk) {
    const TIMES: u64 = 5;
    let [path, other] = ["control", "other"].map(|name| disk.directory().join(name));
    let directory = File::open(disk.directory()).expect("open the slow disk");
    let file = File::create(&path).expect("create a file on the slow disk");
    let seconds = |act: &dyn Fn() -> io::Result<()>| {
        let once = |_| {
            let start = Instant::now();
            act().expect("the slow disk can do this");
            start.elapsed().as_secs_f64()
        };
        median((0..TIMES).map(once).collect())
    };
    let write = || (&file).write_all(&[0; 300]);
    let replace = || fs::write(&other, [0; 300]).and_then(|()| fs::rename(&other, &path));
    let fast: [(&str, &dyn Fn() -> io::Result<()>); 2] = [("a write", &write), ("a write and a rename", &replace)];
    let before = disk.syncs();
    for (what, act) in fast {
        within(&format!("seconds of {what} on the slow disk"), seconds(act), 0.0, 0.005);
    }
    assert_eq!(disk.syncs() - before, 0, "syncs where there are none");
    let slow: [(&str, &dyn Fn() -> io::Result<()>); 3] = [
        ("a write and fsync", &|| write().and_then(|()| file.sync_all())),
        ("a write and fdatasync", &|| write().and_then(|()| file.sync_data())),
        ("fsync of the directory", &|| directory.sync_all()),
    ];
    for (what, act) in slow {
        let before = disk.syncs();
        within(&format!("seconds of {what} on the slow disk"), seconds(act), 0.010, 0.025);
        assert_eq!(disk.syncs() - before, TIMES, "syncs by {what}");
    }
}

fn within(what: &str, figure: f64, least: f64, most: f64) {
    assert!((least..most).contains(&figure), "{what}: {figure} is not from {least} to {most}");
}

fn shell(ledger: &Ledger, relay: Option<&Relay>, like: &Peer, script: &str, file: &Path) -> Job {
    let words = ["/bin/sh", "-c", script].map(str::to_owned).into();
    Job { words, ..like.job(ledger, relay, file) }
}
