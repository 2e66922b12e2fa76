//! Failures that pass by themselves.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// On Windows a scanner, an indexer or a reader may be the reason: access denied (5), sharing violation
/// (32), lock violation (33), mapped into memory (1224); and, for a file that was
/// deleted while they have it open, file exists (80) or access denied (5).
const TRANSIENT: &[i32] = if cfg!(windows) { &[5, 32, 33, 80, 1224] } else { &[] };

const PATIENCE: Duration = Duration::from_secs(2);

/// Repeats what a signal interrupted, where std does not, and for two seconds what fails because someone
/// else has the file open.
pub fn retrying<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut end = None;
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error)
                if is_transient(&error) && Instant::now() < *end.get_or_insert_with(|| Instant::now() + PATIENCE) =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| TRANSIENT.contains(&code))
}
