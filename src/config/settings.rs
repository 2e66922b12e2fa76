//! What a run is to do: the result of reading arguments, variables and files.

use std::path::PathBuf;
use std::time::Duration;

use super::arguments::{AuthMethod, Print, Run};
use crate::endpoint::TokenEndpoint;
use crate::exchange::{Context, Replay};
use crate::oauth::Client;

/// What this run is to do.
pub struct Settings {
    /// As given: the name that messages use.
    pub token_file: PathBuf,
    pub endpoint: TokenEndpoint,
    pub client: Client,
    /// What looks like a mistake in the client id or secret, such as white space at the end.
    pub client_oddities: Vec<String>,
    pub parameters: Vec<(String, String)>,
    pub min_ttl: Option<Duration>,
    pub print: Option<Print>,
    pub timeout: Duration,
    pub lock_timeout: Duration,
    pub replay: Replay,
    pub run: Run,
    /// Header fields of the user's own.
    pub headers: Vec<(String, String)>,
    /// How to log in for the same token file.
    pub login: LoginCommand,
}

impl Settings {
    /// What a message of the exchange has to name.
    pub fn context(&self) -> Context<'_> {
        Context { token_file: &self.token_file, endpoint: &self.endpoint, client_oddities: &self.client_oddities }
    }
}

/// What else a login for the same token file needs: see `login_command`.
pub struct LoginCommand {
    pub method: Option<AuthMethod>,
    pub files: Vec<(&'static str, PathBuf)>,
}

impl LoginCommand {
    pub fn new(method: Option<AuthMethod>, files: [(&'static str, Option<PathBuf>); 4]) -> Self {
        Self { method, files: files.into_iter().filter_map(|(option, path)| Some((option, path?))).collect() }
    }

    pub fn has(&self, option: &str) -> bool {
        self.files.iter().any(|(given, _)| *given == option)
    }
}
