//! A request to the token endpoint (RFC 6749, sections 4.1.3 and 6).
//!
//! Each field is public or secret, so that no secret is shown by mistake.

use super::client::{Client, Field, Value, percent_encoded};
use super::mask::Mask;
use crate::secret::Secret;

/// What the client offers for tokens: the fields of the grant.
pub struct Grant(Vec<Field>);

/// A request, ready to be sent.
pub struct TokenRequest {
    authorization: Option<Secret>,
    fields: Vec<Field>,
    mask: Mask,
}

/// The fields of grant and client authentication, which `--param` cannot set.
pub const GRANT_FIELDS: [&str; 6] =
    ["grant_type", "refresh_token", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

impl Grant {
    /// Section 6.
    pub fn refresh_token(token: &Secret) -> Self {
        Self(vec![
            ("grant_type".to_owned(), Value::Public("refresh_token".to_owned())),
            ("refresh_token".to_owned(), Value::Secret(token.copy())),
        ])
    }
}

impl Grant {
    /// Section 4.1.3, and section 4.5 of RFC 7636.
    pub fn authorization_code(code: &Secret, redirect_uri: &str, verifier: &Secret) -> Self {
        Self(vec![
            ("grant_type".to_owned(), Value::Public("authorization_code".to_owned())),
            ("code".to_owned(), Value::Secret(code.copy())),
            ("redirect_uri".to_owned(), Value::Public(redirect_uri.to_owned())),
            ("code_verifier".to_owned(), Value::Secret(verifier.copy())),
        ])
    }
}

impl TokenRequest {
    /// `parameters` are further form fields (`scope`, `resource`), in order.
    pub fn new(client: &Client, grant: Grant, parameters: &[(String, String)]) -> Self {
        let mut fields = grant.0;
        fields.extend(client.fields());
        fields.extend(parameters.iter().map(|(name, value)| (name.clone(), Value::Public(value.clone()))));
        let authorization = client.authorization();
        let mut mask = Mask::default();
        for (_, value) in &fields {
            if let Value::Secret(secret) = value {
                mask.add(secret.copy());
            }
        }
        let credentials = authorization.as_ref().map(|value| value.without_prefix("Basic "));
        client.secret().map(Secret::copy).into_iter().chain(credentials).for_each(|secret| mask.add(secret));
        Self { authorization, fields, mask }
    }

    /// The refresh token that it sends. A login sends none.
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.fields.iter().find_map(|(name, value)| match value {
            Value::Secret(token) if name == "refresh_token" => Some(token),
            _ => None,
        })
    }

    /// The value of the `Authorization` field, if the client authenticates by one.
    pub fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }

    /// The body, application/x-www-form-urlencoded.
    #[expect(clippy::disallowed_methods, reason = "the request to the token endpoint carries them")]
    pub fn form(&self) -> Secret {
        let encoded = self.fields.iter().map(|(name, value)| {
            let value = match value {
                Value::Public(text) => text,
                Value::Secret(secret) => secret.expose(),
            };
            format!("{}={}", percent_encoded(name), percent_encoded(value))
        });
        Secret::new(encoded.collect::<Vec<_>>().join("&"))
    }

    /// Masks another secret, such as a proxy's password.
    pub fn add_to_mask(&mut self, secret: Secret) {
        self.mask.add(secret);
    }

    /// Masks this request's secrets in messages.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// The request as `--dry-run` shows it: one line each, secrets masked.
    pub fn masked(&self) -> Vec<String> {
        let authorization = self.authorization.iter().map(|_| "Authorization: Basic [masked]".to_owned());
        let fields = self.fields.iter().map(|(name, value)| match value {
            Value::Public(text) => format!("{}={}", percent_encoded(name), percent_encoded(text)),
            Value::Secret(_) => format!("{}=[masked]", percent_encoded(name)),
        });
        authorization.chain(fields).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::ClientAuthentication;
    use super::*;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    fn request(authentication: ClientAuthentication) -> TokenRequest {
        let client = Client { id: "1PpG/Q 1".into(), authentication };
        TokenRequest::new(&client, Grant::refresh_token(&Secret::new("R+/=")), &[("scope".into(), "a b".into())])
    }

    #[expect(clippy::disallowed_methods, reason = "test")]
    fn sent(request: &TokenRequest) -> (Option<String>, String) {
        let authorization = request.authorization().map(|value| {
            let encoded = value.expose().strip_prefix("Basic ").unwrap();
            String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
        });
        (authorization, request.form().expose().to_owned())
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
            assert_eq!(sent(&request(authentication)), (authorization, form));
        }
    }

    #[test]
    fn shows_no_secret() {
        let request = request(ClientAuthentication::SecretPost(Secret::new("hunter2 x")));
        let shown = request.masked().join("&");
        assert_eq!(
            shown,
            "grant_type=refresh_token&refresh_token=[masked]&client_id=1PpG%2FQ%201&client_secret=[masked]&scope=a%20b"
        );
    }
}
