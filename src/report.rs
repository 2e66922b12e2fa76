//! What the user is told of a run that ended well. Pure: `console` prints it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::{Print, Settings};
use crate::json::quote;
use crate::token_set::TokenSet;

/// A run that ended well: exit code 0.
pub struct Ending {
    pub outcome: Outcome,
    /// What the token file holds now.
    pub stored: TokenSet,
}

/// Why the token file holds fresh tokens, or that it was only a trial.
pub enum Outcome {
    Refreshed { lifetime: Option<Duration>, is_rotated: bool },
    StillFresh { left: Duration },
    AnotherRun,
    DryRun { request: Vec<String> },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refreshed { lifetime, is_rotated } => {
                match lifetime {
                    Some(lifetime) => write!(f, "refreshed; the access token is valid for {}", rounded(*lifetime))?,
                    None => f.write_str("refreshed; the server does not say how long the access token is valid")?,
                }
                f.write_str(if *is_rotated {
                    "; the refresh token was rotated"
                } else {
                    "; the refresh token stays the same"
                })
            }
            Self::StillFresh { left } => {
                write!(f, "still fresh; the access token is valid for {}; nothing was sent", rounded(*left))
            }
            Self::AnotherRun => f.write_str("another run has just refreshed it; it holds fresh tokens"),
            Self::DryRun { request } => {
                f.write_str("a dry run; everything is in place, and this would be sent:")?;
                request.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

/// A duration in whole seconds, as `8h` or `7h 59m 59s`.
fn rounded(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs()))
}

/// What `--print` asked for. A dry run has no tokens to give, only its status.
#[expect(clippy::disallowed_methods, reason = "--print is the user's wish to see them")]
pub fn printed(what: Print, ending: &Ending, settings: &Settings, now: SystemTime) -> String {
    let Ending { outcome, stored } = ending;
    let access_token = stored.access_token().map_or("", |token| token.expose());
    let refresh_token = stored.refresh_token().expose();
    match (what, outcome) {
        (Print::Status, _) => status(ending, settings, now),
        (_, Outcome::DryRun { .. }) => String::new(),
        (Print::AccessToken, _) => format!("{access_token}\n"),
        (Print::RefreshToken, _) => format!("{refresh_token}\n"),
        (Print::Header, _) => format!("Authorization: Bearer {access_token}\n"),
        (Print::Tokens, _) => format!("New access token: {access_token}\nNew refresh token: {refresh_token}\n"),
    }
}

/// One JSON object on one line, without secrets. `expires_at` is in epoch seconds, `rotated` is null
/// unless this run refreshed.
fn status(ending: &Ending, settings: &Settings, now: SystemTime) -> String {
    let (outcome, rotated) = match &ending.outcome {
        Outcome::Refreshed { is_rotated, .. } => ("refreshed", is_rotated.to_string()),
        Outcome::StillFresh { .. } => ("fresh", "null".to_owned()),
        Outcome::AnotherRun => ("another-run", "null".to_owned()),
        Outcome::DryRun { .. } => ("dry-run", "null".to_owned()),
    };
    let since_epoch = ending.stored.expires_at(now).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let expires_at = since_epoch.map_or("null".to_owned(), |since_epoch| since_epoch.as_secs().to_string());
    let token_file = quote(&settings.token_file.to_string_lossy());
    let endpoint = quote(&settings.endpoint.to_string());
    format!(
        "{{\"outcome\":\"{outcome}\",\"token_file\":{token_file},\"token_endpoint\":{endpoint},\"expires_at\":{expires_at},\"rotated\":{rotated}}}\n"
    )
}
