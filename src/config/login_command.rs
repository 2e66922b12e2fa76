//! The command by which a human logs in for a token file: filled in, and ready to be pasted into a shell.
//!
//! Its paths are absolute, because the log of a scheduled run is read in another directory. It never contains a
//! secret, nor a proxy's URL, which may hold one.

use std::path::Path;

use super::settings::Settings;
use crate::shell::command_line;

impl Settings {
    /// The command, and what has to be put in or set for it, as hints.
    pub fn login_hints(&self) -> Vec<String> {
        let mut hints = vec![format!("to log in again, run: {}", self.login_command())];
        if self.endpoint.docusign().is_none() {
            hints.push(
                "see the server's documentation for AUTHORIZATION_ENDPOINT and SCOPE; a refresh token often requires the scope offline_access"
                    .to_owned(),
            );
        }
        if self.client.secret().is_some() && !self.login.has("--client-secret-file") {
            hints.push(
                "the login also needs the client secret: set DOCUSIGN_CLIENT_SECRET, or add --client-secret-file FILE"
                    .to_owned(),
            );
        }
        hints
    }

    fn login_command(&self) -> String {
        let mut words = vec!["docusign-refresh".to_owned(), "login".to_owned()];
        let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
        match self.endpoint.docusign() {
            Some(environment) => add("--environment", environment.name().to_owned()),
            None => {
                add("--token-endpoint", self.endpoint.to_string());
                add("--authorization-endpoint", "AUTHORIZATION_ENDPOINT".to_owned());
                add("--scope", "SCOPE".to_owned());
            }
        }
        add("--client-id", self.client.id.clone());
        if let Some(method) = self.login.method {
            add("--client-auth", method.name().to_owned());
        }
        for (option, path) in &self.login.files {
            add(option, absolute(path));
        }
        words.push(absolute(&self.token_file));
        command_line(&words)
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
