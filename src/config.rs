//! Turns arguments, environment variables and the files they name into the settings of this run.
//!
//! An option overrides its variable. Two sources of one thing on the same level are an error, not a silent
//! choice. All of this happens before the token file is looked at, and nothing is written.

mod arguments;
mod client_id;
mod environment;
mod foreign_format;
mod header;
#[cfg(target_os = "linux")]
mod kubernetes;
mod login;
mod login_command;
mod pem;
mod proxy;
mod publication;
mod refresh;
mod secret;
mod secret_name;
mod settings;

pub use arguments::{
    AccessTokenFormat, Arguments, AuthMethod, Print, Run, Userinfo, Verbosity, parse_duration, parse_parameter,
    parse_scope, parse_text, parse_timeout,
};
pub use client_id::{oddity, parse as parse_client_id};
pub use environment::read_value;
pub use header::parse as parse_header;
#[cfg(target_os = "linux")]
pub use kubernetes::{SERVICE_ACCOUNT, SecretPlace};
pub use login::{LoginSettings, login_settings};
pub use publication::{AccessTokenFile, DRAFT, Publications};
pub use refresh::refresh_settings;
pub use secret_name::SecretName;
pub use settings::Settings;
