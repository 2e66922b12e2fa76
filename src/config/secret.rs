//! The client secret, from its one source. Two sources on the same level are a configuration error, not a
//! silent choice.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::environment::{read_text, variable};
use crate::bounded::read_at_most;
use crate::failure::{Exit, Failure};
use crate::os;
use crate::secret::Secret;
use crate::terminal::reason;
use crate::text;

/// In bytes.
const MAX_SECRET: usize = 64 << 10;

const ROLE: &str = "the client secret";

/// A client secret, and the option, variable or file that it came from.
pub struct SourcedSecret {
    pub secret: Secret,
    pub source: String,
    /// The file, if a later login can read it: not one that a service manager provides only while this runs.
    pub file: Option<PathBuf>,
}

/// Finds the client secret: in the file that the option names, else in what the variables name, else in
/// systemd's credentials. None for a public client.
pub fn client_secret(option: Option<PathBuf>) -> Result<Option<SourcedSecret>, Failure> {
    const OPTION: &str = "--client-secret-file";
    const FILE: &str = "DOCUSIGN_CLIENT_SECRET_FILE";
    const TEXT: &str = "DOCUSIGN_CLIENT_SECRET";
    const CREDENTIAL: &str = "docusign-client-secret in CREDENTIALS_DIRECTORY";
    let sourced = |secret, source: &str, file: Option<PathBuf>| {
        let file = file.filter(|path| path != Path::new("-"));
        Ok(Some(SourcedSecret { secret, source: source.to_owned(), file }))
    };
    if let Some(path) = option {
        return sourced(read_file(&path, OPTION)?, OPTION, Some(path));
    }
    let directory = variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let credential = directory.map(|directory| directory.join("docusign-client-secret"));
    match (variable(FILE), variable(TEXT), credential.filter(|path| path.try_exists().unwrap_or(true))) {
        (None, None, None) => Ok(None),
        (Some(path), None, None) => sourced(read_file(Path::new(&path), FILE)?, FILE, Some(path.into())),
        (None, Some(text), None) => sourced(one_line(TEXT, &read_text(TEXT, &text)?)?, TEXT, None),
        (None, None, Some(path)) => sourced(read_file(&path, CREDENTIAL)?, CREDENTIAL, None),
        (file, text, credential) => {
            let sources = [file.map(|_| FILE), text.map(|_| TEXT), credential.map(|_| CREDENTIAL)];
            let sources = sources.into_iter().flatten().collect::<Vec<_>>().join(" and ");
            let hint = "unset all but one, or override them with --client-secret-file";
            Err(Failure::configuration("client secret", &format!("more than one source: {sources}"), hint))
        }
    }
}

fn read_file(path: &Path, source: &str) -> Result<Secret, Failure> {
    let read = if path != Path::new("-") {
        File::open(path).and_then(|file| read_at_most(file, MAX_SECRET))
    } else if io::stdin().is_terminal() {
        let what = "standard input is a terminal; this program never prompts";
        return Err(Failure::usage("--client-secret-file", what, "redirect standard input: < FILE"));
    } else {
        read_at_most(io::stdin(), MAX_SECRET)
    };
    let bytes = read.map_err(|error| unreadable(path, source, &error))?;
    let text = text::decode(&bytes).map_err(|_| {
        Failure::unusable(path, ROLE, "it is not text", "the file must hold only the secret, as UTF-8 text")
    })?;
    let place = if path == Path::new("-") { Path::new("standard input") } else { path };
    one_line(&place.display().to_string(), &text)
}

fn unreadable(path: &Path, source: &str, error: &io::Error) -> Failure {
    if is_path(path) {
        return Failure::unreadable(path, ROLE, error);
    }
    Failure::new(Exit::NoInput, source, format!("cannot read {ROLE}: {}", reason(error))).hint(
        "the value is not shown, because it may be the secret itself; give the path of a file that holds the secret",
    )
}

/// Whether the value names a file, a device, or a place for a file. Otherwise it may be a secret in the wrong place;
/// base64 has slashes, too.
pub fn is_path(value: &Path) -> bool {
    let is_place = |directory: &Path| directory != Path::new("/") && directory.is_dir();
    value.symlink_metadata().is_ok() || os::is_device(value) || value.parent().is_some_and(is_place)
}

/// A secret is one line of text; its newline is not part of it.
fn one_line(source: &str, text: &str) -> Result<Secret, Failure> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        let hint = "put the secret there, or unset it for a public client";
        return Err(Failure::configuration(source, "the client secret is empty", hint));
    }
    if line.contains(char::is_control) {
        let hint = "put only the secret there, on one line";
        return Err(Failure::configuration(
            source,
            "the client secret contains a newline or another control character",
            hint,
        ));
    }
    Ok(Secret::new(line))
}
