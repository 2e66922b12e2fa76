//! An authorization request (RFC 6749, section 4.1.1) with PKCE (RFC 7636): the address that a human opens
//! in a browser.
//!
//! The verifier proves to the token endpoint that the sender of the code also made this address; the state ties the
//! redirected address to it. Both are secret, and random for each login. The address contains the state, but only a
//! hash of the verifier.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest;

use super::client::percent_encoded;
use crate::secret::Secret;

/// In bytes: as many as RFC 7636, section 7.1 recommends.
pub const RANDOM_LENGTH: usize = 32;

pub type RandomBytes = [u8; RANDOM_LENGTH];

/// What a client asks the authorization server for.
pub struct AuthorizationRequest<'a> {
    /// With the query that it may have (section 3.1).
    pub endpoint: &'a str,
    pub client_id: &'a str,
    pub redirect_uri: &'a str,
    pub scope: &'a str,
}

/// What a login keeps between its address and its code.
pub struct LoginSecrets {
    pub state: Secret,
    /// Section 4.1 of RFC 7636.
    pub verifier: Secret,
}

impl LoginSecrets {
    pub fn new(state: RandomBytes, verifier: RandomBytes) -> Self {
        let text = |bytes| Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        Self { state: text(state), verifier: text(verifier) }
    }

    /// Section 4.2 of RFC 7636, by S256.
    #[expect(clippy::disallowed_methods, reason = "hashed")]
    fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.verifier.expose().as_bytes()))
    }
}

impl AuthorizationRequest<'_> {
    /// The address to open. A space is written as %20: Docusign takes `signature+extended` for one name.
    #[expect(clippy::disallowed_methods, reason = "the address carries the state")]
    pub fn address(&self, secrets: &LoginSecrets) -> Secret {
        let challenge = secrets.challenge();
        let parameters = [
            ("response_type", "code"),
            ("scope", self.scope),
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("state", secrets.state.expose()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let mut address = self.endpoint.to_owned();
        for (name, value) in parameters {
            address.push(if address.contains('?') { '&' } else { '?' });
            address += &format!("{name}={}", percent_encoded(value));
        }
        Secret::new(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: RandomBytes = [
        116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191,
        240, 91, 88, 5, 88, 83, 132, 141, 121,
    ];

    #[test]
    #[expect(clippy::disallowed_methods, reason = "test")]
    fn the_address_holds_the_challenge_and_not_the_verifier() {
        let secrets = LoginSecrets::new([0; RANDOM_LENGTH], VERIFIER);
        assert_eq!(secrets.verifier.expose(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let rest = "response_type=code&scope=signature%20extended&client_id=i%2Fd&redirect_uri=http%3A%2F%2Flocalhost%2F&\
             state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&\
             code_challenge_method=S256";
        for (endpoint, wanted) in [
            ("https://example.org/auth", format!("https://example.org/auth?{rest}")),
            ("https://example.org/auth?tenant=a", format!("https://example.org/auth?tenant=a&{rest}")),
        ] {
            let request = AuthorizationRequest {
                endpoint,
                client_id: "i/d",
                redirect_uri: "http://localhost/",
                scope: "signature extended",
            };
            assert_eq!(request.address(&secrets).expose(), wanted);
        }
    }
}
