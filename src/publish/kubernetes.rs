//! Publishes the access token in a Secret, through the API server of the cluster that this pod runs in.
//!
//! An attempt is one GET and, if the Secret differs, one PATCH: see `secret_object`. The response decides whether
//! there is another attempt, which always begins with the GET: so a patch that was stored although its response
//! said otherwise, or was lost, is found there.
//!
//! | response        | another attempt                                                             |
//! |-----------------|-----------------------------------------------------------------------------|
//! | 401             | one: the kubelet renews the service account's token, and each request reads |
//! |                 | it anew                                                                     |
//! | 403             | until the deadline: after a restart the API server knows no roles for a     |
//! |                 | while ("RBAC: role … not found")                                            |
//! | 409             | until the deadline: somebody wrote to the Secret in between                 |
//! | 408, 429, 5xx   | until the deadline, after `Retry-After` if it is given. A 504 may have been |
//! |                 | stored all the same                                                         |
//! | no response     | until the deadline; but not if the certificate is refused                   |
//! | any other       | none                                                                        |
//!
//! A 400 can quote a part of what was sent, and an admission webhook may quote all of it. So the text
//! of a response to a PATCH is never shown, and that of a response to a GET only for 403, where it names the account.

use std::fs;
use std::io;
use std::mem;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::access_token::AccessToken;
use super::next_step::{AFTER_CORRECTION, NEXT_RUN};
use super::secret_object::{Decision, SecretObject};
use crate::config::{SERVICE_ACCOUNT, SecretPlace};
use crate::failure::{Exit, Failure};
use crate::journal::Journal;
use crate::json::Object;
use crate::oauth::Mask;
use crate::report::Published;
use crate::secret::Secret;
use crate::terminal::reason;
use crate::transport::{Client, Content, Deadlines, End, Method, Network, Reason, Request, Response, Roots};

/// One request may take this long: an API server that accepts a connection and stays silent leaves time for another.
const MAX_ATTEMPT: Duration = Duration::from_secs(10);
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// What has responded, if that was not an API server.
const OTHER_SERVER: &str = "check KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: something else responds there";

/// The API server, and the Secret there.
pub struct ApiServer {
    place: SecretPlace,
    client: Client,
    journal: Journal,
    /// Whether a 401 has led to another attempt.
    has_retried_after_401: bool,
}

/// Why an attempt did not publish.
struct FailedAttempt {
    what: String,
    hints: Vec<String>,
    retry: Retry,
    /// The API server's Retry-After.
    least_wait: Duration,
}

impl FailedAttempt {
    fn new(what: String, retry: Retry) -> Self {
        Self { what, hints: Vec::new(), retry, least_wait: Duration::ZERO }
    }

    /// No other attempt can succeed.
    fn refused(what: &str, hint: &str) -> Self {
        Self { hints: vec![hint.to_owned()], ..Self::new(what.to_owned(), Retry::Never) }
    }

    /// The response is missing, or cut off.
    fn failed(reason: &Reason) -> Self {
        let failed = Self::new(format!("the API server: {reason}"), Retry::UntilDeadline);
        if !reason.is_configuration() {
            return failed;
        }
        let hint = format!("its certificate is checked against {SERVICE_ACCOUNT}/ca.crt only");
        Self { hints: vec![hint], retry: Retry::Never, ..failed }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    Never,
    Once,
    UntilDeadline,
}

/// Whether to try again after an error status.
fn retry(status: u16) -> Retry {
    match status {
        401 => Retry::Once,
        403 | 408 | 409 | 429 | 500.. => Retry::UntilDeadline,
        _ => Retry::Never,
    }
}

impl ApiServer {
    /// No proxy: the API server is in the cluster.
    pub fn new(place: SecretPlace, roots: Roots, journal: Journal) -> Self {
        let network = Network { proxy: None, roots, identity: None };
        Self { place, client: Client::interruptible(network, journal), journal, has_retried_after_401: false }
    }

    pub fn place(&self) -> &SecretPlace {
        &self.place
    }

    /// Publishes, in as many attempts as it takes, and ends by `deadline`.
    pub fn publish(&mut self, ours: &AccessToken<'_>, deadline: Instant) -> Result<Published, Failure> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failed = match self.attempt(ours, deadline) {
                Ok(published) => return Ok(published),
                Err(failed) => failed,
            };
            self.journal.step(format_args!("{}: {}", self.place, failed.what));
            let wait =
                INITIAL_BACKOFF.saturating_mul(1 << (attempts - 1).min(8)).min(MAX_BACKOFF).max(failed.least_wait);
            let is_last = match failed.retry {
                Retry::Never => true,
                Retry::Once => mem::replace(&mut self.has_retried_after_401, true),
                Retry::UntilDeadline => false,
            };
            if is_last || wait >= deadline.saturating_duration_since(Instant::now()) {
                return Err(self.failure(failed, attempts));
            }
            self.journal.step(format_args!("waiting {} ms", wait.as_millis()));
            thread::sleep(wait);
        }
    }

    /// One GET and, if the Secret differs, one PATCH.
    fn attempt(&mut self, ours: &AccessToken<'_>, deadline: Instant) -> Result<Published, FailedAttempt> {
        let found = self.send(Method::GET, None, deadline)?;
        let Some(object) = SecretObject::parse(&found.content()) else {
            return Err(FailedAttempt::refused("the response is not a Secret", OTHER_SERVER));
        };
        match object.decide(ours) {
            Decision::Nothing => Ok(Published::Unchanged),
            Decision::KeepNewer => Ok(Published::NewerKept),
            Decision::RefuseOwned(owner) => Err(FailedAttempt::refused(
                &format!("{owner} writes this Secret, and would restore an older access token"),
                "name a Secret that nothing else writes",
            )),
            Decision::RefuseImmutable => Err(FailedAttempt::refused(
                "the Secret is immutable",
                "delete it and create it again without \"immutable: true\"",
            )),
            Decision::Patch(patch) => self.send(Method::PATCH, Some(&patch), deadline).map(|_| Published::Written),
        }
    }

    fn send(&mut self, method: Method, patch: Option<&Secret>, deadline: Instant) -> Result<Response, FailedAttempt> {
        let authorization = bearer(Path::new(SERVICE_ACCOUNT)).map_err(|error| {
            let what = format!("cannot read the service account's token: {}", reason(&error));
            FailedAttempt::new(what, Retry::UntilDeadline)
        })?;
        let request = Request {
            method: method.clone(),
            uri: self.place.uri(),
            authorization: Some(&authorization),
            headers: &[],
            content: patch.map(|text| Content { media_type: "application/merge-patch+json", text }),
        };
        let respond_by = deadline.min(Instant::now() + MAX_ATTEMPT);
        let response = self.client.send(&request, Deadlines { send_by: respond_by, respond_by });
        let response = response.map_err(|failure| FailedAttempt::failed(failure.reason()))?;
        self.judge(&method, response, authorization)
    }

    /// The response, if its status is a success; otherwise why the attempt failed.
    fn judge(&self, method: &Method, response: Response, authorization: Secret) -> Result<Response, FailedAttempt> {
        let status = response.status;
        self.journal.step(format_args!("{method} {}: HTTP status {status}", self.place));
        match &response.end {
            End::CutOff(reason) => return Err(FailedAttempt::failed(reason)),
            End::TooLarge(reason) => {
                let what = format!("the API server: {reason}");
                return Err(FailedAttempt::refused(&what, "use a Secret of its own for the access token"));
            }
            End::Whole | End::Unmarked if (200..300).contains(&status) => return Ok(response),
            End::Whole | End::Unmarked => {}
        }
        let mut mask = Mask::default();
        mask.add(authorization);
        let refusal = status_object(&response.content());
        let seconds = response.retry_after.as_deref().and_then(|seconds| seconds.trim().parse().ok());
        Err(FailedAttempt {
            what: status_message(method, status, refusal.as_ref(), &mask),
            hints: match refusal {
                None if matches!(status, 300..=399 | 401 | 403 | 404) => vec![OTHER_SERVER.to_owned()],
                _ => self.hints(status),
            },
            retry: retry(status),
            least_wait: seconds.map_or(Duration::ZERO, Duration::from_secs),
        })
    }

    fn hints(&self, status: u16) -> Vec<String> {
        let (namespace, name) = (&self.place.namespace, &self.place.name);
        let create = format!("kubectl --namespace {namespace} create secret generic {name}");
        let role = format!(
            "kubectl --namespace {namespace} create role docusign-refresh --verb=get,patch --resource=secrets \
             --resource-name={name}"
        );
        let account = self.place.own_namespace.as_deref().unwrap_or("NAMESPACE");
        let binding = format!(
            "kubectl --namespace {namespace} create rolebinding docusign-refresh --role=docusign-refresh \
             --serviceaccount={account}:ACCOUNT"
        );
        match status {
            401 => vec!["the API server does not accept this pod's service account token".to_owned()],
            403 => vec![
                format!("the pod's service account needs get and patch on this Secret: {role}"),
                format!("and, with the name of the account: {binding}"),
            ],
            404 => vec![
                format!("the Secret must exist: {create}"),
                format!("the pod's service account needs get and patch on it: {role}"),
                format!("and, with the name of the account: {binding}"),
            ],
            422 => vec!["the Secret may hold 1 MiB at most; a policy of the cluster may also refuse it".to_owned()],
            _ => Vec::new(),
        }
    }

    fn failure(&self, failed: FailedAttempt, attempts: u32) -> Failure {
        let mut what = format!("the access token was not published: {}", failed.what);
        if attempts > 1 {
            what += &format!(", after {attempts} attempts");
        }
        let failure = Failure::new(Exit::TempFail, self.place.to_string(), what + "; the token file is safe");
        let next = if failed.retry == Retry::Never { AFTER_CORRECTION } else { NEXT_RUN };
        failed.hints.into_iter().fold(failure, Failure::hint).hint(next)
    }
}

/// What an API server refuses with. Of the statuses in `hints`, none comes from it without this object.
fn status_object(body: &[u8]) -> Option<Object> {
    let object = Object::parse(&std::str::from_utf8(body).ok()?.into()).ok()?;
    (object.string("kind")? == "Status").then_some(object)
}

/// The status; and the server's message if it cannot hold a secret.
fn status_message(method: &Method, status: u16, refusal: Option<&Object>, mask: &Mask) -> String {
    let what = format!("the API server refused the {method} with HTTP status {status}");
    let message = refusal.and_then(|object| object.string("message"));
    match message.filter(|_| status == 403 && *method == Method::GET) {
        Some(message) => format!("{what}, and says \"{}\"", mask.printable(&message)),
        None => what,
    }
}

/// The service account's token, as it is now.
fn bearer(account: &Path) -> io::Result<Secret> {
    let token = fs::read_to_string(account.join("token"))?;
    let token = token.trim();
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Secret::new(format!("Bearer {token}"))),
        false => Err(io::Error::other("not a bearer token")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_status_is_tried_again() {
        for (status, wanted) in [
            (302, Retry::Never),
            (400, Retry::Never),
            (401, Retry::Once),
            (403, Retry::UntilDeadline),
            (404, Retry::Never),
            (408, Retry::UntilDeadline),
            (409, Retry::UntilDeadline),
            (413, Retry::Never),
            (415, Retry::Never),
            (422, Retry::Never),
            (429, Retry::UntilDeadline),
            (500, Retry::UntilDeadline),
            (503, Retry::UntilDeadline),
            (504, Retry::UntilDeadline),
        ] {
            assert_eq!(retry(status), wanted, "{status}");
        }
    }

    #[test]
    fn only_the_text_of_a_get_that_is_forbidden_is_shown() {
        let refusal = status_object(br#"{"kind":"Status","message":"canary"}"#);
        for status in [400, 401, 403, 404, 409, 413, 422, 429, 500, 504] {
            for method in [Method::GET, Method::PATCH] {
                let shows = status_message(&method, status, refusal.as_ref(), &Mask::default()).contains("canary");
                assert_eq!(shows, status == 403 && method == Method::GET, "{method} {status}");
            }
        }
        assert!(status_object(b"canary").is_none() && status_object(b"{\"message\":\"canary\"}").is_none());
    }
}
