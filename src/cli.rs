//! Parses the command line. Pure.
//!
//! What they mean on this machine and in this environment is up to `config`. Failures name the option and never
//! its value, which may be a secret that was typed in the wrong place.

use std::ffi::{OsStr, OsString};

use lexopt::Arg::{Long, Short, Value};

use crate::config::{
    AccessTokenFormat, Arguments, AuthMethod, Print, Run, SecretName, Userinfo, Verbosity, parse_client_id,
    parse_duration, parse_header, parse_parameter, parse_scope, parse_text, parse_timeout, read_value,
};
use crate::endpoint::{AuthorizationEndpoint, Environment, RedirectUri, TokenEndpoint};
use crate::exchange::Replay;
use crate::failure::{EXITS, Failure, InvalidValue};
use crate::secret::Secret;
use crate::terminal::printable;

/// What the user wants to happen.
pub enum Command {
    Help,
    Version,
    Refresh(Box<Arguments>),
    Login(Box<Arguments>),
}

/// What to do with the token file: `login`, if that is the first word that is not an option. A token file of that
/// name is written `./login`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Refresh,
    Login,
}

const SEE_HELP: &str = "docusign-refresh --help lists the options";

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, Failure> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut arguments = Arguments::default();
    let mut verb = Verb::Refresh;
    while let Some(argument) = parser.next().map_err(|error| refuse(&error))? {
        let option = match argument {
            Value(word) if word == "login" && verb == Verb::Refresh && arguments.token_file.is_none() => {
                verb = Verb::Login;
                continue;
            }
            Value(path) => {
                take_token_file(&mut arguments, path)?;
                continue;
            }
            Short('h') => return Ok(Command::Help),
            Short('V') => return Ok(Command::Version),
            Long("help") => return alone("--help", Command::Help, &mut parser),
            Long("version") => return alone("--version", Command::Version, &mut parser),
            Short('q') => "--quiet".to_owned(),
            Short('v') => "--verbose".to_owned(),
            Long(name) => format!("--{}", printable(name)),
            Short(letter) => format!("-{}", printable(&letter.to_string())),
        };
        take(&mut arguments, &option, &mut parser)?;
    }
    check_options(verb, &arguments)?;
    Ok(match verb {
        Verb::Refresh => Command::Refresh(Box::new(arguments)),
        Verb::Login => Command::Login(Box::new(arguments)),
    })
}

/// What follows such an option does not count, unless it is a value of it.
fn alone(option: &str, command: Command, parser: &mut lexopt::Parser) -> Result<Command, Failure> {
    match parser.optional_value() {
        None => Ok(command),
        Some(_) => Err(Failure::usage(option, "takes no value", SEE_HELP)),
    }
}

const PUBLISHED_LATER: &str = "the next run publishes the access token";

/// Refuses an option that this verb would ignore.
fn check_options(verb: Verb, arguments: &Arguments) -> Result<(), Failure> {
    let login = &arguments.login;
    let of_login = [
        ("--authorization-endpoint", login.authorization_endpoint.is_some()),
        ("--redirect-uri", login.redirect_uri.is_some()),
        ("--scope", login.scope.is_some()),
        ("--userinfo", login.userinfo.is_some()),
    ];
    let of_refresh = [
        ("--min-ttl", arguments.min_ttl.is_some(), "a login always gets new tokens"),
        ("--no-replay", arguments.replay.is_some(), "a login never repeats its request"),
        ("--access-token-file", arguments.access_token_file.is_some(), PUBLISHED_LATER),
        ("--access-token-format", arguments.access_token_format.is_some(), PUBLISHED_LATER),
        ("--publish-secret", arguments.publish_secret.is_some(), PUBLISHED_LATER),
        ("--dry-run", arguments.run.is_some(), "a login sends nothing until a line is pasted; stop it with Ctrl-C"),
    ];
    match verb {
        Verb::Refresh => match of_login.into_iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => {
                Err(Failure::usage(option, "only for a login", "to log in, run docusign-refresh login"))
            }
            None => Ok(()),
        },
        Verb::Login => match of_refresh.into_iter().find(|(_, is_given, _)| *is_given) {
            Some((option, _, why)) => Err(Failure::usage(option, &format!("not for a login: {why}"), "leave it out")),
            None => Ok(()),
        },
    }
}

fn take(arguments: &mut Arguments, option: &str, parser: &mut lexopt::Parser) -> Result<(), Failure> {
    let mut value = || match parser.value().map_err(|error| refuse(&error))? {
        value if value.is_empty() => Err(Failure::usage(option, "empty value", SEE_HELP)),
        value => Ok(value),
    };
    match option {
        "--environment" => read_once(option, &mut arguments.environment, &value()?, Environment::parse),
        "--token-endpoint" => read_once(option, &mut arguments.token_endpoint, &value()?, TokenEndpoint::parse),
        "--client-id" => read_once(option, &mut arguments.client_id, &value()?, parse_client_id),
        "--client-secret-file" => once(option, &mut arguments.client_secret_file, value()?.into()),
        "--client-auth" => read_once(option, &mut arguments.client_auth, &value()?, AuthMethod::parse),
        "--param" => {
            arguments.params.push(read_value(option, &value()?, parse_parameter)?);
            Ok(())
        }
        "--header" => add_header(arguments, option, read_value(option, &value()?, parse_header)?),
        "--min-ttl" => read_once(option, &mut arguments.min_ttl, &value()?, parse_duration),
        "--print" => read_once(option, &mut arguments.print, &value()?, Print::parse),
        "--access-token-file" => once(option, &mut arguments.access_token_file, value()?.into()),
        "--access-token-format" => {
            read_once(option, &mut arguments.access_token_format, &value()?, AccessTokenFormat::parse)
        }
        "--publish-secret" => read_once(option, &mut arguments.publish_secret, &value()?, SecretName::parse),
        "--timeout" => read_once(option, &mut arguments.timeout, &value()?, parse_timeout),
        "--lock-timeout" => read_once(option, &mut arguments.lock_timeout, &value()?, parse_duration),
        "--ca-file" => once(option, &mut arguments.ca_file, value()?.into()),
        "--client-cert" => once(option, &mut arguments.client_cert, value()?.into()),
        "--client-key" => once(option, &mut arguments.client_key, value()?.into()),
        "--proxy" => once(option, &mut arguments.proxy, Secret::new(read_value(option, &value()?, parse_text)?)),
        "--no-replay" => once(option, &mut arguments.replay, Replay::Never),
        "--dry-run" => once(option, &mut arguments.run, Run::Dry),
        "--quiet" => speak(arguments, Verbosity::Quiet),
        "--verbose" => speak(arguments, Verbosity::Verbose),
        "--client-secret" => Err(Failure::usage(
            option,
            "no such option: arguments are public, so no option takes a secret",
            "put the secret in a file and give --client-secret-file FILE, or - for standard input",
        )),
        "--userinfo" => once(option, &mut arguments.login.userinfo, Userinfo::Store),
        "--scope" => read_once(option, &mut arguments.login.scope, &value()?, parse_scope),
        "--redirect-uri" => read_once(option, &mut arguments.login.redirect_uri, &value()?, RedirectUri::parse),
        "--authorization-endpoint" => {
            read_once(option, &mut arguments.login.authorization_endpoint, &value()?, AuthorizationEndpoint::parse)
        }
        _ => Err(Failure::usage(option, "no such option", SEE_HELP)),
    }
}

/// A field may be given more than once, except the one that replaces the program's own.
fn add_header(arguments: &mut Arguments, option: &str, header: (String, String)) -> Result<(), Failure> {
    const REPLACED: &str = "User-Agent";
    let is_it = |name: &str| name.eq_ignore_ascii_case(REPLACED);
    if is_it(&header.0) && arguments.headers.iter().any(|(name, _)| is_it(name)) {
        return Err(Failure::usage(option, "User-Agent given twice", "give it once"));
    }
    arguments.headers.push(header);
    Ok(())
}

/// Giving one of them twice is allowed: `-vv` is a habit.
fn speak(arguments: &mut Arguments, wanted: Verbosity) -> Result<(), Failure> {
    match arguments.verbosity.replace(wanted) {
        Some(other) if other != wanted => {
            Err(Failure::usage("--quiet and --verbose", "both given", "give one of them"))
        }
        _ => Ok(()),
    }
}

fn read_once<T>(
    option: &str,
    place: &mut Option<T>,
    value: &OsStr,
    parse: fn(&str) -> Result<T, InvalidValue>,
) -> Result<(), Failure> {
    once(option, place, read_value(option, value, parse)?)
}

fn once<T>(option: &str, place: &mut Option<T>, value: T) -> Result<(), Failure> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Failure::usage(option, "given twice", "give it once")),
    }
}

fn take_token_file(arguments: &mut Arguments, path: OsString) -> Result<(), Failure> {
    if path == "-" {
        let what = "the token file cannot be standard input, because it is written back";
        return Err(Failure::usage("TOKEN_FILE", what, "name a file"));
    }
    if path.is_empty() {
        return Err(Failure::usage("TOKEN_FILE", "empty name", "name a file"));
    }
    match arguments.token_file.replace(path.into()) {
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
    fn the_first_word_may_be_a_verb() {
        for (line, is_login, token_file) in [
            ("login", true, None),
            ("-v login t.json", true, Some("t.json")),
            ("login --scope s t.json", true, Some("t.json")),
            ("login login", true, Some("login")),
            ("login ./login", true, Some("./login")),
            ("./login", false, Some("./login")),
            ("t.json", false, Some("t.json")),
        ] {
            let command = parse(line.split(' ').map(OsString::from)).unwrap();
            let (found, arguments) = match command {
                Command::Refresh(arguments) => (false, arguments),
                Command::Login(arguments) => (true, arguments),
                _ => panic!("{line}"),
            };
            assert_eq!((found, arguments.token_file), (is_login, token_file.map(Into::into)), "{line}");
        }
    }

    #[test]
    fn reads_every_spelling() {
        let arguments =
            run("-v --min-ttl=10m --timeout 90 --param scope=a=b --param resource= --print header t.json").unwrap();
        assert_eq!(arguments.verbosity, Some(Verbosity::Verbose));
        assert_eq!(
            (arguments.min_ttl, arguments.timeout),
            (Some(Duration::from_secs(600)), Some(Duration::from_secs(90)))
        );
        assert_eq!(arguments.params, [("scope".into(), "a=b".into()), ("resource".into(), "".into())]);
        assert_eq!((arguments.print, arguments.token_file), (Some(Print::Header), Some("t.json".into())));
        assert!(parse(["--nonsense".into(), "-h".into()].into_iter()).is_err());
        assert!(matches!(parse(["-h".into(), "--nonsense".into()].into_iter()), Ok(Command::Help)));
    }

    #[test]
    fn refuses_without_quoting_values() {
        for line in [
            "--client-secret=canary",
            "--quiet=canary",
            "--help=canary",
            "--version=canary",
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
            "t.json login",
            "login t.json login",
            "login --min-ttl 1s",
            "login --no-replay",
            "login --dry-run",
            "login --redirect-uri canary",
            "--redirect-uri http://canary/",
            "--scope canary",
            "--userinfo",
            "--authorization-endpoint https://canary/",
        ] {
            let failure = run(line).err().unwrap_or_else(|| panic!("accepted: {line}"));
            let shown = failure.to_string();
            assert!(!shown.contains("canary"), "{line}: {shown}");
            assert!(shown.contains("\nhint: "), "{line}: {shown}");
        }
    }
}
