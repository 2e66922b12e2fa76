//! One stored point in time: the forms in which programs write it, each read and written as it is.

use std::mem::discriminant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::date_text;
use crate::json::{quote, unquote, whole_number};
use crate::member_names::Zone;
use crate::os::local_time;

/// How a member's value writes its point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    Number(Unit, Notation),
    /// The same as a string.
    Quoted(Unit, Notation),
    /// .NET's `/Date(1600000000000)/`, whose readers want the escape `\/` if it is there. The offset says
    /// where it was written, and changes nothing.
    DotNet {
        slash: &'static str,
        offset: String,
    },
    /// With the zone that is meant if the text names none.
    Text(date_text::Form, Zone),
}

/// What a number counts, since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    /// JavaScript's and Java's.
    Milliseconds,
    Microseconds,
    /// Go's.
    Nanoseconds,
}

/// How a number is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notation {
    Whole,
    /// As Python and Java write an instant's seconds.
    Fraction,
    /// With the text between mantissa and exponent: `e`, `E`, `e+`.
    Exponent(&'static str),
}

/// What a value says.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// None if it names no zone: the same text is another time elsewhere.
    pub at: Option<SystemTime>,
    pub form: Form,
}

/// Reads a member's JSON text; None if it is in no form known here.
pub fn read(value: &str, zone: Zone) -> Option<Reading> {
    let Some(text) = unquote(value) else {
        let (at, unit, notation) = read_number(value)?;
        return Some(Reading { at: Some(at), form: Form::Number(unit, notation) });
    };
    if let Some((at, unit, notation)) = read_number(&text) {
        return Some(Reading { at: Some(at), form: Form::Quoted(unit, notation) });
    }
    if let Some((at, offset)) = read_dot_net(&text) {
        let slash = if value.starts_with("\"\\/") { "\\/" } else { "/" };
        return Some(Reading { at: Some(at), form: Form::DotNet { slash, offset } });
    }
    let ((seconds, _), form) = date_text::read(&text)?;
    let is_known = form.has_zone() || zone == Zone::Utc;
    let at = is_known.then(|| instant(seconds, Unit::Seconds)).flatten();
    Some(Reading { at, form: Form::Text(form, zone) })
}

fn read_number(text: &str) -> Option<(SystemTime, Unit, Notation)> {
    let number = whole_number(text)?;
    let unit = Unit::of(number)?;
    let exponent = ["e+", "E+", "e", "E"].into_iter().find(|mark| text.contains(mark));
    let notation = match exponent {
        Some(mark) => Notation::Exponent(mark),
        None if text.contains('.') => Notation::Fraction,
        None => Notation::Whole,
    };
    Some((instant(number, unit)?, unit, notation))
}

fn read_dot_net(text: &str) -> Option<(SystemTime, String)> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let offset_at = inner.rfind(['+', '-']).filter(|&at| at > 0).unwrap_or(inner.len());
    let (milliseconds, offset) = inner.split_at(offset_at);
    let is_offset = offset.is_empty() || offset.len() == 5 && offset[1..].parse::<u16>().is_ok();
    let milliseconds = milliseconds.parse().ok().filter(|_| is_offset)?;
    Some((instant(milliseconds, Unit::Milliseconds)?, offset.to_owned()))
}

/// Any time before 1970 is in the past, however far: the zero times of Go and .NET are in the year 1.
fn instant(number: i64, unit: Unit) -> Option<SystemTime> {
    let number = u64::try_from(number).unwrap_or(0);
    UNIX_EPOCH.checked_add(match unit {
        Unit::Seconds => Duration::from_secs(number),
        Unit::Milliseconds => Duration::from_millis(number),
        Unit::Microseconds => Duration::from_micros(number),
        Unit::Nanoseconds => Duration::from_nanos(number),
    })
}

impl Unit {
    /// By the size of the number, which distinguishes each unit from the next one until the year 2286. None for other
    /// counts, such as .NET's ticks, and for a date written as one number.
    fn of(number: i64) -> Option<Self> {
        match number.unsigned_abs() {
            0..100_000_000_000 => Some(Self::Seconds),
            100_000_000_000..10_000_000_000_000 => Some(Self::Milliseconds),
            // .NET's zero time.
            62_135_596_800_000 if number < 0 => Some(Self::Milliseconds),
            100_000_000_000_000..10_000_000_000_000_000 => Some(Self::Microseconds),
            1_000_000_000_000_000_000.. => Some(Self::Nanoseconds),
            _ => None,
        }
    }

    fn count(self, since_epoch: Duration) -> u128 {
        match self {
            Self::Seconds => since_epoch.as_secs().into(),
            Self::Milliseconds => since_epoch.as_millis(),
            Self::Microseconds => since_epoch.as_micros(),
            Self::Nanoseconds => since_epoch.as_nanos(),
        }
    }
}

impl Notation {
    fn write(&self, number: u128) -> String {
        let digits = number.to_string();
        match self {
            Self::Whole => digits,
            Self::Fraction => digits + ".0",
            Self::Exponent(mark) => {
                let (first, rest) = digits.split_at(1);
                let rest = Some(rest.trim_end_matches('0')).filter(|rest| !rest.is_empty()).unwrap_or("0");
                format!("{first}.{rest}{mark}{}", digits.len() - 1)
            }
        }
    }
}

impl Form {
    /// The form of a member that this program adds.
    pub const NEW: Self = Self::Number(Unit::Seconds, Notation::Whole);

    /// Whether a reader of one can read the other.
    pub fn is_kin(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one, _), Self::Number(another, _)) | (Self::Quoted(one, _), Self::Quoted(another, _)) => {
                one == another
            }
            _ => discriminant(self) == discriminant(other),
        }
    }

    /// A point in time as a member's JSON text.
    pub fn write(&self, at: SystemTime) -> String {
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        match self {
            Self::Number(unit, notation) => notation.write(unit.count(since_epoch)),
            Self::Quoted(unit, notation) => quote(&notation.write(unit.count(since_epoch))),
            Self::DotNet { slash, offset } => format!("\"{slash}Date({}{offset}){slash}\"", since_epoch.as_millis()),
            Self::Text(form, zone) => {
                let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
                let local_offset = |seconds| match zone {
                    Zone::Local => local_time::offset_at(seconds),
                    Zone::Utc => 0,
                };
                quote(&form.write((seconds, since_epoch.subsec_nanos()), local_offset))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn reads_and_writes_each_form() {
        for (text, seconds, written) in [
            ("1600000000", 1_600_000_000, "1700000000"),
            ("1600000000.75", 1_600_000_000, "1700000000.0"),
            ("1600000000000", 1_600_000_000, "1700000000000"),
            ("1600000000000000", 1_600_000_000, "1700000000000000"),
            ("1600000000000000000", 1_600_000_000, "1700000000000000000"),
            ("1.6e9", 1_600_000_000, "1.7e9"),
            ("1.6E+9", 1_600_000_000, "1.7E+9"),
            ("1.6E12", 1_600_000_000, "1.7E12"),
            ("\"1600000000\"", 1_600_000_000, "\"1700000000\""),
            ("\"1600000000.5\"", 1_600_000_000, "\"1700000000.0\""),
            ("\"1600000000000\"", 1_600_000_000, "\"1700000000000\""),
            ("0", 0, "1700000000"),
            ("-1", 0, "1700000000"),
            ("-62135596800", 0, "1700000000"),
            ("-62135596800000", 0, "1700000000000"),
            ("\"/Date(1600000000000)/\"", 1_600_000_000, "\"/Date(1700000000000)/\""),
            (r#""\/Date(1600000000000)\/""#, 1_600_000_000, r#""\/Date(1700000000000)\/""#),
            ("\"/Date(1600000000000+0200)/\"", 1_600_000_000, "\"/Date(1700000000000+0200)/\""),
            ("\"/Date(-62135596800000)/\"", 0, "\"/Date(1700000000000)/\""),
            ("\"/Date(-62135596800000-0500)/\"", 0, "\"/Date(1700000000000-0500)/\""),
            ("\"2020-09-13T12:26:40Z\"", 1_600_000_000, "\"2023-11-14T22:13:20Z\""),
            ("\"2020-09-13T14:26:40+0200\"", 1_600_000_000, "\"2023-11-15T00:13:20+0200\""),
            ("\"0001-01-01T00:00:00Z\"", 0, "\"2023-11-14T22:13:20Z\""),
            ("\"Sun, 13 Sep 2020 12:26:40 GMT\"", 1_600_000_000, "\"Tue, 14 Nov 2023 22:13:20 GMT\""),
        ] {
            let Reading { at: read_at, form } = read(text, Zone::Local).unwrap_or_else(|| panic!("not read: {text}"));
            assert_eq!((read_at, form.write(at(1_700_000_000)).as_str()), (Some(at(seconds)), written), "{text}");
        }
    }

    #[test]
    fn what_names_no_zone_is_not_known() {
        let text = "\"2020-09-13 12:26:40\"";
        assert_eq!(read(text, Zone::Local).unwrap().at, None);
        let of_utc = read(text, Zone::Utc).unwrap();
        assert_eq!(of_utc.at, Some(at(1_600_000_000)));
        assert_eq!(of_utc.form.write(at(1_700_000_000)), "\"2023-11-14 22:13:20\"");
    }

    #[test]
    fn knows_what_is_not_a_point_in_time() {
        for text in [
            "null",
            "true",
            "\"soon\"",
            "\"\"",
            "{}",
            "[2020,9,13]",
            "\"+1600000000\"",
            "\" 1600000000\"",
            "99999999999999999999",
            "20200913122640",
            "637356000000000000",
            "\"/Date(soon)/\"",
            "\"/Date(1600000000000+02:00)/\"",
            "\"/Date()/\"",
            "\"/Date(-)/\"",
        ] {
            assert_eq!(read(text, Zone::Local), None, "{text}");
        }
    }
}
