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
//! * `failure`, `report`: exit codes, messages and hints; what is told of a run that went well
//! * `json`, `text`, `endpoint`, `secret`: values that can't be wrong
//! * `journal`, `signals`, `static_glibc`: what the system around needs
//!
//! The story is `run`. This file is the only one that prints.

mod cli;
mod config;
mod endpoint;
mod error;
mod failure;
mod http;
mod journal;
mod json;
mod oauth;
mod refresh;
mod report;
mod secret;
mod signals;
#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
mod static_glibc;
mod text;
mod token_file;
mod token_set;

#[cfg(test)]
#[path = "../tests/mutations.rs"]
mod mutations;

use std::env;
use std::fmt;
use std::io::{self, Write as _};
use std::mem;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use cli::{Command, Run, Verbosity};
use config::Settings;
use failure::Failure;
use http::{HttpClient, LARGEST_BODY, Network};
use journal::Journal;
use oauth::RefreshRequest;
use refresh::{Refreshed, Unrefreshed};
use report::{Ending, Outcome};
use token_file::TokenFile;
use token_set::TokenSet;

const VERSION: &str = concat!("docusign-refresh ", env!("CARGO_PKG_VERSION"), "\n");

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
    static_glibc::use_files_and_dns();
    signals::let_end_first_process();
    signals::let_large_writes_fail();
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(format_args!("{failure}"));
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn command() -> Result<(), Failure> {
    let typed = match cli::parse(env::args_os().skip(1))? {
        Command::Help => return print(&help()).map_err(|why| Failure::of_output(&why)),
        Command::Version => return print(VERSION).map_err(|why| Failure::of_output(&why)),
        Command::Run(typed) => typed,
    };
    let verbosity = typed.verbosity;
    let (settings, network) = config::settle(*typed)?;
    let speaker = Speaker { verbosity, token_file: &settings.token_file };
    let ending = run(&settings, network, &speaker)?;
    speaker.tell(format_args!("{}", ending.outcome));
    let Some(what) = settings.print else { return Ok(()) };
    print(&report::printed(what, &ending, &settings)).map_err(|why| Failure::of_printing(&why))
}

fn help() -> String {
    let exits = failure::EXITS.iter().map(|(exit, name, when)| format!("  {} {name:<10} {when}\n", *exit as u8));
    exits.fold(include_str!("help.txt").to_owned(), |page, line| page + &line)
}

/// The story.
fn run(settings: &Settings, network: Network, speaker: &Speaker<'_>) -> Result<Ending, Failure> {
    let in_file = |error| Failure::of_token_file(&settings.token_file, error);
    let journal = speaker.journal();
    let token_file = TokenFile::find(&settings.token_file).map_err(in_file)?;
    let seen = token_file.glance().map_err(in_file)?;

    let waiting = || journal.step(format_args!("waiting for another run's lock"));
    let locked = token_file.lock(settings.lock_timeout, waiting).map_err(in_file)?;
    journal.step(format_args!("locked"));

    let recovery = locked.recover().map_err(in_file)?;
    let stored = locked.read().map_err(in_file)?;
    match recovery {
        None if seen.is_some_and(|seen| is_refreshed(&stored, &seen)) => {
            return Ok(Ending { outcome: Outcome::AnotherRun, stored });
        }
        None => {}
        Some(recovery) => speaker.warn(format_args!("{recovery}")),
    }
    if let Some(left) = settings.min_ttl.and_then(|min_ttl| remaining_life(&stored, min_ttl)) {
        return Ok(Ending { outcome: Outcome::StillFresh { left }, stored });
    }

    let draft = locked.draft(&stored, LARGEST_BODY).map_err(in_file)?;
    journal.step(format_args!("the draft is in place"));
    let request = RefreshRequest::new(&settings.client, stored.refresh_token(), &settings.parameters);
    if settings.run == Run::Dry {
        let request = [vec![format!("POST {}", settings.endpoint)], request.masked()].concat();
        return Ok(Ending { outcome: Outcome::DryRun { request }, stored });
    }

    let mut client = HttpClient::new(&settings.endpoint, network, journal);
    let requested_at = SystemTime::now();
    let deadline = Instant::now() + settings.timeout;
    let refreshed = match refresh::refresh(&mut client, &request, settings.replay, deadline, journal) {
        Ok(refreshed) => refreshed,
        Err(unrefreshed) => {
            signals::let_through();
            return without_tokens(settings, &unrefreshed, &stored, locked.read().ok());
        }
    };

    let Refreshed { response, connection, answer } = refreshed;
    let commit = draft.commit(&stored, |stored| stored.refreshed(&response, requested_at));
    // Else the user first learns where the tokens are.
    if commit.is_ok() {
        signals::let_through();
    }
    // This process is about to end, which closes it with fewer system calls.
    mem::forget(connection);
    journal.step(format_args!("{answer}"));
    let commit = commit.map_err(in_file)?;
    journal.step(format_args!("committed"));
    if let Some(warning) = commit.warning {
        speaker.warn(format_args!("{warning}"));
    }
    for warning in &response.warnings {
        speaker.warn(format_args!("{warning}"));
    }
    let is_rotated = !commit.stored.refresh_token().is_same(stored.refresh_token());
    let outcome = Outcome::Refreshed { lifetime: response.expires_in, is_rotated };
    Ok(Ending { outcome, stored: commit.stored })
}

/// The end of a run whose refresh brought no tokens. Whoever made the sent ones worthless may have stored
/// others: another run, or a human at a login.
fn without_tokens(
    settings: &Settings,
    unrefreshed: &Unrefreshed,
    sent: &TokenSet,
    now: Option<TokenSet>,
) -> Result<Ending, Failure> {
    match now.filter(|now| unrefreshed.is_dead_token() && !now.has_tokens_of(sent)) {
        Some(stored) if is_refreshed(&stored, sent) => Ok(Ending { outcome: Outcome::AnotherRun, stored }),
        Some(_) => Err(Failure::of_other_login(settings)),
        None => Err(Failure::of_refresh(settings, unrefreshed)),
    }
}

/// Whether someone stored other tokens since `before`, and with them an access token to use. What was
/// written of its end, and is over, counts only if it was written anew: not every answer tells.
fn is_refreshed(now: &TokenSet, before: &TokenSet) -> bool {
    if now.has_tokens_of(before) || now.access_token().is_none() {
        return false;
    }
    let end = now.expires_at();
    end == before.expires_at() || end.is_none_or(|end| end > SystemTime::now())
}

/// How long the stored access token still lives, if that is at least `min_ttl`.
fn remaining_life(stored: &TokenSet, min_ttl: Duration) -> Option<Duration> {
    let left = stored.expires_at()?.duration_since(SystemTime::now()).ok()?;
    (left >= min_ttl).then_some(left)
}

/// Who writes to standard error while the run goes on.
struct Speaker<'a> {
    verbosity: Option<Verbosity>,
    /// As given.
    token_file: &'a Path,
}

impl Speaker<'_> {
    fn journal(&self) -> Journal {
        match self.verbosity {
            Some(Verbosity::Verbose) => {
                BEGINNING.get_or_init(Instant::now);
                Journal::new(say_step)
            }
            _ => Journal::SILENT,
        }
    }

    fn warn(&self, warning: fmt::Arguments<'_>) {
        self.tell(format_args!("warning: {warning}"));
    }

    fn tell(&self, line: fmt::Arguments<'_>) {
        if self.verbosity != Some(Verbosity::Quiet) {
            let name = text::harmless(&self.token_file.to_string_lossy());
            say(format_args!("docusign-refresh: {name}: {line}\n"));
        }
    }
}

/// Writes to standard output, whole or with an error.
fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
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
