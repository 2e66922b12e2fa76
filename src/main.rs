//! docusign-refresh: one read-refresh-write cycle on a token file.
//!
//! The worst thing this program can do is to let the server spend the refresh token and then lose
//! the new one: a human must then log in again. Every module serves that first.
//!
//! * `cli`, `config`: what is to be done (argv; then environment and secret files)
//! * `token_file`: lock, read, draft, commit, recovery; who may see what when
//! * `token_set`: what a token file says; the rule by which a token response changes it
//! * `refresh`: the exchange with its retries; `oauth` says what is sent and understood, `http`
//!   sends it
//! * `error`: every failure's message and exit code
//! * `refusal`: why the program does not even begin
//! * `json`, `text`, `endpoint`, `secret`: values that can't be wrong
//! * `journal`, `signals`, `static_glibc`: what the system around needs
//!
//! The story is `run`. This file is the only one that prints.

mod cli;
mod config;
mod endpoint;
mod error;
mod http;
mod journal;
mod json;
mod oauth;
mod refresh;
mod refusal;
mod secret;
mod signals;
#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
mod static_glibc;
mod text;
mod token_file;
mod token_set;

use std::env;
use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cli::{Command, Print, Run, Verbosity};
use config::Settings;
use error::Error;
use http::{HttpClient, LARGEST_BODY, Network};
use journal::Journal;
use oauth::RefreshRequest;
use token_file::{Recovery, TokenFile};
use token_set::TokenSet;

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
    static_glibc::use_files_and_dns();
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("{error}"));
            ExitCode::from(error.exit as u8)
        }
    }
}

fn command() -> Result<(), Error> {
    let typed = match cli::parse(env::args_os().skip(1))? {
        Command::Help => return print(&help()),
        Command::Version => return print(concat!("docusign-refresh ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Run(typed) => typed,
    };
    let verbosity = typed.verbosity;
    let (settings, network) = config::settle(*typed)?;
    let mut report = Report { verbosity, name: &settings.token_file, warnings: Vec::new() };
    let ending = run(&settings, network, &mut report)?;
    report.end(&ending);
    match settings.print {
        Some(what) => print(&printed(what, &ending, &settings)),
        None => Ok(()),
    }
}

fn help() -> String {
    let exits = error::EXITS.iter().map(|(exit, name, when)| format!("  {} {name:<10} {when}\n", *exit as u8));
    exits.fold(include_str!("help.txt").to_owned(), |page, line| page + &line)
}

/// The story.
fn run(settings: &Settings, network: Network, report: &mut Report<'_>) -> Result<Ending, Error> {
    let in_file = |error| Error::of_token_file(&settings.token_file, error);
    let journal = report.journal();
    let token_file = TokenFile::find(&settings.token_file).map_err(in_file)?;
    let seen = match token_file.read() {
        Ok(seen) => Some(seen),
        // A run may be overwriting it in place; the read under the lock decides.
        Err(token_file::Error::NotATokenFile(_)) if token_file.has_draft() => None,
        Err(error) => return Err(in_file(error)),
    };

    let waiting = || journal.step(format_args!("waiting for another run's lock"));
    let locked = token_file.lock(settings.lock_timeout, waiting).map_err(in_file)?;
    journal.step(format_args!("locked"));
    let recovery = locked.recover().map_err(in_file)?;
    let stored = locked.read().map_err(in_file)?;
    report.recovered(&recovery);
    let is_changed = seen.is_some_and(|seen| !seen.has_tokens_of(&stored));
    if is_changed && matches!(recovery, Recovery::Nothing) {
        return Ok(Ending { outcome: Outcome::AnotherRun, stored });
    }
    if let Some(left) = settings.min_ttl.and_then(|min_ttl| remaining_life(&stored, min_ttl)) {
        return Ok(Ending { outcome: Outcome::StillFresh { left }, stored });
    }

    let draft = locked.draft(&stored, LARGEST_BODY).map_err(in_file)?;
    journal.step(format_args!("the draft is in place"));
    let request = RefreshRequest::new(&settings.client, stored.refresh_token(), &settings.parameters);
    if settings.run == Run::Dry {
        return Ok(Ending { outcome: Outcome::DryRun { request: request.masked() }, stored });
    }

    let mut client = HttpClient::new(&settings.endpoint, network, journal);
    let requested_at = SystemTime::now();
    let deadline = Instant::now() + settings.timeout;
    let refreshed = match refresh::refresh(&mut client, &request, settings.replay, deadline, journal) {
        Ok(refreshed) => refreshed,
        Err(unrefreshed) => {
            signals::let_through();
            return match locked.read() {
                Ok(now) if unrefreshed.is_dead_token() && !now.has_tokens_of(&stored) => {
                    Ok(Ending { outcome: Outcome::AnotherRun, stored: now })
                }
                _ => Err(Error::of_refresh(settings, &unrefreshed)),
            };
        }
    };

    let response = &refreshed.response;
    let commit = draft.commit(&stored, |stored| stored.refreshed(response, requested_at)).map_err(in_file)?;
    signals::let_through();
    drop(refreshed.connection);
    journal.step(format_args!("committed"));
    report.warn_of(response.foreign_type.as_deref(), commit.warning);
    let outcome = Outcome::Refreshed {
        lifetime: response.expires_in,
        is_rotated: !commit.stored.refresh_token().is_same(stored.refresh_token()),
    };
    Ok(Ending { outcome, stored: commit.stored })
}

/// How long the stored access token still lives, if that is at least `min_ttl`.
fn remaining_life(stored: &TokenSet, min_ttl: Duration) -> Option<Duration> {
    let left = stored.expires_at()?.duration_since(SystemTime::now()).ok()?;
    (left >= min_ttl).then_some(left)
}

/// A run that ended well: exit code 0.
struct Ending {
    outcome: Outcome,
    /// What the token file holds now.
    stored: TokenSet,
}

enum Outcome {
    Refreshed { lifetime: Option<Duration>, is_rotated: bool },
    StillFresh { left: Duration },
    AnotherRun,
    DryRun { request: Vec<String> },
}

/// What the user is told on standard error beside errors.
struct Report<'a> {
    verbosity: Option<Verbosity>,
    /// The token file as given.
    name: &'a Path,
    warnings: Vec<String>,
}

impl Report<'_> {
    fn journal(&self) -> Journal {
        match self.verbosity {
            Some(Verbosity::Verbose) => {
                BEGINNING.get_or_init(Instant::now);
                Journal::new(say_step)
            }
            _ => Journal::SILENT,
        }
    }

    fn recovered(&mut self, recovery: &Recovery) {
        match recovery {
            Recovery::Nothing => {}
            Recovery::Promoted => {
                self.warnings.push("an earlier run died before it was done; its tokens are in place now".to_owned())
            }
            Recovery::SetAside(path) => self.warnings.push(format!(
                "an earlier run died before it was done, and the file was written since; that run's tokens are in {}",
                path.display()
            )),
        }
    }

    fn warn_of(&mut self, foreign_type: Option<&str>, warning: Option<token_file::Warning>) {
        if let Some(foreign_type) = foreign_type {
            self.warnings.push(format!("the server calls the token's type \"{foreign_type}\", not Bearer"));
        }
        self.warnings.extend(warning.map(|warning| warning.to_string()));
    }

    fn end(&self, ending: &Ending) {
        if self.verbosity == Some(Verbosity::Quiet) {
            return;
        }
        let name = text::harmless(&self.name.to_string_lossy());
        for warning in &self.warnings {
            say(format_args!("docusign-refresh: {name}: warning: {warning}\n"));
        }
        say(format_args!("docusign-refresh: {name}: {}\n", ending.outcome));
    }
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
fn printed(what: Print, ending: &Ending, settings: &Settings) -> String {
    let Ending { outcome, stored } = ending;
    let access_token = stored.access_token().map_or("", |token| token.expose());
    let refresh_token = stored.refresh_token().expose();
    match (what, outcome) {
        (Print::Status, _) => status(ending, settings),
        (_, Outcome::DryRun { .. }) => String::new(),
        (Print::AccessToken, _) => format!("{access_token}\n"),
        (Print::RefreshToken, _) => format!("{refresh_token}\n"),
        (Print::Header, _) => format!("Authorization: Bearer {access_token}\n"),
        (Print::Tokens, _) => format!("New access token: {access_token}\nNew refresh token: {refresh_token}\n"),
    }
}

/// One JSON object on one line, without secrets. `expires_at` is in epoch seconds, `rotated` is null
/// unless this run refreshed.
fn status(ending: &Ending, settings: &Settings) -> String {
    let (outcome, rotated) = match &ending.outcome {
        Outcome::Refreshed { is_rotated, .. } => ("refreshed", is_rotated.to_string()),
        Outcome::StillFresh { .. } => ("fresh", "null".to_owned()),
        Outcome::AnotherRun => ("another-run", "null".to_owned()),
        Outcome::DryRun { .. } => ("dry-run", "null".to_owned()),
    };
    let since_epoch = ending.stored.expires_at().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let expires_at = since_epoch.map_or("null".to_owned(), |since_epoch| since_epoch.as_secs().to_string());
    let token_file = json::quote(&settings.token_file.to_string_lossy());
    let host = json::quote(settings.endpoint.host());
    format!(
        "{{\"outcome\":\"{outcome}\",\"token_file\":{token_file},\"host\":{host},\"expires_at\":{expires_at},\"rotated\":{rotated}}}\n"
    )
}

/// Writes to standard output, whole or with an error.
fn print(text: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|why| Error::of_output(&why))
}

/// Writes to standard error. Where that fails there is nobody left to tell.
fn say(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_all(text.to_string().as_bytes());
}

/// When this run began, for the times of `--verbose`.
static BEGINNING: OnceLock<Instant> = OnceLock::new();

fn say_step(line: fmt::Arguments<'_>) {
    let milliseconds = BEGINNING.get_or_init(Instant::now).elapsed().as_millis();
    say(format_args!("docusign-refresh: {milliseconds:>5} ms: {line}\n"));
}
