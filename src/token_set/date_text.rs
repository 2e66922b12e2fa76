//! Points in time as text for people: RFC 3339 and its relatives, HTTP's date, and what `ctime`, Java and
//! JavaScript print. Read and written in one and the same form.
//!
//! A form is a template of one character a field. What a text may choose within its template (the separator, the
//! digits of the fraction, how the zone is spelled) is kept, and written again.

use super::calendar::{Date, MONTHS, WEEKDAYS};

/// How a text writes a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    template: &'static str,
    /// Between date and time, where a template has `T`.
    separator: char,
    /// Digits after the seconds, and the mark before them.
    fraction: Option<(char, usize)>,
    zone: Option<Zone>,
}

/// A zone as it is spelled, and what that means in seconds east of UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Zone {
    offset: i64,
    text: String,
}

/// A point in time: seconds and nanoseconds since 1970.
pub type PointInTime = (i64, u32);

/// Year, month, day (`d`: padded with a space, `e`: not padded), hour, minute, second; `F` a fraction and `Z` a
/// zone, either may be missing; `z` one that is always UTC; `N` and `W` names of months and weekdays; every other
/// character is literal.
const TEMPLATES: [&str; 11] = [
    // RFC 3339; ISO 8601; Python, Ruby, Go and SQL, which put blanks before time and zone.
    "Y-M-DTh:m:sFZ",
    // Java leaves seconds out where there are none.
    "Y-M-DTh:mZ",
    "Y/M/DTh:m:sFZ",
    // ISO 8601, basic, with and without the mark.
    "YMDThmsFZ",
    "YMDhmsFZ",
    // RFC 9110, section 5.6.7, which is RFC 1123's; Java's; PHP's cookies.
    "W, D N Y h:m:sZ",
    "W, e N Y h:m:sZ",
    "W, D-N-Y h:m:sZ",
    // C's asctime; date(1) and Java; JavaScript.
    "W N d h:m:s Y",
    "W N d h:m:sz Y",
    "W N D Y h:m:sZ",
];

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// Reads a text in the first form that fits. One without a zone is read as if it were UTC: see
/// [`Form::has_zone`].
pub fn read(text: &str) -> Option<(PointInTime, Form)> {
    // All forms are ASCII, so the text can be cut after any byte.
    let is_short_ascii = text.is_ascii() && text.len() <= 100;
    TEMPLATES.iter().filter(|_| is_short_ascii).find_map(|template| Reader::new(text).read(template))
}

impl Form {
    pub fn has_zone(&self) -> bool {
        self.zone.is_some()
    }

    /// `local_offset` is the offset in seconds east of UTC, at a time in seconds since 1970, for a text without a zone.
    pub fn write(&self, (seconds, nanoseconds): PointInTime, local_offset: impl Fn(i64) -> i64) -> String {
        let offset = self.zone.as_ref().map_or_else(|| local_offset(seconds), |zone| zone.offset);
        let local = (seconds.min(LAST_SECOND) + offset).min(LAST_SECOND);
        let (date, of_day) = (Date::of_days(local.div_euclid(86_400)), local.rem_euclid(86_400));
        self.template.chars().fold(String::new(), |text, field| {
            text + &match field {
                'Y' => format!("{:04}", date.year),
                'M' => format!("{:02}", date.month),
                'D' => format!("{:02}", date.day),
                'd' => format!("{:2}", date.day),
                'e' => date.day.to_string(),
                'h' => format!("{:02}", of_day / 3600),
                'm' => format!("{:02}", of_day / 60 % 60),
                's' => format!("{:02}", of_day % 60),
                'N' => usize::try_from(date.month - 1).map_or("", |month| MONTHS[month]).to_owned(),
                'W' => date.weekday().to_owned(),
                'T' => self.separator.to_string(),
                'F' => self.fraction.map_or(String::new(), |(mark, digits)| {
                    format!("{mark}{}", &format!("{nanoseconds:09}")[..digits])
                }),
                'Z' | 'z' => self.zone.as_ref().map_or("", |zone| &zone.text).to_owned(),
                literal => literal.to_string(),
            }
        })
    }
}

/// What was read of a text so far, and the rest of it.
struct Reader<'text> {
    rest: &'text str,
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
    nanoseconds: u32,
    separator: char,
    fraction: Option<(char, usize)>,
    zone: Option<Zone>,
}

impl<'text> Reader<'text> {
    fn new(rest: &'text str) -> Self {
        let (separator, fraction, zone) = ('T', None, None);
        Self { rest, year: 0, month: 0, day: 0, second_of_day: 0, nanoseconds: 0, separator, fraction, zone }
    }

    fn read(mut self, template: &'static str) -> Option<(PointInTime, Form)> {
        template.chars().try_for_each(|field| self.take(field))?;
        let days = Date::new(self.year, self.month, self.day)?.days();
        let offset = self.zone.as_ref().map_or(0, |zone| zone.offset);
        let seconds = days * 86_400 + self.second_of_day - offset;
        let form = Form { template, separator: self.separator, fraction: self.fraction, zone: self.zone };
        self.rest.is_empty().then_some(((seconds, self.nanoseconds), form))
    }

    fn take(&mut self, field: char) -> Option<()> {
        match field {
            'Y' => self.year = self.number(4, 0..=9999)?,
            'M' => self.month = self.number(2, 1..=12)?,
            'D' => self.day = self.number(2, 1..=31)?,
            'd' if self.rest.starts_with(' ') => {
                self.cut(1)?;
                self.day = self.number(1, 1..=9)?;
            }
            'd' => self.day = self.number(2, 1..=31)?,
            'e' => self.day = self.number(1, 1..=9)?,
            'h' => self.second_of_day += 3600 * self.number(2, 0..=23)?,
            'm' => self.second_of_day += 60 * self.number(2, 0..=59)?,
            // A leap second.
            's' => self.second_of_day += self.number(2, 0..=60)?,
            'N' => {
                let name = self.cut(3)?;
                self.month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
            }
            'W' => {
                let name = self.cut(3)?;
                WEEKDAYS.iter().find(|weekday| **weekday == name)?;
            }
            'T' => self.separator = self.cut(1)?.chars().next().filter(|mark| ['T', 't', ' '].contains(mark))?,
            'F' => self.take_fraction()?,
            'Z' => self.zone = read_zone(std::mem::take(&mut self.rest))?,
            'z' => self.zone = read_zone(self.cut(4)?)?,
            literal => self.rest = self.rest.strip_prefix(literal)?,
        }
        Some(())
    }

    fn take_fraction(&mut self) -> Option<()> {
        let Some(mark) = self.rest.chars().next().filter(|mark| ['.', ','].contains(mark)) else {
            return Some(());
        };
        let digits = self.rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let text = self.cut(1 + digits)?;
        self.nanoseconds = format!("{:0<9}", &text[1..]).parse().ok()?;
        self.fraction = Some((mark, digits));
        Some(())
    }

    fn number(&mut self, digits: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let text = self.cut(digits)?;
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())??;
        range.contains(&number).then_some(number)
    }

    fn cut(&mut self, length: usize) -> Option<&'text str> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }
}

/// None if the text is not a zone; within it, None if it is empty.
#[expect(clippy::option_option, reason = "no zone and not a zone are two things")]
fn read_zone(text: &str) -> Option<Option<Zone>> {
    if text.is_empty() {
        return Some(None);
    }
    let zone = |offset| Some(Some(Zone { offset, text: text.to_owned() }));
    let bare = text.strip_prefix(' ').unwrap_or(text);
    // Go and JavaScript say the name after the offset.
    let (bare, name) = bare.split_once(' ').unwrap_or((bare, ""));
    let is_name = name.is_empty() || name == "UTC" || name.starts_with('(') && name.ends_with(')');
    let offset = bare.strip_prefix("GMT").or_else(|| bare.strip_prefix("UTC")).unwrap_or(bare);
    match offset {
        _ if !is_name => None,
        "" | "Z" | "z" => zone(0),
        offset => zone(read_offset(offset)?),
    }
}

/// `+02:00`, `+0200`, `+02` in seconds.
fn read_offset(text: &str) -> Option<i64> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = match text.len() {
        3 | 5 => text[1..].to_owned(),
        6 if text[3..].starts_with(':') => text[1..].replace(':', ""),
        _ => return None,
    };
    let number: i64 =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{digits:0<4}").parse().ok())??;
    (number / 100 <= 23 && number % 100 <= 59).then(|| sign * (number / 100 * 3600 + number % 100 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_in_one_form() {
        const NEW: PointInTime = (1_700_000_000, 123_456_789);
        // As a point in time, and the new one in the same form; local time is an hour east of UTC here.
        for (text, seconds, written) in [
            ("2020-09-13T12:26:40Z", 1_600_000_000, "2023-11-14T22:13:20Z"),
            ("2020-09-13t12:26:40z", 1_600_000_000, "2023-11-14t22:13:20z"),
            ("2020-09-13T12:26:40.5Z", 1_600_000_000, "2023-11-14T22:13:20.1Z"),
            ("2020-09-13T12:26:40.000Z", 1_600_000_000, "2023-11-14T22:13:20.123Z"),
            ("2020-09-13T12:26:40.0000000Z", 1_600_000_000, "2023-11-14T22:13:20.1234567Z"),
            ("2020-09-13T12:26:40,123456789Z", 1_600_000_000, "2023-11-14T22:13:20,123456789Z"),
            ("2020-09-13T14:26:40+02:00", 1_600_000_000, "2023-11-15T00:13:20+02:00"),
            ("2020-09-13T10:56:40-01:30", 1_600_000_000, "2023-11-14T20:43:20-01:30"),
            ("2020-09-13T12:26:40+0000", 1_600_000_000, "2023-11-14T22:13:20+0000"),
            ("2020-09-13T12:26:40+00:00", 1_600_000_000, "2023-11-14T22:13:20+00:00"),
            ("2020-09-13 12:26:40+00", 1_600_000_000, "2023-11-14 22:13:20+00"),
            ("2020-09-13 14:26:40 +0200", 1_600_000_000, "2023-11-15 00:13:20 +0200"),
            ("2020-09-13 12:26:40 UTC", 1_600_000_000, "2023-11-14 22:13:20 UTC"),
            ("2020-09-13 12:26:40.5 +0000 UTC", 1_600_000_000, "2023-11-14 22:13:20.1 +0000 UTC"),
            ("2020-09-13 12:26:40", 1_600_000_000, "2023-11-14 23:13:20"),
            ("2020-09-13T12:26:40.123456", 1_600_000_000, "2023-11-14T23:13:20.123456"),
            ("2020/09/13 12:26:40", 1_600_000_000, "2023/11/14 23:13:20"),
            ("20200913T122640Z", 1_600_000_000, "20231114T221320Z"),
            ("20200913122640", 1_600_000_000, "20231114231320"),
            ("Sun, 13 Sep 2020 12:26:40 GMT", 1_600_000_000, "Tue, 14 Nov 2023 22:13:20 GMT"),
            ("Sun, 6 Sep 2020 12:26:40 GMT", 1_599_395_200, "Tue, 14 Nov 2023 22:13:20 GMT"),
            ("2020-09-13T12:26Z", 1_599_999_960, "2023-11-14T22:13Z"),
            ("2020-09-13T14:26+02:00", 1_599_999_960, "2023-11-15T00:13+02:00"),
            ("Sun, 13 Sep 2020 14:26:40 +0200", 1_600_000_000, "Wed, 15 Nov 2023 00:13:20 +0200"),
            ("Sun, 13-Sep-2020 12:26:40 GMT", 1_600_000_000, "Tue, 14-Nov-2023 22:13:20 GMT"),
            ("Sun Sep 13 12:26:40 2020", 1_600_000_000, "Tue Nov 14 23:13:20 2023"),
            ("Sun Sep  6 12:26:40 UTC 2020", 1_599_395_200, "Tue Nov 14 22:13:20 UTC 2023"),
            ("Sun Sep 13 2020 12:26:40 GMT+0000 (UTC)", 1_600_000_000, "Tue Nov 14 2023 22:13:20 GMT+0000 (UTC)"),
            ("0001-01-01T00:00:00Z", -62_135_596_800, "2023-11-14T22:13:20Z"),
            ("9999-12-31T23:59:59.9999999Z", 253_402_300_799, "2023-11-14T22:13:20.1234567Z"),
            ("2016-12-31T23:59:60Z", 1_483_228_800, "2023-11-14T22:13:20Z"),
        ] {
            let ((at, _), form) = read(text).unwrap_or_else(|| panic!("not read: {text}"));
            assert_eq!((at, form.write(NEW, |_| 3600).as_str()), (seconds, written), "{text}");
        }
    }

    #[test]
    fn knows_what_is_not_a_point_in_time() {
        for text in [
            "",
            "soon",
            "2020-09-13",
            "2020-09-13T12Z",
            "2020-02-30T00:00:00Z",
            "0001-13-01T00:00:00Z",
            "2020-09-13T24:00:00Z",
            "2020-09-13T12:26:40+2:00",
            "2020-09-13T12:26:40+0260",
            "2020-09-13T12:26:40 CET",
            "2020-09-13T12:26:40.Z",
            "2020-09-13T12:26:40.1234567890Z",
            "2020-09-13T12:26:40Z and more",
            "Sun Sep 13 12:26:40 CET 2020",
            "Son, 13 Sep 2020 12:26:40 GMT",
            "09/13/2020 12:26:40",
            "2020-09-13T12:26:40é",
            "é020-09-13T12:26:40Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn no_year_takes_more_than_four_digits() {
        let (_, form) = read("2020-09-13T12:26:40Z").unwrap();
        assert_eq!(form.write((i64::MAX, 0), |_| 0), "9999-12-31T23:59:59Z");
    }
}
