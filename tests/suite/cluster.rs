//! A real Kubernetes API server with a real etcd, as `tests/kubernetes/build.sh` leaves them.
//!
//! Both listen on a loopback address of this process alone. There is one namespace, with a service account
//! that may get and patch one Secret, and a token of that account as the kubelet gets it. What a kubelet and
//! a scheduler do is not here. Nothing outlives a `Cluster`.

use crate::api_server::{NAME, NAMESPACE};
use crate::kit;
use crate::tools;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

pub const PORT: &str = "6443";
const ADMINISTRATOR: &str = "administrator-of-the-tests";

/// The program's rights.
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/esign/roles";
pub const ROLE_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/esign/rolebindings";

pub struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    address: Ipv4Addr,
    etcd: Child,
    server: Mutex<Child>,
}

impl Cluster {
    /// None where there is no kube-apiserver. What it writes goes to `directory`.
    pub fn start(directory: PathBuf) -> Option<Cluster> {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kubernetes");
        if ["kube-apiserver", "etcd"].iter().any(|program| !programs.join(program).is_file()) {
            tools::missing("no kube-apiserver in target/kubernetes: tests/kubernetes/build.sh builds one");
            return None;
        }
        tools::find("curl")?;
        let address = kit::loopback_of_this_process();
        fs::create_dir_all(&directory).expect("make the cluster's directory");
        let write =
            |name: &str, text: &str| fs::write(directory.join(name), text).expect("write a file of the cluster");
        let (certificate, key) = kit::authority().server_pem(&[&address.to_string(), "kubernetes.default.svc"]);
        let accounts = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("generate a key");
        write("ca.crt", &kit::authority().pem());
        write("server.crt", &certificate);
        write("server.key", &key);
        write("accounts.key", &accounts.serialize_pem());
        write("accounts.pub", &accounts.public_key_pem());
        write("tokens.csv", &format!("{ADMINISTRATOR},admin,admin,system:masters\n"));

        let (clients, peers) = (format!("http://{address}:2379"), format!("http://{address}:2380"));
        let etcd = Command::new(programs.join("etcd"))
            .args(["--data-dir".into(), directory.join("etcd")])
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}"), "--log-level", "error"])
            .stdin(Stdio::null())
            .stdout(log(&directory, "etcd.log"))
            .stderr(log(&directory, "etcd.log"))
            .spawn()
            .expect("start etcd");
        let server = serve(&programs, &directory, address);
        let cluster = Cluster { directory, programs, address, etcd, server: Mutex::new(server) };
        cluster.await_ready();
        cluster.furnish();
        Some(cluster)
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    fn furnish(&self) {
        self.create("/api/v1/namespaces", json!({"metadata": {"name": NAMESPACE}}));
        self.create(&self.path("serviceaccounts"), json!({"metadata": {"name": "docusign-refresh"}}));
        self.create(&self.path("secrets"), json!({"metadata": {"name": NAME}}));
        let rule =
            json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": [NAME], "verbs": ["get", "patch"]});
        self.create(ROLE, json!({"metadata": {"name": "docusign-refresh"}, "rules": [rule]}));
        self.allow();
    }

    /// Binds the role to the account.
    pub fn allow(&self) {
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "docusign-refresh"});
        let account = json!({"kind": "ServiceAccount", "name": "docusign-refresh", "namespace": NAMESPACE});
        let metadata = json!({"name": "docusign-refresh"});
        self.create(ROLE_BINDINGS, json!({"metadata": metadata, "roleRef": role, "subjects": [account]}));
    }

    /// A token as the kubelet gets it for a pod.
    pub fn account_token(&self) -> String {
        let path = self.path("serviceaccounts/docusign-refresh/token");
        let token = self.create(&path, json!({"spec": {"expirationSeconds": 3600}}));
        token["status"]["token"].as_str().expect("a token").to_owned()
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{NAMESPACE}/{rest}")
    }

    pub fn secret_path(&self) -> String {
        self.path(&format!("secrets/{NAME}"))
    }

    pub fn secret(&self) -> Value {
        self.administer("GET", &self.secret_path(), None)
    }

    /// Changes the Secret as another client.
    pub fn patch(&self, patch: &Value) {
        self.administer("PATCH", &self.secret_path(), Some(patch));
    }

    /// A Secret where none is.
    pub fn create_secret(&self, secret: Value) {
        self.create(&self.path("secrets"), secret);
    }

    fn create(&self, path: &str, object: Value) -> Value {
        self.administer("POST", path, Some(&object))
    }

    /// One request with all rights, which has to succeed.
    pub fn administer(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let media_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let response = self.curl(&["--fail-with-body"], method, path, ADMINISTRATOR, media_type, &body);
        serde_json::from_slice(&response).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&response)))
    }

    /// The whole response to a request that a client made elsewhere.
    pub fn forward(&self, request: &crate::token_server::Request) -> Vec<u8> {
        let token = request.field("Authorization").and_then(|field| field.strip_prefix("Bearer ")).expect("a token");
        let media_type = request.field("Content-Type").unwrap_or("application/json");
        self.curl(&["--include", "--raw"], request.method(), request.target(), token, media_type, &request.body)
    }

    fn curl(&self, options: &[&str], method: &str, path: &str, token: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--http1.1", "--noproxy", "*", "--request", method, "--cacert"])
            .arg(self.directory.join("ca.crt"))
            .args([
                "--header",
                &format!("Authorization: Bearer {token}"),
                "--header",
                &format!("Content-Type: {media_type}"),
            ])
            .args(options);
        if !body.is_empty() {
            command.args(["--data-binary", "@-"]);
        }
        let url = format!("https://{}:{PORT}{path}", self.address);
        let child = command.arg(url).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("start curl");
        child.stdin.take().expect("it is piped").write_all(body).expect("write to curl");
        let output = child.wait_with_output().expect("wait for curl");
        assert!(output.status.success(), "{method} {path}: {}", String::from_utf8_lossy(&output.stdout));
        output.stdout
    }

    pub fn await_ready(&self) {
        let ready = Command::new("curl")
            .args([
                "--silent",
                "--fail",
                "--noproxy",
                "*",
                "--retry",
                "120",
                "--retry-delay",
                "1",
                "--retry-connrefused",
            ])
            .args(["--header", &format!("Authorization: Bearer {ADMINISTRATOR}"), "--output", "/dev/null", "--cacert"])
            .arg(self.directory.join("ca.crt"))
            .arg(format!("https://{}:{PORT}/readyz", self.address))
            .status();
        let log = || fs::read_to_string(self.directory.join("server.log")).unwrap_or_default();
        assert!(ready.expect("start curl").success(), "not ready: {}", log());
    }

    /// Kills the API server as the kernel would, and starts it again. Returns before it is ready.
    pub fn restart(&self) {
        let mut server = self.server.lock().expect("no thread panicked");
        end(&mut server);
        *server = serve(&self.programs, &self.directory, self.address);
    }
}

fn log(directory: &Path, name: &str) -> File {
    File::options().append(true).create(true).open(directory.join(name)).expect("open a log")
}

fn serve(programs: &Path, directory: &Path, address: Ipv4Addr) -> Child {
    let at = |option: &str, name: &str| format!("{option}={}", directory.join(name).display());
    Command::new(programs.join("kube-apiserver"))
        .args([format!("--etcd-servers=http://{address}:2379"), format!("--bind-address={address}")])
        .args([format!("--advertise-address={address}"), format!("--secure-port={PORT}")])
        .args([at("--tls-cert-file", "server.crt"), at("--tls-private-key-file", "server.key"), at("--cert-dir", "")])
        .args([at("--token-auth-file", "tokens.csv"), at("--service-account-key-file", "accounts.pub")])
        .args([at("--service-account-signing-key-file", "accounts.key"), "--authorization-mode=RBAC".to_owned()])
        .args(["--service-account-issuer=https://kubernetes.default.svc", "--endpoint-reconciler-type=none"])
        .args(["--service-cluster-ip-range=10.0.0.0/24", "--api-audiences=https://kubernetes.default.svc"])
        .stdin(Stdio::null())
        .stdout(log(directory, "server.log"))
        .stderr(log(directory, "server.log"))
        .spawn()
        .expect("start kube-apiserver")
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Ok(server) = self.server.get_mut() {
            end(server);
        }
        end(&mut self.etcd);
    }
}
