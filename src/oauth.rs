//! OAuth 2.0 (RFC 6749): requests to a token endpoint out, its responses in; for a login, an address out and a
//! line in. No I/O.
//!
//! * `client`: who asks, and how that is proved; another client authentication is a variant there
//! * `request`: grant, client and parameters as one request; another grant is a constructor there
//! * `authorization`: the address that a human opens; `redirect`: the line that the human pastes
//! * `mask`: what of a request may not come back in a message
//! * `response`: tokens, found in whatever a server sends with them
//! * `error_response`: what a refusal says, wherever servers put it; `meaning`: who must act on it

mod authorization;
mod client;
mod error_response;
mod mask;
mod meaning;
mod redirect;
mod request;
mod response;
mod search;

pub use authorization::{AuthorizationRequest, Proof, RANDOM_LENGTH, RandomBytes};
pub use client::{Client, ClientAuthentication};
pub use error_response::ErrorResponse;
pub use mask::Mask;
pub use meaning::Meaning;
pub use redirect::{NoCode, read_code};
pub use request::{GRANT_FIELDS, Grant, TokenRequest};
pub use response::{Body, NoTokens, TokenResponse, is_whole_object};
