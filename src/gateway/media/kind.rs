//! Is a download what its field and its server say: declared type against first bytes (security §9.1, class C3).

use ninerouter_dialect::ir::Str;
use ninerouter_dialect::translate::data_url::{MediaClass, media_type};

/// What models take, as far as first bytes tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Image,
    Pdf,
    /// Sound or film: both come in the same containers.
    Timed,
}

impl Kind {
    fn of(mime: &str) -> Option<Self> {
        if mime == "application/pdf" {
            return Some(Self::Pdf);
        }
        if matches!(mime, "application/ogg" | "application/mp4") {
            return Some(Self::Timed);
        }
        match MediaClass::of(mime) {
            MediaClass::Image => Some(Self::Image),
            MediaClass::Audio | MediaClass::Video => Some(Self::Timed),
            MediaClass::Document => None,
        }
    }

    fn fits(self, field: MediaClass) -> bool {
        match field {
            MediaClass::Image => self == Self::Image,
            // A page may be scanned.
            MediaClass::Document => matches!(self, Self::Pdf | Self::Image),
            MediaClass::Audio | MediaClass::Video => self == Self::Timed,
        }
    }
}

/// Why a download is not passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Mismatch {
    /// Its first bytes are of nothing that models take.
    #[error("what came back is no image, PDF, sound or video")]
    Unknown,
    /// The server declares one thing and sends another.
    #[error("what came back is not of the type that its server declares")]
    Declared,
    /// It is a medium, but not the one that its field is for.
    #[error("what came back is not of the kind that its field is for")]
    Field,
}

/// The media type of a download, when its field, its server and its bytes agree. A server that declares
/// nothing in particular is not asked.
///
/// # Errors
/// Who disagrees.
pub(super) fn agreed(
    field: MediaClass,
    declared: Option<&str>,
    bytes: &[u8],
) -> Result<Str, Mismatch> {
    let sniffed = infer::get(bytes).ok_or(Mismatch::Unknown)?.mime_type();
    let kind = Kind::of(sniffed).ok_or(Mismatch::Unknown)?;
    let declared = declared.map(media_type).filter(|mime| !says_nothing(mime));
    if declared.as_deref().is_some_and(|mime| Kind::of(mime) != Some(kind)) {
        return Err(Mismatch::Declared);
    }
    if !kind.fits(field) {
        return Err(Mismatch::Field);
    }
    // Bytes know the format of an image better than servers do; of a container, servers know what is in it.
    let by_server =
        declared.filter(|mime| kind == Kind::Timed && !mime.starts_with("application/"));
    Ok(by_server.unwrap_or_else(|| sniffed.into()))
}

fn says_nothing(mime: &str) -> bool {
    matches!(
        mime,
        "" | "application/octet-stream" | "binary/octet-stream" | "application/x-download"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
    const GIF: &[u8] = b"GIF89a\x01\0\x01\0";
    const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 ";
    const PDF: &[u8] = b"%PDF-1.7\n";
    const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt ";
    const MP3: &[u8] = b"ID3\x03\0\0\0\0\0\0";
    const MP4: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2";
    const HTML: &[u8] = b"<!DOCTYPE html><html></html>";

    #[test]
    fn a_medium_is_passed_on_when_all_agree() {
        use MediaClass::{Audio, Document, Image, Video};
        for (field, declared, bytes, want) in [
            (Image, Some("image/png"), PNG, "image/png"),
            (Image, Some("image/jpg; x=y"), JPEG, "image/jpeg"),
            (Image, Some("IMAGE/GIF"), GIF, "image/gif"),
            // Declared carelessly, but an image all the same.
            (Image, Some("image/jpeg"), WEBP, "image/webp"),
            (Image, Some("application/octet-stream"), PNG, "image/png"),
            (Image, None, PNG, "image/png"),
            (Document, Some("application/pdf"), PDF, "application/pdf"),
            (Document, Some("binary/octet-stream"), PDF, "application/pdf"),
            (Document, Some("image/png"), PNG, "image/png"),
            (Audio, Some("audio/wav"), WAV, "audio/wav"),
            (Audio, None, MP3, "audio/mpeg"),
            (Audio, Some("audio/mp4"), MP4, "audio/mp4"),
            (Video, Some("video/mp4"), MP4, "video/mp4"),
            (Video, Some("application/mp4"), MP4, "video/mp4"),
        ] {
            assert_eq!(agreed(field, declared, bytes).as_deref(), Ok(want), "{declared:?} {want}");
        }
    }

    #[test]
    fn t_out_12_what_is_not_what_it_claims_is_refused() {
        use MediaClass::{Audio, Document, Image, Video};
        for (field, declared, bytes, want) in [
            (Image, Some("image/png"), HTML, Mismatch::Unknown),
            (Image, None, HTML, Mismatch::Unknown),
            (Image, Some("image/png"), b"", Mismatch::Unknown),
            (Image, Some("image/svg+xml"), b"<svg xmlns=\"x\"/>", Mismatch::Unknown),
            (Image, Some("text/html"), PNG, Mismatch::Declared),
            (Image, Some("application/json"), PNG, Mismatch::Declared),
            (Image, Some("application/pdf"), PNG, Mismatch::Declared),
            (Document, Some("application/pdf"), PNG, Mismatch::Declared),
            (Image, Some("application/pdf"), PDF, Mismatch::Field),
            (Document, Some("video/mp4"), MP4, Mismatch::Field),
            (Audio, None, PNG, Mismatch::Field),
            (Video, Some("application/pdf"), PDF, Mismatch::Field),
            (Document, Some("application/zip"), b"PK\x03\x04\x14\0", Mismatch::Unknown),
        ] {
            assert_eq!(agreed(field, declared, bytes), Err(want), "{field:?} {declared:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>, declared: Option<String>) {
            for field in [MediaClass::Image, MediaClass::Document, MediaClass::Audio] {
                if let Ok(mime) = agreed(field, declared.as_deref(), &bytes) {
                    proptest::prop_assert!(mime.contains('/'));
                }
            }
        }
    }
}
