//! Publishes the access token to its readers after the commit: in a file of its own, in a Kubernetes Secret. Never
//! the refresh token.
//!
//! The token file remains the only store. Wrong settings are found before anything is sent ([`Publisher::prepare`]),
//! and before a refresh also a file that cannot be written ([`Publisher::prove`]). The rest happens under the token
//! file's lock, once it holds fresh tokens, also if `--min-ttl` or another run made a refresh unnecessary. A place is
//! read first, and written only if it differs. So a run that could not publish ends with exit code 75 and has lost
//! nothing: the next run publishes.

mod access_token;
mod file;
#[cfg(target_os = "linux")]
mod kubernetes;
mod next_step;
#[cfg(target_os = "linux")]
mod secret_object;

use std::time::Instant;

use crate::config::Publications;
use crate::failure::Failure;
use crate::journal::Journal;
use crate::report::{Place, Publication};
use crate::token_file::TokenFile;
pub use access_token::AccessToken;

/// The places to publish to.
pub struct Publisher {
    file: Option<file::Target>,
    #[cfg(target_os = "linux")]
    secret: Option<kubernetes::ApiServer>,
}

impl Publisher {
    /// Refuses places that cannot be published to.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "only a Secret takes the network"))]
    pub fn prepare(wanted: Publications, token_file: &TokenFile, journal: Journal) -> Result<Self, Failure> {
        Ok(Self {
            file: wanted.file.map(|file| file::Target::find(file, token_file)).transpose()?,
            #[cfg(target_os = "linux")]
            secret: wanted.secret.map(|(place, roots)| kubernetes::ApiServer::new(place, roots, journal)),
        })
    }

    /// Proves, before a refresh, that a file can be written. A Secret cannot be proven: see `kubernetes`.
    pub fn prove(&self) -> Result<(), Failure> {
        self.file.as_ref().map_or(Ok(()), file::Target::prove)
    }

    /// Whether nothing is to be published.
    pub fn is_empty(&self) -> bool {
        #[cfg(target_os = "linux")]
        if self.secret.is_some() {
            return false;
        }
        self.file.is_none()
    }

    /// What a run would do, a line each.
    pub fn plan(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(file) = &self.file {
            lines.push(format!("write the access token to {}", file.given().display()));
        }
        #[cfg(target_os = "linux")]
        if let Some(secret) = &self.secret {
            lines.push(format!("PATCH {}", secret.place().uri()));
        }
        lines
    }

    /// Publishes to every place, even if another one fails. Network work ends by `deadline`.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "only a Secret takes the network"))]
    pub fn publish(&mut self, ours: &AccessToken<'_>, deadline: Instant) -> Vec<Result<Publication, Failure>> {
        let mut results = Vec::new();
        if let Some(file) = &self.file {
            let place = Place::File(file.given().display().to_string());
            results.push(file.publish(ours).map(|published| Publication { place, published }));
        }
        #[cfg(target_os = "linux")]
        if let Some(secret) = &mut self.secret {
            let place = Place::Secret(secret.place().full_name());
            results.push(secret.publish(ours, deadline).map(|published| Publication { place, published }));
        }
        results
    }
}
