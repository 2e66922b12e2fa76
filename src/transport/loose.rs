//! Reads an HTTP response that a strict parser refuses. Pure.
//!
//! By the time a server responds, it has spent the refresh token. So a line without a colon, a space before one, a
//! control character, a folded line, two lengths or a wrong one must not cost the tokens. This parser takes
//! whatever it can: a status, the fields that can be read, and all the bytes behind the
//! head. Lengths and chunk sizes are hints, not limits: JSON shows its own end.

/// A response as far as it can be read.
pub struct LooseResponse<'a> {
    /// None if there is no status line at all.
    pub status: Option<u16>,
    /// Names in lower case, values trimmed.
    fields: Vec<(String, String)>,
    /// Everything behind the head, chunk sizes included.
    rest: &'a [u8],
}

impl<'a> LooseResponse<'a> {
    /// Interim responses (1xx) are passed over, and so is text before the status line.
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut rest = bytes;
        loop {
            let response = Self::read_one(rest);
            match response.status {
                Some(100 | 102..200) => rest = response.rest,
                None if rest.len() < bytes.len() => return Self { status: None, fields: Vec::new(), rest },
                _ => return response,
            }
        }
    }

    fn read_one(bytes: &'a [u8]) -> Self {
        let mut rest = bytes;
        let status = loop {
            let Some((line, behind)) = next_line(rest) else {
                return Self { status: None, fields: Vec::new(), rest: bytes };
            };
            rest = behind;
            if let Some(status) = read_status(line) {
                break status;
            }
        };
        let mut fields: Vec<(String, String)> = Vec::new();
        loop {
            let Some((line, behind)) = next_line(rest) else {
                // A head that was cut off, unless an object stands there.
                rest = if has_object(rest) { rest } else { b"" };
                break;
            };
            // A body that begins without the empty line before it.
            if line.starts_with(b"{") {
                break;
            }
            rest = behind;
            let text = String::from_utf8_lossy(line);
            match (text.trim().is_empty(), fields.last_mut(), text.split_once(':')) {
                (true, ..) => break,
                // A folded line belongs to the one before (RFC 9112, section 5.2).
                (_, Some((_, value)), _) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    *value = format!("{value} {}", text.trim());
                }
                (.., Some((name, value))) => fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned())),
                _ => {}
            }
        }
        Self { status: Some(status), fields, rest }
    }

    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The ways to authenticate that all fields of this name offer, in lower case.
    pub fn schemes(&self, name: &str) -> Vec<String> {
        let offers = self.fields.iter().filter(|(known, _)| known == name);
        let offers = offers.flat_map(|(_, value)| value.split(','));
        offers.filter_map(|offer| Some(offer.split_whitespace().next()?.to_ascii_lowercase())).collect()
    }

    /// The body, its chunks put together where it has any.
    pub fn body(&self) -> Vec<u8> {
        let is_chunked =
            self.field("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
        if is_chunked { join_chunks(self.rest) } else { self.rest.to_vec() }
    }

    /// Whether all that was announced is there: the larger of two lengths counts.
    pub fn is_complete(&self) -> bool {
        let lengths = self.fields.iter().filter(|(name, _)| name == "content-length");
        let length = lengths.filter_map(|(_, value)| value.parse::<usize>().ok()).max();
        let is_last_chunk_read = self.rest.ends_with(b"\r\n0\r\n\r\n") && self.field("transfer-encoding").is_some();
        self.status.is_some() && (is_last_chunk_read || length.is_some_and(|length| self.rest.len() >= length))
    }
}

/// Whether a JSON object begins somewhere in the bytes.
pub fn has_object(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"{\"")
}

/// The next line without its end, and what stands behind it.
fn next_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// `HTTP/1.1 200 OK` in any case and version, and what CGI programs and radio servers write instead.
fn read_status(line: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_whitespace();
    let first = words.next()?.to_ascii_lowercase();
    let is_status_line = first.starts_with("http/") || ["http", "icy", "status:"].contains(&first.as_str());
    // "200OK"
    let status = words.next().filter(|_| is_status_line)?.get(..3)?.parse().ok()?;
    (100..1000).contains(&status).then_some(status)
}

/// The chunks' data (RFC 9112, section 7.1). From the first size that can't be read, or is wrong, everything
/// is taken as it is.
fn join_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some((line, behind)) = next_line(rest) {
        let text = String::from_utf8_lossy(line);
        let size = text.split(';').next().and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok());
        match size {
            Some(0) => return body,
            Some(size) if size <= behind.len() => {
                body.extend_from_slice(&behind[..size]);
                rest = &behind[size..];
            }
            Some(_) => {
                rest = behind;
                break;
            }
            None => break,
        }
        match next_line(rest) {
            Some((b"", behind)) => rest = behind,
            _ => break,
        }
    }
    body.extend_from_slice(rest);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_strict_parser_refuses() {
        for (bytes, status, body) in [
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n{}", Some(200), "{}"),
            ("http/1.1 200\npreload\n\n{}", Some(200), "{}"),
            ("HTTP/2 201 Created\r\nA: b\r\n c: d\r\n\x7f\r\n\r\n{}", Some(201), "{}"),
            ("HTTP/1.1 200 OK\r\nContent-Type: x\r\n{\"a\":\n1}", Some(200), "{\"a\":\n1}"),
            ("HTTP/1.1 103 Early\r\npreload\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}", Some(200), "{}"),
            ("<b>Warning</b>\n\nHTTP/1.1 200 OK\r\n\r\n{}", Some(200), "{}"),
            ("Status: 200 OK\r\n\r\n{}", Some(200), "{}"),
            ("HTTP/1.1 200OK\r\n\r\n{}", Some(200), "{}"),
            ("HTTP 200 OK\r\n\r\n{}", Some(200), "{}"),
            ("HTTP/1.1 200 OK\r\nContent-", Some(200), ""),
            ("HTTP/1.1 200 OK\r\nContent-Type: x\r\n[{\"a\":1}]", Some(200), "[{\"a\":1}]"),
            ("HTTP/1.1 099 OK\r\n\r\n{}", None, "HTTP/1.1 099 OK\r\n\r\n{}"),
            ("* OK IMAP4\r\n", None, "* OK IMAP4\r\n"),
            ("", None, ""),
        ] {
            let response = LooseResponse::read(bytes.as_bytes());
            assert_eq!(
                (response.status, String::from_utf8(response.body()).unwrap().as_str()),
                (status, body),
                "{bytes}"
            );
        }
    }

    #[test]
    fn puts_chunks_together_as_far_as_it_can() {
        for (rest, body, is_complete) in [
            ("2\r\n{\"\r\n4;x\r\na\":1\r\n1\r\n}\r\n0\r\n\r\n", "{\"a\":1}", true),
            ("2\r\n{\"\r\nzz\r\na", "{\"zz\r\na", false),
            ("2\r\n{\"a\":1}\r\n0\r\n\r\n", "{\"a\":1}\r\n0\r\n\r\n", true),
            ("ff\r\n{\"a\":1}\r\n", "{\"a\":1}\r\n", false),
            ("-1\r\n{}", "-1\r\n{}", false),
            ("{}", "{}", false),
        ] {
            let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding : Chunked\r\n\r\n{rest}");
            let response = LooseResponse::read(bytes.as_bytes());
            assert_eq!(String::from_utf8(response.body()).unwrap(), body, "{rest}");
            assert_eq!(response.is_complete(), is_complete, "{rest}");
        }
    }

    #[test]
    fn the_larger_of_two_lengths_counts() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length : 4\r\n\r\n";
        for (body, is_complete) in [("{}", false), ("{} \n", true)] {
            assert_eq!(LooseResponse::read(format!("{head}{body}").as_bytes()).is_complete(), is_complete);
        }
    }
}
