//! The message of a login whose code brought no tokens. A code is never sent twice, so every failure ends with the
//! hint to log in again.

use std::path::Path;

use super::diagnosis::Context;
use super::verdict::{Cause, Unsuccessful};
use crate::failure::{Exit, Failure};
use crate::oauth::ErrorResponse;

const AGAIN: &str = "then run the login again: a code cannot be used twice";
const LATER: &str = "run the login again later: a code cannot be used twice";

impl Unsuccessful {
    pub fn login_diagnosis(&self, context: Context<'_>) -> Failure {
        let mut what = format!("not logged in at {}: {}", context.endpoint.host(), self.cause);
        if let Some(trace) = &self.trace {
            what += &format!(" (request id {trace})");
        }
        let exit = if self.is_code_rejected() { Exit::NoPerm } else { self.exit() };
        let failure = Failure::new(exit, context.token_file.display().to_string(), what);
        match &self.cause {
            _ if self.is_code_rejected() => failure
                .hint("a code works only once, only with the --redirect-uri of its address, and at Docusign only for two minutes")
                .hint("run the login again, and paste the address as soon as the browser shows it"),
            Cause::Rejected(error) if is_about_scope(error) => failure.hint("check --scope").hint(AGAIN),
            _ => {
                let mut hints = self.hints(context);
                hints.retain(|hint| !hint.starts_with("run again"));
                let again = if hints.is_empty() { LATER } else { AGAIN };
                hints.into_iter().fold(failure, Failure::hint).hint(again)
            }
        }
    }

    /// A response that may hold tokens, and was saved in this file.
    pub fn kept_by_login(&self, context: Context<'_>, file: &Path) -> Failure {
        let (host, file, token_file) = (context.endpoint.host(), file.display(), context.token_file.display());
        let what = format!("the response from {host} was not understood, and is kept in {file}: {}", self.cause);
        Failure::new(Exit::IoErr, token_file.to_string(), what)
            .hint(format!("look in {file} for a refresh token, and store it in {token_file} as refresh_token"))
            .hint("if there is none, delete the file, check --token-endpoint, and run the login again")
    }

    /// The server rejected the code: `invalid_grant` (RFC 6749, section 5.2), unless its text blames the client.
    /// Docusign calls a late code `expired_client_token`.
    fn is_code_rejected(&self) -> bool {
        let Cause::Rejected(error) = &self.cause else { return false };
        let is_late = error.description.as_deref() == Some("expired_client_token");
        is_late || self.is_token_rejected()
    }
}

fn is_about_scope(error: &ErrorResponse) -> bool {
    error.code.as_deref() == Some("invalid_scope")
}
