//! The messages of a failed refresh and of a token file, until their own modules say them.

use std::io;
use std::path::Path;

use crate::config::Settings;
use crate::endpoint::Environment;
use crate::failure::{Exit, Failure};
use crate::oauth::{self, ErrorResponse, Verdict};
use crate::refresh::{Cause, Unrefreshed};
use crate::text::reason;
use crate::token_file;

impl Failure {
    /// A failure to lock, read, draft or commit.
    pub fn of_token_file(given: &Path, error: token_file::Error) -> Self {
        use token_file::Error as E;
        let subject = given.display().to_string();
        match error {
            E::Unreadable(why) => {
                Self::new(Exit::NoInput, subject, format!("cannot read the token file: {}", reason(&why)))
                    .hint(match why.kind() {
                        io::ErrorKind::PermissionDenied => "run as a user who may read it",
                        _ => "name the token file as the argument or in DOCUSIGN_TOKEN_FILE; the README says how to get the first",
                    })
            }
            E::OnlyDraft(draft) => {
                let hint = format!("to use them, rename {} to {subject}", draft.display());
                Self::new(Exit::NoInput, subject, "the token file is gone, but a run that died left its tokens beside it")
                    .hint(hint)
            }
            E::NotReplaceable(what) => {
                Self::new(Exit::NoInput, subject, format!("cannot use it as token file: {what}"))
                    .hint("name a regular file: it is read, and replaced as a whole")
            }
            E::NotATokenFile(fault) => Self::new(Exit::DataErr, subject, format!("not a token file: {fault}"))
                .hint("it must be one JSON object with a refresh_token, such as a token response"),
            E::Locked { lock, waited } => {
                let waited = humantime::format_duration(waited);
                Self::new(
                    Exit::TempFail,
                    subject,
                    format!("another run holds {} for more than {waited}", lock.display()),
                )
                .hint("run again later; --lock-timeout waits longer")
            }
            E::LockFailed { lock, why } => {
                let error =
                    Self::new(Exit::CantCreat, lock.display().to_string(), format!("cannot lock: {}", reason(&why)));
                match why.kind() {
                    io::ErrorKind::Unsupported => {
                        error.hint("this file system has no locks; keep the token file on one that has")
                    }
                    _ => error.hint(cannot_write_hint(&why, &lock)),
                }
            }
            E::DraftFailed { draft, doing, why } => {
                Self::new(Exit::CantCreat, draft.display().to_string(), format!("{doing}: {}", reason(&why)))
                    .hint(cannot_write_hint(&why, &draft))
            }
            E::NotOurs { draft, why } => {
                let what = format!("cannot give the draft the owner and mode of the token file: {}", reason(&why));
                Self::new(Exit::CantCreat, draft.display().to_string(), what)
                    .hint("nothing was sent; owner and group of the token file must be this user's own: chown or chgrp it")
            }
            E::Fixed(remedy) => {
                let clear = format!("nothing was sent; clear the attribute: {remedy} \"{subject}\"");
                Self::new(Exit::CantCreat, subject, "the token file has an attribute with which it can't be replaced")
                    .hint(clear)
            }
            E::MountNotWritable(why) => {
                Self::new(Exit::CantCreat, subject, format!("mounted by itself and not writable: {}", reason(&why)))
                    .hint(match why.kind() {
                        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                            "nothing was sent; make room on its volume"
                        }
                        _ => "nothing was sent; mount its directory, writable, instead of the file",
                    })
            }
            E::NotWritten { draft, why } => {
                Self::new(Exit::IoErr, subject, format!("refreshed, but cannot write the tokens: {}", reason(&why)))
                    .hint(format!("look for them in {0} and {0}.again", draft.display()))
                    .hint("the old refresh token is spent; without the new one, authorize again")
            }
            E::NotSaved { draft, doing, why } => {
                Self::new(Exit::IoErr, subject, format!("refreshed, but not saved: {doing}: {}", reason(&why)))
                    .hint(format!("the new tokens are in {}: copy that file to a safe place now", draft.display()))
                    .hint("the old refresh token is spent; the next run that can write here puts the draft in place")
            }
            E::Superseded(rescue) => Self::new(
                Exit::IoErr,
                subject,
                "refreshed, but not saved: someone else wrote to the file meanwhile",
            )
            .hint(format!("theirs stays; the tokens of this run are in {}", rescue.display()))
            .hint("keep the one that works and delete the other file"),
        }
    }

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

fn cannot_write_hint(why: &io::Error, path: &Path) -> String {
    let directory = path.parent().unwrap_or(Path::new("/")).display();
    match why.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("nothing was sent; {directory} is on a read-only file system: mount it writable")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("nothing was sent; make room in {directory}")
        }
        io::ErrorKind::FileTooLarge => "nothing was sent; raise the limit for a file's size (ulimit -f)".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!(
                "nothing was sent; run as the token file's owner, who must have the right to write in {directory}, and \
                 own this file if it is there"
            )
        }
        _ => "nothing was sent".to_owned(),
    }
}
