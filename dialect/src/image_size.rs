//! Width and height of an image from the start of its base64 text: PNG, JPEG, GIF, WebP.

/// How much of an image is decoded in search of its size (JPEG keeps it behind its metadata).
const PREFIX_BYTES: usize = 96 * 1024;

/// The size of a base64 image, if its header is readable.
pub(crate) fn image_size(base64: &str) -> Option<(u64, u64)> {
    let bytes = decode_prefix(base64.as_bytes());
    png(&bytes).or_else(|| gif(&bytes)).or_else(|| webp(&bytes)).or_else(|| jpeg(&bytes))
}

fn png(bytes: &[u8]) -> Option<(u64, u64)> {
    let rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let chunk = rest.get(4..)?.strip_prefix(b"IHDR")?;
    Some((big_endian(chunk.get(..4)?), big_endian(chunk.get(4..8)?)))
}

fn gif(bytes: &[u8]) -> Option<(u64, u64)> {
    let rest = bytes.strip_prefix(b"GIF87a").or_else(|| bytes.strip_prefix(b"GIF89a"))?;
    Some((little_endian(rest.get(..2)?), little_endian(rest.get(2..4)?)))
}

fn webp(bytes: &[u8]) -> Option<(u64, u64)> {
    let chunk = bytes.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WEBP")?;
    let payload = chunk.get(8..)?;
    match chunk.get(..4)? {
        b"VP8X" => {
            let width = little_endian(payload.get(4..7)?).saturating_add(1);
            let height = little_endian(payload.get(7..10)?).saturating_add(1);
            Some((width, height))
        }
        b"VP8L" => {
            let bits = little_endian(payload.get(1..5)?);
            Some(((bits & 0x3fff).saturating_add(1), ((bits >> 14) & 0x3fff).saturating_add(1)))
        }
        b"VP8 " => {
            let size = payload.get(6..10)?;
            Some((little_endian(size.get(..2)?) & 0x3fff, little_endian(size.get(2..4)?) & 0x3fff))
        }
        _ => None,
    }
}

fn jpeg(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut rest = bytes.strip_prefix(b"\xff\xd8")?;
    loop {
        let marker = *rest.strip_prefix(b"\xff")?.first()?;
        if marker == 0xff {
            rest = rest.get(1..)?;
            continue;
        }
        let segment = rest.get(2..)?;
        let is_frame = (0xc0..=0xcf).contains(&marker) && ![0xc4, 0xc8, 0xcc].contains(&marker);
        if is_frame {
            let height = big_endian(segment.get(3..5)?);
            return Some((big_endian(segment.get(5..7)?), height));
        }
        let len = usize::try_from(big_endian(segment.get(..2)?)).ok()?;
        rest = segment.get(len..)?;
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// Decodes the start of a base64 text, either alphabet; stops at what is no base64.
fn decode_prefix(base64: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in base64.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        let Some(value) = digit(*byte) else { break };
        bits = (bits << 6) | value;
        held = held.saturating_add(6);
        if held >= 8 {
            held = held.saturating_sub(8);
            out.push(u8::try_from((bits >> held) & 0xff).unwrap_or_default());
            bits &= (1 << held) - 1;
        }
        if out.len() >= PREFIX_BYTES {
            break;
        }
    }
    out
}

fn digit(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte.saturating_sub(b'A'),
        b'a'..=b'z' => byte.saturating_sub(b'a').saturating_add(26),
        b'0'..=b'9' => byte.saturating_sub(b'0').saturating_add(52),
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(bytes: &[u8]) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let mut group = [0_u8; 3];
            group[..chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            for n in 0..=chunk.len() {
                let at = usize::try_from((bits >> (18 - 6 * n)) & 63).unwrap();
                out.push(char::from(ALPHABET[at]));
            }
        }
        out
    }

    #[test]
    fn sizes_of_the_four_formats_are_read() {
        let png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x03\x20\x00\x00\x02\x58";
        let gif = b"GIF89a\x20\x03\x58\x02";
        let jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc2\x00\x11\x08\x02\x58\x03\x20";
        let extended = b"RIFF....WEBPVP8X....\x00\x00\x00\x00\x1f\x03\x00\x57\x02\x00";
        let lossy = b"RIFF....WEBPVP8 ....\x00\x00\x00\x9d\x01\x2a\x20\x03\x58\x02";
        let lossless = b"RIFF....WEBPVP8L....\x2f\x1f\xc3\x95\x00";
        for bytes in [&png[..], gif, jpeg, extended, lossy, lossless] {
            assert_eq!(image_size(&encode(bytes)), Some((800, 600)), "{bytes:?}");
        }
    }

    #[test]
    fn unreadable_headers_give_nothing() {
        for text in ["", "!!!!", "aGVsbG8=", "/9j/", "iVBORw0KGgo="] {
            assert_eq!(image_size(text), None, "{text}");
        }
    }
}
