//! The programs that are compared, each doing the same cycle: read the token file, refresh, write it back.
//!
//! `install.sh` has put them into the scratch directory, in the versions that are pinned in
//! `peers/`, `oauth2-peer/` and `floor/`; curl, jq, Python and Node are Debian's, or whatever package
//! brought them. Each is run with the variables of `Ledger::environment`, by its own command.

use crate::ledger::{ALL_ROOTS, CA_FILE, DEBIANS_ROOTS, Ledger};
use crate::measure::Job;
use crate::token_server::Relay;
use crate::weight;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The one that all are compared with.
pub const CURL_JQ: &str = "curl + jq";

/// It reads all the roots that Debian trusts, as curl does where it is not told otherwise.
const CURL_JQ_ALL_ROOTS: &str = "curl + jq, all roots";

pub struct Peer {
    pub name: &'static str,
    /// Of what it consists, with versions.
    pub made_of: String,
    pub words: Vec<String>,
    /// What it takes on the disk, in bytes. See `weight`.
    pub installed: u64,
}

impl Peer {
    /// The command on one file, at the server or at a relay before it.
    pub fn job(&self, ledger: &Ledger, relay: Option<&Relay>, file: &Path) -> Job {
        let mut job = self.job_without_file(ledger, relay);
        job.environment.push(("DOCUSIGN_TOKEN_FILE", file.display().to_string()));
        job
    }

    pub fn job_without_file(&self, ledger: &Ledger, relay: Option<&Relay>) -> Job {
        let endpoint = ledger.endpoint(relay);
        let mut environment = ledger.environment(&endpoint);
        environment.push(("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()));
        environment.push(("HOME", scratch().display().to_string()));
        if self.name == CURL_JQ_ALL_ROOTS {
            for (_, value) in environment.iter_mut().filter(|(name, _)| *name == "SSL_CERT_FILE") {
                *value = value.replace(CA_FILE, ALL_ROOTS);
            }
        }
        if self.name == "ortie" {
            // It takes the endpoint from its configuration only.
            let template = include_str!("peers/ortie.toml");
            let client_id = environment.iter().find(|(name, _)| *name == "DOCUSIGN_CLIENT_ID");
            let client_id = client_id.map_or("", |(_, id)| id);
            let configuration =
                template.replace("CLIENT_ID\"", &format!("{client_id}\"")).replace("TOKEN_ENDPOINT", &endpoint);
            let path = scratch().join("ortie.toml");
            fs::write(&path, configuration).expect("write ortie's configuration");
            environment.push(("ORTIE_CONFIG", path.display().to_string()));
        }
        Job { words: self.words.clone(), environment }
    }
}

/// cargo's target directory.
const BUILT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/..");

/// Where peers, token files and counts are.
pub fn scratch() -> PathBuf {
    Path::new(BUILT).join("bench")
}

/// All of them, ours first: as it is published, then as `make` builds it. `make bench` has built both.
pub fn all() -> Vec<Peer> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = root.join("tests/bench/peers");
    let scratch = scratch();
    let text = |path: &Path| path.display().to_string();
    let file = |name: &'static str, made_of: String, path: PathBuf, words: &[&str]| Peer {
        name,
        made_of,
        words: [&[text(&path).as_str()], words].concat().into_iter().map(str::to_owned).collect(),
        installed: weight::of_tree(&path),
    };
    let python = |name: &'static str, pins: &str, script: &str| {
        let environment = scratch.join(name.to_lowercase());
        let pins = pins.lines().map(|line| line.replace("==", " ")).collect::<Vec<_>>().join(", ");
        Peer {
            name,
            made_of: format!("{}, {pins}", first_line(&["/usr/bin/python3", "--version"])),
            words: vec![text(&environment.join("bin/python3")), text(&here.join(script))],
            installed: weight::of_packages(&["python3"], &[]) + weight::of_tree(&environment),
        }
    };

    let own = format!("{} of this tree", env!("CARGO_PKG_VERSION"));
    let published = Path::new(BUILT).join(format!("dist/{}-linux/docusign-refresh", env::consts::ARCH));
    let built = Path::new(BUILT).join("dist/docusign-refresh");
    let mut peers = vec![
        file("docusign-refresh, published", format!("{own}, as `make dist` builds it: musl"), published, &[]),
        file("docusign-refresh, `make`", format!("{own}, as `make` builds it here"), built, &[]),
    ];
    let curl = first_line(&["curl", "--version"]);
    let curl = curl.split(" (").next().unwrap_or_default();
    let by_shell = |name, how: &str| Peer {
        name,
        made_of: format!("{curl}, {}{how}", first_line(&["jq", "--version"])),
        words: vec![text(&here.join("curl-jq.sh"))],
        installed: weight::of_packages(&["curl", "jq", "ca-certificates"], &[]),
    };
    peers.push(by_shell(CURL_JQ, ""));
    if Path::new(DEBIANS_ROOTS).exists() {
        peers.push(by_shell(CURL_JQ_ALL_ROOTS, "; it reads Debian's bundle of roots, not one CA"));
    }
    peers.push(python("requests-oauthlib", include_str!("peers/requests-oauthlib.txt"), "by_requests_oauthlib.py"));
    peers.push(python("Chilkat", include_str!("peers/chilkat.txt"), "by_chilkat.py"));
    let node = PathBuf::from(first_line(&["sh", "-c", "readlink -f \"$(command -v node)\""]));
    let module = scratch.join("openid-client");
    peers.push(Peer {
        name: "openid-client",
        made_of: format!("Node {}, openid-client {}", first_line(&["node", "--version"]), pinned_in_package_json()),
        words: vec![text(&node), text(&module.join("openid-client.mjs"))],
        // The package that brings node may bring npm as well, which does not run.
        installed: weight::of_packages(&["nodejs"], &["nodejs"]) + weight::of_tree(&node) + weight::of_tree(&module),
    });
    let lock = include_str!("oauth2-peer/Cargo.lock");
    let made_of = ["oauth2", "reqwest", "rustls"].map(|name| format!("{name} {}", locked(lock, name))).join(", ");
    peers.push(file("crate oauth2", made_of, scratch.join("oauth2-peer"), &[]));
    let version = include_str!("peers/ortie.version").trim();
    peers.push(file("ortie", format!("ortie {version}"), scratch.join("bin/ortie"), &["token", "refresh"]));
    let lock = include_str!("floor/Cargo.lock");
    let made_of = ["rustls", "ring"].map(|name| format!("{name} {}", locked(lock, name))).join(", ");
    peers.push(file("floor", made_of, scratch.join("floor"), &[]));
    peers
}

fn first_line(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", words[0]));
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

fn pinned_in_package_json() -> &'static str {
    include_str!("peers/package.json")
        .split("\"openid-client\": \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("it is pinned")
}

/// The version of a crate in a lock file.
fn locked<'a>(lock: &'a str, name: &str) -> &'a str {
    let marked = format!("name = \"{name}\"\nversion = \"");
    let after = lock.split(&marked).nth(1).unwrap_or_else(|| panic!("{name} is not locked"));
    after.split('"').next().unwrap_or_default()
}
