//! The access token in a Kubernetes Secret: what the API server may respond, and what becomes of it.
//!
//! Whatever that is, the token file holds the new tokens, and the next run publishes.

use crate::api_server::{self, ACCOUNT_TOKEN, ApiServer, NAME, NAMESPACE, PATH, Pod, status};
use crate::kit::{self, TOKEN_FILE};
use crate::token_server::{Authority, Script, Step};
use crate::tools;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const FAR: u64 = 32_503_680_000;

#[test]
fn the_access_token_and_its_end_are_published_and_nothing_else() {
    let Some(pod) = Pod::new("secret") else { return };
    let outcome = pod.run(&[]).expect_exit(0);
    assert!(outcome.stderr().ends_with("; published to Secret esign/docusign-access\n"), "{}", outcome.stderr());
    assert!(pod.is_published());
    let stored: Value = serde_json::from_slice(&pod.scene.workspace.read(TOKEN_FILE)).expect("JSON");
    assert_eq!(pod.api.data("expires-at"), Some(stored["expires_at"].to_string()));
    let keys = |object: &Value| object.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&pod.api.secret()["data"]), ["access-token", "expires-at"]);

    let record = pod.finish();
    let requests: Vec<_> = record.requests.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(requests, [format!("GET {PATH} HTTP/1.1"), format!("PATCH {PATH} HTTP/1.1")]);
    for request in &record.requests {
        assert_eq!(request.field("Authorization"), Some(format!("Bearer {ACCOUNT_TOKEN}").as_str()));
    }
    let patch: Value = serde_json::from_slice(&record.requests[1].body).expect("JSON");
    assert_eq!(patch["metadata"], json!({"resourceVersion": "7"}));
    assert_eq!(keys(&patch), ["data", "metadata"]);
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let Some(pod) = Pod::new("secret-again") else { return };
    pod.run(&[]).expect_exit(0);
    let published = pod.api.secret();
    let outcome = pod.run(&["--min-ttl", "10m", "--print", "status"]).expect_exit(0);
    assert!(outcome.stderr().contains("; Secret esign/docusign-access is up to date"), "{}", outcome.stderr());
    let told: Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    assert_eq!(told["published"], json!([{"secret": "esign/docusign-access", "outcome": "unchanged"}]));
    assert_eq!(pod.api.secret(), published);
    pod.api.delete();
    pod.run(&["--min-ttl", "10m"]).expect_exit(75);
}

/// A run that needs no refresh makes up for one whose publication failed.
#[test]
fn a_fresh_token_is_published_where_it_is_not_yet() {
    let Some(pod) = Pod::new("secret-fresh") else { return };
    pod.scene.program().run().expect_exit(0);
    let outcome = pod.run(&["--min-ttl", "10m"]).expect_exit(0);
    assert!(outcome.stderr().contains("still fresh") && outcome.stderr().contains("; published to Secret"));
    assert!(pod.is_published());
    assert_eq!(pod.scene.rotation.refreshes(), 1);
}

/// In another namespace, given by a variable.
#[test]
fn the_namespace_can_be_named() {
    let Some(pod) = Pod::new("secret-namespace") else { return };
    fs::remove_file(pod.account().join("namespace")).expect("remove the namespace");
    let program = pod.program_at("127.0.0.1", &pod.port(), Vec::new());
    program.environment("DOCUSIGN_PUBLISH_SECRET", format!("{NAMESPACE}/{NAME}")).run().expect_exit(0);
    assert!(pod.is_published());
}

/// A refusal and then the server as it should be: what the run ends with, and how many requests it takes.
#[test]
fn what_passes_is_tried_again() {
    let stored_all_the_same = |api: &ApiServer| {
        let (get, patch) = (api.step(), api.clone());
        let patch = Step::responding(move |request| {
            patch.respond(request);
            status("504 Gateway Timeout", "Timeout", "Timeout: request did not complete within requested timeout")
        });
        vec![get, patch]
    };
    let forbidden = || {
        let why = "secrets \"docusign-access\" is forbidden: RBAC: role.rbac.authorization.k8s.io not found";
        Step::response(status("403 Forbidden", "Forbidden", why))
    };
    let busy = || {
        let body = "Too many requests, please try again later.\n";
        let length = body.len();
        Step::response(format!(
            "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nRetry-After: 1\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    };
    let full = || Step::response(status("500 Internal Server Error", "", "etcdserver: mvcc: database space exceeded"));
    let conflict = |api: &ApiServer| {
        let (reader, writer) = (api.clone(), api.clone());
        // Somebody writes between the GET and the PATCH.
        let get = Step::responding(move |request| {
            let found = reader.respond(request);
            writer.change(|secret| secret["metadata"]["labels"] = json!({"team": "esign"}));
            found
        });
        vec![get]
    };
    type First = Box<dyn Fn(&ApiServer) -> Vec<Step>>;
    let rows: [(&str, First, usize); 12] = [
        ("conflict", Box::new(conflict), 4),
        (
            "unauthorized",
            Box::new(|_| vec![Step::response(status("401 Unauthorized", "Unauthorized", "Unauthorized"))]),
            3,
        ),
        ("forbidden", Box::new(move |_| vec![forbidden(), forbidden()]), 4),
        ("forbidden-patch", Box::new(move |api| vec![api.step(), forbidden()]), 4),
        ("busy", Box::new(move |_| vec![busy()]), 3),
        ("full", Box::new(move |api| vec![full(), api.step(), full()]), 5),
        (
            "unavailable",
            Box::new(|_| vec![Step::response("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")]),
            3,
        ),
        ("stored", Box::new(stored_all_the_same), 3),
        ("cut", Box::new(|api| vec![api.step(), Step::close_after_request()]), 4),
        ("reset", Box::new(|_| vec![Step::reset_before_handshake()]), 2),
        ("closed", Box::new(|_| vec![Step::close_before_handshake(), Step::close_before_handshake()]), 2),
        (
            "half",
            Box::new(|_| vec![Step::cut("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"kind\":\"Secret\"")]),
            3,
        ),
    ];
    for (name, first, requests) in rows {
        let Some(pod) = Pod::facing(&format!("secret-{name}"), first) else { return };
        let outcome = pod.run(&["--verbose"]).expect_exit(0);
        assert!(pod.is_published() && pod.remaining() == 0, "{}", outcome.report(&[name.to_owned()]));
        assert_eq!(pod.scene.rotation.refreshes(), 1);
        let record = pod.finish();
        assert_eq!(record.requests.len(), requests, "{name}: {}", kit::report_of(&record));
    }
}

/// The kubelet renews the token while the run is under way.
#[test]
fn the_service_account_s_token_is_read_anew_for_each_request() {
    let Some(pod) = Pod::with_script("secret-renewed", |api| Script::always(api.step())) else {
        return;
    };
    pod.api.renew_account_token("Canary7.eyJhbGciOiJSUzI1NiJ9.2");
    let (running, account) = (pod.program().args(["--verbose", "--timeout", "60s"]).start(), pod.account());
    running.await_stderr(&["HTTP status 401"]).expect("the old one is refused");
    fs::write(account.join("token"), "Canary7.eyJhbGciOiJSUzI1NiJ9.2").expect("renew the token");
    let outcome = running.wait();
    // The one more attempt may have come before the file was written; then the next run publishes.
    if outcome.status.code() != Some(0) {
        outcome.expect_exit(75);
        pod.run(&["--min-ttl", "10m"]).expect_exit(0);
    }
    assert!(pod.is_published());
}

/// What no other attempt cures: one attempt, exit code 75, and what to do.
#[test]
fn what_lasts_is_told_at_once() {
    let bad = || {
        let message = "illegal base64 data at input byte 8, error found in #10 byte of ...|Q2FuYXJ5Ny1h|..., bigger \
                       context ...|Canary7-a|...";
        Step::response(status("400 Bad Request", "BadRequest", message))
    };
    let webhook = || {
        let message = "admission webhook \"policy\" denied the request: data Q2FuYXJ5Ny1h Canary7";
        Step::response(status("422 Unprocessable Entity", "Invalid", message))
    };
    type First = Box<dyn Fn(&ApiServer) -> Vec<Step>>;
    let owned_by = |metadata: Value| -> First {
        Box::new(move |api| {
            let metadata = metadata.clone();
            api.change(|secret| {
                for (key, value) in metadata.as_object().expect("an object") {
                    secret["metadata"][key] = value.clone();
                }
            });
            Vec::new()
        })
    };
    let rows: [(&str, First, usize, &str); 14] = [
        (
            "absent",
            Box::new(|api| {
                api.delete();
                Vec::new()
            }),
            1,
            "HTTP status 404",
        ),
        ("bad", Box::new(move |api| vec![api.step(), bad()]), 2, "HTTP status 400"),
        ("bad-get", Box::new(move |_| vec![bad()]), 1, "HTTP status 400"),
        ("webhook", Box::new(move |api| vec![api.step(), webhook()]), 2, "HTTP status 422"),
        (
            "immutable",
            Box::new(|api| {
                api.change(|secret| secret["immutable"] = true.into());
                Vec::new()
            }),
            1,
            "the Secret is immutable",
        ),
        (
            "immutable-since",
            Box::new(|api| vec![api.step(), Step::response(api_server::unprocessable())]),
            2,
            "HTTP status 422",
        ),
        (
            "redirect",
            Box::new(|_| {
                vec![Step::response(
                    "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/\r\nContent-Length: 0\r\n\r\n",
                )]
            }),
            1,
            "something else responds there",
        ),
        (
            "html",
            Box::new(|_| vec![Step::response("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")]),
            1,
            "not a Secret",
        ),
        (
            "external",
            owned_by(json!({"ownerReferences": [{"kind": "ExternalSecret", "name": "a", "controller": true}]})),
            1,
            "ExternalSecret a writes this Secret",
        ),
        (
            "large",
            Box::new(|api| {
                api.change(|secret| secret["data"]["other"] = "A".repeat(1 << 20).into());
                Vec::new()
            }),
            1,
            "use a Secret of its own for the access token",
        ),
        (
            "sealed",
            owned_by(json!({"annotations": {"sealedsecrets.bitnami.com/managed": "true"}})),
            1,
            "Sealed Secrets writes",
        ),
        ("argo", owned_by(json!({"annotations": {"argocd.argoproj.io/tracking-id": "a"}})), 1, "Argo CD writes"),
        ("helm", owned_by(json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}})), 1, "Helm writes"),
        (
            "eso",
            owned_by(json!({"labels": {"reconcile.external-secrets.io/managed": "true"}})),
            1,
            "External Secrets writes",
        ),
    ];
    for (name, first, requests, wanted) in rows {
        let Some(pod) = Pod::facing(&format!("secret-{name}"), first) else { return };
        let outcome = pod.run(&[]).expect_exit(75);
        let told = outcome.stderr();
        assert!(told.contains(wanted) && told.contains("; the token file is safe\n"), "{name}: {told}");
        assert!(told.ends_with("\nhint: correct this, then run again\n"), "{name}: {told}");
        assert!(!told.contains("bigger context") && !told.contains("webhook"), "{name}: {told}");
        assert_eq!((pod.scene.stored(), pod.scene.rotation.refreshes()), (Some(1), 1), "{name}");
        assert_eq!(pod.finish().requests.len(), requests, "{name}: {told}");
    }
}

#[test]
fn the_hints_of_a_secret_that_is_absent_can_be_run() {
    let Some(pod) = Pod::new("secret-hints") else { return };
    pod.api.delete();
    let told = pod.run(&[]).expect_exit(75).stderr();
    for line in [
        "kubectl --namespace esign create secret generic docusign-access",
        "kubectl --namespace esign create role docusign-refresh --verb=get,patch --resource=secrets --resource-name=docusign-access",
        "kubectl --namespace esign create rolebinding docusign-refresh --role=docusign-refresh --serviceaccount=esign:ACCOUNT",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
}

/// Until `--timeout` is over, which holds for the run as a whole.
#[test]
fn what_lasts_longer_than_the_run_is_left_to_the_next() {
    let lasting = |line: &str| {
        let line = line.to_owned();
        Step::responding(move |_| {
            status(&line, "Canary", "secrets is forbidden: User \"system:serviceaccount:esign:default\"")
        })
    };
    let echo = Step::responding(|request| {
        let message = format!("secrets is forbidden: {}", request.field("Authorization").expect("a token"));
        status("403 Forbidden", "Forbidden", &message)
    });
    let portal = Step::response("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\n<html>");
    let rows: [(&str, Step, &str); 8] = [
        ("lasting-portal", portal, "something else responds there"),
        ("lasting-echo", echo, "secrets is forbidden: [masked]"),
        ("lasting-403", lasting("403 Forbidden"), "system:serviceaccount:esign:default"),
        ("lasting-503", lasting("503 Service Unavailable"), "HTTP status 503"),
        ("lasting-401", lasting("401 Unauthorized"), "HTTP status 401"),
        (
            "lasting-429",
            Step::response("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"),
            "HTTP status 429",
        ),
        ("silent", Step::stall(), "no response in time"),
        ("silent-handshake", Step::stall_before_handshake(), "took too long"),
    ];
    for (name, step, wanted) in rows {
        let script = |_: &ApiServer| Script::always(step);
        let Some(pod) = Pod::with_script(&format!("secret-{name}"), script) else { return };
        let began = Instant::now();
        let told = pod.run(&["--timeout", "2s"]).expect_exit(75).stderr();
        assert!(told.contains(wanted), "{name}: {told}");
        assert!(told.ends_with("\nhint: the next run tries again, even if --min-ttl finds the access token fresh\n"));
        assert!(began.elapsed() < Duration::from_secs(6), "{name}: {:?}", began.elapsed());
        assert_eq!((pod.scene.stored(), pod.scene.rotation.refreshes()), (Some(1), 1), "{name}");
    }
}

/// A signal ends a run that waits for the API server: the token file is safe.
#[test]
fn a_signal_ends_a_run_that_waits() {
    let (asked, is_asked) = channel();
    let stall = Step::stall().on_request(move |_| asked.send(()).expect("somebody waits"));
    let Some(pod) = Pod::with_script("secret-signal", |_| Script::always(stall)) else { return };
    let running = pod.program().args(["--timeout", "100s"]).start();
    is_asked.recv().expect("it asks");
    let kill = Command::new("kill").arg(running.id().to_string()).status();
    assert!(kill.expect("start kill").success());
    assert_eq!(running.wait().status.signal(), Some(15));
    assert_eq!(pod.scene.stored(), Some(1));
}

#[test]
fn an_older_token_never_replaces_a_newer_one() {
    let Some(pod) = Pod::new("secret-newer") else { return };
    pod.api.publish("Canary7-newer", FAR);
    let outcome = pod.run(&["--print", "status"]).expect_exit(0);
    assert!(
        outcome.stderr().contains("; Secret esign/docusign-access holds a newer access token, which was kept"),
        "{}",
        outcome.stderr()
    );
    let told: Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    assert_eq!(told["published"], json!([{"secret": "esign/docusign-access", "outcome": "newer"}]));
    assert_eq!(pod.api.data("access-token").as_deref(), Some("Canary7-newer"));
}

/// The newer one comes while this run is between its GET and its PATCH.
#[test]
fn a_newer_token_that_comes_in_between_stays() {
    let Some(pod) = Pod::facing("secret-overtaken", |api| {
        let api = api.clone();
        vec![Step::responding(move |request| {
            let found = api.respond(request);
            api.publish("Canary7-newer", FAR);
            found
        })]
    }) else {
        return;
    };
    pod.run(&[]).expect_exit(0);
    assert_eq!(pod.api.data("access-token").as_deref(), Some("Canary7-newer"));
    assert_eq!(pod.finish().requests.len(), 3);
}

/// The server grants shorter lives than before: the token that this run replaced is older all the same.
#[test]
fn a_shorter_life_is_no_older_token() {
    let Some(mut pod) = Pod::new("secret-shorter") else { return };
    let first: Value = serde_json::from_str(&pod.scene.rotation.first_token_file()).expect("JSON");
    pod.api.publish(first["access_token"].as_str().expect("a token"), FAR);
    pod.run(&[]).expect_exit(0);
    pod.scene.settle();
    assert!(pod.is_published());
}

#[test]
fn only_the_cluster_s_own_authority_is_trusted() {
    let Some(pod) = Pod::new("secret-authority") else { return };
    let other = Authority::new("Another cluster");
    other.write_pem(&pod.account().join("ca.crt"));
    // The variable is for the token endpoint; the API server is not to be trusted for that.
    let told = pod.run(&["--timeout", "5s"]).expect_exit(75).stderr();
    assert!(told.contains("certificate") && told.contains("ca.crt"), "{told}");
    assert_eq!(pod.scene.stored(), Some(1));
    assert!(pod.finish().requests.is_empty());
}

/// The proxy is for the token endpoint.
#[test]
fn no_proxy_stands_between_a_pod_and_its_cluster() {
    let Some(pod) = Pod::new("secret-proxy") else { return };
    let mut program = pod.program().environment("DOCUSIGN_TOKEN_ENDPOINT", pod.scene.endpoint_by_name());
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        program = program.environment(name, format!("http://{}", kit::NOBODY));
    }
    program.environment("NO_PROXY", "localhost").run().expect_exit(0);
    assert!(pod.is_published());
}

/// What is wrong with the settings is found before the refresh token is spent.
#[test]
fn wrong_settings_are_found_before_anything_is_sent() {
    let Some(pod) = Pod::new("secret-settings") else { return };
    let port = pod.port();
    for (name, value, exit) in [
        ("KUBERNETES_SERVICE_HOST", "", 78),
        ("KUBERNETES_SERVICE_HOST", "a b", 78),
        ("KUBERNETES_SERVICE_HOST", "a:b:c", 78),
        ("KUBERNETES_SERVICE_PORT", "", 78),
        ("KUBERNETES_SERVICE_PORT", "0", 78),
        ("DOCUSIGN_PUBLISH_SECRET", "Upper", 64),
        ("DOCUSIGN_PUBLISH_SECRET", "a/b/c", 64),
    ] {
        let program = pod.program_at("127.0.0.1", &port, Vec::new()).environment("DOCUSIGN_PUBLISH_SECRET", NAME);
        let outcome = program.environment(name, value).run().expect_exit(exit);
        assert!(outcome.stderr().contains("\nhint: "), "{}", outcome.stderr());
    }
    for (file, content) in [
        ("token", None),
        ("namespace", None),
        ("ca.crt", None),
        ("ca.crt", Some("not PEM")),
        ("token", Some("")),
        ("namespace", Some("Up")),
    ] {
        let path = pod.account().join(file);
        let kept = fs::read(&path).expect("read it");
        match content {
            Some(content) => fs::write(&path, content).expect("write it"),
            None => fs::remove_file(&path).expect("remove it"),
        }
        let told = pod.run(&[]).expect_exit(66).stderr();
        assert!(told.contains(file) && told.contains("\nhint: "), "{told}");
        assert_eq!(told.contains("it is empty"), content == Some(""), "{told}");
        fs::write(&path, kept).expect("write it");
    }
    pod.scene.program().args(["--publish-secret", NAME]).run().expect_exit(78);
    assert_eq!(pod.scene.rotation.refreshes(), 0);
    assert!(pod.finish().requests.is_empty());
}

#[test]
fn a_dry_run_says_what_it_would_publish_and_publishes_nothing() {
    let Some(pod) = Pod::new("secret-dry") else { return };
    let outcome = pod.run(&["--dry-run", "--access-token-file", "access-token"]).expect_exit(0);
    let url = format!("https://127.0.0.1:{}{PATH}", pod.port());
    for line in ["\n  write the access token to access-token\n", &format!("\n  PATCH {url}\n")] {
        assert!(outcome.stderr().contains(line), "{line}\n{}", outcome.stderr());
    }
    assert!(!outcome.files.contains_key("access-token"));
    assert!(pod.finish().requests.is_empty());
}

#[test]
fn the_api_server_may_be_at_an_address_of_ipv6() {
    let Some(pod) = Pod::new("secret-ipv6") else { return };
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return tools::missing("no IPv6 on this machine") };
    let (port, server) = (listener.local_addr().expect("its address").port(), pod.port());
    // What arrives there is carried to the server, for the two requests that there will be.
    let relay = thread::spawn(move || {
        for _ in 0..2 {
            let (client, _) = listener.accept().expect("a connection");
            let server = TcpStream::connect(format!("127.0.0.1:{server}")).expect("connect to the server");
            let (mut from, mut to) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            let up = thread::spawn(move || io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write)));
            let _ = io::copy(&mut &server, &mut &client).and_then(|_| client.shutdown(Shutdown::Write));
            let _ = up.join().expect("no panic");
        }
    });
    let program = pod.program_at("::1", &port.to_string(), Vec::new()).args(["--publish-secret", NAME]);
    program.run().expect_exit(0);
    assert!(pod.is_published());
    relay.join().expect("no panic");
    // Nobody listens there: what counts is that the address is understood, and named in brackets.
    let program =
        pod.program_at("::1", "1", Vec::new()).args(["--publish-secret", NAME, "--verbose", "--timeout", "1s"]);
    let told = program.run().expect_exit(75).stderr();
    assert!(told.contains("[::1]:1"), "{told}");
}
