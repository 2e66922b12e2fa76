//! How long a token lives from its issuance: `expires_in` and its kin, in responses and in token files. Pure.

use std::time::Duration;

use crate::json::{Object, unquote, whole_number};
use crate::member_names::{Subject, TimeMeaning, Unit, meaning};

const DAY: u64 = 86_400;

/// No access token is issued for longer. A larger number counts milliseconds, if that makes sense.
pub const MAX_LIFETIME: Duration = Duration::from_secs(400 * DAY);

/// Refresh tokens are issued for some years (Intuit: five).
const MAX_REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(10 * 366 * DAY);

/// Seconds since 1970, from 2020 to 2039: some servers send a point in time instead of a lifetime.
const POINTS_IN_TIME: std::ops::Range<u64> = 1_577_836_800..2_177_452_800;

/// The lifetime that these members state, if it can be understood. A name with a unit in it goes before one
/// without: Zoho sends `expires_in` in milliseconds next to `expires_in_sec`.
pub fn of(subject: Subject, members: &Object) -> Option<Duration> {
    among(subject, members.iter().filter_map(|(name, value)| Some((meaning(&name)?, value))))
}

/// As [`of`], for members whose names have been parsed already.
pub fn among<'a>(subject: Subject, members: impl Iterator<Item = (TimeMeaning, &'a str)>) -> Option<Duration> {
    let lifetimes = members.filter_map(|(meaning, value)| match meaning {
        TimeMeaning::Lifetime(its, unit) if its == subject => Some((unit, read(value, unit, subject)?)),
        _ => None,
    });
    // Of several equal ones, `min_by_key` takes the first.
    lifetimes.min_by_key(|(unit, _)| *unit == Unit::Unstated).map(|(_, lifetime)| lifetime)
}

/// A number, or a string as at least PayPal sends it (golang/oauth2); `"3600s"` as well.
fn read(value: &str, unit: Unit, subject: Subject) -> Option<Duration> {
    let text = unquote(value);
    let text = text.as_deref().map_or(value, str::trim);
    let longest = match subject {
        Subject::RefreshToken => MAX_REFRESH_TOKEN_LIFETIME,
        _ => MAX_LIFETIME,
    };
    let Some(number) = whole_number(text) else {
        let spelled = humantime::parse_duration(text).ok()?;
        return Some(spelled).filter(|&lifetime| lifetime <= longest);
    };
    let number = u64::try_from(number).ok()?;
    let (seconds, milliseconds) = (Duration::from_secs(number), Duration::from_millis(number));
    let lifetime = match unit {
        Unit::Unstated if seconds <= longest => seconds,
        Unit::Unstated if POINTS_IN_TIME.contains(&number) => return None,
        Unit::Unstated | Unit::Milliseconds => milliseconds,
        Unit::Seconds => seconds,
    };
    Some(lifetime).filter(|&lifetime| lifetime <= longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lifetimes() {
        for (members, seconds) in [
            (r#"{"expires_in":28800}"#, Some(28800)),
            (r#"{"expires_in":"3600"}"#, Some(3600)),
            (r#"{"expires_in":" 3600 "}"#, Some(3600)),
            (r#"{"expires_in":3600.5}"#, Some(3600)),
            (r#"{"expires_in":2.88e4}"#, Some(28800)),
            (r#"{"expires_in":"3600s"}"#, Some(3600)),
            (r#"{"expires_in":"1h"}"#, Some(3600)),
            (r#"{"expires_in":0}"#, Some(0)),
            (r#"{"expiresIn":7}"#, Some(7)),
            (r#"{"expires_in":3600000,"expires_in_sec":3600}"#, Some(3600)),
            (r#"{"expires_in_sec":3600,"expires_in":3600000}"#, Some(3600)),
            (r#"{"expires_in":3600,"expires_in_ms":1800000}"#, Some(1800)),
            (r#"{"expires_in":null,"expires_in_sec":3600}"#, Some(3600)),
            (r#"{"expires_in_sec":null,"expires_in":3600}"#, Some(3600)),
            (r#"{"expires_in":34560000}"#, Some(34_560_000)),
            (r#"{"expires_in":43200000}"#, Some(43_200)),
            (r#"{"expires_in":"2592000000"}"#, Some(2_592_000)),
            (r#"{"expires_in":1800000000}"#, None),
            (r#"{"expires_in":99999999999}"#, None),
            (r#"{"expires_in":-1}"#, None),
            (r#"{"expires_in":1e400}"#, None),
            (r#"{"expires_in":99999999999999999999}"#, None),
            (r#"{"expires_in":null}"#, None),
            (r#"{"expires_in":""}"#, None),
            (r#"{"expires_in":[3600]}"#, None),
            (r#"{"refresh_token_expires_in":7}"#, None),
            ("{}", None),
        ] {
            let members = Object::parse(&members.into()).ok().unwrap();
            let wanted = seconds.map(Duration::from_secs);
            assert_eq!(of(Subject::AccessToken, &members), wanted, "{seconds:?}");
        }
    }

    #[test]
    fn a_refresh_token_may_live_for_years() {
        for (members, seconds) in [
            (r#"{"refresh_token_expires_in":8640000,"expires_in":7}"#, 8_640_000),
            (r#"{"x_refresh_token_expires_in":157680000}"#, 157_680_000),
            (r#"{"refresh_expires_in":"2592000000"}"#, 2_592_000),
        ] {
            let members = Object::parse(&members.into()).ok().unwrap();
            assert_eq!(of(Subject::RefreshToken, &members), Some(Duration::from_secs(seconds)), "{seconds}");
        }
    }
}
