//! The access token as it is published.

use std::time::SystemTime;

use crate::secret::Secret;
use crate::token_set::TokenSet;

/// The access token that the token file holds, read under its lock.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only a Secret tells more than the token"))]
pub struct AccessToken<'a> {
    pub token: &'a Secret,
    /// In seconds since 1970, if the token file says so.
    pub expires_at: Option<u64>,
    /// The access token that this run has replaced: a place that holds it is out of date, whatever expiry it has.
    pub replaced: Option<&'a Secret>,
}

impl<'a> AccessToken<'a> {
    /// None if the token file holds no access token.
    pub fn of(stored: &'a TokenSet, before: Option<&'a TokenSet>, now: SystemTime) -> Option<Self> {
        Some(Self {
            token: stored.access_token()?,
            expires_at: stored.expires_at_seconds(now),
            replaced: before.and_then(TokenSet::access_token),
        })
    }
}
