//! The members of a token file that hold when tokens expire or were issued: which of them count, and how a refresh
//! updates them.
//!
//! Readers trust them blindly. A stale one makes them discard a fresh token (oauthlib); one too far ahead makes them
//! use an expired one. So every member that is understood is updated, in its own form, and one that only looks like
//! an expiry is named in a warning.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::timestamp::{self, Form, Reading};
use crate::json::Object;
use crate::lifetime;
use crate::member_names::{Subject, TimeMeaning, Zone, meaning};

/// The member that a file without an expiry gets, in seconds: the one that most readers know.
pub const ADDED: &str = "expires_at";

/// How far equal times may differ by clocks and rounding.
const TOLERANCE: Duration = Duration::from_secs(60);

/// A member that says something of time.
struct TimeMember<'a> {
    name: Cow<'a, str>,
    value: &'a str,
    meaning: TimeMeaning,
    /// None if it is not a point in time, or in no form known here.
    reading: Option<Reading>,
}

fn time_members(members: &Object) -> Vec<TimeMember<'_>> {
    let found = members.iter().filter_map(|(name, value)| Some((meaning(&name)?, name, value)));
    let read = found.map(|(meaning, name, value)| {
        let reading = match meaning {
            TimeMeaning::End(_, zone) => timestamp::read(value, zone),
            TimeMeaning::Issued | TimeMeaning::Created => timestamp::read(value, Zone::Local),
            TimeMeaning::Lifetime(..) | TimeMeaning::Unknown => None,
        };
        TimeMember { name, value, meaning, reading }
    });
    read.collect()
}

impl TimeMember<'_> {
    fn at(&self) -> Option<SystemTime> {
        self.reading.as_ref()?.at
    }

    fn ends(&self, subject: Subject) -> bool {
        matches!(self.meaning, TimeMeaning::End(its, _) if its == subject)
    }

    /// Whether it holds when these tokens were issued. What was `created` may also be the record that holds them:
    /// then the stored expiry is not `created` plus the lifetime.
    fn is_issuance(&self, lifetime: Option<Duration>, all: &[TimeMember<'_>]) -> bool {
        match self.meaning {
            TimeMeaning::Issued => true,
            TimeMeaning::Created => {
                let computed = self.at().zip(lifetime).and_then(|(at, lifetime)| at.checked_add(lifetime));
                let mut ends = all.iter().filter(|member| member.ends(Subject::AccessToken)).filter_map(TimeMember::at);
                let first = ends.next();
                let is_near = |end| computed.is_some_and(|computed| distance(computed, end) <= TOLERANCE);
                lifetime.is_some() && first.is_none_or(|first| is_near(first) || ends.any(is_near))
            }
            _ => false,
        }
    }
}

fn lifetime_of_access_token(all: &[TimeMember<'_>]) -> Option<Duration> {
    lifetime::among(Subject::AccessToken, all.iter().map(|member| (member.meaning, member.value)))
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|earlier| earlier.duration())
}

/// When the access token expires: the earliest time that is stored, or follows from its issuance, if it is plausible:
/// not further ahead than the lifetime. A lifetime alone says nothing, because the file's age is unknown, and
/// neither does a time without a zone.
pub fn end_of_access_token(members: &Object, now: SystemTime) -> Option<SystemTime> {
    let all = time_members(members);
    let lifetime = lifetime_of_access_token(&all);
    let stored = all.iter().filter(|member| member.ends(Subject::AccessToken)).filter_map(TimeMember::at);
    let issued = all.iter().filter(|member| member.is_issuance(lifetime, &all)).filter_map(TimeMember::at);
    let computed = issued.filter_map(|issued| issued.checked_add(lifetime?));
    let end = stored.chain(computed).min()?;
    let furthest = now.checked_add(lifetime.unwrap_or(lifetime::MAX_LIFETIME) + TOLERANCE)?;
    (end <= furthest).then_some(end)
}

/// When a token expires according to a response, whose request was sent at `requested_at`.
pub fn end_in_response(subject: Subject, response: &Object, requested_at: SystemTime) -> Option<SystemTime> {
    match lifetime::of(subject, response) {
        // Keycloak, for a token that does not expire.
        Some(Duration::ZERO) if subject == Subject::RefreshToken => None,
        Some(lifetime) => requested_at.checked_add(lifetime),
        None => {
            let own = time_members(response).into_iter().filter(|member| member.ends(subject));
            own.filter_map(|member| member.at()).filter(|&at| at > requested_at).min()
        }
    }
}

/// The stored members that hold times, after a refresh. `response_members` are the response's members under the
/// file's names for them; one that replaces a time may have to take the form of that time.
pub fn updates(
    stored: &Object,
    response: &Object,
    response_members: &[(Cow<'_, str>, &str)],
    requested_at: SystemTime,
) -> Vec<(Cow<'static, str>, String)> {
    let end_of_access_token = end_in_response(Subject::AccessToken, response, requested_at);
    let all = time_members(stored);
    let lifetime = lifetime_of_access_token(&all);
    let mut updates = Vec::new();
    for member in &all {
        let Some(Reading { form, .. }) = &member.reading else {
            continue;
        };
        let own = response_members.iter().find(|(name, _)| *name == member.name);
        let at = match (own, member.meaning) {
            (Some((_, own)), _) => in_another_form(own, form),
            (None, TimeMeaning::End(Subject::AccessToken, _)) => end_of_access_token,
            (None, TimeMeaning::End(subject, _)) => end_in_response(subject, response, requested_at),
            (None, _) if member.is_issuance(lifetime, &all) => end_of_access_token.map(|_| requested_at),
            (None, _) => None,
        };
        updates.extend(at.map(|at| (member.name.clone().into_owned().into(), form.write(at))));
    }
    let tells_end = |member: &TimeMember<'_>| member.ends(Subject::AccessToken) && member.reading.is_some();
    let is_taken = |member: &TimeMember<'_>| member.name == ADDED && !is_null(member.value);
    let has_end = all.iter().any(|member| tells_end(member) || is_taken(member));
    match end_of_access_token {
        Some(end) if !has_end && response_members.iter().all(|(name, _)| name != ADDED) => {
            updates.push((ADDED.into(), Form::NEW.write(end)));
        }
        _ => {}
    }
    updates
}

/// The response's own time, if the file writes it in another form.
fn in_another_form(own: &str, form: &Form) -> Option<SystemTime> {
    let own = timestamp::read(own, Zone::Local)?;
    own.at.filter(|_| !own.form.is_kin(form))
}

/// Whether a member of a response is a time whose value is null.
pub fn is_silent(name: &str, value: &str) -> bool {
    is_null(value) && meaning(name).is_some()
}

fn is_null(value: &str) -> bool {
    value == "null"
}

/// The members that look like an expiry but are not understood.
pub fn not_understood(members: &Object) -> impl Iterator<Item = Cow<'_, str>> {
    let all = time_members(members);
    let is_lifetime_known = lifetime_of_access_token(&all).is_some();
    let odd = all.into_iter().filter(move |member| match member.meaning {
        _ if is_null(member.value) => false,
        TimeMeaning::End(Subject::Client, _) | TimeMeaning::Issued | TimeMeaning::Created => false,
        TimeMeaning::End(..) => member.reading.is_none(),
        TimeMeaning::Lifetime(subject, _) => subject == Subject::AccessToken && !is_lifetime_known,
        // A state, such as `expiry_reminder_sent`.
        TimeMeaning::Unknown => !matches!(member.value, "true" | "false"),
    });
    odd.map(|member| member.name)
}
