//! The one test binary. It drives the program that ships, built as it ships, from outside.
//!
//! `kit` starts the program and looks for leaked secrets; `token_server` is what it talks to;
//! `cases` runs the data files in `tests/cases`, in the format that its head explains. A test
//! that is nothing but input and wanted output belongs there. What needs a second process, a
//! closure or a kill is a test here.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "that is how a test fails, and says what it did"
)]

mod token_server;

#[path = "suite/canary.rs"]
mod canary;
#[path = "suite/case.rs"]
mod case;
#[path = "suite/cases.rs"]
mod cases;
#[path = "suite/kit.rs"]
mod kit;
#[path = "suite/meanwhile.rs"]
mod meanwhile;
#[path = "suite/pattern.rs"]
mod pattern;
