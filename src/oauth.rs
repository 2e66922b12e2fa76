//! OAuth 2.0 (RFC 6749): the requests to a token endpoint and its responses; for a login, the address to open and
//! the line that is pasted. No I/O.
//!
//! * `client`: the client and its authentication; another method is a variant there
//! * `request`: grant, client and parameters as one request; another grant is a constructor there
//! * `authorization`: the address that a human opens; `redirect`: the line that the human pastes
//! * `mask`: keeps a request's secrets out of messages
//! * `response`: the tokens, or why there are none; `search`: finds them in whatever the server sends around them
//! * `error_response`: the error, wherever servers put it; `meaning`: who must act on it

mod authorization;
mod client;
mod error_response;
mod mask;
mod meaning;
mod redirect;
mod request;
mod response;
mod search;

pub use authorization::{AuthorizationRequest, LoginSecrets, RANDOM_LENGTH, RandomBytes};
pub use client::{Client, ClientAuthentication};
pub use error_response::ErrorResponse;
pub use mask::Mask;
pub use meaning::Meaning;
pub use redirect::{NoCode, read_code};
pub use request::{GRANT_FIELDS, Grant, TokenRequest};
pub use response::{Body, NoTokens, TokenResponse, is_whole_object};
