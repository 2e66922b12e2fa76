//! The outcome of a successful run, as text. Pure: `console` writes it.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::config::{Print, Settings};
use crate::failure::{Exit, Failure};
use crate::json::quote;
use crate::oauth::TokenResponse;
use crate::terminal::escape_control;
use crate::token_set::TokenSet;

/// A successful run: exit code 0.
pub struct Report {
    pub outcome: Outcome,
    /// What the token file holds now.
    pub stored: TokenSet,
    /// Where the access token was published.
    pub published: Vec<Publication>,
    /// What a dry run would have published, a line for each place.
    pub planned: Vec<String>,
}

/// The access token at one of its places.
pub struct Publication {
    pub place: Place,
    pub published: Published,
}

/// A file by its name as given, a Kubernetes Secret by `NAMESPACE/NAME`.
pub enum Place {
    File(String),
    #[cfg(target_os = "linux")]
    Secret(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    Written,
    /// It was there already.
    Unchanged,
    /// What is there expires later: another run has refreshed since.
    #[cfg(target_os = "linux")]
    NewerKept,
}

/// Why the token file holds fresh tokens; or that this was a dry run.
pub enum Outcome {
    Refreshed { issued: Issued, is_rotated: bool },
    LoggedIn { issued: Issued },
    StillFresh { left: Duration },
    AnotherRun,
    DryRun { request: Vec<String> },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refreshed { issued, is_rotated } => {
                write!(f, "refreshed; {issued}")?;
                f.write_str(if *is_rotated {
                    "; the refresh token was rotated"
                } else {
                    "; the refresh token is unchanged"
                })
            }
            Self::LoggedIn { issued } => write!(f, "logged in; {issued}"),
            Self::StillFresh { left } => {
                write!(f, "still fresh; the access token is valid for {}; nothing was sent", rounded(*left))
            }
            Self::AnotherRun => f.write_str("another run has just refreshed it; it holds fresh tokens"),
            Self::DryRun { request } => {
                f.write_str("dry run: ready; would send:")?;
                request.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.outcome)?;
        self.published.iter().try_for_each(|publication| write!(f, "; {publication}"))?;
        if !self.planned.is_empty() {
            f.write_str("\nwould then publish the access token, where it differs:")?;
        }
        self.planned.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Publication { place, published } = self;
        match published {
            Published::Written => write!(f, "published to {place}"),
            Published::Unchanged => write!(f, "{place} is up to date"),
            #[cfg(target_os = "linux")]
            Published::NewerKept => write!(f, "{place} holds a newer access token, which was kept"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => f.write_str(&escape_control(name)),
            #[cfg(target_os = "linux")]
            Self::Secret(name) => write!(f, "Secret {name}"),
        }
    }
}

/// The access token of a response.
pub enum Issued {
    ValidFor(Duration),
    /// The response does not say for how long.
    Valid,
    /// There is none, only a refresh token.
    Nothing,
}

impl Issued {
    pub fn by(response: &TokenResponse) -> Self {
        match TokenSet::lifetime_in(response, SystemTime::now()) {
            _ if !response.has_access_token => Self::Nothing,
            Some(lifetime) => Self::ValidFor(lifetime),
            None => Self::Valid,
        }
    }
}

impl fmt::Display for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValidFor(lifetime) => write!(f, "the access token is valid for {}", rounded(*lifetime)),
            Self::Valid => f.write_str("the server did not say how long the access token is valid"),
            Self::Nothing => f.write_str("the server issued no access token"),
        }
    }
}

impl Outcome {
    /// Fails if there is no new access token to hand out: the stored one is the old one.
    pub fn expect_access_token(&self, settings: &Settings) -> Result<(), Failure> {
        let option = match self {
            Self::Refreshed { issued: Issued::Nothing, .. } => "--param scope=SCOPE",
            Self::LoggedIn { issued: Issued::Nothing } => "--scope SCOPE",
            _ => return Ok(()),
        };
        let what = "the server issued no access token to print or publish; its refresh token is stored";
        Err(Failure::new(Exit::Protocol, settings.token_file.display().to_string(), what)
            .hint(format!("request a scope for which the server issues an access token, with {option}")))
    }
}

/// A duration in whole seconds, as `8h` or `7h 59m 59s`.
fn rounded(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs()))
}

/// What `--print` writes, or why it cannot. A dry run has no tokens to show, only its status.
#[expect(clippy::disallowed_methods, reason = "--print is the user's wish to see them")]
pub fn printed(what: Print, report: &Report, settings: &Settings, now: SystemTime) -> Result<String, &'static str> {
    let Report { outcome, stored, .. } = report;
    let token = stored.access_token();
    let access_token = token.map_or("", |token| token.expose());
    let refresh_token = stored.refresh_token().expose();
    Ok(match (what, outcome) {
        (Print::Status, _) => status(report, settings, now),
        (_, Outcome::DryRun { .. }) => String::new(),
        (Print::AccessToken, _) => format!("{access_token}\n"),
        (Print::RefreshToken, _) => format!("{refresh_token}\n"),
        (Print::Header, _) if token.is_some_and(|token| !token.is_one_line()) => {
            return Err(
                "the access token has characters that cannot be on one line; --print access-token prints it unchanged",
            );
        }
        (Print::Header, _) => format!("Authorization: Bearer {access_token}\n"),
        (Print::Tokens, _) => format!("New access token: {access_token}\nNew refresh token: {refresh_token}\n"),
    })
}

/// One JSON object on one line, without secrets. `expires_at` is in epoch seconds, `rotated` is null
/// unless this run refreshed, `published` is there only if it published.
fn status(report: &Report, settings: &Settings, now: SystemTime) -> String {
    let (outcome, rotated) = match &report.outcome {
        Outcome::Refreshed { is_rotated, .. } => ("refreshed", is_rotated.to_string()),
        Outcome::LoggedIn { .. } => ("logged-in", "null".to_owned()),
        Outcome::StillFresh { .. } => ("fresh", "null".to_owned()),
        Outcome::AnotherRun => ("another-run", "null".to_owned()),
        Outcome::DryRun { .. } => ("dry-run", "null".to_owned()),
    };
    let expires_at = report.stored.expires_at_seconds(now).map_or("null".to_owned(), |at| at.to_string());
    let token_file = quote(&settings.token_file.to_string_lossy());
    let endpoint = quote(&settings.endpoint.to_string());
    format!(
        "{{\"outcome\":\"{outcome}\",\"token_file\":{token_file},\"token_endpoint\":{endpoint},\"expires_at\":{expires_at},\"rotated\":{rotated}{}}}\n",
        published(&report.published)
    )
}

fn published(publications: &[Publication]) -> String {
    let item = |Publication { place, published }: &Publication| {
        let outcome = match published {
            Published::Written => "written",
            Published::Unchanged => "unchanged",
            #[cfg(target_os = "linux")]
            Published::NewerKept => "newer",
        };
        let (kind, name) = match place {
            Place::File(name) => ("access_token_file", name),
            #[cfg(target_os = "linux")]
            Place::Secret(name) => ("secret", name),
        };
        format!("{{\"{kind}\":{},\"outcome\":\"{outcome}\"}}", quote(name))
    };
    let items: Vec<String> = publications.iter().map(item).collect();
    if items.is_empty() { String::new() } else { format!(",\"published\":[{}]", items.join(",")) }
}
