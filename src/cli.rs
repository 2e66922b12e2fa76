//! From argv to arguments: what was typed, checked one by one. Pure.
//!
//! What it means on this machine, with this environment, is `config`'s to say. Failures name the
//! option and never its value: a secret that was typed in the wrong place must not come out again.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};

use crate::endpoint::{Environment, TokenEndpoint, Unfit};
use crate::failure::Failure;
use crate::refresh::Replay;
use crate::secret::Secret;
use crate::text::printable;

/// What the user wants to happen.
pub enum Command {
    Help,
    Version,
    Run(Box<Arguments>),
}

/// The options as typed; None where one was not.
#[derive(Default)]
pub struct Arguments {
    pub token_file: Option<PathBuf>,
    pub environment: Option<Environment>,
    pub token_endpoint: Option<TokenEndpoint>,
    pub client_id: Option<String>,
    pub client_secret_file: Option<PathBuf>,
    pub client_auth: Option<AuthMethod>,
    /// Further form fields, in order.
    pub params: Vec<(String, String)>,
    pub min_ttl: Option<Duration>,
    pub print: Option<Print>,
    pub timeout: Option<Duration>,
    pub lock_timeout: Option<Duration>,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub proxy: Option<Secret>,
    pub replay: Option<Replay>,
    pub run: Option<Run>,
    pub verbosity: Option<Verbosity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    SecretBasic,
    SecretBasicRaw,
    SecretPost,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Print {
    AccessToken,
    RefreshToken,
    Header,
    Tokens,
    Status,
}

/// Whether the request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    Real,
    Dry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    Quiet,
    Verbose,
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
    Ok(Command::Run(Box::new(typed)))
}

fn take(typed: &mut Arguments, option: &str, parser: &mut lexopt::Parser) -> Result<(), Failure> {
    let mut value = || match parser.value().map_err(|error| refuse(&error))? {
        value if value.is_empty() => Err(Failure::usage(option, "empty value", SEE_HELP)),
        value => Ok(value),
    };
    match option {
        "--environment" => once(option, &mut typed.environment, parse_environment(option, &value()?)?),
        "--token-endpoint" => once(option, &mut typed.token_endpoint, parse_endpoint(option, &value()?)?),
        "--client-id" => once(option, &mut typed.client_id, parse_text(option, &value()?)?),
        "--client-secret-file" => once(option, &mut typed.client_secret_file, value()?.into()),
        "--client-auth" => once(option, &mut typed.client_auth, parse_auth_method(option, &value()?)?),
        "--param" => {
            typed.params.push(parse_param(option, &value()?)?);
            Ok(())
        }
        "--min-ttl" => once(option, &mut typed.min_ttl, parse_duration(option, &value()?)?),
        "--print" => once(option, &mut typed.print, parse_print(option, &value()?)?),
        "--timeout" => once(option, &mut typed.timeout, parse_timeout(option, &value()?)?),
        "--lock-timeout" => once(option, &mut typed.lock_timeout, parse_duration(option, &value()?)?),
        "--ca-file" => once(option, &mut typed.ca_file, value()?.into()),
        "--client-cert" => once(option, &mut typed.client_cert, value()?.into()),
        "--client-key" => once(option, &mut typed.client_key, value()?.into()),
        "--proxy" => once(option, &mut typed.proxy, Secret::new(parse_text(option, &value()?)?)),
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

/// A value that must be text.
pub fn parse_text(subject: &str, value: &OsStr) -> Result<String, Failure> {
    match value.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::usage(subject, "not UTF-8 text", "write it in UTF-8")),
    }
}

pub fn parse_environment(subject: &str, value: &OsStr) -> Result<Environment, Failure> {
    choose(subject, value, &[("demo", Environment::Demo), ("production", Environment::Production)])
}

pub fn parse_endpoint(subject: &str, value: &OsStr) -> Result<TokenEndpoint, Failure> {
    let text = parse_text(subject, value)?;
    TokenEndpoint::parse(&text).map_err(|unfit| match unfit {
        Unfit::NotAUrl(why) => Failure::usage(subject, why, "such as https://account.docusign.com/oauth/token"),
        Unfit::NotHttps => {
            let hint = "a refresh token travels by https, or by http to 127.0.0.1 or [::1]";
            Failure::configuration(subject, "not https", hint)
        }
    })
}

pub fn parse_auth_method(subject: &str, value: &OsStr) -> Result<AuthMethod, Failure> {
    let methods = [
        ("client_secret_basic", AuthMethod::SecretBasic),
        ("client_secret_basic_raw", AuthMethod::SecretBasicRaw),
        ("client_secret_post", AuthMethod::SecretPost),
        ("none", AuthMethod::None),
    ];
    choose(subject, value, &methods)
}

fn parse_print(subject: &str, value: &OsStr) -> Result<Print, Failure> {
    let choices = [
        ("access-token", Print::AccessToken),
        ("refresh-token", Print::RefreshToken),
        ("header", Print::Header),
        ("tokens", Print::Tokens),
        ("status", Print::Status),
    ];
    choose(subject, value, &choices)
}

fn choose<T: Copy>(subject: &str, value: &OsStr, choices: &[(&str, T)]) -> Result<T, Failure> {
    match choices.iter().find(|(name, _)| value == *name) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            Err(Failure::usage(subject, "unknown choice", &format!("one of {}", names.join(", "))))
        }
    }
}

/// `90s`, `10m`, `8h`, `1h 30m`; a bare number is seconds, as for timeout(1).
pub fn parse_duration(subject: &str, value: &OsStr) -> Result<Duration, Failure> {
    /// Beyond this nothing is meant, and clocks would overflow.
    const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);
    let text = value.to_str().unwrap_or("");
    let duration = text.parse().ok().map(Duration::from_secs).or_else(|| humantime::parse_duration(text).ok());
    duration
        .filter(|&duration| duration <= LONGEST)
        .ok_or_else(|| Failure::usage(subject, "not a duration", "such as 90s, 10m, 8h"))
}

pub fn parse_timeout(subject: &str, value: &OsStr) -> Result<Duration, Failure> {
    match parse_duration(subject, value)? {
        Duration::ZERO => Err(Failure::usage(subject, "leaves no time at all", "such as 30s")),
        timeout => Ok(timeout),
    }
}

fn parse_param(subject: &str, value: &OsStr) -> Result<(String, String), Failure> {
    let text = parse_text(subject, value)?;
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err(Failure::usage(subject, "not NAME=VALUE", "such as scope=signature"));
    };
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Arguments, Failure> {
        match parse(line.split(' ').filter(|word| !word.is_empty()).map(OsString::from))? {
            Command::Run(arguments) => Ok(*arguments),
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
            "--environment canary",
            "--min-ttl canary",
            "--timeout 0",
            "--print canary",
            "--client-auth canary",
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
