//! That the harness would notice: peers that cheat, and counts that are known.
//!
//! These run before anything is measured. A peer that sends nothing, one that sends twice, one that does
//! not store what it got, and one that fails must each be an error of just that kind; and each means of
//! measuring must find what was put there to be found, in a process that another process started.

use crate::ledger::Ledger;
use crate::measure::Job;
use crate::peers::{self, Peer};
use crate::token_server::Relay;
use std::path::Path;
use std::time::Duration;

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
    let within = |what: &str, figure: f64, least: f64, most: f64| {
        assert!((least..most).contains(&figure), "{what}: {figure} is not from {least} to {most}");
    };
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

fn shell(ledger: &Ledger, relay: Option<&Relay>, like: &Peer, script: &str, file: &Path) -> Job {
    let words = ["/bin/sh", "-c", script].map(str::to_owned).into();
    Job { words, ..like.job(ledger, relay, file) }
}
