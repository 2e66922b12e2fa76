//! Reads a case file. What may be in one, and what it means, is told at the top of `cases.rs`.
//!
//! A case that can't be understood is an error with its file and line, never a case that tests
//! less than its author believed: unknown sections, modifiers, behaviours and `$NAME`s are
//! refused, and so is a token or a client secret without the canary in it.

use crate::canary::MARKER;
use crate::kit::{System, TOKEN_FILE};
use crate::pattern::{shifted, split_clock};
use crate::token_server::Leaf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One case.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub only: Option<System>,
    pub presets: Presets,
    pub args: Text,
    pub environment: Text,
    pub stdin: Text,
    pub files: Vec<(String, Text)>,
    pub links: Vec<(String, String)>,
    pub certificate: Leaf,
    pub steps: Vec<GivenStep>,
    pub last_step: Repetition,
    pub exit: i32,
    pub stdout: Option<Text>,
    pub stderr: Option<Text>,
    pub stored: Vec<(String, Text)>,
    pub removed: Vec<String>,
    pub requests: Count,
    pub wanted_requests: Vec<Text>,
}

/// What a case need not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presets {
    Usual,
    None,
}

/// What the server does once the last step was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repetition {
    Once,
    Always,
}

/// One step of the server's.
#[derive(Debug)]
pub enum GivenStep {
    Response(Text),
    CutResponse(Text),
    Named(Behaviour),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    CloseBeforeHandshake,
    StallBeforeHandshake,
    PlainHttp,
    CloseBeforeRequest,
    CloseAfterRequest,
    CloseAfterHead,
    CloseInBody,
    Stall,
    Rotating { replays: usize },
}

/// How many requests are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Exactly(usize),
    AtLeast(usize),
}

/// The lines of a section, and what its modifiers make of them.
#[derive(Clone, Debug, Default)]
pub struct Text {
    pub text: String,
    form: Form,
    pub mode: Option<u32>,
}

#[derive(Clone, Debug, Default)]
struct Form {
    encoding: Encoding,
    mark: Mark,
    line_ends: LineEnds,
    escapes: Escapes,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Encoding {
    #[default]
    Utf8,
    Utf16Le,
    Utf16Be,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mark {
    #[default]
    None,
    ByteOrder,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LineEnds {
    #[default]
    Lf,
    CrLf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escapes {
    #[default]
    Literal,
    Resolved,
}

/// Whether a response is a head and a body, or bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Framing {
    #[default]
    Http,
    Raw,
}

/// A section as it stands in the file.
struct Section<'t> {
    line: usize,
    kind: &'t str,
    operand: &'t str,
    modifiers: Vec<&'t str>,
    text: String,
}

/// The response of most servers, `response usual`.
const USUAL_RESPONSE: &str = r#"HTTP/1.1 200 OK
Content-Type: application/json
Content-Length: auto

{"access_token":"Canary7-new-access","token_type":"Bearer","refresh_token":"Canary7-new-refresh","expires_in":28800}
"#;

/// What the preset token file is after it, `stored usual`.
const USUAL_STORED: &str = r#"{
  "access_token": "Canary7-new-access",
  "token_type": "Bearer",
  "refresh_token": "Canary7-new-refresh",
  "expires_in": 28800,
  "expires_at": $NOW+28800
}
"#;

/// What `$NAME` stands for in one run.
pub struct Values {
    pub named: Vec<(&'static str, String)>,
    pub now: SystemTime,
}

/// The names that `Values::named` has to give.
pub const NAMES: [&str; 8] = ["HTTP_ENDPOINT", "HTTP_PORT", "ENDPOINT", "CLIENT_ID", "HOST", "PORT", "DIR", "CA"];
const CLOCKS: [&str; 4] = ["NOW", "TIME", "LOCAL", "DATE"];

impl Case {
    /// Understands the text of a case file; `file` is for the error message.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Case, String> {
        let (head, sections) = split(text);
        if head.trim().is_empty() {
            return Err(format!("{file}:1: no words on what the case shows"));
        }
        let mut case = Case {
            name: name.to_owned(),
            only: None,
            presets: Presets::Usual,
            args: Text::default(),
            environment: Text::default(),
            stdin: Text::default(),
            files: Vec::new(),
            links: Vec::new(),
            certificate: Leaf::Localhost,
            steps: Vec::new(),
            last_step: Repetition::Once,
            exit: -1,
            stdout: None,
            stderr: None,
            stored: Vec::new(),
            removed: Vec::new(),
            requests: Count::Exactly(0),
            wanted_requests: Vec::new(),
        };
        let mut seen = Vec::new();
        for section in &sections {
            let section = &section.with_preset();
            let at = |error| format!("{file}:{}: {error}", section.line);
            let many = ["file", "link", "response", "server", "request", "stored", "removed"];
            if seen.contains(&section.kind) && !many.contains(&section.kind) {
                return Err(at(format!("a second section `{}`", section.kind)));
            }
            seen.push(section.kind);
            case.add(section).map_err(at)?;
        }
        let at_end = |error: &str| Err(format!("{file}: {error}"));
        if !seen.contains(&"exit") {
            return at_end("no section `exit`");
        }
        if case.exit != 0 && !seen.contains(&"stderr") {
            return at_end("a failure needs a section `stderr`");
        }
        if !seen.contains(&"requests") {
            if case.last_step == Repetition::Always {
                return at_end("a repeated step needs a section `requests`");
            }
            let requests = case.steps.iter().filter(|step| step.takes_request());
            case.requests = Count::Exactly(requests.count());
        }
        Ok(case)
    }

    fn add(&mut self, section: &Section) -> Result<(), String> {
        let content = &["utf-16le", "utf-16be", "bom", "crlf", "escaped", "no final newline"];
        let file = &[content.as_slice(), &["mode"]].concat();
        let response = &[content.as_slice(), &["raw", "cut", "repeated"]].concat();
        let operand = || match section.operand {
            "" => Err(format!("`{}` needs a name", section.kind)),
            operand => Ok(operand.to_owned()),
        };
        if !["file", "link", "stored", "removed", "only"].contains(&section.kind) && !section.operand.is_empty() {
            return Err(format!("`{}` takes no name", section.kind));
        }
        match section.kind {
            "only" => {
                section.text(&[])?;
                self.only = Some(system(section.operand)?);
            }
            "bare" => {
                section.text(&[])?;
                self.presets = Presets::None;
            }
            "args" => self.args = section.text(&["escaped"])?,
            "environment" => self.environment = section.text(&["escaped"])?,
            "stdin" => self.stdin = section.text(content)?,
            "file" => self.files.push((operand()?, section.text(file)?)),
            "link" => {
                let target = section.text(&[])?.text.trim().to_owned();
                self.links.push((operand()?, target));
            }
            "certificate" => self.certificate = certificate(section.text(&[])?.text.trim())?,
            "response" => {
                let text = section.text(response)?;
                let step = match section.has("cut") {
                    Some(_) => GivenStep::CutResponse(text),
                    None => GivenStep::Response(text),
                };
                self.add_step(section, step)?;
            }
            "server" => {
                for line in section.text(&["repeated"])?.lines() {
                    self.add_step(section, GivenStep::Named(behaviour(line)?))?;
                }
            }
            "exit" => {
                let text = section.text(&[])?.text;
                let code = text.trim().parse();
                self.exit = code.map_err(|_| "an exit code is a number".to_owned())?;
            }
            "stdout" => self.stdout = Some(section.text(content)?),
            "stderr" => self.stderr = Some(section.text(content)?),
            "stored" => self.stored.push((operand()?, section.text(file)?)),
            "removed" => {
                section.text(&[])?;
                self.removed.push(operand()?);
            }
            "requests" => self.requests = count(section.text(&[])?.text.trim())?,
            "request" => self.wanted_requests.push(section.text(&["escaped"])?),
            kind => return Err(format!("unknown section `{kind}`")),
        }
        Ok(())
    }

    fn add_step(&mut self, section: &Section, step: GivenStep) -> Result<(), String> {
        if self.last_step == Repetition::Always {
            return Err("a step after one that is repeated".to_owned());
        }
        self.steps.push(step);
        if section.has("repeated").is_some() {
            self.last_step = Repetition::Always;
        }
        Ok(())
    }
}

impl GivenStep {
    fn takes_request(&self) -> bool {
        !matches!(
            self,
            GivenStep::Named(
                Behaviour::CloseBeforeHandshake
                    | Behaviour::StallBeforeHandshake
                    | Behaviour::PlainHttp
                    | Behaviour::CloseBeforeRequest
            )
        )
    }
}

/// The prose at the top, and the sections.
fn split(text: &str) -> (String, Vec<Section<'_>>) {
    let mut head = String::new();
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end_matches('\n');
        let title = bare.strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --"));
        if let Some(title) = title {
            if let Some(before) = sections.last_mut() {
                before.end();
            }
            sections.push(Section::new(number + 1, title));
        } else if let Some(section) = sections.last_mut() {
            section.text.push_str(line);
        } else {
            head.push_str(line);
        }
    }
    (head, sections)
}

impl<'t> Section<'t> {
    /// `KIND NAME (MODIFIER, MODIFIER)`; after a colon, the reason for an `only`.
    fn new(line: usize, title: &'t str) -> Section<'t> {
        let (title, modifiers) = match title.strip_suffix(')').and_then(|t| t.split_once(" (")) {
            Some((title, modifiers)) => (title, modifiers.split(", ").collect()),
            None => (title, Vec::new()),
        };
        let (kind, operand) = title.split_once(' ').unwrap_or((title, ""));
        // The word of cases that were written for 0.1.0.
        let kind = if kind == "reply" { "response" } else { kind };
        Section { line, kind, operand, modifiers, text: String::new() }
    }

    /// The section that `usual` stands for.
    fn with_preset(&self) -> Section<'t> {
        let (operand, text) = match (self.kind, self.operand, self.text.trim()) {
            ("response", "usual", "") => ("", USUAL_RESPONSE.to_owned()),
            ("stored", "usual", "") => (TOKEN_FILE, USUAL_STORED.to_owned()),
            _ => (self.operand, self.text.clone()),
        };
        Section { line: self.line, kind: self.kind, operand, modifiers: self.modifiers.clone(), text }
    }

    /// One empty line before the next section is layout, and no part of this one.
    fn end(&mut self) {
        if self.text == "\n" || self.text.ends_with("\n\n") {
            self.text.pop();
        }
    }

    fn has(&self, modifier: &str) -> Option<()> {
        self.modifiers.contains(&modifier).then_some(())
    }

    /// The lines of the section, which may have these modifiers alone.
    fn text(&self, allowed: &[&str]) -> Result<Text, String> {
        let mut text = Text { text: self.text.clone(), ..Text::default() };
        check_names(&self.text)?;
        if ["file", "response", "environment"].contains(&self.kind) {
            check_canaries(&self.text)?;
        }
        for modifier in &self.modifiers {
            let (word, value) = match modifier.split_once(' ') {
                Some(("mode", value)) => ("mode", value),
                _ => (*modifier, ""),
            };
            if !allowed.contains(&word) {
                return Err(format!("`{}` can't be `{modifier}`", self.kind));
            }
            match word {
                "utf-16le" => text.form.encoding = Encoding::Utf16Le,
                "utf-16be" => text.form.encoding = Encoding::Utf16Be,
                "bom" => text.form.mark = Mark::ByteOrder,
                "crlf" => text.form.line_ends = LineEnds::CrLf,
                "escaped" => text.form.escapes = Escapes::Resolved,
                "raw" => text.form.framing = Framing::Raw,
                "no final newline" => {
                    text.text.pop();
                }
                "mode" => {
                    let mode = u32::from_str_radix(value, 8);
                    text.mode = Some(mode.map_err(|_| "a mode is an octal number".to_owned())?);
                }
                _ => {}
            }
        }
        Ok(text)
    }
}

impl Text {
    /// The lines that are not empty.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.trim().is_empty())
    }

    /// The bytes that a file or a stream holds. Times become those of the run.
    pub fn given(&self, values: &Values) -> Vec<u8> {
        self.form.encode(&values.fill_with_times(&self.text))
    }

    /// The bytes of a pattern, in which times are still gaps.
    pub fn wanted(&self, values: &Values) -> Vec<u8> {
        self.form.encode(&values.fill(&self.text))
    }

    /// Each line that is not empty, as bytes; `""` is the empty one.
    pub fn given_lines(&self, values: &Values) -> Vec<Vec<u8>> {
        let bytes = |line| match line {
            "\"\"" => Vec::new(),
            line => self.form.encode(&values.fill_with_times(line)),
        };
        self.lines().map(bytes).collect()
    }

    /// The bytes of a response: CRLF in the head, `Content-Length: auto` computed.
    pub fn response(&self, values: &Values) -> Vec<u8> {
        let text = values.fill_with_times(&self.text);
        if self.form.framing == Framing::Raw {
            return self.form.encode(&text);
        }
        let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let body = self.form.encode(body);
        let length = format!("Content-Length: {}", body.len());
        let head = head.replace("Content-Length: auto", &length).replace('\n', "\r\n");
        let mut response = match self.form.escapes {
            Escapes::Literal => head.into_bytes(),
            Escapes::Resolved => unescape(&head),
        };
        response.extend(b"\r\n\r\n");
        response.extend(body);
        response
    }
}

impl Form {
    fn encode(&self, text: &str) -> Vec<u8> {
        let text = match self.line_ends {
            LineEnds::Lf => text.to_owned(),
            LineEnds::CrLf => text.replace('\n', "\r\n"),
        };
        let bytes = match self.escapes {
            Escapes::Literal => text.into_bytes(),
            Escapes::Resolved => unescape(&text),
        };
        let mark = match self.mark {
            Mark::None => "",
            Mark::ByteOrder => "\u{feff}",
        };
        let words = || {
            let text = str::from_utf8(&bytes).expect("only text can be UTF-16");
            mark.encode_utf16().chain(text.encode_utf16()).collect::<Vec<u16>>()
        };
        match self.encoding {
            Encoding::Utf8 => [mark.as_bytes(), &bytes].concat(),
            Encoding::Utf16Le => words().into_iter().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => words().into_iter().flat_map(u16::to_be_bytes).collect(),
        }
    }
}

/// Resolves `\n`, `\r`, `\t`, `\0`, `\\`, `\xNN` (one byte) and `\u{N}` (one character). What is
/// none of these stays.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(rest[..at].bytes());
        rest = &rest[at + 1..];
        let simple = [('n', b'\n'), ('r', b'\r'), ('t', b'\t'), ('0', 0), ('\\', b'\\')];
        let simple = simple.iter().find(|(name, _)| rest.starts_with(*name));
        let byte = rest.strip_prefix('x').and_then(|hex| hex.get(..2));
        let character = rest.strip_prefix("u{").and_then(|hex| hex.split_once('}'));
        if let Some((_, byte)) = simple {
            bytes.push(*byte);
            rest = &rest[1..];
        } else if let Some(byte) = byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &rest[3..];
        } else if let Some((hex, after)) = character
            && let Some(character) = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)
        {
            bytes.extend(character.to_string().bytes());
            rest = after;
        } else {
            bytes.push(b'\\');
        }
    }
    bytes.extend(rest.bytes());
    bytes
}

impl Values {
    /// Puts in every value but those of the clock.
    pub fn fill(&self, text: &str) -> String {
        self.replace(text, |_| None)
    }

    /// Puts in every value, the clock's as of now.
    pub fn fill_with_times(&self, text: &str) -> String {
        self.replace(text, |text| {
            CLOCKS.iter().find_map(|clock| {
                let (offset, rest) = split_clock(text, clock)?;
                let time = shifted(self.now, offset);
                Some((in_form(clock, time), rest))
            })
        })
    }

    fn replace<'t>(&self, text: &'t str, clock: impl Fn(&'t str) -> Option<(String, &'t str)>) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let named = self.named.iter().find_map(|(name, value)| {
                let after = rest[1..].strip_prefix(name)?;
                Some((value.clone(), after))
            });
            let dollar = rest.strip_prefix("$$").map(|after| ("$".to_owned(), after));
            let (value, after) =
                named.or_else(|| clock(rest)).or(dollar).unwrap_or_else(|| ("$".to_owned(), &rest[1..]));
            filled.push_str(&value);
            rest = after;
        }
        filled + rest
    }
}

fn in_form(clock: &str, time: SystemTime) -> String {
    match clock {
        "NOW" => {
            let since = time.duration_since(UNIX_EPOCH);
            since.unwrap_or(Duration::ZERO).as_secs().to_string()
        }
        "TIME" => humantime::format_rfc3339_seconds(time).to_string(),
        "LOCAL" => humantime::format_rfc3339_seconds(time).to_string().replace('Z', ""),
        _ => httpdate::fmt_http_date(time),
    }
}

fn check_names(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('$') {
        let after = &text[at + 1..];
        let known = NAMES.iter().chain(&CLOCKS).any(|name| after.starts_with(name));
        if after.starts_with(|first: char| first.is_ascii_uppercase()) && !known {
            let name: String = after.chars().take_while(char::is_ascii_uppercase).collect();
            return Err(format!("`${name}` stands for nothing"));
        }
    }
    Ok(())
}

/// A secret without the canary would leak unseen.
fn check_canaries(text: &str) -> Result<(), String> {
    let json = ["\"access_token\"", "\"refresh_token\"", "\"id_token\""];
    for name in json {
        for (at, _) in text.match_indices(name) {
            let after = text[at + name.len()..].trim_start_matches([' ', ':']);
            let value = after.strip_prefix('"').and_then(|value| value.split('"').next());
            if value.is_some_and(|value| !value.is_empty() && !value.contains(MARKER)) {
                return Err(format!("a value of {name} without `{MARKER}` in it"));
            }
        }
    }
    for name in ["DOCUSIGN_CLIENT_SECRET=", "\naccess_token=", "&refresh_token="] {
        let unsafe_value = text.match_indices(name).map(|(at, _)| &text[at + name.len()..]);
        let mut values = unsafe_value.map(|after| after.split(['\n', '&']).next().unwrap_or(""));
        if values.any(|value| !value.is_empty() && !value.contains(MARKER)) {
            return Err(format!("a value of `{}` without `{MARKER}` in it", name.trim()));
        }
    }
    Ok(())
}

fn system(operand: &str) -> Result<System, String> {
    let (name, reason) = operand.split_once(':').unwrap_or((operand, ""));
    if reason.trim().is_empty() {
        return Err("`only` needs a reason: `only unix: why`".to_owned());
    }
    match name {
        "unix" => Ok(System::Unix),
        "windows" => Ok(System::Windows),
        name => Err(format!("unknown system `{name}`")),
    }
}

fn certificate(name: &str) -> Result<Leaf, String> {
    match name {
        "other-name" => Ok(Leaf::OtherName),
        "expired" => Ok(Leaf::Expired),
        "not-yet-valid" => Ok(Leaf::NotYetValid),
        name => Err(format!("unknown certificate `{name}`")),
    }
}

fn behaviour(line: &str) -> Result<Behaviour, String> {
    match line {
        "close-before-handshake" => Ok(Behaviour::CloseBeforeHandshake),
        "stall-before-handshake" => Ok(Behaviour::StallBeforeHandshake),
        "plain-http" => Ok(Behaviour::PlainHttp),
        "close-before-request" => Ok(Behaviour::CloseBeforeRequest),
        "close-after-request" => Ok(Behaviour::CloseAfterRequest),
        "close-after-head" => Ok(Behaviour::CloseAfterHead),
        "close-in-body" => Ok(Behaviour::CloseInBody),
        "stall" => Ok(Behaviour::Stall),
        "rotating" => Ok(Behaviour::Rotating { replays: 0 }),
        line => line
            .strip_prefix("rotating with ")
            .and_then(|rest| rest.strip_suffix(" replays"))
            .and_then(|number| number.parse().ok())
            .map(|replays| Behaviour::Rotating { replays })
            .ok_or_else(|| format!("unknown behaviour `{line}`")),
    }
}

fn count(text: &str) -> Result<Count, String> {
    let parsed = match text.strip_suffix('+') {
        Some(least) => least.parse().map(Count::AtLeast),
        None => text.parse().map(Count::Exactly),
    };
    parsed.map_err(|_| format!("`{text}` is no number of requests"))
}

fn parse(text: &str) -> Result<Case, String> {
    Case::parse("x", "x.case", text)
}

fn values() -> Values {
    Values {
        named: vec![("ENDPOINT", "https://e/".to_owned()), ("PORT", "7".to_owned())],
        now: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    }
}

#[test]
fn reads_sections_with_names_and_modifiers() {
    let case = parse(
        "What it shows.\n\n-- args --\n--print\nheader\n\n-- file a b.json (bom, crlf, mode 0640) --\n\
         {\n}\n\n-- response --\nHTTP/1.1 200 OK\nContent-Length: auto\n\nbody\n-- exit --\n0\n",
    )
    .expect("a sound case");
    assert_eq!(case.args.given_lines(&values()), [b"--print".as_slice(), b"header"]);
    let (name, text) = &case.files[0];
    assert_eq!((name.as_str(), text.mode), ("a b.json", Some(0o640)));
    assert_eq!(text.given(&values()), b"\xef\xbb\xbf{\r\n}\r\n");
    let GivenStep::Response(response) = &case.steps[0] else {
        panic!("{:?}", case.steps);
    };
    let wanted = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody\n";
    assert_eq!(response.response(&values()), wanted);
    assert_eq!((case.exit, case.requests), (0, Count::Exactly(1)));
}

#[test]
fn one_empty_line_before_a_section_is_layout() {
    let text = |text: &str| {
        let case = parse(&format!("Head.\n-- stdin --\n{text}-- exit --\n0\n"));
        case.expect("a sound case").stdin.given(&values())
    };
    assert_eq!(text(""), b"");
    assert_eq!(text("\n"), b"");
    assert_eq!(text("a\n"), b"a\n");
    assert_eq!(text("a\n\n"), b"a\n");
    assert_eq!(text("a\n\n\n"), b"a\n\n");
}

#[test]
fn text_becomes_the_bytes_that_were_asked_for() {
    let text = |modifiers: &str, text: &str| {
        let case = parse(&format!("Head.\n-- stdin ({modifiers}) --\n{text}\n-- exit --\n0\n"));
        case.expect("a sound case").stdin.given(&values())
    };
    assert_eq!(text("no final newline", "a"), b"a");
    assert_eq!(text("utf-16le, bom, no final newline", "a"), b"\xff\xfea\0");
    assert_eq!(text("utf-16be, no final newline", "a"), b"\0a");
    let escaped = text("escaped, no final newline", r"a\x1b\r\n\0\u{e9}\\n\q");
    assert_eq!(escaped, b"a\x1b\r\n\0\xc3\xa9\\n\\q");
    assert_eq!(text("escaped, no final newline", r"\xff\xfe"), b"\xff\xfe");
    assert_eq!(text("no final newline", "$ENDPOINT:$PORT $$5 $x"), b"https://e/:7 $5 $x");
    let times = "$NOW $NOW+60 $TIME-20 $DATE+1";
    let wanted = b"1700000000 1700000060 2023-11-14T22:13:00Z Tue, 14 Nov 2023 22:13:21 GMT";
    assert_eq!(text("no final newline", times), wanted);
}

#[test]
fn refuses_what_it_does_not_understand() {
    let refused = |text: &str| parse(text).expect_err("not a case");
    let exit = "-- exit --\n0\n";
    assert_eq!(refused(exit), "x.case:1: no words on what the case shows");
    assert_eq!(refused("Head.\n"), "x.case: no section `exit`");
    assert_eq!(refused("Head.\n-- exit --\n1\n"), "x.case: a failure needs a section `stderr`");
    let section = |title: &str, text: &str| refused(&format!("Head.\n\n-- {title} --\n{text}\n{exit}"));
    assert_eq!(section("argv", ""), "x.case:3: unknown section `argv`");
    assert_eq!(section("args (bom)", ""), "x.case:3: `args` can't be `bom`");
    assert_eq!(section("file a (mode 9)", ""), "x.case:3: a mode is an octal number");
    assert_eq!(section("file", ""), "x.case:3: `file` needs a name");
    assert_eq!(section("stdin x", ""), "x.case:3: `stdin` takes no name");
    assert_eq!(section("server", "sulk"), "x.case:3: unknown behaviour `sulk`");
    assert_eq!(section("stdin", "$NAME"), "x.case:3: `$NAME` stands for nothing");
    assert_eq!(section("exit", "1"), "x.case:5: a second section `exit`");
    assert_eq!(section("only unix", ""), "x.case:3: `only` needs a reason: `only unix: why`");
    assert_eq!(section("response (repeated)", "x"), "x.case: a repeated step needs a section `requests`");
    assert_eq!(
        section("file a", r#"{"refresh_token": "abc"}"#),
        "x.case:3: a value of \"refresh_token\" without `Canary7` in it"
    );
}
