//! Raw samples as a WAV file, for clients that did not ask for raw ones (translation §3.5).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::ir::Str;

/// OpenAI's word for signed 16 bit samples of one channel at 24 kHz, which Gemini sends.
pub(crate) const RAW: &str = "pcm16";

const HEADER: usize = 54;
const RATE: u32 = 24_000;
/// What stands for the size of a file that is still being written.
const UNKNOWN: u32 = u32::MAX;

/// Base64 that goes before that of the samples to make a file of them; `None` where they are not raw, or
/// were asked for as they are. `samples` is base64, or `None` when more is to come.
pub(crate) fn wav_prefix(format: &str, asked: Option<&str>, samples: Option<&str>) -> Option<Str> {
    if format != RAW || asked == Some(RAW) {
        return None;
    }
    let bytes = samples.map_or(UNKNOWN, decoded_len);
    Some(BASE64_STANDARD.encode(header(bytes)).into())
}

fn decoded_len(base64: &str) -> u32 {
    let digits = base64.trim_end_matches('=').len();
    u32::try_from(digits.saturating_mul(3).div_euclid(4)).unwrap_or(UNKNOWN)
}

/// The header of a file of `bytes` bytes of samples. A chunk of filler makes its size a multiple of three:
/// so its base64 ends without padding, and that of the samples follows as it is.
fn header(bytes: u32) -> [u8; HEADER] {
    let mut file = [0; HEADER];
    let fields: [(usize, &[u8]); 12] = [
        (0, b"RIFF"),
        (4, &bytes.saturating_add(46).to_le_bytes()),
        (8, b"WAVEfmt "),
        (16, &16_u32.to_le_bytes()),
        // Linear samples, one channel.
        (20, &[1, 0, 1, 0]),
        (24, &RATE.to_le_bytes()),
        (28, &RATE.saturating_mul(2).to_le_bytes()),
        (32, &[2, 0, 16, 0]),
        (36, b"JUNK"),
        (40, &2_u32.to_le_bytes()),
        (46, b"data"),
        (50, &bytes.to_le_bytes()),
    ];
    for (at, field) in fields {
        file.iter_mut().skip(at).zip(field).for_each(|(to, from)| *to = *from);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_become_a_file() {
        let samples = BASE64_STANDARD.encode([1, 2, 3, 4]);
        let prefix = wav_prefix(RAW, Some("wav"), Some(&samples)).unwrap();
        let file = BASE64_STANDARD.decode(format!("{prefix}{samples}")).unwrap();
        assert_eq!(file.len(), HEADER + 4);
        assert_eq!((&file[..4], &file[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!(number(4), u32::try_from(file.len()).unwrap() - 8);
        assert_eq!((number(24), number(28), number(50)), (24_000, 48_000, 4));
        // The chunks lead to the samples.
        assert_eq!((&file[36..40], number(40), &file[46..50]), (&b"JUNK"[..], 2, &b"data"[..]));
        assert_eq!(file[HEADER..], [1, 2, 3, 4]);
    }

    #[test]
    fn only_raw_samples_that_nobody_asked_for_are_wrapped() {
        assert!(wav_prefix(RAW, None, None).is_some());
        assert!(wav_prefix(RAW, Some("mp3"), None).is_some());
        assert_eq!(wav_prefix(RAW, Some(RAW), None), None);
        assert_eq!(wav_prefix("wav", None, None), None);
    }
}
