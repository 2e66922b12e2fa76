//! RFC 6749: section 6 (the refresh request) out, section 5 (its answer) in. No I/O.
//!
//! A request knows its own secrets, so the answer to it is read by the request: text that a server
//! sends back never shows one of them. What servers do beside the RFC is tolerated in one line
//! each, with its source; `server-replies` and `facts` name the notes this project was started on.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::json::{Object, quote};
use crate::lifetime;
use crate::names::Subject;
use crate::secret::Secret;
use crate::text;

/// Who asks, and how that is proved (RFC 6749, section 2.3).
pub struct Client {
    pub id: String,
    pub authentication: ClientAuthentication,
}

pub enum ClientAuthentication {
    /// Id and secret percent-encoded, then Basic (section 2.3.1).
    SecretBasic(Secret),
    /// Basic without the encoding, for servers that don't decode.
    SecretBasicRaw(Secret),
    /// Both in the body (section 2.3.1, "NOT RECOMMENDED").
    SecretPost(Secret),
    /// A public client, or one that TLS authenticates (RFC 8705): only the id, in the body.
    None,
}

/// One refresh request (section 6), ready to be sent more than once.
pub struct RefreshRequest {
    authorization: Option<Secret>,
    form: Secret,
    /// What may not come back in a message, in every spelling that was sent; the longest first.
    spellings: Vec<Secret>,
}

/// What stands outside of which every byte is percent-encoded, a space as %20: every server that
/// decodes accepts it, also those that keep '+' as '+' (server-replies: authlib).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');

/// The fields of the grant itself, which `--param` can't set.
pub const GRANT_FIELDS: [&str; 6] =
    ["grant_type", "refresh_token", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

impl RefreshRequest {
    /// `parameters` are further form fields (`scope`, `resource`), in order.
    #[expect(clippy::disallowed_methods, reason = "the request to the token endpoint carries them")]
    pub fn new(client: &Client, refresh_token: &Secret, parameters: &[(String, String)]) -> Self {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let mut spellings = vec![refresh_token.expose().to_owned(), encode(refresh_token.expose())];
        let mut authorization = None;
        let mut basic = |credentials: String| {
            let encoded = BASE64_STANDARD.encode(credentials);
            spellings.push(encoded.clone());
            authorization = Some(Secret::new(format!("Basic {encoded}")));
        };
        match &client.authentication {
            ClientAuthentication::SecretBasic(secret) => {
                basic(format!("{}:{}", encode(&client.id), encode(secret.expose())));
            }
            ClientAuthentication::SecretBasicRaw(secret) => basic(format!("{}:{}", client.id, secret.expose())),
            ClientAuthentication::SecretPost(secret) => {
                fields.extend([("client_id", client.id.as_str()), ("client_secret", secret.expose())]);
            }
            ClientAuthentication::None => fields.push(("client_id", &client.id)),
        }
        if let Some(secret) = client.secret() {
            spellings.extend([secret.expose().to_owned(), encode(secret.expose())]);
        }
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        fields.extend(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let form = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        Self {
            authorization,
            form: Secret::new(form.collect::<Vec<_>>().join("&")),
            spellings: spellings.into_iter().map(Secret::new).collect(),
        }
    }

    /// The value of the `Authorization` field, if the client authenticates by one.
    pub fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }

    /// The body, application/x-www-form-urlencoded.
    pub fn form(&self) -> &Secret {
        &self.form
    }

    /// The request as `--dry-run` shows it: one line each, secrets masked.
    #[expect(clippy::disallowed_methods, reason = "every secret is masked right here")]
    pub fn masked(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.authorization.is_some() {
            lines.push("Authorization: Basic [masked]".to_owned());
        }
        for field in self.form.expose().split('&') {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let value = if ["refresh_token", "client_secret"].contains(&name) { "[masked]" } else { value };
            lines.push(format!("{name}={value}"));
        }
        lines
    }

    /// Reads the body of an answer to this request. A body that can be understood as tokens is
    /// tokens, whatever else is odd about it: the server has spent the refresh token for them.
    pub fn read(&self, status: u16, body: Body<'_>) -> Result<TokenResponse, Unanswered> {
        let (Body::Whole(bytes) | Body::MaybeCut(bytes)) = body;
        // A BOM, or a stray byte in a member that nobody reads, is no reason to lose a token.
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes));
        let text = text.trim();
        if text.is_empty() {
            return Err(Unanswered::NotOauth("an empty body"));
        }
        let form = || matches!(body, Body::Whole(_)).then(|| read_form(text))?;
        let is_success = (200..300).contains(&status);
        let whole = Object::parse_leniently(text).ok();
        let Some(object) = whole.or_else(form).or_else(|| read_tokens_behind(text)) else {
            return match read_tokens_before_fault(text).filter(|_| is_success) {
                Some(object) => Ok(TokenResponse::new(object, self).but_not_whole()),
                None => Err(Unanswered::NotOauth(name_of_foreign_body(text, bytes))),
            };
        };
        match object.string("access_token").filter(|token| !token.is_empty() && is_success) {
            Some(_) => Ok(TokenResponse::new(object, self)),
            None => Err(self.read_error(&object)),
        }
    }

    fn read_error(&self, object: &Object) -> Unanswered {
        let code = object.string("error").filter(|code| !code.is_empty());
        // HubSpot has no `error`, but a `status` (facts 2.4).
        let code = code.or_else(|| object.string("status").filter(|code| code == "BAD_REFRESH_TOKEN"));
        let Some(code) = code else { return Unanswered::NotOauth("JSON without access_token or error") };
        let description = object.string("error_description").unwrap_or_default();
        let reference = ["reference_id", "trace_id", "traceId", "correlation_id", "request_id"]
            .iter()
            .find_map(|name| Some(format!("{name} {}", self.printable(&object.string(name)?))));
        Unanswered::Refused(ErrorResponse {
            verdict: Verdict::of(&code, &description),
            code: self.printable(&code),
            description: Some(self.printable(&description)).filter(|text| !text.is_empty()),
            reference,
        })
    }

    /// A server's text as it may be shown: the request's secrets masked, nothing but printable
    /// ASCII, at most 200 characters.
    #[expect(clippy::disallowed_methods, reason = "searched for, to be masked")]
    pub fn printable(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for spelling in self.spellings.iter().filter(|spelling| !spelling.expose().is_empty()) {
            text = text.replace(spelling.expose(), "[masked]");
        }
        text::printable(&text)
    }
}

impl Client {
    fn secret(&self) -> Option<&Secret> {
        match &self.authentication {
            ClientAuthentication::SecretBasic(secret)
            | ClientAuthentication::SecretBasicRaw(secret)
            | ClientAuthentication::SecretPost(secret) => Some(secret),
            ClientAuthentication::None => None,
        }
    }
}

/// A token response (section 5.1): its members, as the server wrote them, have an access token.
pub struct TokenResponse {
    pub members: Object,
    /// None if the server sent none, or an empty one (facts 2.4: Azure, PayPal): the old one stays.
    pub refresh_token: Option<Secret>,
    pub expires_in: Option<Duration>,
    /// What is odd about it, printable.
    pub warnings: Vec<String>,
}

impl TokenResponse {
    fn new(members: Object, request: &RefreshRequest) -> Self {
        // One that is missing counts as Bearer, as in golang/oauth2; its case does not matter (section 5.1).
        let foreign_type = members
            .string("token_type")
            .filter(|kind| !kind.is_empty() && !kind.eq_ignore_ascii_case("bearer"))
            .map(|kind| format!("the server calls the token's type \"{}\", not Bearer", request.printable(&kind)));
        Self {
            refresh_token: members.string("refresh_token").filter(|token| !token.is_empty()).map(Secret::new),
            expires_in: lifetime::of(Subject::AccessToken, &members),
            warnings: foreign_type.into_iter().collect(),
            members,
        }
    }

    fn but_not_whole(mut self) -> Self {
        self.warnings.push("the server's answer is cut off or no JSON behind its tokens; they are stored".to_owned());
        self
    }
}

/// The body of an answer. Only a whole one may be a form: JSON shows its own end, a form may have been
/// cut inside a token.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    Whole(&'a [u8]),
    MaybeCut(&'a [u8]),
}

/// Why an answer brought no tokens.
pub enum Unanswered {
    Refused(ErrorResponse),
    /// The body is no answer of a token endpoint, but this.
    NotOauth(&'static str),
}

/// An error response (section 5.2), its texts printable and free of the request's secrets.
pub struct ErrorResponse {
    pub code: String,
    pub description: Option<String>,
    /// Not secret; support asks for it (facts 1.4).
    pub reference: Option<String>,
    pub verdict: Verdict,
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server says \"{}\"", self.code)?;
        if let Some(description) = &self.description {
            write!(f, ": \"{description}\"")?;
        }
        match &self.reference {
            Some(reference) => write!(f, " ({reference})"),
            None => Ok(()),
        }
    }
}

/// What a refusal means: who must act.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The refresh token is dead: a human must authorize again.
    Reauthorize,
    /// Client, secret, environment or request are wrong; the refresh token was not looked at.
    Configuration,
    /// Another request with the same token is under way, or too many came: try again.
    NotNow,
}

impl Verdict {
    fn of(code: &str, description: &str) -> Self {
        match (code, description) {
            // Docusign reports faults of the client inside invalid_grant (facts 1.4).
            ("invalid_grant", "unauthorized_client" | "expired_client_token" | "unsupported_grant_type") => {
                Self::Configuration
            }
            // Salesforce, for one of two calls at once (facts 2.2).
            ("invalid_grant", text) if text.contains("already being processed") => Self::NotNow,
            // Codes of section 4.1.2.1, which some send from here.
            ("temporarily_unavailable" | "server_error", _) => Self::NotNow,
            // Zoho's throttle, with this space (facts 2.2).
            ("Access Denied", _) => Self::NotNow,
            // GitHub and HubSpot have names of their own for it (facts 2.4).
            (
                "invalid_grant"
                | "interaction_required"
                | "login_required"
                | "consent_required"
                | "bad_refresh_token"
                | "BAD_REFRESH_TOKEN",
                _,
            ) => Self::Reauthorize,
            _ => Self::Configuration,
        }
    }
}

/// Where a human authorizes a client at Docusign (section 4.1.1), with the scope that lets the login
/// outlive its 30th day (facts 1.3). Holds no secret; the redirect URI is the user's to fill in.
pub fn authorization_url(host: &str, client_id: &str) -> String {
    let client_id = encode(client_id);
    format!(
        "https://{host}/oauth/auth?response_type=code&scope=signature%20extended&client_id={client_id}&redirect_uri=YOUR_REDIRECT_URI"
    )
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Tokens behind something else: a PHP server with display_errors prints its warnings first.
fn read_tokens_behind(text: &str) -> Option<Object> {
    let object = Object::parse_leniently(&text[text.find('{')?..]).ok()?;
    object.string("access_token").map(|_| object)
}

/// Tokens in an object that was cut off behind them, or is no JSON there. Both must have been read to their
/// end; then to ask again could only make them worthless.
fn read_tokens_before_fault(text: &str) -> Option<Object> {
    let object = Object::parse_leniently(&text[text.find('{')?..]).err()?;
    let has = |name| object.string(name).is_some_and(|token| !token.is_empty());
    (has("access_token") && has("refresh_token")).then_some(object)
}

fn name_of_foreign_body(text: &str, bytes: &[u8]) -> &'static str {
    match bytes {
        // Though the request says `Accept-Encoding: identity`.
        [0x1F, 0x8B, ..] => "a compressed body, which was not asked for",
        _ if text.starts_with('<') => "an HTML page",
        _ => "a body that is no JSON object",
    }
}

/// A form-encoded answer, as old Facebook and GitHub without `Accept` send (facts 2.4).
fn read_form(text: &str) -> Option<Object> {
    let has = |name: &str| text.split('&').any(|field| field.starts_with(name));
    if text.contains(char::is_whitespace) || !(has("access_token=") || has("error=")) {
        return None;
    }
    let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    let fields = text.split('&').filter_map(|field| {
        let (name, value) = field.split_once('=')?;
        let (name, value) = (decode(name), decode(value));
        // "007" and "+7" are numbers, but not JSON's.
        let value = match value.parse::<u64>() {
            Ok(number) if name == "expires_in" => number.to_string(),
            _ => quote(&value),
        };
        Some((name.into(), value))
    });
    Some(Object::default().with(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(authentication: ClientAuthentication) -> RefreshRequest {
        let client = Client { id: "1PpG/Q 1".into(), authentication };
        RefreshRequest::new(&client, &Secret::new("R+/="), &[("scope".into(), "a b".into())])
    }

    #[expect(clippy::disallowed_methods, reason = "test")]
    fn sent(request: &RefreshRequest) -> (Option<String>, &str) {
        let authorization = request.authorization().map(|value| {
            let encoded = value.expose().strip_prefix("Basic ").unwrap();
            String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
        });
        (authorization, request.form().expose())
    }

    #[test]
    fn authenticates_in_each_way() {
        let secret = || Secret::new("s:+%&=/ é");
        let grant = "grant_type=refresh_token&refresh_token=R%2B%2F%3D";
        let encoded = "s%3A%2B%25%26%3D%2F%20%C3%A9";
        for (authentication, authorization, form) in [
            (
                ClientAuthentication::SecretBasic(secret()),
                Some(format!("1PpG%2FQ%201:{encoded}")),
                format!("{grant}&scope=a%20b"),
            ),
            (
                ClientAuthentication::SecretBasicRaw(secret()),
                Some("1PpG/Q 1:s:+%&=/ é".into()),
                format!("{grant}&scope=a%20b"),
            ),
            (
                ClientAuthentication::SecretPost(secret()),
                None,
                format!("{grant}&client_id=1PpG%2FQ%201&client_secret={encoded}&scope=a%20b"),
            ),
            (ClientAuthentication::None, None, format!("{grant}&client_id=1PpG%2FQ%201&scope=a%20b")),
        ] {
            assert_eq!(sent(&request(authentication)), (authorization, form.as_str()));
        }
    }

    #[test]
    fn masks_what_a_server_echoes() {
        let request = request(ClientAuthentication::SecretPost(Secret::new("hunter2 x")));
        assert_eq!(
            request.printable("bad hunter2 x, hunter2%20x, R+/=, R%2B%2F%3D"),
            "bad [masked], [masked], [masked], [masked]"
        );
        assert!(!request.masked().concat().contains("hunter2"));
    }

    #[test]
    fn shows_foreign_text_harmlessly() {
        assert_eq!(text::printable("a\u{1b}[31mb\r\n\u{e9}\0"), "a?[31mb????");
        assert_eq!(text::printable(&"x".repeat(201)), format!("{}[cut]", "x".repeat(200)));
        assert_eq!(text::printable(&"x".repeat(200)), "x".repeat(200));
    }

    #[test]
    fn judges_refusals() {
        use Verdict::{Configuration, NotNow, Reauthorize};
        for (code, description, verdict) in [
            ("invalid_grant", "", Reauthorize),
            ("invalid_grant", "expired_client_token", Configuration),
            ("invalid_grant", "unauthorized_client", Configuration),
            ("invalid_grant", "token request is already being processed", NotNow),
            ("interaction_required", "", Reauthorize),
            ("bad_refresh_token", "", Reauthorize),
            ("invalid_client", "", Configuration),
            ("anything_else", "", Configuration),
            ("temporarily_unavailable", "", NotNow),
            ("server_error", "", NotNow),
        ] {
            assert_eq!(Verdict::of(code, description), verdict, "{code} {description}");
        }
    }
}
