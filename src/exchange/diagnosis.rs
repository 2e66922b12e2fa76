//! From a failed exchange to its message: the exit code says who must act, the hints say what to do. The caller
//! adds how to log in again.

use std::path::Path;

use super::verdict::{Cause, Unsuccessful};
use crate::endpoint::{Environment, TokenEndpoint};
use crate::failure::{Exit, Failure};
use crate::oauth::{ErrorResponse, Meaning};

/// What a message has to name.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// As given.
    pub token_file: &'a Path,
    pub endpoint: &'a TokenEndpoint,
    /// What looks like a mistake in the client id or secret.
    pub client_oddities: &'a [String],
}

impl Unsuccessful {
    /// The failure, if nobody else has stored other tokens meanwhile.
    pub fn diagnosis(&self, context: Context<'_>) -> Failure {
        let mut what = format!("not refreshed by {}: {}", context.endpoint.host(), self.cause);
        if let Some(trace) = &self.trace {
            what += &format!(" (request id {trace})");
        }
        if self.attempts > 1 {
            what += &format!(", after {} attempts", self.attempts);
        }
        if self.may_be_spent {
            what += "; the refresh token may be spent: the server may have acted on a request whose response was lost";
        }
        let failure = Failure::new(self.exit(), context.token_file.display().to_string(), what);
        self.hints(context).into_iter().fold(failure, Failure::hint)
    }

    /// The server rejected the refresh token, and by now the file holds another one, which has not been tried.
    pub fn other_login(context: Context<'_>) -> Failure {
        let subject = context.token_file.display().to_string();
        Failure::new(
            Exit::TempFail,
            subject,
            "not refreshed: the token file was replaced by a new login during the run",
        )
        .hint("run again to refresh the new login")
    }

    /// A response that may hold tokens, and was saved in this file.
    pub fn kept(&self, context: Context<'_>, file: &Path) -> Failure {
        let what = format!(
            "the response from {} was not understood, and is kept in {}: {}",
            context.endpoint.host(),
            file.display(),
            self.cause
        );
        let (token_file, file) = (context.token_file.display(), file.display());
        Failure::new(Exit::IoErr, token_file.to_string(), what)
            .hint(format!(
                "the refresh token is most likely spent: look in {file} for the new one (refresh_token, or a name like it)"
            ))
            .hint(format!(
                "store it in {token_file} as refresh_token, then delete {file}; until then no run sends the stored one"
            ))
            .hint("if there is none, log in again; if this is not a token endpoint, check --token-endpoint")
    }

    pub fn exit(&self) -> Exit {
        match &self.cause {
            Cause::NotSent(_) | Cause::Unavailable { .. } | Cause::Lost(_) => Exit::TempFail,
            Cause::Misconfigured(_) | Cause::Unauthorized { .. } => Exit::Config,
            Cause::Redirected { .. } | Cause::NotOauth { .. } => Exit::Protocol,
            Cause::NotUnderstood { .. } => Exit::IoErr,
            Cause::Rejected(error) => match error.meaning {
                Meaning::Reauthorize => Exit::NoPerm,
                Meaning::Configuration | Meaning::Unknown => Exit::Config,
                Meaning::TryLater | Meaning::Failed | Meaning::TooOften => Exit::TempFail,
            },
        }
    }

    pub fn hints(&self, context: Context<'_>) -> Vec<String> {
        match &self.cause {
            // Only without an earlier attempt that may have been sent.
            Cause::NotSent(reason) if !self.may_be_spent => {
                vec![format!("nothing was sent; {}", reason.hint())]
            }
            Cause::NotSent(reason) | Cause::Lost(reason) | Cause::Misconfigured(reason) => vec![reason.hint().to_owned()],
            Cause::Unavailable { retry_after: Some(wait), .. } => {
                vec![format!("the server asked us to retry after {}", humantime::format_duration(*wait))]
            }
            Cause::Unavailable { .. } => vec!["run again later".to_owned()],
            Cause::Redirected { .. } => vec!["redirects are never followed; check --token-endpoint".to_owned()],
            Cause::NotOauth { .. } | Cause::NotUnderstood { .. } => vec![
                "check --token-endpoint, and that no captive portal or proxy responds instead; --verbose shows each step"
                    .to_owned(),
            ],
            Cause::Unauthorized { .. } => client_hints(context),
            Cause::Rejected(error) => match error.meaning {
                Meaning::TryLater | Meaning::Failed => vec!["run again later".to_owned()],
                Meaning::TooOften => vec!["run again later, and less often; --min-ttl skips a refresh that is not due".to_owned()],
                Meaning::Configuration | Meaning::Unknown => configuration_hints(context, error),
                Meaning::Reauthorize => self.reauthorization_hints(context),
            },
        }
    }

    fn reauthorization_hints(&self, context: Context<'_>) -> Vec<String> {
        // Most likely it was this run itself that rotated the token.
        let lost = self.may_be_spent.then(|| {
            "most likely this run's own request spent the refresh token, and the response with the new one was lost"
                .to_owned()
        });
        let Some(environment) = context.endpoint.docusign() else {
            let cause = "the refresh token has expired, or something else has used it, such as a program with a copy of the file";
            return lost.into_iter().chain([cause.to_owned()]).collect();
        };
        let other = match environment {
            Environment::Demo => Environment::Production,
            Environment::Production => Environment::Demo,
        };
        let hints = [
            format!(
                "the refresh token has expired, was used by something else, or belongs to --environment {}",
                other.name()
            ),
            "without the scope \"extended\", a Docusign login ends after 30 days, refreshed or not".to_owned(),
        ];
        lost.into_iter().chain(hints).collect()
    }
}

fn configuration_hints(context: Context<'_>, error: &ErrorResponse) -> Vec<String> {
    match error.code.as_deref().unwrap_or_default() {
        "invalid_scope" | "invalid_target" => vec!["check the scope or resource given with --param".to_owned()],
        _ if error.meaning == Meaning::Configuration => client_hints(context),
        _ => vec!["check --token-endpoint, --client-id and --param; --verbose shows each step".to_owned()],
    }
}

fn client_hints(context: Context<'_>) -> Vec<String> {
    let mut hints = vec!["check --client-id, the client secret and --client-auth".to_owned()];
    let odd = |oddity| format!("{oddity}, which may be the cause; correct it where it is stored");
    hints.extend(context.client_oddities.iter().map(odd));
    if context.endpoint.docusign().is_some() {
        hints.push(
            "Docusign reports the same error if the integration key and the secret are swapped, or belong to the other --environment"
                .to_owned(),
        );
    }
    hints
}
