//! A token endpoint that rotates: every refresh spends the refresh token and issues the next.
//!
//! It responds as Docusign documents it (developers.docusign.com, "Obtain access token endpoint"):
//! client authentication by HTTP Basic, a form in, four members of JSON out. What Docusign does
//! with a spent refresh token is not documented, so the strictest rule known is taken, OAuth
//! 2.1's (section 4.3.1): reuse of a spent token revokes the whole family, and nothing but a new
//! login brings it back. A number of replays can be allowed, for servers with a grace window: a
//! replay of the token spent last gets the same new pair again.
//!
//! The tokens hold every character that real servers were seen to use, `+/=~` among them, and
//! the canary by which the suite finds a leaked secret.

use super::PATH;
use super::request::{Request, form_decode};
use super::script::{Step, json_response};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Eight hours, as Docusign grants.
const EXPIRES_IN: u64 = 28800;

/// Who is allowed to refresh.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub secret: String,
}

/// One family of refresh tokens. Clones are handles on the same one.
#[derive(Clone)]
pub struct Rotation {
    client: Client,
    family: Arc<Mutex<Family>>,
}

struct Family {
    /// The live pair is the one of this number; those of smaller numbers are spent.
    generation: usize,
    replays_left: usize,
    reuses: usize,
    upon_reuse: UponReuse,
    life: Life,
}

/// What the server does when a spent token comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UponReuse {
    Revoke,
    Refuse,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Live,
    Revoked,
}

/// What the token endpoint has to say, before it is made into HTTP.
type Verdict = Result<String, (&'static str, &'static str)>;

impl Rotation {
    /// A family that this client has just been granted. Reuse is never forgiven.
    pub fn new(client: Client) -> Rotation {
        Rotation {
            client,
            family: Arc::new(Mutex::new(Family {
                generation: 0,
                replays_left: 0,
                reuses: 0,
                upon_reuse: UponReuse::Revoke,
                life: Life::Live,
            })),
        }
    }

    /// So many times, in all, the token spent last may be replayed.
    pub fn with_replays(self, replays: usize) -> Rotation {
        self.family().replays_left = replays;
        self
    }

    /// Reuse that is not forgiven is refused, and no more: the live token stays live.
    pub fn without_revocation(self) -> Rotation {
        self.family().upon_reuse = UponReuse::Refuse;
        self
    }

    /// This endpoint as a step of a script, to be repeated.
    pub fn step(&self) -> Step {
        let rotation = self.clone();
        Step::responding(move |request| rotation.respond(request))
    }

    /// What the client got at the login, as it keeps it: the four members that Docusign
    /// returns, one a line.
    pub fn first_token_file(&self) -> String {
        indented(&response(0))
    }

    /// A new login: what the client gets now, and what it had before is spent.
    pub fn authorize_again(&self) -> String {
        let mut family = self.family();
        family.generation += 1;
        family.life = Life::Live;
        indented(&response(family.generation))
    }

    /// What `first_token_file` is after so many refreshes: an expiry is added to the members.
    pub fn token_file_after(&self, refreshes: usize, expires_at: u64) -> String {
        match refreshes {
            0 => self.first_token_file(),
            _ => indented(&response(refreshes).replace('}', &format!(",\"expires_at\":{expires_at}}}"))),
        }
    }

    /// How long an access token lives, in seconds.
    pub fn lifetime(&self) -> u64 {
        EXPIRES_IN
    }

    /// The one refresh token that is worth something, or would be, were the family not revoked.
    pub fn live_refresh_token(&self) -> String {
        refresh_token(self.family().generation)
    }

    /// The access token that was issued last.
    pub fn live_access_token(&self) -> String {
        access_token(self.family().generation)
    }

    /// How often a new pair was issued; replays don't count.
    pub fn refreshes(&self) -> usize {
        self.family().generation
    }

    /// How often a spent token came back, forgiven or not.
    pub fn reuses(&self) -> usize {
        self.family().reuses
    }

    pub fn is_revoked(&self) -> bool {
        self.family().life == Life::Revoked
    }

    /// The complete response to a request.
    pub fn respond(&self, request: &Request) -> Vec<u8> {
        if request.target() != PATH {
            return json_response("404 Not Found", "");
        }
        if request.method() != "POST" {
            return json_response("405 Method Not Allowed", "");
        }
        match self.judge(request) {
            Ok(body) => json_response("200 OK", &body),
            Err((error, "")) => json_response("400 Bad Request", &format!(r#"{{"error":"{error}"}}"#)),
            Err((error, description)) => json_response(
                "400 Bad Request",
                &format!(r#"{{"error":"{error}","error_description":"{description}"}}"#),
            ),
        }
    }

    fn judge(&self, request: &Request) -> Verdict {
        let content_type = request.field("Content-Type").unwrap_or_default();
        if !content_type.starts_with("application/x-www-form-urlencoded") {
            return Err(("invalid_request", ""));
        }
        if !self.knows_client_of(request) {
            return Err(("invalid_grant", "unauthorized_client"));
        }
        if request.parameter("grant_type").as_deref() != Some("refresh_token") {
            return Err(("invalid_grant", "unsupported_grant_type"));
        }
        let presented = request.parameter("refresh_token").unwrap_or_default();
        self.family().exchange(&presented)
    }

    /// RFC 6749, section 2.3.1: id and secret are form-encoded, then joined, then base64.
    pub(super) fn knows_client_of(&self, request: &Request) -> bool {
        request
            .basic()
            .as_deref()
            .and_then(|credentials| credentials.split_once(':'))
            .is_some_and(|(id, secret)| form_decode(id) == self.client.id && form_decode(secret) == self.client.secret)
    }

    pub(super) fn is_client(&self, id: &str) -> bool {
        id == self.client.id
    }

    /// Nothing that was issued is worth anything any more.
    pub(super) fn revoke(&self) {
        self.family().life = Life::Revoked;
    }

    fn family(&self) -> MutexGuard<'_, Family> {
        self.family.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Family {
    fn exchange(&mut self, presented: &str) -> Verdict {
        let spent = (0..self.generation).rev().find(|&n| refresh_token(n) == presented);
        if spent.is_some() {
            self.reuses += 1;
        }
        if self.life == Life::Revoked {
            return Err(("invalid_grant", ""));
        }
        match spent {
            None if refresh_token(self.generation) == presented => {
                self.generation += 1;
                Ok(response(self.generation))
            }
            // Never issued: nothing is known about its family.
            None => Err(("invalid_grant", "")),
            Some(n) if n + 1 == self.generation && self.replays_left > 0 => {
                self.replays_left -= 1;
                Ok(response(self.generation))
            }
            Some(_) => {
                if self.upon_reuse == UponReuse::Revoke {
                    self.life = Life::Revoked;
                }
                Err(("invalid_grant", ""))
            }
        }
    }
}

fn refresh_token(generation: usize) -> String {
    format!("Canary7~refresh+{generation}/uFvR==")
}

/// What the server issues as the access token of this number.
pub fn access_token(generation: usize) -> String {
    format!("Canary7~access+{generation}/xK9e==")
}

/// The four members in the order in which Docusign sends them.
fn response(generation: usize) -> String {
    format!(
        r#"{{"access_token":"{}","token_type":"Bearer","refresh_token":"{}","expires_in":{EXPIRES_IN}}}"#,
        access_token(generation),
        refresh_token(generation),
    )
}

/// One member a line.
fn indented(json: &str) -> String {
    let mut text = json.replace('{', "{\n  ").replace(',', ",\n  ").replace("\":", "\": ").replace('}', "\n}");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "Canary7~refresh%2B0%2FuFvR%3D%3D";
    const SECOND: &str = "Canary7~refresh%2B1%2FuFvR%3D%3D";

    fn rotation() -> Rotation {
        Rotation::new(Client { id: "i d".to_owned(), secret: "s".to_owned() })
    }

    /// The response to a refresh by the client `i d`, or by one that has another secret.
    fn refresh(rotation: &Rotation, credentials: &str, token: &str) -> String {
        let body = format!("grant_type=refresh_token&refresh_token={token}");
        let request = format!(
            "POST {PATH} HTTP/1.1\r\nAuthorization: Basic {credentials}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let request = Request::read(&mut request.as_bytes()).expect("a sound request");
        String::from_utf8(rotation.respond(&request)).expect("a response is text")
    }

    /// `i%20d:s`
    const CREDENTIALS: &str = "aSUyMGQ6cw==";

    #[test]
    fn each_refresh_issues_the_next_pair() {
        let rotation = rotation();
        assert!(refresh(&rotation, CREDENTIALS, FIRST).contains("refresh+1"));
        assert!(refresh(&rotation, CREDENTIALS, SECOND).contains("refresh+2"));
        assert_eq!((rotation.refreshes(), rotation.reuses()), (2, 0));
        assert_eq!(rotation.live_refresh_token(), refresh_token(2));
    }

    #[test]
    fn reuse_revokes_the_family() {
        let rotation = rotation();
        refresh(&rotation, CREDENTIALS, FIRST);
        assert!(refresh(&rotation, CREDENTIALS, FIRST).contains("invalid_grant"));
        assert!(refresh(&rotation, CREDENTIALS, SECOND).contains("invalid_grant"));
        assert_eq!((rotation.refreshes(), rotation.reuses()), (1, 1));
        assert!(rotation.is_revoked());
    }

    #[test]
    fn a_replay_that_is_allowed_gets_the_same_pair() {
        let rotation = rotation().with_replays(1);
        let response = refresh(&rotation, CREDENTIALS, FIRST);
        assert_eq!(refresh(&rotation, CREDENTIALS, FIRST), response);
        assert!(!rotation.is_revoked());
        refresh(&rotation, CREDENTIALS, FIRST);
        assert!(rotation.is_revoked());
        assert_eq!((rotation.refreshes(), rotation.reuses()), (1, 2));
    }

    #[test]
    fn a_stranger_spends_nothing() {
        let rotation = rotation();
        assert!(refresh(&rotation, "aSUyMGQ6eA==", FIRST).contains("unauthorized_client"));
        assert!(refresh(&rotation, CREDENTIALS, "Canary7").contains("invalid_grant"));
        assert!(refresh(&rotation, CREDENTIALS, FIRST).contains("200 OK"));
    }
}
