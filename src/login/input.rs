//! Reads the line that a human pastes, and says what is wrong with it.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use crate::failure::{Exit, Failure};
use crate::oauth::{Mask, NoCode};
use crate::secret::Secret;
use crate::terminal::reason;
use crate::text;

/// In bytes: longer than any line of a terminal, and than most addresses of a browser.
const MAX_LINE: u64 = 64 << 10;

/// In bytes: of a longer line, a terminal throws the rest away. macOS counts the newline, too (MAX_CANON).
const MAX_TERMINAL_LINE: usize = if cfg!(target_os = "macos") { 1023 } else { 4095 };

const SUBJECT: &str = "standard input";
const AGAIN: &str = "run the login again and open the new address";
const PASTE: &str = "paste the whole address that the browser shows after the login, or the code in it alone";

/// Reads one line, from a terminal and from a pipe the same way.
pub fn read_line() -> Result<Secret, Failure> {
    let mut line = Vec::new();
    let input = io::stdin();
    let is_terminal = cfg!(unix) && input.is_terminal();
    input.lock().take(MAX_LINE + 1).read_until(b'\n', &mut line).map_err(|error| {
        Failure::new(Exit::NoInput, SUBJECT, format!("cannot read: {}", reason(&error))).hint(AGAIN)
    })?;
    if line.len() as u64 > MAX_LINE {
        return Err(unusable("the line is longer than 64 KiB").hint(PASTE).hint(AGAIN));
    }
    let length = line.trim_ascii_end().len();
    // In UTF-16 LE the newline's second byte was not read.
    if line.starts_with(b"\xFF\xFE") {
        line.truncate(line.len() & !1);
    }
    let line = text::decode(&line).unwrap_or_else(|_| String::from_utf8_lossy(&line).into_owned());
    match is_terminal && (MAX_TERMINAL_LINE..=MAX_TERMINAL_LINE + 1).contains(&length) {
        true => Err(cut_off("the line was cut off by the terminal", length)),
        false => Ok(Secret::new(line)),
    }
}

fn unusable(what: &str) -> Failure {
    Failure::new(Exit::DataErr, SUBJECT, what)
}

/// Why the line cannot be used.
#[expect(clippy::disallowed_methods, reason = "measured, not shown")]
pub fn failure(no_code: NoCode, line: &Secret, mask: &Mask) -> Failure {
    let failure = match no_code {
        NoCode::Empty => unusable("no address or code was given").hint(PASTE),
        NoCode::Unreadable => unusable("the line is neither an address nor a code").hint(PASTE),
        NoCode::NotYetLoggedIn => {
            unusable("this is the address to open, not the one that the browser is sent to after the login")
        }
        NoCode::Missing => unusable("the address has no code").hint(PASTE),
        NoCode::CutOff => {
            return cut_off("the address was cut off: its state is missing or incomplete", line.expose().len());
        }
        NoCode::OtherState => unusable("the address belongs to another login: its state does not match"),
        NoCode::Repeated(name) => unusable(&format!("the address has more than one {name}")),
        NoCode::Rejected { code, description } => return refused(&code, description.as_deref(), mask),
    };
    failure.hint(AGAIN)
}

fn cut_off(what: &str, length: usize) -> Failure {
    let cause = if cfg!(unix) && length > MAX_TERMINAL_LINE - 100 {
        "a terminal cuts a line off after 4095 bytes (macOS: 1024); to lift this limit, run \"stty -icanon\" before the login"
    } else {
        "the address was broken over several lines: paste it as one line"
    };
    unusable(what).hint(cause).hint(AGAIN)
}

/// An error response of the authorization endpoint (RFC 6749, section 4.1.2.1).
fn refused(code: &str, description: Option<&str>, mask: &Mask) -> Failure {
    let said = description.map(|description| format!(": \"{}\"", mask.printable(description))).unwrap_or_default();
    let what = format!("not logged in: the server says \"{}\"{said}", mask.printable(code));
    let (exit, hint) = match code {
        "server_error" | "temporarily_unavailable" => (Exit::TempFail, "run the login again later"),
        "invalid_scope" => (Exit::Config, "check --scope"),
        _ if is_declined(code) => (Exit::NoPerm, "run the login again, and agree in the browser"),
        _ => (Exit::Config, "check --client-id, --redirect-uri, --scope and --authorization-endpoint"),
    };
    let failure = Failure::new(exit, SUBJECT, what).hint(hint);
    if exit == Exit::Config { failure.hint(AGAIN) } else { failure }
}

/// The user declined, or has to do something in the browser: OpenID Connect Core, section 3.1.2.6, and what others
/// have for `access_denied`, such as LinkedIn's `user_cancelled_login`.
fn is_declined(code: &str) -> bool {
    code.ends_with("_required") || "denied declined cancel".split(' ').any(|word| code.contains(word))
}
