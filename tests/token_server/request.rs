//! A request, as it came over the wire.
//!
//! Nothing is normalised: the head's lines keep their order, case and spelling, and the body its
//! bytes, so that a test can tell `+` from `%20`. What is decoded is decoded on asking.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode;
use std::io::{self, ErrorKind, Read};

/// More than any client of a token endpoint has reason to send.
const MAX_HEAD: usize = 64 * 1024;

/// One HTTP/1.1 request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST /oauth/token HTTP/1.1`
    pub line: String,
    /// The header fields, one line each, in order.
    pub fields: Vec<String>,
    /// The content, free of any transfer coding.
    pub body: Vec<u8>,
}

impl Request {
    /// Blocks until a whole request has come, or fails when the client goes away before that.
    pub fn read(wire: &mut impl Read) -> io::Result<Request> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == MAX_HEAD {
                return Err(ErrorKind::FileTooLarge.into());
            }
            head.push(read_byte(wire)?);
        }
        let head = String::from_utf8(head).map_err(|_| ErrorKind::InvalidData)?;
        let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
        let mut request = Request { line: lines.next().unwrap_or_default(), fields: lines.collect(), body: Vec::new() };
        if request.field("Transfer-Encoding").is_some() {
            request.body = read_chunks(wire)?;
        } else if let Some(length) = request.field("Content-Length") {
            let length = length.parse().map_err(|_| ErrorKind::InvalidData)?;
            request.body = read_exactly(wire, length)?;
        }
        Ok(request)
    }

    /// `POST`
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// `/oauth/token`, with whatever query came with it.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of the first header field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The names and values of the form in the body, decoded, in order.
    pub fn form(&self) -> Vec<(String, String)> {
        let body = String::from_utf8_lossy(&self.body);
        body.split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (form_decode(name), form_decode(value))
            })
            .collect()
    }

    /// The first value of this name in the form.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut form = self.form().into_iter();
        form.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// `ID:SECRET` of the Basic authentication, base64 undone and nothing else.
    pub fn basic(&self) -> Option<String> {
        let (scheme, credentials) = self.field("Authorization")?.split_once(' ')?;
        let credentials = BASE64_STANDARD.decode(credentials).ok()?;
        let credentials = String::from_utf8(credentials).ok()?;
        scheme.eq_ignore_ascii_case("Basic").then_some(credentials)
    }
}

/// Undoes application/x-www-form-urlencoded (RFC 6749, appendix B).
pub fn form_decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned()
}

fn read_byte(wire: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    wire.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn read_exactly(wire: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    wire.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The chunked transfer coding (RFC 9112, section 7.1), without trailers.
fn read_chunks(wire: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        while !size.ends_with("\r\n") {
            size.push(char::from(read_byte(wire)?));
        }
        let size = usize::from_str_radix(size.trim_end(), 16).map_err(|_| ErrorKind::InvalidData)?;
        body.extend(read_exactly(wire, size)?);
        read_exactly(wire, 2)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
