//! The access token in a Secret of a real API server: what `publish_secret` shows at the suite's own.

use crate::api_server::{NAME, Pod};
use crate::cluster::{Cluster, PORT, ROLE_BINDINGS};
use crate::kit::{Program, TOKEN_FILE};
use crate::token_server::{Script, Step};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// One cluster for all of it: it takes some seconds to start.
#[test]
fn a_real_api_server_takes_the_token() {
    let Some(pod) = Pod::new("real") else { return };
    let Some(cluster) = Cluster::start(pod.scene.workspace.beside("cluster")).map(Arc::new) else { return };
    it_is_published(&cluster, &pod);
    a_conflict_is_read_again(&cluster);
    an_older_run_leaves_the_token_of_a_newer_one(&cluster);
    without_rights_nothing_is_lost(&cluster);
    a_secret_must_exist_and_be_mutable(&cluster);
    restarts_under_load_lose_nothing(&cluster);
}

/// Gives a pod a token of this cluster.
fn join(cluster: &Cluster, pod: &Pod) {
    fs::write(pod.account().join("token"), cluster.account_token()).expect("write the token");
}

fn new_pod(cluster: &Cluster, name: &str) -> Pod {
    let pod = Pod::new(name).expect("the first one was possible");
    join(cluster, &pod);
    pod
}

fn publishing<'p>(cluster: &Cluster, pod: &'p Pod) -> Program<'p> {
    pod.program_at(&cluster.host(), PORT, Vec::new()).args(["--publish-secret", NAME])
}

fn published(cluster: &Cluster) -> Option<String> {
    let secret = cluster.secret();
    let value = secret["data"]["access-token"].as_str()?;
    Some(String::from_utf8(BASE64_STANDARD.decode(value).expect("base64")).expect("UTF-8"))
}

fn it_is_published(cluster: &Cluster, pod: &Pod) {
    join(cluster, pod);
    let outcome = publishing(cluster, pod).run().expect_exit(0);
    assert!(outcome.stderr().contains("; published to Secret esign/docusign-access"), "{}", outcome.stderr());
    assert_eq!(published(cluster), Some(pod.stored()));
    let secret = cluster.secret();
    assert_eq!(secret["data"].as_object().expect("data").len(), 2);
    let managers = secret["metadata"]["managedFields"].as_array().expect("managers").iter();
    assert!(managers.clone().any(|it| it["manager"] == "docusign-refresh"), "{secret}");
    let outcome = publishing(cluster, pod).args(["--min-ttl", "10m"]).run().expect_exit(0);
    assert!(outcome.stderr().contains("is up to date"), "{}", outcome.stderr());
    assert_eq!(cluster.secret(), secret);
}

/// A pod whose way to the cluster leads through the suite's server: when its first request has its response,
/// and the response is not there yet, `then` is done.
fn interrupted(cluster: &Arc<Cluster>, name: &str, then: impl Fn(&Cluster) + Send + Sync + 'static) -> Pod {
    let (first, rest) = (Arc::clone(cluster), Arc::clone(cluster));
    let pod = Pod::with_script(name, |_| {
        let first = Step::responding(move |request| {
            let response = first.forward(request);
            then(&first);
            response
        });
        Script::once([first]).then_always(Step::responding(move |request| rest.forward(request)))
    });
    let pod = pod.expect("the first one was possible");
    join(cluster, &pod);
    pod
}

/// As it was before anybody published. Two pods may have been granted tokens of one text.
fn empty(cluster: &Cluster) {
    cluster.patch(&json!({"data": null}));
}

fn a_conflict_is_read_again(cluster: &Arc<Cluster>) {
    empty(cluster);
    let pod = interrupted(cluster, "real-conflict", |cluster| {
        cluster.patch(&json!({"metadata": {"labels": {"team": "esign"}}}));
    });
    let outcome = pod.run(&["--verbose"]).expect_exit(0);
    assert!(outcome.stderr().contains("PATCH Secret esign/docusign-access: HTTP status 409"), "{}", outcome.stderr());
    assert_eq!(published(cluster), Some(pod.stored()));
    assert_eq!(cluster.secret()["metadata"]["labels"]["team"], "esign");
}

/// A token file with a token that lives this long, for a run that finds it fresh.
fn with_token(mut pod: Pod, token: &str, seconds: u64) -> Pod {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let tokens = json!({"access_token": token, "refresh_token": "Canary7-refresh", "expires_at": now + seconds});
    pod.scene.workspace.give(TOKEN_FILE, tokens.to_string());
    pod
}

/// The older one has looked at the Secret before the newer one came, and then does not write.
fn an_older_run_leaves_the_token_of_a_newer_one(cluster: &Arc<Cluster>) {
    let newer = with_token(new_pod(cluster, "real-newer"), "Canary7-newer", 7200);
    let older = interrupted(cluster, "real-older", move |cluster| {
        publishing(cluster, &newer).args(["--min-ttl", "1m"]).run().expect_exit(0);
    });
    let older = with_token(older, "Canary7-older", 3600);
    empty(cluster);
    let outcome = older.run(&["--min-ttl", "1m", "--verbose"]).expect_exit(0);
    assert!(outcome.stderr().contains("HTTP status 409"), "{}", outcome.stderr());
    assert!(outcome.stderr().contains("holds a newer access token, which was kept"), "{}", outcome.stderr());
    assert_eq!(published(cluster).as_deref(), Some("Canary7-newer"));
}

fn without_rights_nothing_is_lost(cluster: &Cluster) {
    let pod = new_pod(cluster, "real-forbidden");
    cluster.administer("DELETE", &format!("{ROLE_BINDINGS}/docusign-refresh"), None);
    let told = publishing(cluster, &pod).args(["--timeout", "3s"]).run().expect_exit(75).stderr();
    assert!(told.contains("system:serviceaccount:esign:docusign-refresh"), "{told}");
    assert_eq!(pod.scene.stored(), Some(1));
    empty(cluster);
    cluster.allow();
    publishing(cluster, &pod).args(["--min-ttl", "10m"]).run().expect_exit(0);
    assert_eq!(published(cluster), Some(pod.stored()));
    assert_eq!(pod.scene.rotation.refreshes(), 1);
}

fn a_secret_must_exist_and_be_mutable(cluster: &Cluster) {
    let pod = new_pod(cluster, "real-absent");
    cluster.administer("DELETE", &cluster.secret_path(), None);
    let told = publishing(cluster, &pod).run().expect_exit(75).stderr();
    assert!(told.contains("HTTP status 404") && told.contains("kubectl --namespace esign create secret"), "{told}");
    cluster.create_secret(json!({"metadata": {"name": NAME}, "immutable": true}));
    let told = publishing(cluster, &pod).args(["--min-ttl", "10m"]).run().expect_exit(75).stderr();
    assert!(told.contains("the Secret is immutable"), "{told}");
    cluster.administer("DELETE", &cluster.secret_path(), None);
    cluster.create_secret(json!({"metadata": {"name": NAME}}));
    publishing(cluster, &pod).args(["--min-ttl", "10m"]).run().expect_exit(0);
    assert_eq!(published(cluster), Some(pod.stored()));
}

/// The API server is killed and started again and again, while runs refresh and publish.
fn restarts_under_load_lose_nothing(cluster: &Cluster) {
    const RUNS: usize = 12;
    let pod = new_pod(cluster, "real-restarts");
    let runs = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while runs.fetch_add(1, Ordering::Relaxed) < RUNS {
                    let outcome = publishing(cluster, &pod).args(["--timeout", "20s"]).run();
                    assert!(matches!(outcome.status.code(), Some(0 | 75)), "{}", outcome.report(&[]));
                }
            });
        }
        while runs.load(Ordering::Relaxed) < RUNS {
            cluster.restart();
            cluster.await_ready();
        }
    });
    publishing(cluster, &pod).args(["--min-ttl", "10m"]).run().expect_exit(0);
    assert_eq!(published(cluster), Some(pod.stored()));
    assert_eq!(pod.scene.rotation.reuses(), 0);
    let expires_at: Value = serde_json::from_slice(&pod.scene.workspace.read(TOKEN_FILE)).expect("JSON");
    let told =
        cluster.secret()["data"]["expires-at"].as_str().map(|text| BASE64_STANDARD.decode(text).expect("base64"));
    assert_eq!(told, Some(expires_at["expires_at"].to_string().into_bytes()));
}
