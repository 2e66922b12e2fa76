//! From argv to arguments, one by one. Pure.
//!
//! What they mean on this machine, with this environment, is `config`'s to say. Failures name the
//! option and never its value: a secret that was typed in the wrong place must not come out again.

use std::ffi::OsString;

use lexopt::Arg::{Long, Short, Value};

use crate::config::{
    AccessTokenFormat, Arguments, AuthMethod, Print, Run, SecretName, Verbosity, parse_client_id, parse_duration,
    parse_header, parse_parameter, parse_text, parse_timeout, read_value,
};
use crate::endpoint::{Environment, TokenEndpoint};
use crate::exchange::Replay;
use crate::failure::{EXITS, Failure};
use crate::secret::Secret;
use crate::text::printable;

/// What the user wants to happen.
pub enum Command {
    Help,
    Version,
    Refresh(Box<Arguments>),
}

const SEE_HELP: &str = "docusign-refresh --help lists the options";

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, Failure> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut typed = Arguments::default();
    while let Some(argument) = parser.next().map_err(|error| refuse(&error))? {
        let option = match argument {
            Value(path) => {
                take_token_file(&mut typed, path)?;
                continue;
            }
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Short('q') => "--quiet".to_owned(),
            Short('v') => "--verbose".to_owned(),
            Long(name) => format!("--{}", printable(name)),
            Short(letter) => format!("-{}", printable(&letter.to_string())),
        };
        take(&mut typed, &option, &mut parser)?;
    }
    Ok(Command::Refresh(Box::new(typed)))
}

fn take(typed: &mut Arguments, option: &str, parser: &mut lexopt::Parser) -> Result<(), Failure> {
    let mut value = || match parser.value().map_err(|error| refuse(&error))? {
        value if value.is_empty() => Err(Failure::usage(option, "empty value", SEE_HELP)),
        value => Ok(value),
    };
    match option {
        "--environment" => once(option, &mut typed.environment, read_value(option, &value()?, Environment::parse)?),
        "--token-endpoint" => {
            once(option, &mut typed.token_endpoint, read_value(option, &value()?, TokenEndpoint::parse)?)
        }
        "--client-id" => once(option, &mut typed.client_id, read_value(option, &value()?, parse_client_id)?),
        "--client-secret-file" => once(option, &mut typed.client_secret_file, value()?.into()),
        "--client-auth" => once(option, &mut typed.client_auth, read_value(option, &value()?, AuthMethod::parse)?),
        "--param" => {
            typed.params.push(read_value(option, &value()?, parse_parameter)?);
            Ok(())
        }
        "--header" => add_header(typed, option, read_value(option, &value()?, parse_header)?),
        "--min-ttl" => once(option, &mut typed.min_ttl, read_value(option, &value()?, parse_duration)?),
        "--print" => once(option, &mut typed.print, read_value(option, &value()?, Print::parse)?),
        "--access-token-file" => once(option, &mut typed.access_token_file, value()?.into()),
        "--access-token-format" => {
            once(option, &mut typed.access_token_format, read_value(option, &value()?, AccessTokenFormat::parse)?)
        }
        "--publish-secret" => {
            once(option, &mut typed.publish_secret, read_value(option, &value()?, SecretName::parse)?)
        }
        "--timeout" => once(option, &mut typed.timeout, read_value(option, &value()?, parse_timeout)?),
        "--lock-timeout" => once(option, &mut typed.lock_timeout, read_value(option, &value()?, parse_duration)?),
        "--ca-file" => once(option, &mut typed.ca_file, value()?.into()),
        "--client-cert" => once(option, &mut typed.client_cert, value()?.into()),
        "--client-key" => once(option, &mut typed.client_key, value()?.into()),
        "--proxy" => once(option, &mut typed.proxy, Secret::new(read_value(option, &value()?, parse_text)?)),
        "--no-replay" => once(option, &mut typed.replay, Replay::Never),
        "--dry-run" => once(option, &mut typed.run, Run::Dry),
        "--quiet" => speak(typed, Verbosity::Quiet),
        "--verbose" => speak(typed, Verbosity::Verbose),
        "--client-secret" => Err(Failure::usage(
            option,
            "no such option: arguments are public, so none takes a secret",
            "put the secret in a file and give --client-secret-file FILE, or - for standard input",
        )),
        _ => Err(Failure::usage(option, "no such option", SEE_HELP)),
    }
}

/// A field may come more than once, but not the one that replaces the program's own.
fn add_header(typed: &mut Arguments, option: &str, header: (String, String)) -> Result<(), Failure> {
    const REPLACED: &str = "User-Agent";
    let is_it = |name: &str| name.eq_ignore_ascii_case(REPLACED);
    if is_it(&header.0) && typed.headers.iter().any(|(name, _)| is_it(name)) {
        return Err(Failure::usage(option, "User-Agent given twice", "give it once"));
    }
    typed.headers.push(header);
    Ok(())
}

/// Twice the same is harmless here: `-vv` is a habit.
fn speak(typed: &mut Arguments, wanted: Verbosity) -> Result<(), Failure> {
    match typed.verbosity.replace(wanted) {
        Some(other) if other != wanted => {
            Err(Failure::usage("--quiet and --verbose", "both given", "give one of them"))
        }
        _ => Ok(()),
    }
}

fn once<T>(option: &str, place: &mut Option<T>, value: T) -> Result<(), Failure> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Failure::usage(option, "given twice", "give it once")),
    }
}

fn take_token_file(typed: &mut Arguments, path: OsString) -> Result<(), Failure> {
    if path == "-" {
        let what = "standard input can't be the token file: it is written back";
        return Err(Failure::usage("TOKEN_FILE", what, "name a file"));
    }
    if path.is_empty() {
        return Err(Failure::usage("TOKEN_FILE", "empty name", "name a file"));
    }
    match typed.token_file.replace(path.into()) {
        None => Ok(()),
        Some(_) => {
            Err(Failure::usage("TOKEN_FILE", "more than one", "one run refreshes one file; quote a name with spaces"))
        }
    }
}

/// lexopt's own messages quote values.
fn refuse(error: &lexopt::Error) -> Failure {
    match error {
        lexopt::Error::MissingValue { option } => {
            Failure::usage(option.as_deref().unwrap_or("arguments"), "needs a value", SEE_HELP)
        }
        lexopt::Error::UnexpectedValue { option, .. } => Failure::usage(option, "takes no value", SEE_HELP),
        _ => Failure::usage("arguments", "not understood", SEE_HELP),
    }
}

/// The help page, with the table of exit codes at its end.
pub fn help() -> String {
    let exits = EXITS.iter().map(|(exit, name, when)| format!("  {} {name:<10} {when}\n", *exit as u8));
    exits.fold(include_str!("help.txt").to_owned(), |page, line| page + &line)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run(line: &str) -> Result<Arguments, Failure> {
        match parse(line.split(' ').filter(|word| !word.is_empty()).map(OsString::from))? {
            Command::Refresh(arguments) => Ok(*arguments),
            _ => panic!("not a run: {line}"),
        }
    }

    #[test]
    fn reads_every_spelling() {
        let typed =
            run("-v --min-ttl=10m --timeout 90 --param scope=a=b --param resource= --print header t.json").unwrap();
        assert_eq!(typed.verbosity, Some(Verbosity::Verbose));
        assert_eq!((typed.min_ttl, typed.timeout), (Some(Duration::from_secs(600)), Some(Duration::from_secs(90))));
        assert_eq!(typed.params, [("scope".into(), "a=b".into()), ("resource".into(), "".into())]);
        assert_eq!((typed.print, typed.token_file), (Some(Print::Header), Some("t.json".into())));
        assert!(parse(["--nonsense".into(), "-h".into()].into_iter()).is_err());
        assert!(matches!(parse(["-h".into(), "--nonsense".into()].into_iter()), Ok(Command::Help)));
    }

    #[test]
    fn refuses_without_quoting_values() {
        for line in [
            "--client-secret=canary",
            "--quiet=canary",
            "canary canary",
            "--param canary",
            "--header canary",
            "--header Authorization:canary",
            "--header X:canary\n",
            "--header User-Agent:a --header user-agent:canary",
            "--client-id canary\n",
            "--environment canary",
            "--min-ttl canary",
            "--timeout 0",
            "--print canary",
            "--client-auth canary",
            "--access-token-format canary",
            "--publish-secret Canary/canary",
            "--nonsense canary",
            "--token-endpoint canary",
            "--client-id",
            "-q -v",
            "-x",
            "-",
            "--client-id a --client-id b",
        ] {
            let failure = run(line).err().unwrap_or_else(|| panic!("accepted: {line}"));
            let shown = failure.to_string();
            assert!(!shown.contains("canary"), "{line}: {shown}");
            assert!(shown.contains("\nhint: "), "{line}: {shown}");
        }
    }
}
