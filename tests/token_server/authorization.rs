//! An authorization server in front of a [`Rotation`]: the page at which a human logs in, and the codes that
//! it gives out (RFC 6749, section 4.1; RFC 7636).
//!
//! It is as strict as the strictest server known. The redirect URI must be the registered one, to the letter,
//! in both requests; without it there is a page and no redirect, as at Docusign. PKCE by S256 is required.
//! A code is good once, for two minutes unless told otherwise; one that comes back ends what it was given
//! for. Docusign's account list is at `/oauth/userinfo`.
//!
//! The browser is not there: [`Authorization::browse`] does what a human does with one.

use super::PATH;
use super::request::{Request, form_decode};
use super::rotation::Rotation;
use super::script::{Step, json_response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where the page is.
pub const AUTHORIZATION_PATH: &str = "/oauth/auth";
pub const USERINFO_PATH: &str = "/oauth/userinfo";

/// As at Docusign.
const CODE_LIFETIME: Duration = Duration::from_secs(120);

/// The account list, as Docusign documents it (developers.docusign.com, "Get user info").
const ACCOUNTS: &str = r#"{"sub":"50d89ab1-dad5-4a9e-b409-5f3c4d4e5f6a","name":"Susan Smart","email":"susan@example.org","accounts":[{"account_id":"fe0b61a3-3b9b-4caf-9f54-c592af8f3d5e","is_default":false,"account_name":"Old Corp","base_uri":"https://na3.docusign.net"},{"account_id":"8f3d5efe-0b61-4a3b-b9bc-af9f54c592af","is_default":true,"account_name":"World Wide Co","base_uri":"https://demo.docusign.net"}]}"#;

/// What the human does on the page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allow,
    Decline,
}

/// Clones are handles on the same server.
#[derive(Clone)]
pub struct Authorization {
    rotation: Rotation,
    redirect_uri: String,
    code_lifetime: Duration,
    codes: Arc<Mutex<Vec<Code>>>,
}

/// A code that was given out.
struct Code {
    challenge: String,
    issued: Instant,
    is_spent: bool,
}

impl Authorization {
    /// A login issues the next tokens of this rotation.
    pub fn new(rotation: &Rotation, redirect_uri: &str) -> Authorization {
        Authorization {
            rotation: rotation.clone(),
            redirect_uri: redirect_uri.to_owned(),
            code_lifetime: CODE_LIFETIME,
            codes: Arc::default(),
        }
    }

    pub fn with_code_lifetime(self, code_lifetime: Duration) -> Authorization {
        Authorization { code_lifetime, ..self }
    }

    /// This server as a step of a script, to be repeated.
    pub fn step(&self) -> Step {
        let authorization = self.clone();
        Step::responding(move |request| authorization.respond(request))
    }

    /// What a human does who opens this address: the address at which the browser ends, if it is sent anywhere.
    pub fn browse(&self, address: &str, decision: Decision) -> Option<String> {
        let page = self.get(address);
        let link = match decision {
            Decision::Allow => "Allow",
            Decision::Decline => "Decline",
        };
        let (before, _) = page.split_once(&format!("\">{link}</a>"))?;
        let (_, href) = before.rsplit_once("href=\"")?;
        let redirect = self.get(&href.replace("&amp;", "&"));
        let (_, location) = redirect.split_once("\r\nLocation: ")?;
        location.split("\r\n").next().map(str::to_owned)
    }

    /// The whole response to a browser's request.
    fn get(&self, address: &str) -> String {
        let target = address.find(AUTHORIZATION_PATH).map_or("/", |at| &address[at..]);
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let request = Request::read(&mut request.as_bytes()).expect("a sound request");
        String::from_utf8(self.respond(&request)).expect("a page is text")
    }

    /// The complete response to a request.
    pub fn respond(&self, request: &Request) -> Vec<u8> {
        let path = request.target().split('?').next().unwrap_or_default();
        match (request.method(), path) {
            ("GET", AUTHORIZATION_PATH) => self.page(request),
            ("GET", USERINFO_PATH) => self.accounts(request),
            ("POST", PATH) if request.parameter("grant_type").as_deref() == Some("authorization_code") => {
                self.exchange(request)
            }
            _ => self.rotation.respond(request),
        }
    }

    /// The page with its two links; or, for one of these, the way back to the client.
    fn page(&self, request: &Request) -> Vec<u8> {
        let query = request.query();
        let parameter = |name: &str| {
            let value = query.iter().find(|(key, _)| key == name);
            value.map_or("", |(_, value)| value.as_str())
        };
        if !self.rotation.is_client(parameter("client_id")) {
            return page("400 Bad Request", "<p>The client is not known here.</p>");
        }
        if parameter("redirect_uri") != self.redirect_uri {
            return page("400 Bad Request", "<p>The redirect URI is not registered properly.</p>");
        }
        let back = |response: &str| redirect(&format!("{}?{response}&state={}", self.redirect_uri, parameter("state")));
        if parameter("response_type") != "code" || parameter("scope").is_empty() {
            return back("error=invalid_request");
        }
        if parameter("code_challenge_method") != "S256" || parameter("code_challenge").is_empty() {
            return back("error=invalid_request&error_description=PKCE+is+required");
        }
        match parameter("decision") {
            "allow" => back(&format!(
                "code={}",
                percent_encoding::utf8_percent_encode(
                    &self.issue(parameter("code_challenge")),
                    percent_encoding::NON_ALPHANUMERIC,
                )
            )),
            "decline" => back("error=access_denied&error_description=The+user+declined."),
            _ => {
                let target = request.target().replace('&', "&amp;");
                let link =
                    |decision: &str, name: &str| format!("<a href=\"{target}&amp;decision={decision}\">{name}</a>");
                let links = format!("<p>{} or {}?</p>", link("allow", "Allow"), link("decline", "Decline"));
                page("200 OK", &links)
            }
        }
    }

    fn issue(&self, challenge: &str) -> String {
        let mut codes = self.codes();
        codes.push(Code { challenge: challenge.to_owned(), issued: Instant::now(), is_spent: false });
        code(codes.len() - 1)
    }

    fn exchange(&self, request: &Request) -> Vec<u8> {
        let refuse = |error: &str| {
            json_response(
                "400 Bad Request",
                &format!("{{\"error\":\"invalid_grant\",\"error_description\":\"{error}\"}}"),
            )
        };
        if !self.rotation.knows_client_of(request) {
            return refuse("unauthorized_client");
        }
        let parameter = |name: &str| request.parameter(name).unwrap_or_default();
        let presented = parameter("code");
        let mut codes = self.codes();
        let Some(number) = (0..codes.len()).find(|&number| code(number) == presented) else {
            return refuse("the code was never issued");
        };
        let issued = &mut codes[number];
        if std::mem::replace(&mut issued.is_spent, true) {
            self.rotation.revoke();
            return refuse("the code was used before");
        }
        // In Docusign's words.
        if issued.issued.elapsed() >= self.code_lifetime {
            return refuse("expired_client_token");
        }
        let hash = digest::digest(&digest::SHA256, parameter("code_verifier").as_bytes());
        if BASE64_URL_SAFE_NO_PAD.encode(hash) != issued.challenge {
            return refuse("the code verifier does not fit");
        }
        if parameter("redirect_uri") != self.redirect_uri {
            return refuse("the redirect URI is another one");
        }
        json_response("200 OK", &self.rotation.authorize_again())
    }

    fn accounts(&self, request: &Request) -> Vec<u8> {
        match request.field("Authorization") == Some(&format!("Bearer {}", self.rotation.live_access_token())) {
            true => json_response("200 OK", ACCOUNTS),
            false => json_response("401 Unauthorized", r#"{"error":"invalid_token"}"#),
        }
    }

    fn codes(&self) -> MutexGuard<'_, Vec<Code>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With what needs encoding, and the canary.
fn code(number: usize) -> String {
    format!("Canary7~code+{number}/eyJ0eXAi==")
}

fn page(status: &str, text: &str) -> Vec<u8> {
    let body = format!("<!DOCTYPE html>\n<title>Log in</title>\n{text}\n");
    format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// The query of an address, decoded.
impl Request {
    fn query(&self) -> Vec<(String, String)> {
        let query = self.target().split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (form_decode(name), form_decode(value))).collect()
    }
}
