//! Absolute expiry members: the names and forms that programs store (facts 2.5), read and written
//! each in its own form. A stale one makes readers throw a fresh token away (oauthlib).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::json::{quote, unquote, whole_part};

/// Members that say when the access token ends: oauthlib and ruby's oauth2, PHP league, Go and
/// rclone, Azure, AWS, Docusign's Postman collection, Google's Node library.
pub const NAMES: [&str; 10] = [
    "expires_at",
    "expires",
    "expiry",
    "expires_on",
    "expiresAt",
    "expiresOn",
    "access_token_expires_at",
    "accessTokenExpiresAt",
    "expiry_date",
    "expiryDate",
];

/// How one stored member writes its point in time.
#[derive(Debug, PartialEq)]
pub enum Form {
    Seconds,
    /// Seconds with a fraction, which oauthlib used to store.
    FractionalSeconds,
    /// What JavaScript counts in.
    Milliseconds,
    /// One of the above, as a string.
    Quoted(Box<Form>),
    /// With the separator and the zone that it had; an offset becomes `Z`.
    Rfc3339 {
        separator: char,
        zone: &'static str,
    },
}

/// From here on an epoch number counts milliseconds: as seconds it would be the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

/// From here on it counts nothing that is known here.
const FIRST_UNKNOWN: u64 = 1000 * FIRST_MILLISECONDS;

/// The last second that RFC 3339 can write, in the year 9999.
const LAST_RFC3339: Duration = Duration::from_secs(253_402_300_799);

/// Reads a member's JSON text; None if it is in no form known here.
pub fn read(value_text: &str) -> Option<(SystemTime, Form)> {
    match unquote(value_text) {
        None => read_number(value_text),
        Some(text) => match read_number(&text) {
            Some((at, form)) => Some((at, Form::Quoted(Box::new(form)))),
            None => read_rfc3339(&text),
        },
    }
}

fn read_number(text: &str) -> Option<(SystemTime, Form)> {
    let number = whole_part(text).filter(|_| !text.starts_with('+'))?;
    let (since_epoch, form) = match number {
        FIRST_UNKNOWN.. => return None,
        FIRST_MILLISECONDS.. => (Duration::from_millis(number), Form::Milliseconds),
        _ if text.contains('.') => (Duration::from_secs(number), Form::FractionalSeconds),
        _ => (Duration::from_secs(number), Form::Seconds),
    };
    Some((UNIX_EPOCH.checked_add(since_epoch)?, form))
}

fn read_rfc3339(text: &str) -> Option<(SystemTime, Form)> {
    let separator = text.chars().nth(10).filter(|separator| [' ', 't'].contains(separator)).unwrap_or('T');
    let (local, zone, offset) = match text.get(19..).and_then(|rest| rest.find(['+', '-'])) {
        Some(at) => {
            let (local, offset) = text.split_at(19 + at);
            (local, "Z", read_offset(offset)?)
        }
        None => match text.strip_suffix(['Z', 'z']) {
            Some(local) => (local, "Z", 0),
            None => (text, "", 0),
        },
    };
    let local = local.replacen('t', "T", 1);
    let at = match local.get(..4)?.parse() {
        // Go stores its zero time, of the year 1, for one that is not known: it is over.
        Ok(0..1970_u16) => humantime::parse_rfc3339_weak(&format!("2000{}", &local[4..])).map(|_| UNIX_EPOCH),
        _ => humantime::parse_rfc3339_weak(&local),
    };
    let at = at.ok()?;
    let shift = Duration::from_secs(offset.unsigned_abs());
    let at = if offset >= 0 { at.checked_sub(shift) } else { at.checked_add(shift) };
    Some((at?, Form::Rfc3339 { separator, zone }))
}

/// `+02:00` in seconds.
fn read_offset(text: &str) -> Option<i64> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let seconds = hours.parse::<u16>().ok()? as i64 * 3600 + minutes.parse::<u16>().ok()? as i64 * 60;
    Some(if text.starts_with('-') { -seconds } else { seconds })
}

impl Form {
    /// A point in time as a member's JSON text.
    pub fn write(&self, at: SystemTime) -> String {
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        match self {
            Self::Seconds => since_epoch.as_secs().to_string(),
            Self::FractionalSeconds => format!("{}.0", since_epoch.as_secs()),
            Self::Milliseconds => since_epoch.as_millis().to_string(),
            Self::Quoted(form) => quote(&form.write(at)),
            Self::Rfc3339 { separator, zone } => {
                let at = UNIX_EPOCH + since_epoch.min(LAST_RFC3339);
                let text = humantime::format_rfc3339_seconds(at).to_string();
                quote(&text.replace('T', &separator.to_string()).replace('Z', zone))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_each_form() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (text, seconds, written) in [
            ("1600000000", 1_600_000_000, "1700000000"),
            ("1600000000.75", 1_600_000_000, "1700000000.0"),
            ("1600000000000", 1_600_000_000, "1700000000000"),
            ("\"1600000000\"", 1_600_000_000, "\"1700000000\""),
            ("\"2020-09-13T12:26:40Z\"", 1_600_000_000, "\"2023-11-14T22:13:20Z\""),
            ("\"2020-09-13t12:26:40z\"", 1_600_000_000, "\"2023-11-14t22:13:20Z\""),
            ("\"0001-01-01T00:00:00Z\"", 0, "\"2023-11-14T22:13:20Z\""),
            ("\"2020-09-13 12:26:40\"", 1_600_000_000, "\"2023-11-14 22:13:20\""),
            ("\"2020-09-13T14:26:40+02:00\"", 1_600_000_000, "\"2023-11-14T22:13:20Z\""),
            ("\"2020-09-13T10:56:40-01:30\"", 1_600_000_000, "\"2023-11-14T22:13:20Z\""),
        ] {
            let (read_at, form) = read(text).unwrap();
            assert_eq!((read_at, form.write(at(1_700_000_000)).as_str()), (at(seconds), written), "{text}");
        }
        for text in [
            "null",
            "true",
            "\"soon\"",
            "\"\"",
            "-1",
            "1e9",
            "{}",
            "\"2020-09-13T12:26:40+0200\"",
            "99999999999999999999",
            "1600000000000000",
            "\"0001-13-01T00:00:00Z\"",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
