//! Wanted text with gaps in it, and what fills the gaps.
//!
//! `[..]` stands for any run of characters inside a line, `[...]` alone on a line for any number
//! of lines, none included. `$NOW+N` stands for digits that say, in seconds since 1970, the
//! moment N seconds after the run; `$TIME+N` for the same in RFC 3339, in UTC; `$LOCAL+N` for that
//! without its zone. As nobody knows
//! at which instant of the run the program looked at the clock, each instant of it will do.
//! Everything else stands for itself, byte for byte, line ends included.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// From the start of a run to its end.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub start: SystemTime,
    pub end: SystemTime,
}

/// Wanted text.
#[derive(Debug)]
pub struct Pattern {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    AnyLines,
    Pieces(Vec<Piece>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Anything,
    EpochSeconds(i64),
    Rfc3339(i64),
    WithoutZone(i64),
}

impl Pattern {
    pub fn new(wanted: &[u8]) -> Pattern {
        let lines = wanted.split(|&byte| byte == b'\n').map(|line| match line {
            b"[...]" => Line::AnyLines,
            line => Line::Pieces(pieces(line)),
        });
        Pattern { lines: lines.collect() }
    }

    pub fn matches(&self, got: &[u8], span: Span) -> bool {
        let got: Vec<&[u8]> = got.split(|&byte| byte == b'\n').collect();
        match_lines(&self.lines, &got, span)
    }
}

fn match_lines(wanted: &[Line], got: &[&[u8]], span: Span) -> bool {
    match wanted.split_first() {
        None => got.is_empty(),
        Some((Line::AnyLines, wanted)) => (0..=got.len()).any(|skipped| match_lines(wanted, &got[skipped..], span)),
        Some((Line::Pieces(pieces), wanted)) => got
            .split_first()
            .is_some_and(|(line, got)| match_pieces(pieces, line, span) && match_lines(wanted, got, span)),
    }
}

fn match_pieces(wanted: &[Piece], got: &[u8], span: Span) -> bool {
    let Some((piece, wanted)) = wanted.split_first() else {
        return got.is_empty();
    };
    let time = |characters: &[u8], offset, parse: fn(&str) -> Option<SystemTime>| {
        let length = got.iter().take_while(|byte| characters.contains(byte)).count();
        let (text, rest) = got.split_at(length);
        let time = str::from_utf8(text).ok().and_then(parse);
        time.is_some_and(|time| span.contains(time, offset)) && match_pieces(wanted, rest, span)
    };
    match piece {
        Piece::Literal(text) => got.strip_prefix(text.as_slice()).is_some_and(|rest| match_pieces(wanted, rest, span)),
        Piece::Anything => (0..=got.len()).any(|skipped| match_pieces(wanted, &got[skipped..], span)),
        Piece::EpochSeconds(offset) => {
            time(b"0123456789", *offset, |text| Some(UNIX_EPOCH + Duration::from_secs(text.parse().ok()?)))
        }
        Piece::WithoutZone(offset) => time(b"0123456789T:.-", *offset, |text| humantime::parse_rfc3339_weak(text).ok()),
        Piece::Rfc3339(offset) => time(b"0123456789T:.-Z", *offset, |text| humantime::parse_rfc3339(text).ok()),
    }
}

impl Span {
    /// Whether some instant of this span, moved by so many seconds, is this time. Programs write
    /// whole seconds, rounded either way.
    fn contains(self, time: SystemTime, offset: i64) -> bool {
        let earliest = shifted(self.start, offset) - Duration::from_secs(1);
        let latest = shifted(self.end, offset) + Duration::from_secs(1);
        (earliest..=latest).contains(&time)
    }
}

/// A time, moved by so many seconds.
pub fn shifted(time: SystemTime, offset: i64) -> SystemTime {
    let by = Duration::from_secs(offset.unsigned_abs());
    if offset < 0 { time - by } else { time + by }
}

/// Splits `$NAME`, or `$NAME+N`, off the front of a text that begins with such a name.
pub fn split_clock<'t>(text: &'t str, name: &str) -> Option<(i64, &'t str)> {
    let rest = text.strip_prefix('$')?.strip_prefix(name)?;
    let digits = rest.strip_prefix(['+', '-']).unwrap_or("");
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return Some((0, rest));
    }
    let (offset, rest) = rest.split_at(1 + length);
    Some((offset.parse().ok()?, rest))
}

fn pieces(line: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        if let Some((piece, after)) = gap(rest) {
            pieces.extend(non_empty(&mut literal));
            pieces.push(piece);
            rest = after;
        } else {
            literal.push(byte);
            rest = after;
        }
    }
    pieces.extend(non_empty(&mut literal));
    pieces
}

fn non_empty(literal: &mut Vec<u8>) -> Option<Piece> {
    (!literal.is_empty()).then(|| Piece::Literal(std::mem::take(literal)))
}

/// The gap at the front of this text.
fn gap(text: &[u8]) -> Option<(Piece, &[u8])> {
    if let Some(rest) = text.strip_prefix(b"[..]") {
        return Some((Piece::Anything, rest));
    }
    if text.first() != Some(&b'$') {
        return None;
    }
    // What follows may be anything; the name and its number are ASCII.
    let valid = text.utf8_chunks().next()?.valid();
    let clock = |name, piece: fn(i64) -> Piece| split_clock(valid, name).map(|(offset, rest)| (piece(offset), rest));
    let (piece, rest) = clock("NOW", Piece::EpochSeconds)
        .or_else(|| clock("TIME", Piece::Rfc3339))
        .or_else(|| clock("LOCAL", Piece::WithoutZone))?;
    Some((piece, &text[valid.len() - rest.len()..]))
}

/// Text between bars, one line a line, with every odd byte made visible.
pub struct Visible<'t>(pub &'t [u8]);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "    (empty)");
        }
        for line in self.0.split_inclusive(|&byte| byte == b'\n') {
            let (text, end) = match line.strip_suffix(b"\n") {
                Some(text) => (text, "\n"),
                None => (line, " (no final newline)\n"),
            };
            write!(f, "    | ")?;
            for chunk in text.utf8_chunks() {
                for character in chunk.valid().chars() {
                    if character.is_control() {
                        write!(f, "{}", character.escape_default())?;
                    } else {
                        write!(f, "{character}")?;
                    }
                }
                write!(f, "{}", chunk.invalid().escape_ascii())?;
            }
            write!(f, "{end}")?;
        }
        Ok(())
    }
}

fn matches(wanted: &str, got: &str) -> bool {
    let start = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let end = start + Duration::from_secs(3);
    Pattern::new(wanted.as_bytes()).matches(got.as_bytes(), Span { start, end })
}

#[test]
fn text_stands_for_itself() {
    assert!(matches("", ""));
    assert!(matches("a\nb\n", "a\nb\n"));
    assert!(!matches("a\nb\n", "a\nb"));
    assert!(!matches("a\n", "a\r\n"));
    assert!(!matches("a.c\n", "abc\n"));
    assert!(!matches("", "\n"));
}

#[test]
fn gaps_inside_a_line_stay_inside_it() {
    assert!(matches("a[..]c\n", "ac\n"));
    assert!(matches("a[..]c[..]\n", "abcabcd\n"));
    assert!(!matches("a[..]c\n", "ab\nc\n"));
    assert!(!matches("a[..]c\n", "abcd\n"));
}

#[test]
fn gaps_of_lines_take_whole_lines() {
    assert!(matches("a\n[...]\nd\n", "a\nd\n"));
    assert!(matches("a\n[...]\nd\n", "a\nb\nc\nd\n"));
    assert!(matches("[...]\n", "a\nb\n"));
    assert!(matches("[...]\n", ""));
    assert!(!matches("a\n[...]\nd\n", "a\nb\nc\n"));
    assert!(!matches("[...]\n", "a\nb"));
}

#[test]
fn times_may_be_any_of_the_run() {
    for second in 28_799..=28_804 {
        assert!(matches("{$NOW+28800}", &format!("{{{}}}", 1_700_000_000 + second)));
    }
    assert!(!matches("{$NOW+28800}", "{1700028798}"));
    assert!(!matches("{$NOW+28800}", "{1700028805}"));
    assert!(!matches("{$NOW}", "{}"));
    assert!(matches("\"$TIME+60\"", "\"2023-11-14T22:14:20Z\""));
    assert!(matches("\"$TIME-20\"", "\"2023-11-14T22:13:01.5Z\""));
    assert!(!matches("\"$TIME+60\"", "\"2023-11-14T22:14:20+00:00\""));
    assert!(!matches("\"$TIME+60\"", "\"1700000060\""));
}
