//! The client and its authentication (RFC 6749, section 2.3).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::secret::Secret;

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

/// A form field's value, by who may see it.
pub enum Value {
    Public(String),
    Secret(Secret),
}

pub type Field = (String, Value);

impl Client {
    /// The value of the `Authorization` field, if the client authenticates by one.
    #[expect(clippy::disallowed_methods, reason = "the request to the token endpoint carries it")]
    pub fn authorization(&self) -> Option<Secret> {
        let credentials = match &self.authentication {
            ClientAuthentication::SecretBasic(secret) => {
                format!("{}:{}", percent_encoded(&self.id), percent_encoded(secret.expose()))
            }
            ClientAuthentication::SecretBasicRaw(secret) => format!("{}:{}", self.id, secret.expose()),
            ClientAuthentication::SecretPost(_) | ClientAuthentication::None => return None,
        };
        Some(Secret::new(format!("Basic {}", BASE64_STANDARD.encode(credentials))))
    }

    /// What the body says of the client.
    pub fn fields(&self) -> Vec<Field> {
        let id = || ("client_id".to_owned(), Value::Public(self.id.clone()));
        match &self.authentication {
            ClientAuthentication::SecretBasic(_) | ClientAuthentication::SecretBasicRaw(_) => Vec::new(),
            ClientAuthentication::SecretPost(secret) => {
                vec![id(), ("client_secret".to_owned(), Value::Secret(secret.copy()))]
            }
            ClientAuthentication::None => vec![id()],
        }
    }

    pub fn secret(&self) -> Option<&Secret> {
        match &self.authentication {
            ClientAuthentication::SecretBasic(secret)
            | ClientAuthentication::SecretBasicRaw(secret)
            | ClientAuthentication::SecretPost(secret) => Some(secret),
            ClientAuthentication::None => None,
        }
    }
}

/// Bytes outside this set are percent-encoded, a space as %20: every server that decodes accepts it, also
/// those that keep '+' as '+' (authlib).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');

/// As form fields and Basic credentials are written (RFC 6749, appendix B).
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}
