//! The one test binary. It drives the program that ships, built as it ships, from outside.
//!
//! `kit` starts the program, `leaks` looks for secrets where none may be, and `token_server` is what it talks to;
//! `cases` runs the data files in `tests/cases`, in the format that its head explains. A test
//! that is nothing but input and wanted output belongs there. What needs a second process, a
//! closure or a kill is a test here.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "that is how a test fails, and says what it did"
)]

#[path = "../token_server/mod.rs"]
mod token_server;

#[cfg(target_os = "linux")]
mod api_server;
#[cfg(unix)]
mod bare_root;
#[cfg(unix)]
mod budgets;
mod canary;
mod case;
mod cases;
#[cfg(unix)]
mod certificates;
#[cfg(unix)]
mod client_certificates;
#[cfg(target_os = "linux")]
mod clocks;
#[cfg(target_os = "linux")]
mod cluster;
#[cfg(unix)]
mod container;
#[cfg(target_os = "linux")]
mod crowds;
#[cfg(unix)]
mod deadlines;
mod docusign;
#[cfg(target_os = "linux")]
mod dry_run;
#[cfg(unix)]
mod exits;
#[cfg(target_os = "linux")]
mod failures;
#[cfg(target_os = "linux")]
mod file_shapes;
#[cfg(target_os = "linux")]
mod held_signals;
#[cfg(unix)]
mod image;
#[cfg(target_os = "linux")]
mod kept_responses;
#[cfg(target_os = "linux")]
mod kills;
mod kit;
mod large_files;
mod leaks;
mod login;
#[cfg(target_os = "linux")]
mod long_names;
#[cfg(unix)]
mod machine;
#[cfg(unix)]
mod makefile;
#[cfg(unix)]
mod manual;
mod meanwhile;
#[cfg(target_os = "linux")]
mod name_server;
#[cfg(target_os = "linux")]
mod names;
#[cfg(unix)]
mod namespace;
#[cfg(target_os = "linux")]
mod needs;
#[cfg(target_os = "linux")]
mod old_kernels;
mod pattern;
#[cfg(unix)]
mod peers;
#[cfg(target_os = "linux")]
mod places;
#[cfg(target_os = "linux")]
mod power_cuts;
#[cfg(unix)]
mod proxies;
#[cfg(target_os = "linux")]
mod publish_file;
#[cfg(target_os = "linux")]
mod publish_secret;
#[cfg(target_os = "linux")]
mod publish_sweeps;
#[cfg(unix)]
mod readme;
#[cfg(target_os = "linux")]
mod real_cluster;
#[cfg(unix)]
mod recipes;
#[cfg(target_os = "linux")]
mod recovery;
mod replies;
#[cfg(unix)]
mod retries;
#[cfg(target_os = "linux")]
mod scene;
mod scheduled_task;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(target_os = "linux")]
mod small_hosts;
#[cfg(target_os = "linux")]
mod strace;
#[cfg(unix)]
mod tools;
mod windows;
mod windows_image;
