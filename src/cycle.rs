//! One refresh cycle, in order:
//!
//!     find, read    the token file as it is, without a lock
//!     lock          wait for other runs, then read again: one of them may have refreshed it
//!     recover       put the tokens of an interrupted run in place
//!     draft         prove that the new tokens can be saved, and the access token published in a file, before the
//!                   refresh token is spent
//!     refresh       the exchange with the token endpoint
//!     commit        the new tokens, durable, in the token file's place
//!     publish       the access token to its readers: also where no refresh was needed
//!
//! Before `refresh`, every step that fails leaves the refresh token unspent.

use std::time::{Duration, Instant, SystemTime};

use crate::config::{self, Publications, Run, Settings};
use crate::console::{self, Console};
use crate::exchange::Unsuccessful;
use crate::failure::Failure;
use crate::oauth::{Grant, TokenRequest};
use crate::publish::{AccessToken, Publisher};
use crate::renewal::{MAX_RESPONSE, NotRenewed, Renewal, client_for};
use crate::report::{Issued, Outcome, Publication, Report};
use crate::token_file::{LockedTokenFile, TokenFile};
use crate::token_set::TokenSet;
use crate::transport::Network;

/// What the token file holds at the end, and how it got there.
struct Renewed {
    outcome: Outcome,
    stored: TokenSet,
    /// What it held before this run's own refresh.
    before: Option<TokenSet>,
    /// The deadline of all network work, if there was any.
    deadline: Option<Instant>,
}

/// Runs one cycle.
pub fn run(
    settings: &Settings,
    network: Network,
    publications: Publications,
    console: &Console,
) -> Result<Report, Failure> {
    let journal = console.journal();
    let token_file = TokenFile::find(&settings.token_file)?;
    let mut publisher = Publisher::prepare(publications, &token_file, journal)?;
    let seen = token_file.read_unlocked()?;

    let waiting = || journal.step(format_args!("waiting for another run's lock"));
    let locked = token_file.lock(settings.lock_timeout, &waiting)?;
    journal.step(format_args!("locked"));

    if settings.run == Run::Dry {
        let (outcome, stored) = dry_run(settings, &publisher, &locked, seen, console)?;
        return Ok(Report { outcome, stored, published: Vec::new(), planned: publisher.plan() });
    }
    let renewed = renew(settings, network, &publisher, &locked, seen, console)?;
    let published = publish(settings, &mut publisher, &renewed, console)?;
    Ok(Report { outcome: renewed.outcome, stored: renewed.stored, published, planned: Vec::new() })
}

/// Under the lock: recovers, and refreshes if that is needed.
fn renew(
    settings: &Settings,
    network: Network,
    publisher: &Publisher,
    locked: &LockedTokenFile,
    mut seen: Option<TokenSet>,
    console: &Console,
) -> Result<Renewed, Failure> {
    let journal = console.journal();
    locked.recover(&mut |recovery| {
        seen.take_if(|_| recovery.has_replaced_tokens());
        console.warn(recovery);
    })?;
    let (stored, seen) = locked.read_after(seen)?;
    if let Some(outcome) = outcome_without_request(settings, seen, &stored) {
        return Ok(Renewed { outcome, stored, before: None, deadline: None });
    }

    locked.refuse_if_response_unread(&stored)?;
    warn_of_oddities(settings, &stored, console);
    publisher.prove()?;
    let draft = locked.draft(&stored, MAX_RESPONSE)?;
    journal.step(format_args!("the draft is in place"));
    let mut request = token_request(settings, &stored);
    let mut client = client_for(&mut request, network, &stored, journal);
    let deadline = Instant::now() + settings.timeout;
    let renewal = Renewal { settings, request: &request, replay: settings.replay, deadline, draft, stored: &stored };
    let (response, now) = match renewal.run(&mut client, console) {
        Ok(renewed) => renewed,
        Err(NotRenewed::NotStored(failure)) => return Err(failure),
        Err(NotRenewed::Kept(unsuccessful, file)) => {
            return Err(unsuccessful.kept(settings.context(), &file));
        }
        Err(NotRenewed::Unsuccessful(unsuccessful)) => {
            return end_without_tokens(settings, &unsuccessful, &stored, locked.read().ok(), deadline);
        }
    };
    let is_rotated = !now.refresh_token().is_same(stored.refresh_token());
    let outcome = Outcome::Refreshed { issued: Issued::by(&response), is_rotated };
    Ok(Renewed { outcome, stored: now, before: Some(stored), deadline: Some(deadline) })
}

/// Publishes the access token, still under the lock, so that an older one never replaces a newer one. It may take
/// the time that the refresh left.
fn publish(
    settings: &Settings,
    publisher: &mut Publisher,
    renewed: &Renewed,
    console: &Console,
) -> Result<Vec<Publication>, Failure> {
    if publisher.is_empty() {
        return Ok(Vec::new());
    }
    renewed.outcome.expect_access_token(settings).inspect_err(|_| console.show_outcome(&renewed.outcome))?;
    let deadline = renewed.deadline.unwrap_or_else(|| Instant::now() + settings.timeout);
    let token = AccessToken::of(&renewed.stored, renewed.before.as_ref(), SystemTime::now());
    let Some(token) = token else { return Ok(Vec::new()) };
    let mut published = Vec::new();
    let mut failed: Option<Failure> = None;
    for result in publisher.publish(&token, deadline) {
        match result {
            Ok(publication) => {
                console.journal().step(format_args!("{publication}"));
                published.push(publication);
            }
            Err(failure) => failed.replace(failure).iter().for_each(console::show_failure),
        }
    }
    let Some(failure) = failed else { return Ok(published) };
    console.show_outcome(&renewed.outcome);
    Err(failure)
}

/// A dry run: the same cycle up to the request. It changes neither the token file nor a draft, and says what a
/// run would recover.
fn dry_run(
    settings: &Settings,
    publisher: &Publisher,
    locked: &LockedTokenFile,
    seen: Option<TokenSet>,
    console: &Console,
) -> Result<(Outcome, TokenSet), Failure> {
    let plan = locked.examine()?;
    plan.lines().iter().for_each(|line| console.warn(format_args!("a real run {line}")));
    let has_drafts = plan.has_drafts();
    let (stored, seen) = match plan.promoted() {
        Some(promoted) => (promoted, None),
        None => locked.read_after(seen)?,
    };
    if let Some(outcome) = outcome_without_request(settings, seen, &stored) {
        return Ok((outcome, stored));
    }
    locked.refuse_if_response_unread(&stored)?;
    publisher.prove()?;
    // The draft of an interrupted run already has this name, and proves as much.
    if !has_drafts {
        drop(locked.draft(&stored, MAX_RESPONSE)?);
        console.journal().step(format_args!("the draft is in place"));
    }
    warn_of_oddities(settings, &stored, console);
    let request = token_request(settings, &stored);
    let post = [format!("POST {}", settings.endpoint)].into_iter();
    let headers = settings.headers.iter().map(|(name, value)| format!("{name}: {value}"));
    let request = post.chain(headers).chain(request.masked()).collect();
    Ok((Outcome::DryRun { request }, stored))
}

/// The outcome if no request is needed: another run has refreshed since `seen`, or the access token is valid for
/// long enough.
fn outcome_without_request(settings: &Settings, seen: Option<TokenSet>, stored: &TokenSet) -> Option<Outcome> {
    if seen.is_some_and(|seen| is_refreshed(stored, &seen)) {
        return Some(Outcome::AnotherRun);
    }
    let left = remaining_life(stored, settings.min_ttl?)?;
    Some(Outcome::StillFresh { left })
}

#[expect(clippy::disallowed_methods, reason = "only its first and last characters are looked at")]
fn warn_of_oddities(settings: &Settings, stored: &TokenSet, console: &Console) {
    let of_token = config::oddity(stored.refresh_token().expose()).map(|oddity| format!("the refresh token {oddity}"));
    console.warn_of_oddities(&settings.client_oddities);
    console.warn_of_oddities(of_token.as_slice());
}

fn token_request(settings: &Settings, stored: &TokenSet) -> TokenRequest {
    TokenRequest::new(&settings.client, Grant::refresh_token(stored.refresh_token()), &settings.parameters)
}

/// The end of a run whose refresh brought no tokens. If the server rejected the ones sent, another run or a login
/// may have stored new ones meanwhile.
fn end_without_tokens(
    settings: &Settings,
    unsuccessful: &Unsuccessful,
    sent: &TokenSet,
    now: Option<TokenSet>,
    deadline: Instant,
) -> Result<Renewed, Failure> {
    match now.filter(|now| unsuccessful.is_token_rejected() && !now.has_tokens_of(sent)) {
        Some(stored) if is_refreshed(&stored, sent) => {
            Ok(Renewed { outcome: Outcome::AnotherRun, stored, before: None, deadline: Some(deadline) })
        }
        Some(_) => Err(Unsuccessful::other_login(settings.context())),
        None => {
            let failure = unsuccessful.diagnosis(settings.context());
            let hints = if unsuccessful.is_token_rejected() { settings.login_hints() } else { Vec::new() };
            Err(hints.into_iter().fold(failure, Failure::hint))
        }
    }
}

/// Whether other tokens were stored since `before`, with an access token that can be used. An expiry in the past
/// disqualifies it only if the expiry changed, too: some servers omit `expires_in`. The same access token must have one
/// in the future: some responses bring only a refresh token.
fn is_refreshed(now: &TokenSet, before: &TokenSet) -> bool {
    if now.has_tokens_of(before) || now.access_token().is_none() {
        return false;
    }
    let clock = SystemTime::now();
    let end = now.expires_at(clock);
    let is_other = !now.has_access_token_of(before);
    end.map_or(is_other, |end| end > clock || is_other && Some(end) == before.expires_at(clock))
}

/// How long the stored access token is still valid, if that is at least `min_ttl`.
fn remaining_life(stored: &TokenSet, min_ttl: Duration) -> Option<Duration> {
    let now = SystemTime::now();
    let left = stored.expires_at(now)?.duration_since(now).ok()?;
    (left >= min_ttl).then_some(left)
}
