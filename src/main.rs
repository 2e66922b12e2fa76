//! docusign-refresh: one read-refresh-write cycle on a token file.
//!
//! The worst this program can do is to let the server spend the refresh token and then lose the new one: somebody
//! must then log in again. Every module serves to prevent that.
//!
//! * `cycle`: the steps of a refresh; start reading there. `login`: the steps of a login. `renewal`: the
//!   exchange and the commit, with which both end
//! * `cli`: the arguments; `config`: the settings, from arguments, environment variables and the files they name
//! * `token_file`: lock, read, recovery, draft, commit; who may see what when
//! * `token_set`: the content of a token file, and the rule by which a token response changes it
//! * `exchange`: one exchange at the token endpoint, with its retries and its diagnosis; `oauth`: requests and
//!   responses; `transport`: HTTP over TLS
//! * `publish`: the access token to its readers, after the commit
//! * `report`: the outcome of a successful run; `console`: the only module that writes it, or anything
//! * `failure`: exit codes, messages and hints
//! * `json`, `text`, `endpoint`, `secret`: values; `member_names`, `lifetime`: members that hold times
//! * `terminal`: what may be shown; `shell`: a command to paste; `bounded`: reads with a limit; `sibling`: the names
//!   next to a file
//! * `journal`: the steps that `--verbose` shows
//! * `os`: all that differs between systems

mod bounded;
mod cli;
mod config;
mod console;
mod cycle;
mod endpoint;
mod exchange;
mod failure;
mod journal;
mod json;
mod lifetime;
mod login;
mod member_names;
mod oauth;
mod os;
mod publish;
mod renewal;
mod report;
mod secret;
mod shell;
mod sibling;
mod terminal;
mod text;
mod token_file;
mod token_set;
mod transport;

#[cfg(test)]
#[path = "../tests/mutations.rs"]
mod mutations;

use std::env;
use std::process::ExitCode;
use std::time::SystemTime;

use cli::Command;
use config::{Arguments, Print, Settings};
use console::Console;
use failure::Failure;
use report::Report;

const VERSION: &str = concat!("docusign-refresh ", env!("CARGO_PKG_VERSION"), "\n");

fn main() -> ExitCode {
    os::prepare_process();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console::show_failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn run() -> Result<(), Failure> {
    match cli::parse(env::args_os().skip(1))? {
        Command::Help => console::print_page(&cli::help()),
        Command::Version => console::print_page(VERSION),
        Command::Refresh(arguments) => refresh(*arguments),
        Command::Login(arguments) => login(*arguments),
    }
}

fn login(arguments: Arguments) -> Result<(), Failure> {
    os::random::require()?;
    let verbosity = arguments.verbosity.unwrap_or_default();
    let (settings, network) = config::login_settings(arguments)?;
    let console = Console::new(verbosity, &settings.common.token_file);
    let report = login::run(&settings, network, &console)?;
    finish(&report, &settings.common, &console)
}

fn refresh(arguments: Arguments) -> Result<(), Failure> {
    os::random::require()?;
    let verbosity = arguments.verbosity.unwrap_or_default();
    let (settings, network, publications) = config::refresh_settings(arguments)?;
    let console = Console::new(verbosity, &settings.token_file);
    let report = cycle::run(&settings, network, publications, &console)?;
    finish(&report, &settings, &console)
}

fn finish(report: &Report, settings: &Settings, console: &Console) -> Result<(), Failure> {
    console.show_outcome(report);
    let Some(what) = settings.print else { return Ok(()) };
    if matches!(what, Print::AccessToken | Print::Header | Print::Tokens) {
        report.outcome.expect_access_token(settings)?;
    }
    report::printed(what, report, settings, SystemTime::now())
        .map_err(console::not_printed)
        .and_then(|text| console::print(&text))
        .map_err(|failure| failure.hint("the token file is safe; run again with --min-ttl to print what it holds"))
}
