//! A small Kubernetes API server that holds one Secret, and the pod that publishes to it.
//!
//! It speaks as a real one does (`real_cluster` holds the same program against one): a GET, a merge patch
//! that is a compare-and-swap if it has a `resourceVersion`, and a `Status` for each refusal. What it does otherwise
//! is a script of steps that come first.
//!
//! The pod is a mount namespace in which the service account's directory is where the kubelet mounts it.

use crate::kit::{self, Outcome, Program};
use crate::needs::{self, Need};
use crate::scene::{Footing, Scene};
use crate::token_server::{Record, Request, Script, Step, TokenServer, json_response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub const NAMESPACE: &str = "esign";
pub const NAME: &str = "docusign-access";
pub const PATH: &str = "/api/v1/namespaces/esign/secrets/docusign-access?fieldManager=docusign-refresh";

/// What the kubelet has mounted, until it renews it.
pub const ACCOUNT_TOKEN: &str = "Canary7.eyJhbGciOiJSUzI1NiJ9.1";

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Handles on the same one.
#[derive(Clone)]
pub struct ApiServer(Arc<Mutex<Store>>);

struct Store {
    secret: Option<Value>,
    account_token: String,
}

impl ApiServer {
    /// With an empty Secret.
    pub fn new() -> ApiServer {
        let secret = json!({
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "resourceVersion": "7", "uid": "b9c1"},
            "type": "Opaque",
        });
        ApiServer(Arc::new(Mutex::new(Store { secret: Some(secret), account_token: ACCOUNT_TOKEN.to_owned() })))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets another client change the Secret.
    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut store = self.store();
        let secret = store.secret.as_mut().expect("there is a Secret");
        change(secret);
        bump(secret);
    }

    pub fn delete(&self) {
        self.store().secret = None;
    }

    /// From now on only this one is accepted.
    pub fn renew_account_token(&self, token: &str) {
        self.store().account_token = token.to_owned();
    }

    /// Another client publishes these.
    pub fn publish(&self, token: &str, expires_at: u64) {
        self.change(|secret| {
            secret["data"]["access-token"] = BASE64_STANDARD.encode(token).into();
            secret["data"]["expires-at"] = BASE64_STANDARD.encode(expires_at.to_string()).into();
        });
    }

    /// A value of the Secret's data.
    pub fn data(&self, key: &str) -> Option<String> {
        let store = self.store();
        let value = store.secret.as_ref()?["data"][key].as_str()?;
        Some(String::from_utf8(BASE64_STANDARD.decode(value).expect("base64")).expect("UTF-8"))
    }

    pub fn secret(&self) -> Value {
        self.store().secret.clone().expect("there is a Secret")
    }

    /// The server as a step of a script, to be repeated.
    pub fn step(&self) -> Step {
        let api = self.clone();
        Step::responding(move |request| api.respond(request))
    }

    pub fn respond(&self, request: &Request) -> Vec<u8> {
        let mut store = self.store();
        if request.field("Authorization") != Some(&format!("Bearer {}", store.account_token)) {
            return status("401 Unauthorized", "Unauthorized", "Unauthorized");
        }
        let Some(secret) = store.secret.as_mut().filter(|_| request.target() == PATH) else {
            return status("404 Not Found", "NotFound", "secrets \"docusign-access\" not found");
        };
        match request.method() {
            "GET" => {}
            "PATCH" if request.field("Content-Type") != Some("application/merge-patch+json") => {
                return status("415 Unsupported Media Type", "UnsupportedMediaType", "the body of the request");
            }
            "PATCH" => {
                if let Err(refusal) = merge(secret, &request.body) {
                    return refusal;
                }
            }
            _ => return status("405 Method Not Allowed", "MethodNotAllowed", "the server does not allow this method"),
        }
        json_response("200 OK", &secret.to_string())
    }
}

fn bump(secret: &mut Value) {
    let version: u64 = secret["metadata"]["resourceVersion"].as_str().expect("a text").parse().expect("a number");
    secret["metadata"]["resourceVersion"] = (version + 1).to_string().into();
}

fn merge(secret: &mut Value, patch: &[u8]) -> Result<(), Vec<u8>> {
    let patch: Value = serde_json::from_slice(patch).map_err(|_| status("400 Bad Request", "BadRequest", "JSON"))?;
    let version = &patch["metadata"]["resourceVersion"];
    if !version.is_null() && version != &secret["metadata"]["resourceVersion"] {
        return Err(status("409 Conflict", "Conflict", "the object has been modified"));
    }
    if secret["immutable"] == true {
        return Err(unprocessable());
    }
    for (key, value) in patch["data"].as_object().expect("data") {
        match value {
            Value::Null => {
                secret["data"].as_object_mut().map(|data| data.remove(key));
            }
            value => secret["data"][key] = value.clone(),
        }
    }
    bump(secret);
    Ok(())
}

pub fn unprocessable() -> Vec<u8> {
    status("422 Unprocessable Entity", "Invalid", "data: Forbidden: field is immutable when `immutable` is set")
}

/// A refusal of the API server.
pub fn status(line: &str, reason: &str, message: &str) -> Vec<u8> {
    let code: u16 = line.split(' ').next().expect("a code").parse().expect("a number");
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code});
    json_response(line, &body.to_string())
}

/// A pod with a token file, at a token server that always grants.
pub struct Pod {
    pub scene: Scene,
    pub api: ApiServer,
    server: TokenServer,
    script: Script,
    account: PathBuf,
}

impl Pod {
    /// None where this machine has no mounts for a test.
    pub fn new(name: &str) -> Option<Pod> {
        Pod::with_script(name, |api| Script::always(api.step()))
    }

    /// The API server does these first.
    pub fn facing(name: &str, first: impl FnOnce(&ApiServer) -> Vec<Step>) -> Option<Pod> {
        Pod::with_script(name, |api| Script::once(first(api)).then_always(api.step()))
    }

    pub fn with_script(name: &str, script: impl FnOnce(&ApiServer) -> Script) -> Option<Pod> {
        Need::OwnMounts.is_met().then_some(())?;
        let scene = Scene::new(name, Footing::Plain);
        let api = ApiServer::new();
        let script = script(&api);
        let server = kit::serve(script.clone());
        let account = scene.workspace.beside("serviceaccount");
        fs::create_dir(&account).expect("make the service account's directory");
        fs::write(account.join("token"), format!("{ACCOUNT_TOKEN}\n")).expect("write the token");
        fs::write(account.join("namespace"), NAMESPACE).expect("write the namespace");
        fs::copy(scene.workspace.ca_file(), account.join("ca.crt")).expect("write the certificate");
        Some(Pod { scene, api, server, script, account })
    }

    /// The directory that is mounted as the service account's.
    pub fn account(&self) -> &Path {
        &self.account
    }

    /// The program in this pod, publishing.
    pub fn program(&self) -> Program<'_> {
        self.program_under(Vec::new())
    }

    pub fn program_under(&self, words: Vec<OsString>) -> Program<'_> {
        self.program_at("127.0.0.1", &self.port(), words).args(["--publish-secret", NAME])
    }

    /// The program where the API server is said to be there.
    pub fn program_at(&self, host: &str, port: &str, words: Vec<OsString>) -> Program<'_> {
        let wrapper = [in_pod(&self.account), words].concat();
        let program = self.scene.program_under(wrapper);
        program.environment("KUBERNETES_SERVICE_HOST", host).environment("KUBERNETES_SERVICE_PORT", port)
    }

    /// Runs it so.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.program().args(arguments.iter().copied()).run()
    }

    /// The access token that is in the token file now.
    pub fn stored(&self) -> String {
        let stored: Value = serde_json::from_slice(&self.scene.workspace.read(kit::TOKEN_FILE)).expect("a token file");
        stored["access_token"].as_str().expect("an access token").to_owned()
    }

    pub fn is_published(&self) -> bool {
        self.api.data("access-token").is_some_and(|published| published == self.stored())
    }

    pub fn port(&self) -> String {
        self.server.port().to_string()
    }

    /// How many steps of the script are left.
    pub fn remaining(&self) -> usize {
        self.script.remaining()
    }

    /// What the API server has seen.
    pub fn finish(self) -> Record {
        self.server.finish()
    }
}

/// The words before a program that runs in a pod with this service account.
pub fn in_pod(account: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = needs::own_mounts().iter().map(OsString::from).collect();
    let script = format!(
        "mount -t tmpfs tmpfs /run && mkdir -p {SERVICE_ACCOUNT} && mount --bind \"$0\" {SERVICE_ACCOUNT} && exec \"$@\""
    );
    words.extend(["sh".into(), "-c".into(), script.into(), account.into()]);
    words
}
