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

#[cfg(unix)]
#[path = "suite/bare_root.rs"]
mod bare_root;
#[cfg(unix)]
#[path = "suite/budgets.rs"]
mod budgets;
#[path = "suite/canary.rs"]
mod canary;
#[path = "suite/case.rs"]
mod case;
#[path = "suite/cases.rs"]
mod cases;
#[cfg(unix)]
#[path = "suite/certificates.rs"]
mod certificates;
#[cfg(unix)]
#[path = "suite/client_certificates.rs"]
mod client_certificates;
#[cfg(unix)]
#[path = "suite/container.rs"]
mod container;
#[cfg(target_os = "linux")]
#[path = "suite/crowds.rs"]
mod crowds;
#[cfg(unix)]
#[path = "suite/deadlines.rs"]
mod deadlines;
#[path = "suite/docusign.rs"]
mod docusign;
#[cfg(unix)]
#[path = "suite/exits.rs"]
mod exits;
#[cfg(target_os = "linux")]
#[path = "suite/failures.rs"]
mod failures;
#[cfg(target_os = "linux")]
#[path = "suite/file_shapes.rs"]
mod file_shapes;
#[cfg(target_os = "linux")]
#[path = "suite/held_signals.rs"]
mod held_signals;
#[cfg(unix)]
#[path = "suite/image.rs"]
mod image;
#[cfg(target_os = "linux")]
#[path = "suite/kills.rs"]
mod kills;
#[path = "suite/kit.rs"]
mod kit;
#[path = "suite/large_files.rs"]
mod large_files;
#[cfg(unix)]
#[path = "suite/machine.rs"]
mod machine;
#[cfg(unix)]
#[path = "suite/manual.rs"]
mod manual;
#[path = "suite/meanwhile.rs"]
mod meanwhile;
#[cfg(unix)]
#[path = "suite/namespace.rs"]
mod namespace;
#[cfg(target_os = "linux")]
#[path = "suite/needs.rs"]
mod needs;
#[path = "suite/pattern.rs"]
mod pattern;
#[cfg(unix)]
#[path = "suite/peers.rs"]
mod peers;
#[cfg(target_os = "linux")]
#[path = "suite/places.rs"]
mod places;
#[cfg(unix)]
#[path = "suite/proxies.rs"]
mod proxies;
#[cfg(unix)]
#[path = "suite/readme.rs"]
mod readme;
#[cfg(unix)]
#[path = "suite/recipes.rs"]
mod recipes;
#[cfg(target_os = "linux")]
#[path = "suite/recovery.rs"]
mod recovery;
#[path = "suite/replies.rs"]
mod replies;
#[cfg(unix)]
#[path = "suite/retries.rs"]
mod retries;
#[cfg(target_os = "linux")]
#[path = "suite/scene.rs"]
mod scene;
#[path = "suite/scheduled_task.rs"]
mod scheduled_task;
#[cfg(target_os = "linux")]
#[path = "suite/strace.rs"]
mod strace;
#[cfg(unix)]
#[path = "suite/tools.rs"]
mod tools;
#[path = "suite/windows.rs"]
mod windows;
#[path = "suite/windows_image.rs"]
mod windows_image;
