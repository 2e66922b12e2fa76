//! A JSON object as a list of members in their order, each with its exact text.
//!
//! A token file belongs to its user: a number of 30 digits, `1e400`, an escape or a nested
//! document must come out as it went in. So values are never turned into numbers or trees; they
//! are kept as text (`RawValue`), and only those that are needed are decoded.
//!
//! Faults carry a position and never the offending text: serde_json's own messages quote it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;

use serde_core::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::bounded;
use crate::text::Fault;

/// One JSON object. It may hold tokens: no `Debug`, no `Display`.
#[derive(Default, Clone)]
pub struct Object {
    /// The text that was read, shared by all objects made from it.
    text: Rc<str>,
    members: Vec<Member>,
    /// Whether these are the members of the text, as they stand there.
    is_unchanged: bool,
}

#[derive(Clone)]
struct Member {
    name: JsonText,
    /// Whether the name has no escape, and so is what stands between its quotes.
    is_plain: bool,
    value: JsonText,
}

impl Member {
    fn new(name: JsonText, value: JsonText, text: &str) -> Self {
        Self { is_plain: !name.of(text).contains('\\'), name, value }
    }
}

/// JSON text: a range of the text that was read, or new. Small, since a large file has many.
#[derive(Clone)]
enum JsonText {
    Read(Range<u32>),
    New(Box<str>),
}

impl JsonText {
    /// `text` is what was read.
    fn of<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Self::Read(range) => &text[range.start as usize..range.end as usize],
            Self::New(new) => new,
        }
    }

    /// Where it was read, in bytes.
    fn start(&self) -> Option<usize> {
        match self {
            Self::Read(range) => Some(range.start as usize),
            Self::New(_) => None,
        }
    }
}

/// The index of each name in a list of members: a lookup is fast even among 100,000.
type Places<'name> = HashMap<Cow<'name, str>, usize>;

/// How a document is laid out, so that it can be written in its own style.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    indentation: String,
    newline: &'static str,
    /// Between a name and its value.
    colon: &'static str,
}

impl Object {
    /// Reads a whole text: one object, no member twice, nothing after it.
    pub fn parse(text: &Rc<str>) -> Result<Self, Fault> {
        if text.len() > u32::MAX as usize {
            return Err(Fault::at("larger than 4 GiB", text, usize::MAX));
        }
        let (pairs, end) = read_members(text)?;
        let read = |raw: &RawValue| {
            let start = (raw.get().as_ptr().addr() - text.as_ptr().addr()) as u32;
            JsonText::Read(start..start + raw.get().len() as u32)
        };
        let members = pairs.into_iter().map(|(name, value)| Member::new(read(name), read(value), text)).collect();
        let object = Self { text: text.clone(), members, is_unchanged: true };
        let mut places = Places::new();
        for (place, member) in object.members.iter().enumerate() {
            if places.insert(object.name(member), place).is_some() {
                return Err(Fault::at("a member occurs twice", text, member.name.start().unwrap_or(0)));
            }
        }
        drop(places);
        match text[end..].find(|c| !is_blank(c)) {
            None => Ok(object),
            Some(at) => Err(Fault::at("text after the JSON object", text, end + at)),
        }
    }

    /// Reads what a server sent: of a member that occurs twice the last one counts, and text after
    /// the object is ignored. If the text ends too early, or stops being JSON, the error is an object of the
    /// members before that: a response that can be understood at all must not be lost.
    pub fn parse_leniently(text: &str) -> Result<Self, Self> {
        read_leniently(text).map(Self::of).map_err(Self::of)
    }

    /// Of a member that occurs twice the last one counts.
    pub fn of(members: NamedValues) -> Self {
        Self::default().with(members.into_iter().map(|(name, value)| (name.into(), value)))
    }

    /// This object with these members, each in its place, or at the end where there is none of its
    /// name. A value is JSON; of two for one name the last counts.
    pub fn with<'name>(&'name self, changes: impl Iterator<Item = (Cow<'name, str>, String)>) -> Self {
        let mut members = self.members.clone();
        let mut places: Places = self.members.iter().map(|own| self.name(own)).zip(0..).collect();
        for (name, value) in changes {
            let value = JsonText::New(value.into());
            match places.entry(name) {
                Entry::Occupied(place) => members[*place.get()].value = value,
                Entry::Vacant(place) => {
                    let name = JsonText::New(quote(place.key()).into());
                    place.insert(members.len());
                    members.push(Member::new(name, value, &self.text));
                }
            }
        }
        Self { text: self.text.clone(), members, is_unchanged: false }
    }

    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The first `count` members, and of the others those with these names.
    pub fn keep_first_and(&self, count: usize, names: &[&str]) -> Self {
        let kept = |(place, member): &(usize, &Member)| *place < count || names.contains(&&*self.name(member));
        let members = self.members.iter().enumerate().filter(kept).map(|(_, member)| member.clone()).collect();
        Self { text: self.text.clone(), members, is_unchanged: false }
    }

    /// The exact text of a member's value.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// A member's value if it is a string; one that is not valid Unicode counts as none.
    pub fn string(&self, name: &str) -> Option<String> {
        unquote(self.text(name)?)
    }

    /// Where a member's value stood in the text that was read, in bytes.
    pub fn offset(&self, name: &str) -> Option<usize> {
        self.members.iter().find(|member| self.name(member) == name)?.value.start()
    }

    /// Whether `text` is exactly the text that this was read from.
    pub fn is_read_from(&self, text: impl Read) -> io::Result<bool> {
        Ok(self.is_unchanged && bounded::reads_same(text, self.text.as_bytes())?)
    }

    /// Every member as name and exact value text, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        self.members.iter().map(|member| (self.name(member), self.read(&member.value)))
    }

    fn name<'a>(&'a self, member: &'a Member) -> Cow<'a, str> {
        let name = self.read(&member.name);
        if member.is_plain {
            return name[1..name.len() - 1].into();
        }
        // Unchanged if it is not a Unicode string (`"\ud800"`).
        unquote(name).map_or(name.into(), Cow::Owned)
    }

    fn read<'a>(&'a self, piece: &'a JsonText) -> &'a str {
        piece.of(&self.text)
    }

    /// The length of the most compact document, in bytes.
    pub fn compact_length(&self) -> usize {
        let pair = |member: &Member| self.read(&member.name).len() + ":".len() + self.read(&member.value).len();
        let separators = self.members.len().saturating_sub(1);
        "{}".len() + separators + self.members.iter().map(pair).sum::<usize>()
    }

    /// The length of the document that [`Self::write`] makes, in bytes.
    pub fn length(&self, layout: &Layout) -> usize {
        let Layout { indentation, newline, colon } = layout;
        let beside_pair = newline.len() + indentation.len() + colon.len() - ":".len();
        let ends = if self.members.is_empty() { 1 } else { 2 };
        self.compact_length() + self.members.len() * beside_pair + ends * newline.len()
    }

    /// The object as a document: a member a line, with a final newline.
    pub fn write(&self, layout: &Layout) -> String {
        let Layout { indentation, newline, colon } = layout;
        let mut text = String::with_capacity(self.length(layout));
        text.push('{');
        let mut separator = "";
        for member in &self.members {
            let (name, value) = (self.read(&member.name), self.read(&member.value));
            for part in [separator, newline, indentation, name, colon, value] {
                text.push_str(part);
            }
            separator = ",";
        }
        if !self.members.is_empty() {
            text.push_str(newline);
        }
        text.push('}');
        text.push_str(newline);
        text
    }
}

impl Layout {
    /// Not a byte between two members, nor at the end.
    pub const COMPACT: Self = Self { indentation: String::new(), newline: "", colon: ":" };

    /// The style of an object's text: its first newline, and the indentation of its first member
    /// where that stands on a line of its own; else LF and two spaces.
    pub fn of(text: &str) -> Self {
        let newline = match text.find('\n') {
            Some(at) if text[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        };
        let body = text.trim_start_matches(is_blank).strip_prefix('{').unwrap_or("");
        let before_member = &body[..body.len() - body.trim_start_matches(is_blank).len()];
        let indentation = match before_member.rsplit_once('\n') {
            Some((_, indentation)) => indentation,
            None => "  ",
        };
        Self { indentation: indentation.to_owned(), newline, colon: ": " }
    }
}

/// A string as JSON text. Writing to memory cannot fail.
pub fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// The string in a JSON text; None if it is not a string, or not valid Unicode.
pub fn unquote(text: &str) -> Option<String> {
    let plain = text.strip_prefix('"')?.strip_suffix('"')?;
    let has_escape_or_fault = |byte| matches!(byte, b'"' | b'\\' | 0..0x20);
    if plain.bytes().any(has_escape_or_fault) { serde_json::from_str(text).ok() } else { Some(plain.to_owned()) }
}

/// The elements of a JSON array, each with its exact text; none of anything else.
pub fn elements(text: &str) -> Vec<&str> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    elements.into_iter().map(RawValue::get).collect()
}

/// A number's whole part, towards zero; an exponent is worked out. None if it is not a number, or one of more
/// digits than a time can have.
pub fn whole_number(text: &str) -> Option<i64> {
    const MAX_DIGITS: usize = 40;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let magnitude = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let digits = [whole, fraction].concat();
    let is_number = !whole.is_empty() && digits.len() <= MAX_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    let point = whole.len() as i64 + i64::from(exponent.parse::<i8>().ok().filter(|_| is_number)?);
    let number: i64 = match usize::try_from(point) {
        Err(_) | Ok(0) => 0,
        Ok(point) if point <= digits.len() => digits.get(..point)?.parse().ok()?,
        Ok(point) => format!("{digits:0<point$}").parse().ok()?,
    };
    Some(if mantissa.starts_with('-') { -number } else { number })
}

/// JSON's whitespace (RFC 8259, section 2).
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// Names and JSON, in order; a name may occur twice.
pub type NamedValues = Vec<(String, String)>;

/// As [`Object::parse_leniently`], with every member that occurs.
pub fn read_leniently(text: &str) -> Result<NamedValues, NamedValues> {
    let mut pairs = Pairs::new();
    let whole = serde_json::Deserializer::from_str(text).deserialize_map(Members(&mut pairs));
    // A number does not show its own end.
    pairs.pop_if(|(_, value)| whole.is_err() && !value.get().ends_with(['"', '}', ']']));
    let understood = pairs.into_iter().filter_map(|(name, value)| Some((unquote(name.get())?, value)));
    let members = understood.map(|(name, value)| (name, value.get().to_owned())).collect();
    if whole.is_ok() { Ok(members) } else { Err(members) }
}

type Pairs<'text> = Vec<(&'text RawValue, &'text RawValue)>;

/// The members of the object that `text` starts with, and the offset just behind it.
fn read_members(text: &str) -> Result<(Pairs<'_>, usize), Fault> {
    let start = text.find(|c| !is_blank(c)).ok_or(Fault::at("the file is empty", text, 0))?;
    if !text[start..].starts_with('{') {
        return Err(Fault::at("not a JSON object", text, start));
    }
    // A stream of values tells where the first one ends.
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Whole<'_>>();
    match values.next() {
        Some(Ok(Whole(pairs))) => Ok((pairs, values.byte_offset())),
        Some(Err(fault)) => Err(locate(text, &fault)),
        None => Err(Fault::at("the file is empty", text, 0)),
    }
}

/// The members of an object without a fault.
struct Whole<'text>(Pairs<'text>);

impl<'text> Deserialize<'text> for Whole<'text> {
    fn deserialize<D: Deserializer<'text>>(deserializer: D) -> Result<Self, D::Error> {
        let mut pairs = Pairs::new();
        deserializer.deserialize_map(Members(&mut pairs))?;
        Ok(Self(pairs))
    }
}

fn locate(text: &str, fault: &serde_json::Error) -> Fault {
    if fault.is_eof() {
        return Fault::at("the JSON object ends too early", text, text.len());
    }
    // serde_json counts the column in bytes and names the last one it took.
    let line_start = match fault.line().checked_sub(2) {
        Some(newlines) => text.match_indices('\n').nth(newlines).map_or(0, |(at, _)| at + 1),
        None => 0,
    };
    Fault::at("not valid JSON", text, line_start + fault.column().saturating_sub(1))
}

/// Collects an object's members one by one, so that those before a fault are kept.
struct Members<'pairs, 'text>(&'pairs mut Pairs<'text>);

impl<'text> Visitor<'text> for Members<'_, 'text> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'text>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(pair) = map.next_entry()? {
            self.0.push(pair);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_text_and_order() {
        let text = "{\n  \"b\": 123456789012345678901234567890,\n  \"a\\u0062\": 1e400,\n  \"n\": {\"z\" : [ 1,\n 2 ]},\n  \"s\": \"\\ud800\\/\"\n}\n";
        let object = Object::parse(&text.into()).unwrap();
        assert_eq!(object.write(&Layout::of(text)), text);
        assert_eq!(object.text("ab"), Some("1e400"));
        assert_eq!(object.string("s"), None);
    }

    #[test]
    fn a_member_may_occur_once() {
        for (text, wanted) in [
            (r#"{"a": 1, "b": 2, "a": 3}"#, Some("a member occurs twice (line 1, column 18)")),
            (r#"{"a": 1, "\u0061": 3, "a": 4}"#, Some("a member occurs twice (line 1, column 10)")),
            (r#"{"a": 1, "A": 2, "\ud800": 3}"#, None),
        ] {
            let fault = Object::parse(&text.into()).err().map(|fault| fault.to_string());
            assert_eq!(fault.as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn changes_take_the_place_of_their_name() {
        let stored = Object::parse(&r#"{"a":1,"\u0062":2,"c":3}"#.into()).ok().unwrap();
        let changes = [("b", "4"), ("new", "5"), ("c", "6"), ("other", "7"), ("new", "8")];
        let changed = stored.with(changes.into_iter().map(|(name, value)| (name.into(), value.to_owned())));
        assert_eq!(changed.write(&Layout::COMPACT), r#"{"a":1,"\u0062":4,"c":6,"new":8,"other":7}"#);
        assert_eq!(changed.keep_first_and(2, &["other"]).write(&Layout::COMPACT), r#"{"a":1,"\u0062":4,"other":7}"#);
        assert_eq!(changed.length(&Layout::of("")), changed.write(&Layout::of("")).len());
    }

    #[test]
    fn only_what_was_read_is_read_from_its_text() {
        let text = r#"{"a":1}"#;
        let read = Object::parse(&text.into()).ok().unwrap();
        assert!(read.is_read_from(text.as_bytes()).unwrap());
        assert!(!read.is_read_from(&b"{\"a\":2}"[..]).unwrap());
        let changed = read.with([("a".into(), "2".to_owned())].into_iter());
        assert!(!changed.is_read_from(text.as_bytes()).unwrap());
    }

    #[test]
    fn writes_in_the_style_found() {
        for (text, written) in [
            ("{\"a\":1,\"b\":2}", "{\n  \"a\": 1,\n  \"b\": 2\n}\n"),
            ("{\r\n\t\"a\" : 1}", "{\r\n\t\"a\": 1\r\n}\r\n"),
            ("{}", "{}\n"),
            (" {\n\n    \"a\": 1 }", "{\n    \"a\": 1\n}\n"),
        ] {
            let object = Object::parse(&text.into()).unwrap();
            assert_eq!(object.write(&Layout::of(text)), written);
            assert_eq!(object.write(&Layout::COMPACT).len(), object.compact_length());
            assert_eq!(object.length(&Layout::of(text)), written.len());
        }
    }

    #[test]
    fn says_which_fault_and_where() {
        for (text, wanted, position) in [
            ("", "the file is empty", "line 1, column 1"),
            (" \n", "the file is empty", "line 1, column 1"),
            ("\n [1]", "not a JSON object", "line 2, column 2"),
            ("{\"a\":1,\n \"\\u0061\":2}", "a member occurs twice", "line 2, column 2"),
            ("{\"a\":1}\n x", "text after the JSON object", "line 2, column 2"),
            ("{\"a\":1,}", "not valid JSON", "line 1, column 8"),
            ("{\"é\":x}", "not valid JSON", "line 1, column 6"),
            ("{\"a\":\n", "the JSON object ends too early", "line 2, column 1"),
            ("{1:2}", "not valid JSON", "line 1, column 2"),
        ] {
            let fault = Object::parse(&text.into()).err().unwrap();
            assert_eq!(fault.to_string(), format!("{wanted} ({position})"), "{text:?}");
        }
    }

    #[test]
    fn reads_responses_leniently() {
        let object = Object::parse_leniently("{\"a\":1,\"a\":2} <!-- -->").ok().unwrap();
        assert_eq!(object.text("a"), Some("2"));
        assert!(Object::parse_leniently("<html>").is_err());
    }

    #[test]
    fn reads_the_beginning_of_a_response() {
        for (text, last) in [
            ("{\"a\":\"x\",\"b\":\"y\"", Some("b")),
            ("{\"a\":\"x\",\"b\":[1]", Some("b")),
            ("{\"a\":\"x\",\"b\":\"y", Some("a")),
            ("{\"a\":\"x\",\"b\":288", Some("a")),
            ("{\"a\":\"x\",\"b\":28800}", Some("b")),
            ("{\"a\":\"x\",\"b\":28800,}", Some("a")),
            ("{\"a\":\"x\" \"b\":\"y\"}", Some("a")),
            ("{\"a\":\"x\",b:\"y\"}", Some("a")),
            ("{\"a\"", None),
            ("{", None),
            ("", None),
            ("[\"a\"]", None),
        ] {
            let object = Object::parse_leniently(text).unwrap_or_else(|beginning| beginning);
            assert_eq!(object.iter().last().map(|(name, _)| name.into_owned()).as_deref(), last, "{text}");
        }
    }

    #[test]
    fn reads_whole_numbers() {
        for (text, number) in [
            ("0", Some(0)),
            ("1600000000", Some(1_600_000_000)),
            ("-1.9", Some(-1)),
            ("1600000000.75", Some(1_600_000_000)),
            ("1.6e9", Some(1_600_000_000)),
            ("1.60000000075E+9", Some(1_600_000_000)),
            ("16000e-3", Some(16)),
            ("1e-3", Some(0)),
            ("1e400", None),
            ("1e100", None),
            ("99999999999999999999", None),
            ("+1", None),
            ("1.2.3", None),
            (".5", None),
            ("1e", None),
            ("-", None),
            ("0x10", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(whole_number(text), number, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_text_like_any_other() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Object::parse(&deep.into()).is_ok());
    }
}
