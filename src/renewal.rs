//! From a grant to stored tokens: one exchange and its commit. A refresh and a login both end this way.
//!
//! Between the last byte of the response and the synced draft nothing is done but saving it: messages wait. On
//! failure, signals stay blocked until the message that names the file with the new tokens is out.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use crate::config::Settings;
use crate::console::Console;
use crate::exchange::{Exchange, Refreshed, Replay, Unsuccessful};
use crate::failure::Failure;
use crate::journal::Journal;
use crate::oauth::{TokenRequest, TokenResponse};
use crate::token_file::Draft;
use crate::token_set::TokenSet;
use crate::transport::{Client, MAX_BODY, Network, ProxyServer};

/// The largest response that a draft needs room for.
pub const MAX_RESPONSE: usize = MAX_BODY;

/// The client for one request, whose mask then also covers the proxy's password and the stored access token.
pub fn client_for(request: &mut TokenRequest, network: Network, stored: &TokenSet, journal: Journal) -> Client {
    stored.access_token().into_iter().for_each(|token| request.add_to_mask(token.copy()));
    if let Some(password) = network.proxy.as_ref().and_then(ProxyServer::password) {
        request.add_to_mask(password);
    }
    Client::new(network, journal)
}

/// A request, and where its tokens are to be stored.
pub struct Renewal<'a> {
    pub settings: &'a Settings,
    pub request: &'a TokenRequest,
    pub replay: Replay,
    pub deadline: Instant,
    pub draft: Draft<'a>,
    /// What the token file holds.
    pub stored: &'a TokenSet,
}

/// Why no new tokens are stored.
pub enum NotRenewed {
    Unsuccessful(Box<Unsuccessful>),
    /// The response was not understood, and is saved in this file.
    Kept(Box<Unsuccessful>, PathBuf),
    NotStored(Failure),
}

impl Renewal<'_> {
    /// The response, and what the token file holds after it.
    pub fn run(self, client: &mut Client, console: &Console) -> Result<(TokenResponse, TokenSet), NotRenewed> {
        let (settings, journal) = (self.settings, console.journal());
        let requested_at = SystemTime::now();
        let exchange = Exchange {
            endpoint: &settings.endpoint,
            request: self.request,
            headers: &settings.headers,
            replay: self.replay,
            deadline: self.deadline,
            journal,
        };
        let Refreshed { response, summary } = match exchange.run(client) {
            Ok(refreshed) => refreshed,
            Err(unsuccessful) => {
                if let Some(response) = unsuccessful.response_to_keep() {
                    let file = self.draft.keep_response(response, self.request.refresh_token());
                    let file = file.map_err(NotRenewed::NotStored)?;
                    return Err(NotRenewed::Kept(unsuccessful, file));
                }
                client.release_signals();
                return Err(NotRenewed::Unsuccessful(unsuccessful));
            }
        };

        let commit = self.draft.commit(self.stored, &|stored| stored.refreshed(&response, requested_at));
        if commit.is_ok() {
            client.release_signals();
        }
        journal.step(format_args!("{}", summary.shown(&response.mask)));
        let commit = commit.map_err(NotRenewed::NotStored)?;
        journal.step(format_args!("committed"));
        commit.warnings.iter().for_each(|warning| console.warn(warning));
        for warning in response.warnings.iter().chain(&commit.stored.warnings(&response.mask)) {
            console.warn(warning);
        }
        Ok((response, commit.stored))
    }
}
