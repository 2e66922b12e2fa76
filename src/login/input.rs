//! Reads the line that a human pastes, and says what is wrong with it.

use std::io::{self, BufRead as _, Read as _};

use crate::failure::{Exit, Failure};
use crate::oauth::{Mask, NoCode};
use crate::secret::Secret;
use crate::terminal::reason;
use crate::text;

/// In bytes: longer than any line of a terminal, and than most addresses of a browser.
const MAX_LINE: u64 = 64 << 10;

const SUBJECT: &str = "standard input";
const AGAIN: &str = "run the login again and open the new address";

/// Reads one line, from a terminal and from a pipe the same way.
pub fn read_line() -> Result<Secret, Failure> {
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_LINE + 1)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::new(Exit::NoInput, SUBJECT, format!("cannot read: {}", reason(&error))))?;
    if line.len() as u64 > MAX_LINE {
        return Err(Failure::new(Exit::DataErr, SUBJECT, "the line is longer than 64 KiB")
            .hint("paste only the address that the browser shows after the login, or the code in it alone"));
    }
    // In UTF-16 LE the newline's second byte was not read.
    if line.starts_with(b"\xFF\xFE") {
        line.truncate(line.len() & !1);
    }
    let line = text::decode(&line).unwrap_or_else(|_| String::from_utf8_lossy(&line).into_owned());
    Ok(Secret::new(line))
}

/// Why the line cannot be used.
pub fn failure(no_code: NoCode, mask: &Mask) -> Failure {
    let unusable = |what: &str| Failure::new(Exit::DataErr, SUBJECT, what);
    match no_code {
        NoCode::Empty => unusable("no address or code was given")
            .hint("after the login, paste the whole address that the browser shows, or the code in it alone"),
        NoCode::Unreadable => unusable(
            "the line is neither an address nor a code: it contains a space or a character that neither allows",
        )
        .hint("paste the whole address that the browser shows after the login, on one line"),
        NoCode::NotYetLoggedIn => {
            unusable("this is the address to open, not the one that the browser is sent to after the login").hint(AGAIN)
        }
        NoCode::Missing => {
            unusable("the address has no code").hint("paste the whole address that the browser shows after the login")
        }
        NoCode::CutOff => cut_off(unusable("the address was cut off: its state is missing or incomplete")),
        NoCode::OtherState => unusable("the address belongs to another login: its state does not match").hint(AGAIN),
        NoCode::Repeated(name) => unusable(&format!("the address has more than one {name}")).hint(AGAIN),
        NoCode::Rejected { code, description } => refused(&code, description.as_deref(), mask),
    }
}

#[cfg(unix)]
fn cut_off(failure: Failure) -> Failure {
    failure
        .hint("a terminal cuts a line off after 4095 bytes (macOS: 1024); to lift this limit, run \"stty -icanon\" before the login")
        .hint("or paste only the code: the text between \"code=\" and the next \"&\"")
}

#[cfg(windows)]
fn cut_off(failure: Failure) -> Failure {
    failure
        .hint("paste the whole address")
        .hint("or paste only the code: the text between \"code=\" and the next \"&\"")
}

/// An error response of the authorization endpoint (RFC 6749, section 4.1.2.1).
fn refused(code: &str, description: Option<&str>, mask: &Mask) -> Failure {
    let said = description.map(|description| format!(": \"{}\"", mask.printable(description))).unwrap_or_default();
    let what = format!("not logged in: the server says \"{}\"{said}", mask.printable(code));
    let (exit, hint) = match code {
        "access_denied" | "login_required" | "consent_required" | "interaction_required" => {
            (Exit::NoPerm, "run the login again, and agree in the browser")
        }
        "server_error" | "temporarily_unavailable" => (Exit::TempFail, "run the login again later"),
        "invalid_scope" => (Exit::Config, "check --scope"),
        _ => (Exit::Config, "check --client-id, --redirect-uri, --scope and --authorization-endpoint"),
    };
    Failure::new(exit, SUBJECT, what).hint(hint)
}
