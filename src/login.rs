//! One login, in order: the authorization code grant (RFC 6749, section 4.1) with PKCE, by pasting.
//!
//!     prove         that the tokens can be stored: lock, recover, draft; then release all of it
//!     ask           print the address to open, and read one line: the redirected address or the code
//!     lock, draft   as a refresh does, with the current content of the token file
//!     exchange      one POST, never repeated: a code is good once
//!     commit        as a refresh does
//!     userinfo      if wanted, the default account, in a commit of its own
//!
//! No lock is held while a human types: a scheduled refresh would wait for somebody at lunch, and fail, and Ctrl-C
//! would leave a draft behind. What was proven before the address is printed may have changed by then, so it is
//! proven again before the code is spent. The login replaces the refresh token that the file holds at that
//! point, but not one that is stored later: see [`crate::token_file`].
//!
//! There is no listener for the redirect. The browser is often on another machine, and a port that must equal a
//! registered one is often taken; a line can be pasted everywhere.

mod account;
mod input;

use std::time::Instant;

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::config::{LoginSettings, Settings, Userinfo};
use crate::console::Console;
use crate::exchange::Replay;
use crate::failure::{Exit, Failure};
use crate::journal::Journal;
use crate::oauth::{
    AuthorizationRequest, Grant, LoginSecrets, Mask, RANDOM_LENGTH, RandomBytes, TokenRequest, read_code,
};
use crate::renewal::{MAX_RESPONSE, NotRenewed, Renewal, client_for};
use crate::report::{Issued, Outcome, Report};
use crate::secret::Secret;
use crate::token_file::{LockedTokenFile, TokenFile};
use crate::token_set::TokenSet;
use crate::transport::{Client, Deadlines, Method, Network, Request};

/// Logs in, and stores the tokens.
pub fn run(settings: &LoginSettings, network: Network, console: &Console) -> Result<Report, Failure> {
    let login = Login { settings, common: &settings.common, console, journal: console.journal() };
    login.prove()?;
    let secrets = LoginSecrets::new(random()?, random()?);
    let code = login.ask(&secrets)?;
    login.exchange(network, &code, &secrets)
}

struct Login<'a> {
    settings: &'a LoginSettings,
    common: &'a Settings,
    console: &'a Console,
    journal: Journal,
}

impl Login<'_> {
    /// Fails if the tokens could not be stored, before anybody opens the browser.
    fn prove(&self) -> Result<(), Failure> {
        let locked = self.lock()?;
        let stored = locked.read_for_login()?;
        drop(locked.draft(&stored, MAX_RESPONSE)?);
        locked.release();
        self.journal.step(format_args!("a draft can be made; releasing the lock"));
        Ok(())
    }

    /// The code that the human brings back from the browser.
    fn ask(&self, secrets: &LoginSecrets) -> Result<Secret, Failure> {
        let request = AuthorizationRequest {
            endpoint: self.settings.authorization_endpoint.as_str(),
            client_id: &self.common.client.id,
            redirect_uri: self.settings.redirect_uri.as_str(),
            scope: &self.settings.scope,
        };
        self.console.warn_of_oddities(&self.common.client_oddities);
        let within = if self.common.endpoint.docusign().is_some() { " within two minutes" } else { "" };
        self.console.ask_to_log_in(&request.address(secrets), self.settings.redirect_uri.as_str(), within);
        let line = input::read_line()?;
        read_code(&line, &secrets.state, self.settings.redirect_uri.as_str()).map_err(|no_code| {
            let mut mask = Mask::default();
            let masked = [&secrets.state, &secrets.verifier].into_iter().chain(self.common.client.secret());
            masked.for_each(|secret| mask.add(secret.copy()));
            input::failure(no_code, &line, &mask)
        })
    }

    fn exchange(&self, network: Network, code: &Secret, secrets: &LoginSecrets) -> Result<Report, Failure> {
        let locked = self.lock()?;
        let stored = locked.read_for_login()?;
        let draft = locked.draft(&stored, MAX_RESPONSE)?;
        self.journal.step(format_args!("the draft is in place"));

        let redirect_uri = self.settings.redirect_uri.as_str();
        let grant = Grant::authorization_code(code, redirect_uri, &secrets.verifier);
        let mut request = TokenRequest::new(&self.common.client, grant, &self.common.parameters);
        let mut client = client_for(&mut request, network, &stored, self.journal);
        let renewal = Renewal {
            settings: self.common,
            request: &request,
            replay: Replay::SendOnce,
            deadline: Instant::now() + self.common.timeout,
            draft,
            stored: &stored,
        };
        let (response, stored) = renewal.run(&mut client, self.console).map_err(|not_renewed| match not_renewed {
            NotRenewed::NotStored(failure) => failure,
            NotRenewed::Kept(unsuccessful, file) => unsuccessful.kept_by_login(self.common.context(), &file),
            NotRenewed::Unsuccessful(unsuccessful) => unsuccessful.login_diagnosis(self.common.context()),
        })?;
        let stored = self.store_account(&mut client, &locked, stored);
        match response.refresh_token {
            Some(_) => {
                let outcome = Outcome::LoggedIn { issued: Issued::by(&response) };
                Ok(Report { outcome, stored, published: Vec::new(), planned: Vec::new() })
            }
            None => Err(self.without_refresh_token(&stored)),
        }
    }

    fn lock(&self) -> Result<LockedTokenFile, Failure> {
        let token_file = TokenFile::find_for_login(&self.common.token_file)?;
        let waiting = || self.journal.step(format_args!("waiting for another run's lock"));
        let locked = token_file.lock(self.common.lock_timeout, &waiting)?;
        self.journal.step(format_args!("locked"));
        locked.recover(&mut |recovery| self.console.warn(recovery))?;
        Ok(locked)
    }

    /// Adds the default account to the token file, if that is wanted. The tokens are safe already: what fails here
    /// is a warning.
    fn store_account(&self, client: &mut Client, locked: &LockedTokenFile, stored: TokenSet) -> TokenSet {
        if self.settings.userinfo == Userinfo::Skip {
            return stored;
        }
        let added = self.account(client, &stored).and_then(|members| {
            let draft = locked.draft(&stored, MAX_RESPONSE).map_err(|failure| failure.line())?;
            let commit = draft.commit(&stored, &|stored| stored.with_members(&members));
            commit.map_err(|failure| failure.line())
        });
        match added {
            Ok(commit) => {
                self.journal.step(format_args!("the default account is stored"));
                commit.warnings.iter().for_each(|warning| self.console.warn(warning));
                commit.stored
            }
            Err(why) => {
                self.console.warn(format_args!("logged in, but the default account was not stored: {why}"));
                stored
            }
        }
    }

    /// The default account, as members of the token file, or why there is none.
    fn account(&self, client: &mut Client, stored: &TokenSet) -> Result<account::Members, String> {
        let uri = self.common.endpoint.userinfo().ok_or("it has no address next to the token endpoint")?;
        let authorization = stored.access_token().map(|token| token.with_prefix("Bearer "));
        let now = Instant::now();
        let deadlines = Deadlines { send_by: now + self.common.timeout, respond_by: now + self.common.timeout };
        let request = Request {
            method: Method::GET,
            uri: &uri,
            authorization: authorization.as_ref(),
            headers: &[],
            content: None,
        };
        self.journal.step(format_args!("asking {} for the accounts", self.common.endpoint.host()));
        let response = client.send(&request, deadlines);
        client.release_signals();
        let response = response.map_err(|failure| failure.reason().to_string())?;
        match response.status {
            200 => account::default_account(&response.content()).map_err(str::to_owned),
            status => Err(format!("HTTP status {status}")),
        }
    }

    fn without_refresh_token(&self, stored: &TokenSet) -> Failure {
        let subject = self.common.token_file.display().to_string();
        let mut what = "the access token is stored, but the server issued no refresh token".to_owned();
        if stored.has_refresh_token() {
            what += "; the old one was kept";
        }
        Failure::new(Exit::Protocol, subject, what)
            .hint("add the scope for a refresh token with --scope (Docusign: extended; most others: offline_access), and check that the server allows it for this app")
            .hint("then run the login again")
    }
}

fn random() -> Result<RandomBytes, Failure> {
    let mut bytes = [0; RANDOM_LENGTH];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => {
            Err(Failure::new(Exit::TempFail, "login", "the system has no random numbers").hint("run again later"))
        }
    }
}
