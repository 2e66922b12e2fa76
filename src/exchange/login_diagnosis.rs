//! The message of a login whose code brought no tokens. A code is never sent twice, so every failure ends with the
//! hint to log in again.
//!
//! Servers name a fault in many ways, so their code and description are searched for words.

use std::path::Path;

use super::diagnosis::Context;
use super::verdict::{Cause, Unsuccessful};
use crate::failure::{Exit, Failure};
use crate::oauth::{ErrorResponse, Meaning};

const AGAIN: &str = "then run the login again: a code cannot be used twice";
const LATER: &str = "run the login again later: a code cannot be used twice";
const NOT_SENT: &str = "then run the login again: this address was for this run only";

/// What is said of a code that is not accepted.
const REJECTED: &str = "used already expired invalid incorrect unknown bad redeemed";

impl Unsuccessful {
    pub fn login_diagnosis(&self, context: Context<'_>) -> Failure {
        let mut what = format!("not logged in at {}: {}", context.endpoint.host(), self.cause);
        if let Some(trace) = &self.trace {
            what += &format!(" (request id {trace})");
        }
        let exit = match &self.cause {
            Cause::Rejected(error) if is_code_rejected(error) => Exit::NoPerm,
            _ => self.exit(),
        };
        let failure = Failure::new(exit, context.token_file.display().to_string(), what);
        let mut hints = self.hints(context);
        hints.retain(|hint| !hint.starts_with("run again"));
        let again = match &self.cause {
            Cause::Rejected(error) if is_code_rejected(error) => {
                // Docusign has one error for a late code and for a wrong secret.
                hints.retain(|_| error.meaning == Meaning::Configuration);
                hints.push("a code works only once, only with the --redirect-uri of its address, and at Docusign only for two minutes".to_owned());
                "run the login again, and paste the address as soon as the browser shows it"
            }
            Cause::Rejected(error) if error.code.as_deref() == Some("invalid_scope") => {
                hints = vec!["check --scope".to_owned()];
                AGAIN
            }
            Cause::Rejected(error) if says(error, "redirect", "ur") => {
                hints = vec!["check --redirect-uri: it must be exactly as registered".to_owned()];
                AGAIN
            }
            Cause::NotSent(_) | Cause::Misconfigured(_) => NOT_SENT,
            _ if hints.is_empty() => LATER,
            _ => AGAIN,
        };
        hints.into_iter().fold(failure, Failure::hint).hint(again)
    }

    /// A response that may hold tokens, and was saved in this file.
    pub fn kept_by_login(&self, context: Context<'_>, file: &Path) -> Failure {
        let (host, file, token_file) = (context.endpoint.host(), file.display(), context.token_file.display());
        let what = format!("the response from {host} was not understood, and is kept in {file}: {}", self.cause);
        Failure::new(Exit::IoErr, token_file.to_string(), what)
            .hint(format!("look in {file} for a refresh token, and store it in {token_file} as refresh_token"))
            .hint("if there is none, delete the file, check --token-endpoint, and run the login again")
    }
}

/// The server rejected the code: `invalid_grant` (RFC 6749, section 5.2), unless its text blames the client, or words
/// like GitHub's `bad_verification_code`. Docusign calls a late code `expired_client_token`.
fn is_code_rejected(error: &ErrorResponse) -> bool {
    match error.meaning {
        Meaning::Reauthorize => true,
        Meaning::Configuration => error.description.as_deref() == Some("expired_client_token"),
        Meaning::Unknown => says(error, "code", REJECTED),
        Meaning::TryLater | Meaning::Failed | Meaning::TooOften => false,
    }
}

/// Whether one of the server's texts has this word and one of the others.
fn says(error: &ErrorResponse, word: &str, others: &str) -> bool {
    error.code.iter().chain(&error.description).any(|text| {
        let text = text.to_ascii_lowercase();
        text.contains(word) && others.split(' ').any(|other| text.contains(other))
    })
}
