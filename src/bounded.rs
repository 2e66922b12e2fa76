//! Reads with a limit, whatever the file is.

use std::io::{self, Read};

/// Reads to the end, but not more than `limit` bytes. For few system calls: std would begin with reads of 32
/// bytes, and a large buffer costs calls in musl's allocator.
pub fn read_prefix(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    read_expecting(from, limit, usize::MAX)
}

/// As [`read_prefix`], for a file that had this length shortly before. If it still has, a read that returns less than
/// was wanted shows the end, and saves another read.
pub fn read_expecting(mut from: impl Read, limit: usize, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut part = [0; 8 << 10];
    while bytes.len() < limit {
        let wanted = part.len().min(limit - bytes.len());
        match from.read(&mut part[..wanted]) {
            Ok(0) => break,
            Ok(amount) => {
                bytes.extend_from_slice(&part[..amount]);
                if amount < wanted && bytes.len() == length {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Whether just these bytes are read, without room for a copy of them.
pub fn reads_same(mut from: impl Read, mut expected: &[u8]) -> io::Result<bool> {
    let mut part = [0; 8 << 10];
    loop {
        match from.read(&mut part) {
            Ok(amount) => match expected.strip_prefix(&part[..amount]) {
                Some(rest) if amount == part.len() => expected = rest,
                Some(rest) if amount == 0 || rest.is_empty() => return Ok(rest.is_empty()),
                Some(rest) => expected = rest,
                None => return Ok(false),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads to the end; more than `limit` bytes are an error.
pub fn read_at_most(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    match read_prefix(from, limit + 1)? {
        bytes if bytes.len() > limit => Err(io::Error::other("the file is too large")),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_same_bytes_from_others() {
        let long = [b'x'; 20_000];
        let full_part = [b'x'; 8 << 10];
        for (read, expected, is_same) in [
            (&b""[..], &b""[..], true),
            (b"abc", b"abc", true),
            (b"abd", b"abc", false),
            (b"ab", b"abc", false),
            (b"abcd", b"abc", false),
            (&long, &long, true),
            (&long[1..], &long, false),
            (&long, &long[1..], false),
            (&full_part, &full_part, true),
            (&long[..(8 << 10) + 1], &full_part, false),
        ] {
            assert_eq!(reads_same(read, expected).unwrap(), is_same, "{} and {} bytes", read.len(), expected.len());
        }
    }
}
