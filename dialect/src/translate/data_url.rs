//! Media in bodies: data URLs, media types and base64, in the many ways clients write them (translation §2.9).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;

use crate::ir::{MediaSource, Str};

/// A data URL, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataUrl {
    /// The media type as [`media_type`] writes it.
    pub mime: Str,
    /// The bytes as [`standard_base64`] writes them.
    pub data: Str,
}

impl DataUrl {
    /// Takes a data URL apart; `None` for any other address. Parameters are dropped, a missing media type
    /// is guessed from the bytes, and text that is not base64 is encoded.
    pub fn parse(url: &str) -> Option<Self> {
        let url = url.trim_start();
        let rest = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"))?;
        let (head, data) = url.get(rest.len()..)?.split_once(',')?;
        let is_base64 =
            head.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
        let data = if is_base64 {
            // A few clients percent-encode the base64 as well.
            if data.contains('%') {
                standard_base64(&percent_decode_str(data).decode_utf8_lossy())
            } else {
                standard_base64(data)
            }
        } else {
            BASE64_STANDARD.encode(percent_decode_str(data).collect::<Vec<u8>>()).into()
        };
        let declared = head.split(';').next().unwrap_or_default();
        let mime = if declared.contains('/') {
            media_type(declared)
        } else {
            let fallback = if is_base64 { "application/octet-stream" } else { "text/plain" };
            sniff(&data).unwrap_or(fallback).into()
        };
        Some(Self { mime, data })
    }

    /// The data URL of some bytes.
    pub fn format(mime: &str, data: &str) -> String {
        format!("data:{mime};base64,{data}")
    }
}

impl From<DataUrl> for MediaSource {
    fn from(url: DataUrl) -> Self {
        Self::Base64 { mime: url.mime, data: url.data }
    }
}

/// The source of an image's bytes that a client names by an address: in the address itself, or behind it.
pub fn source_of(url: &str) -> MediaSource {
    DataUrl::parse(url).map_or_else(|| MediaSource::Url(url.into()), MediaSource::from)
}

/// What a medium is, by its media type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MediaClass {
    /// An image.
    Image,
    /// Sound.
    Audio,
    /// A film.
    Video,
    /// Anything else: PDF, text.
    Document,
}

impl MediaClass {
    /// The class of a media type.
    pub fn of(mime: &str) -> Self {
        match mime.split('/').next().map(str::to_ascii_lowercase).as_deref() {
            Some("image") => Self::Image,
            Some("audio") => Self::Audio,
            Some("video") => Self::Video,
            Some(_) | None => Self::Document,
        }
    }
}

/// A media type: lower case, without parameters, common misspellings mended.
pub fn media_type(written: &str) -> Str {
    let bare = written.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match bare.as_str() {
        "image/jpg" | "image/pjpeg" => "image/jpeg".into(),
        "image/x-png" => "image/png".into(),
        "application/x-pdf" => "application/pdf".into(),
        _ => bare.into(),
    }
}

/// OpenAI's word for the format of sound.
pub fn audio_format(mime: &str) -> Str {
    let lower = mime.to_ascii_lowercase();
    let bare = lower.split(';').next().unwrap_or_default().trim();
    let format = match bare.strip_prefix("audio/").unwrap_or(bare) {
        "wav" | "x-wav" | "wave" | "vnd.wave" => "wav",
        "mpeg" | "mp3" | "mpga" | "x-mp3" => "mp3",
        "l16" | "pcm" | "x-pcm" => "pcm16",
        "mp4" | "x-m4a" => "m4a",
        other => other,
    };
    format.into()
}

/// The media type of sound in one of OpenAI's formats.
pub fn audio_media_type(format: &str) -> Str {
    match format {
        "pcm16" => Str::from_static("audio/L16;rate=24000"),
        "m4a" => Str::from_static("audio/mp4"),
        other => format!("audio/{other}").into(),
    }
}

/// Base64 in the standard alphabet, padded, without white space. Bytes are never decoded.
pub fn standard_base64(written: &str) -> Str {
    let foreign = |b: &u8| matches!(b, b'-' | b'_') || b.is_ascii_whitespace();
    let unpadded = !written.len().is_multiple_of(4);
    if !unpadded && !written.as_bytes().iter().any(foreign) {
        return written.into();
    }
    let mut clean: String = written
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    while !clean.len().is_multiple_of(4) {
        clean.push('=');
    }
    clean.into()
}

/// The media type that the first bytes tell.
pub fn sniff(base64: &str) -> Option<&'static str> {
    const STARTS: [(&str, &str); 5] = [
        ("iVBOR", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi0", "application/pdf"),
    ];
    STARTS.iter().find(|(start, _)| base64.starts_with(start)).map(|(_, mime)| *mime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t102_t103_data_urls_are_read_however_they_are_written() {
        for (url, mime, data) in [
            ("data:image/png;base64,iVBORw0K", "image/png", "iVBORw0K"),
            ("data:image/jpg;charset=utf-8;base64,/9j/", "image/jpeg", "/9j/"),
            ("DATA:Image/PNG;BASE64,iVBO\nRw0K ", "image/png", "iVBORw0K"),
            ("data:;base64,iVBORw0K", "image/png", "iVBORw0K"),
            ("data:;base64,AAAA", "application/octet-stream", "AAAA"),
            ("data:base64,hi", "application/octet-stream", "hi=="),
            ("data:image/webp;base64,_-8", "image/webp", "/+8="),
            ("data:text/plain,a%20b", "text/plain", "YSBi"),
            ("data:,hi", "text/plain", "aGk="),
        ] {
            let seen = DataUrl::parse(url).unwrap();
            assert_eq!((&*seen.mime, &*seen.data), (mime, data), "{url}");
        }
        for other in ["https://x/data:image/png;base64,AA", "data:image/png", "", "dätä:,", "d"] {
            assert_eq!(DataUrl::parse(other), None, "{other}");
        }
        let clean = DataUrl::format("image/png", "iVBORw0K");
        assert_eq!(DataUrl::parse(&clean).unwrap().data, "iVBORw0K");
    }

    #[test]
    fn sound_keeps_its_format_both_ways() {
        for (mime, format) in [
            ("audio/wav", "wav"),
            ("audio/x-wav", "wav"),
            ("audio/mpeg", "mp3"),
            ("audio/L16;codec=pcm;rate=24000", "pcm16"),
            ("audio/flac", "flac"),
        ] {
            assert_eq!(audio_format(mime), format);
            assert_eq!(audio_format(&audio_media_type(format)), format);
        }
        assert_eq!(MediaClass::of("Image/png"), MediaClass::Image);
        assert_eq!(MediaClass::of("application/pdf"), MediaClass::Document);
    }
}
