//! The messages of a failed refresh, until its own module says them.

use crate::config::Settings;
use crate::endpoint::Environment;
use crate::failure::{Exit, Failure};
use crate::oauth::{self, ErrorResponse, Verdict};
use crate::refresh::{Cause, Unrefreshed};

impl Failure {
    /// The server knows the refresh token for dead, and by now the file holds another one, which has
    /// not been asked for yet.
    pub fn of_other_login(settings: &Settings) -> Self {
        let subject = settings.token_file.display().to_string();
        Self::new(Exit::TempFail, subject, "not refreshed: someone wrote another login meanwhile")
            .hint("run again: that one is asked for then")
    }

    /// A refresh that brought no tokens.
    pub fn of_refresh(settings: &Settings, unrefreshed: &Unrefreshed) -> Self {
        let cause = &unrefreshed.cause;
        let mut what = format!("not refreshed by {}: {cause}", settings.endpoint.host());
        if let Some(trace) = &unrefreshed.trace {
            what += &format!(" (the server's id for this: {trace})");
        }
        if unrefreshed.attempts > 1 {
            what += &format!(", after {} attempts", unrefreshed.attempts);
        }
        if unrefreshed.may_be_spent {
            what += "; the refresh token may be spent: the server may have acted on a request whose answer was lost";
        }
        let failure = Self::new(exit_of(cause), settings.token_file.display().to_string(), what);
        hints_of(settings, cause).into_iter().fold(failure, Self::hint)
    }
}

fn exit_of(cause: &Cause) -> Exit {
    match cause {
        Cause::NotSent(_) | Cause::PutOff { .. } | Cause::NoAnswer(_) => Exit::TempFail,
        Cause::Misconfigured(_) => Exit::Config,
        Cause::Redirected { .. } | Cause::NotOauth { .. } => Exit::Protocol,
        Cause::Refused(error) => match error.verdict {
            Verdict::Reauthorize => Exit::NoPerm,
            Verdict::Configuration => Exit::Config,
            Verdict::NotNow => Exit::TempFail,
        },
    }
}

fn hints_of(settings: &Settings, cause: &Cause) -> Vec<String> {
    match cause {
        Cause::NotSent(reason) | Cause::NoAnswer(reason) | Cause::Misconfigured(reason) => match reason.hint() {
            Some(hint) => vec![hint.to_owned()],
            None => vec!["run again; --verbose shows each step".to_owned()],
        },
        Cause::PutOff { retry_after: Some(wait), .. } => {
            vec![format!("the server asks to wait {}; run again then", humantime::format_duration(*wait))]
        }
        Cause::PutOff { .. } => vec!["run again later".to_owned()],
        Cause::Redirected { .. } => {
            vec!["no redirect is followed with a refresh token; check --token-endpoint".to_owned()]
        }
        Cause::NotOauth { .. } => vec![
            "check --token-endpoint, and whether a login page or proxy stands in between; --verbose shows each step"
                .to_owned(),
        ],
        Cause::Refused(error) => match error.verdict {
            Verdict::NotNow => vec!["run again later".to_owned()],
            Verdict::Configuration => configuration_hints(settings, error),
            Verdict::Reauthorize => reauthorization_hints(settings),
        },
    }
}

fn configuration_hints(settings: &Settings, error: &ErrorResponse) -> Vec<String> {
    let (hint, is_about_client) = match error.code.as_str() {
        "invalid_scope" | "invalid_target" => ("check what --param asks for", false),
        "invalid_client" | "unauthorized_client" | "invalid_grant" => {
            ("check --client-id, the client secret and --client-auth", true)
        }
        _ => ("check --token-endpoint, --client-id and --param; --verbose shows each step", false),
    };
    let mut hints = vec![hint.to_owned()];
    if is_about_client {
        let odd = |oddity| format!("{oddity}, which may be why; store it without");
        hints.extend(settings.client_oddities.iter().map(odd));
    }
    if is_about_client && settings.endpoint.docusign().is_some() {
        hints.push("Docusign says so, too, when key and secret are swapped, or of the other --environment".to_owned());
    }
    hints
}

fn reauthorization_hints(settings: &Settings) -> Vec<String> {
    let file = settings.token_file.display();
    let Some(environment) = settings.endpoint.docusign() else {
        return vec![
            "the refresh token has expired, or something else has used it, such as a program with a copy of the file"
                .to_owned(),
            format!("authorize again at this server and store its token response in {file}"),
        ];
    };
    let other = match environment {
        Environment::Demo => "production",
        Environment::Production => "demo",
    };
    vec![
        format!("the refresh token has expired, was used by something else, or belongs to --environment {other}"),
        "without the scope \"extended\" a Docusign login ends 30 days after it began, refreshed or not".to_owned(),
        format!("to authorize again, open {}", oauth::authorization_url(environment.host(), &settings.client.id)),
        format!("with your own redirect URI in it; then store the token response in {file}, as the README shows"),
    ]
}
