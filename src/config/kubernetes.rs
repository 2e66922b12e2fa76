//! The cluster that this pod runs in: its API server, the roots to trust, and the pod's service account.
//!
//! The same as client-go's in-cluster configuration: two variables, and the files of the service account, which the
//! kubelet mounts.

use std::fmt;
use std::fs;
use std::path::Path;

use http::Uri;

use super::environment::{read_text, variable};
use super::pem;
use super::secret_name::{SecretName, is_label};
use crate::endpoint::is_host;
use crate::failure::Failure;
use crate::transport::Roots;

/// Where the kubelet mounts `token`, `ca.crt` and `namespace`.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

const HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";

const NO_ACCOUNT: &str =
    "every pod has this file unless automountServiceAccountToken is false in the pod or its service account";

/// A Secret, and the API server that holds it.
pub struct SecretPlace {
    pub namespace: String,
    pub name: String,
    /// The pod's own namespace, where it is known.
    pub own_namespace: Option<String>,
    uri: Uri,
}

impl SecretPlace {
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// `NAMESPACE/NAME`
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}

/// Finds, before anything is sent, what this pod needs to publish: the place, and the roots to trust there.
pub fn secret_place(source: &str, wanted: SecretName) -> Result<(SecretPlace, Roots), Failure> {
    let (Some(host), Some(port)) = (variable(HOST), variable(PORT)) else {
        return Err(Failure::configuration(
            source,
            &format!("{HOST} and {PORT} are not set: this is not a pod"),
            "Kubernetes sets both in every pod; elsewhere, use --access-token-file",
        ));
    };
    let (host, port) = (read_text(HOST, &host)?, read_text(PORT, &port)?);
    let account = Path::new(SERVICE_ACCOUNT);
    let own_namespace = read_account(account, "namespace", is_label);
    let (namespace, own_namespace) = match (wanted.namespace, own_namespace) {
        (Some(namespace), own) => (namespace, own.ok()),
        (None, own) => own.map(|own| (own.clone(), Some(own)))?,
    };
    let ca_file = account.join("ca.crt");
    let roots = pem::roots_of(&ca_file, "the cluster's CA file").map_err(|failure| failure.hint(NO_ACCOUNT))?;
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    read_account(account, "token", is_token)?;
    let uri = uri(&host, &port, &namespace, &wanted.name).ok_or_else(|| {
        let what = format!("{HOST} and {PORT} do not name a host and a port");
        Failure::configuration(source, &what, "Kubernetes sets both in every pod: leave them as they are")
    })?;
    Ok((SecretPlace { namespace, name: wanted.name, own_namespace, uri }, roots))
}

/// One of the service account's files, if it holds what it should.
fn read_account(account: &Path, name: &str, is_sound: fn(&str) -> bool) -> Result<String, Failure> {
    let (path, role) = (account.join(name), format!("the service account's {name}"));
    let text = fs::read_to_string(&path);
    let text = text.map_err(|error| Failure::unreadable(&path, &role, &error).hint(NO_ACCOUNT))?;
    let why = match text.trim() {
        text if is_sound(text) => return Ok(text.to_owned()),
        "" => "it is empty",
        _ => "its content is not valid",
    };
    Err(Failure::unusable(&path, &role, why, "the kubelet writes this file: check what is mounted there"))
}

fn uri(host: &str, port: &str, namespace: &str, name: &str) -> Option<Uri> {
    let port: u16 = port.parse().ok().filter(|&port| port != 0)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return None;
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if !is_host(&host) {
        return None;
    }
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}?fieldManager=docusign-refresh");
    format!("https://{host}:{port}{path}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv6_stands_in_brackets() {
        for (host, port, wanted) in [
            ("10.96.0.1", "443", Some("https://10.96.0.1:443/")),
            ("fd00::1", "443", Some("https://[fd00::1]:443/")),
            ("[fd00::1]", "6443", Some("https://[fd00::1]:6443/")),
            ("kubernetes.default.svc", "443", Some("https://kubernetes.default.svc:443/")),
            ("a:b:c", "443", None),
            ("10.96.0.1:443", "443", None),
            ("10.96.0.1", "0", None),
            ("10.96.0.1", "tcp://10.96.0.1:443", None),
            ("10.96.0.1/x", "443", None),
            ("user@10.96.0.1", "443", None),
            ("", "443", None),
        ] {
            let uri = uri(host, port, "ns", "name").map(|uri| uri.to_string());
            let rest = "api/v1/namespaces/ns/secrets/name?fieldManager=docusign-refresh";
            assert_eq!(uri, wanted.map(|beginning| format!("{beginning}{rest}")), "{host} {port}");
        }
    }
}
