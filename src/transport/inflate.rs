//! Undoes the compression of a body. Pure.
//!
//! Every request says `Accept-Encoding: identity`, and some content delivery networks compress all the same
//! (RFC 9110, section 12.5.3, lets them). The bytes say themselves what they are.

use std::borrow::Cow;

use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// A body as it was before it was compressed, up to `limit` bytes; as it is where it is not compressed, or
/// can't be read. For one that was cut off, the part before the cut.
pub fn inflated(body: &[u8], limit: usize) -> Cow<'_, [u8]> {
    let data = match body {
        [0x1F, 0x8B, 8, ..] => gzip_data(body),
        // zlib (RFC 1950, section 2.2), which HTTP calls deflate.
        [method, flags, data @ ..]
            if method & 0x0F == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31) =>
        {
            Some(data)
        }
        _ => None,
    };
    let text = data.map(|data| inflate(data, limit)).filter(|text| !text.is_empty());
    text.map_or(Cow::Borrowed(body), Cow::Owned)
}

/// In one call, without the crate's own loops around it, which are larger than this whole module.
fn inflate(data: &[u8], limit: usize) -> Vec<u8> {
    let mut text = vec![0; limit];
    let mut state = Box::<DecompressorOxide>::default();
    let (_, _, written) = decompress(&mut state, data, &mut text, 0, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
    text.truncate(written);
    text
}

/// The DEFLATE data behind a gzip header (RFC 1952, section 2.3). Its check sum is not checked: TLS has done
/// so.
fn gzip_data(body: &[u8]) -> Option<&[u8]> {
    const HAS_CHECK_SUM: u8 = 1 << 1;
    const HAS_EXTRA_FIELD: u8 = 1 << 2;
    const HAS_NAME: u8 = 1 << 3;
    const HAS_COMMENT: u8 = 1 << 4;
    let flags = *body.get(3)?;
    let mut data = body.get(10..)?;
    if flags & HAS_EXTRA_FIELD != 0 {
        let length = u16::from_le_bytes([*data.first()?, *data.get(1)?]);
        data = data.get(2 + usize::from(length)..)?;
    }
    for text in [HAS_NAME, HAS_COMMENT] {
        if flags & text != 0 {
            let end = data.iter().position(|&byte| byte == 0)?;
            data = &data[end + 1..];
        }
    }
    data.get(if flags & HAS_CHECK_SUM != 0 { 2 } else { 0 }..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflates_what_is_compressed() {
        // printf '{"a":1}' | gzip -n; and with every optional field; and by zlib, stored.
        let deflated = b"\xab\x56\x4a\x54\xb2\x32\xac\x05\0";
        let gzip = |flags: u8, fields: &[u8]| [b"\x1f\x8b\x08", &[flags][..], &[0; 6], fields, deflated].concat();
        let fields = b"\x02\0xxname\0comment\0\x12\x34";
        for (body, wanted) in [
            (gzip(0, b""), &b"{\"a\":1}"[..]),
            (gzip(0x1E, fields), b"{\"a\":1}"),
            (b"\x78\x01\x01\x02\0\xfd\xff{}\x01\x75\0\xf9".to_vec(), b"{}"),
            (b"{\"a\":1}".to_vec(), b"{\"a\":1}"),
            (b"\x1f\x8b\x08\x04".to_vec(), b"\x1f\x8b\x08\x04"),
            (b"".to_vec(), b""),
        ] {
            assert_eq!(inflated(&body, 1 << 20), wanted);
        }
        assert_eq!(inflated(&gzip(0, b""), 3).len(), 3);
    }
}
