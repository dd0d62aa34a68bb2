//! Content codings, decoded in bounded windows with a bomb rule (REL-UP-3, security §10).

use std::io::{self, Write};

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, HeapAlloc, HuffmanCode};
use bytes::{Buf, Bytes, BytesMut};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

/// Most output of one step.
const WINDOW: usize = 64 * 1024;
/// Input offered to the deflate family at a time, so that one step stays near [`WINDOW`].
const SIP: usize = 4 * 1024;
/// Expansion beyond which a body is a bomb, once it has [`BOMB_FROM`] bytes.
const BOMB_RATIO: u64 = 200;
const BOMB_FROM: u64 = 1024 * 1024;
/// Largest zstd window: what RFC 9659 allows on the web.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Why coded bytes are not decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not gzip, br, zstd (nor deflate in an answer).
    #[error("unknown content coding: use `gzip`, `br`, `zstd` or `identity`")]
    Unknown,
    /// More than one.
    #[error("more than one content coding")]
    Stacked,
    /// The bytes are not of that coding.
    #[error("the body does not decode")]
    Corrupt,
    /// The coded bytes end too early.
    #[error("the coded body is cut short")]
    Truncated,
    /// Larger than allowed after decoding.
    #[error("the decoded body is too large")]
    TooLarge,
    /// The caller has no room for so much.
    #[error("no room for the decoded body")]
    NoRoom,
    /// Expands more than 200 times.
    #[error("the body expands too much")]
    Bomb,
}

/// A supported coding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// The coding that the values of `content-encoding` name; `None` for identity.
    pub(super) fn of<'a>(
        values: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Self>, DecodeError> {
        let mut found = None;
        let names = values.flat_map(|value| value.split(',')).map(str::trim);
        for name in names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
        {
            if found.is_some() {
                return Err(DecodeError::Stacked);
            }
            found = Some(name);
        }
        let Some(name) = found else { return Ok(None) };
        let table = [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
            ("deflate", Self::Deflate),
        ];
        let known = table.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        known.map(|(_, coding)| Some(coding)).ok_or(DecodeError::Unknown)
    }
}

/// Decodes a client's request body.
///
/// # Errors
/// [`DecodeError::Unknown`] and [`DecodeError::Stacked`] are the client's 415, [`DecodeError::TooLarge`] and
/// [`DecodeError::Bomb`] its 413, the others its 400.
pub fn decode_request_body(
    body: Bytes,
    content_encoding: Option<&str>,
    cap: usize,
) -> Result<Bytes, DecodeError> {
    decode_request_body_within(body, content_encoding, cap, |_decoded| true)
}

/// As [`decode_request_body`]; `has_room` is asked at each step whether this many decoded bytes may be held.
///
/// # Errors
/// Also [`DecodeError::NoRoom`], when they may not.
pub fn decode_request_body_within(
    body: Bytes,
    content_encoding: Option<&str>,
    cap: usize,
    mut has_room: impl FnMut(usize) -> bool,
) -> Result<Bytes, DecodeError> {
    let coding = match Coding::of(content_encoding.into_iter())? {
        // §10 names no deflate: two incompatible things go by that name.
        Some(Coding::Deflate) => return Err(DecodeError::Unknown),
        Some(coding) => coding,
        None if body.len() > cap => return Err(DecodeError::TooLarge),
        None => return Ok(body),
    };
    let mut inflater = Inflater::new(coding);
    let mut input = body;
    let mut whole = BytesMut::new();
    loop {
        let out = inflater.step(&mut input)?;
        if out.is_empty() && input.is_empty() {
            break;
        }
        if whole.len().saturating_add(out.len()) > cap {
            return Err(DecodeError::TooLarge);
        }
        if !has_room(whole.len() + out.len()) {
            return Err(DecodeError::NoRoom);
        }
        whole.extend_from_slice(&out);
    }
    inflater.finish()?;
    Ok(whole.freeze())
}

/// A decoder that is fed by hand and answers window by window.
pub(super) struct Inflater {
    kind: Kind,
    taken: u64,
    made: u64,
}

enum Kind {
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// `deflate`, before its first byte tells zlib from raw.
    Deflate,
    Zlib(ZlibDecoder<Vec<u8>>),
    Raw(DeflateDecoder<Vec<u8>>),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

impl Inflater {
    pub(super) fn new(coding: Coding) -> Self {
        let kind = match coding {
            Coding::Gzip => Kind::Gzip(MultiGzDecoder::new(Vec::new())),
            Coding::Deflate => Kind::Deflate,
            Coding::Brotli => Kind::Brotli(Box::new(Brotli::new())),
            Coding::Zstd => Kind::Zstd(Zstd::new()),
        };
        Self { kind, taken: 0, made: 0 }
    }

    /// Takes some of `input` and returns some output. Call it until both are empty.
    pub(super) fn step(&mut self, input: &mut Bytes) -> Result<Bytes, DecodeError> {
        let before = input.len();
        if let (Kind::Deflate, Some(first)) = (&self.kind, input.first()) {
            // RFC 9110 means zlib, some servers send raw deflate: the low half of zlib's first byte is 8.
            self.kind = match first & 0x0f {
                8 => Kind::Zlib(ZlibDecoder::new(Vec::new())),
                _ => Kind::Raw(DeflateDecoder::new(Vec::new())),
            };
        }
        let out = match &mut self.kind {
            Kind::Gzip(decoder) => push(decoder, input, |decoder| decoder.get_mut())?,
            Kind::Zlib(decoder) => push(decoder, input, |decoder| decoder.get_mut())?,
            Kind::Raw(decoder) => push(decoder, input, |decoder| decoder.get_mut())?,
            Kind::Deflate => Vec::new(),
            Kind::Brotli(decoder) => decoder.step(input)?,
            Kind::Zstd(decoder) => decoder.step(input)?,
        };
        let taken = before.saturating_sub(input.len());
        self.taken = self.taken.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
        self.made = self.made.saturating_add(u64::try_from(out.len()).unwrap_or(u64::MAX));
        if self.made > BOMB_FROM && self.made > self.taken.saturating_mul(BOMB_RATIO) {
            return Err(DecodeError::Bomb);
        }
        Ok(Bytes::from(out))
    }

    /// After the last step: was that the end? No bytes at all are an empty body.
    pub(super) fn finish(&mut self) -> Result<(), DecodeError> {
        if self.taken == 0 {
            return Ok(());
        }
        match &mut self.kind {
            Kind::Deflate => Ok(()),
            Kind::Gzip(decoder) => ended(decoder.try_finish()),
            Kind::Zlib(decoder) => ended(decoder.try_finish()),
            Kind::Raw(decoder) => ended(decoder.try_finish()),
            Kind::Brotli(decoder) if decoder.ended => Ok(()),
            Kind::Zstd(decoder) if decoder.at_frame_end => Ok(()),
            Kind::Brotli(_) | Kind::Zstd(_) => Err(DecodeError::Truncated),
        }
    }
}

fn ended(finished: io::Result<()>) -> Result<(), DecodeError> {
    finished.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => DecodeError::Truncated,
        _ => DecodeError::Corrupt,
    })
}

/// One sip for a decoder of the deflate family, whose writer keeps what it cannot pass on in one go.
fn push<D: Write>(
    decoder: &mut D,
    input: &mut Bytes,
    out: impl Fn(&mut D) -> &mut Vec<u8>,
) -> Result<Vec<u8>, DecodeError> {
    let sip = input.get(..SIP).unwrap_or(input);
    let offered = sip.len();
    let taken = match offered {
        0 => 0,
        _ => decoder.write(sip).map_err(|_unreadable| DecodeError::Corrupt)?,
    };
    input.advance(taken);
    decoder.flush().map_err(|_unreadable| DecodeError::Corrupt)?;
    let made = std::mem::take(out(decoder));
    if offered > 0 && taken == 0 && made.is_empty() {
        // Bytes behind the end.
        return Err(DecodeError::Corrupt);
    }
    Ok(made)
}

struct Brotli {
    state: BrotliState<HeapAlloc<u8>, HeapAlloc<u32>, HeapAlloc<HuffmanCode>>,
    total: usize,
    ended: bool,
}

impl Brotli {
    fn new() -> Self {
        // Strict: windows above 16 MiB are not brotli as browsers know it.
        let state = BrotliState::new_strict(
            HeapAlloc::default(),
            HeapAlloc::default(),
            HeapAlloc::default(),
        );
        Self { state, total: 0, ended: false }
    }

    fn step(&mut self, input: &mut Bytes) -> Result<Vec<u8>, DecodeError> {
        if self.ended {
            return if input.is_empty() { Ok(Vec::new()) } else { Err(DecodeError::Corrupt) };
        }
        let mut out = vec![0; WINDOW];
        let (mut available_in, mut used) = (input.len(), 0);
        let (mut available_out, mut made) = (out.len(), 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut used,
            input,
            &mut available_out,
            &mut made,
            &mut out,
            &mut self.total,
            &mut self.state,
        );
        input.advance(used.min(input.len()));
        out.truncate(made);
        match result {
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(out),
            BrotliResult::ResultSuccess => {
                self.ended = true;
                Ok(out)
            }
            BrotliResult::ResultFailure => Err(DecodeError::Corrupt),
        }
    }
}

struct Zstd {
    decoder: Option<ZstdDecoder<'static>>,
    at_frame_end: bool,
}

impl Zstd {
    fn new() -> Self {
        let decoder = ZstdDecoder::new().and_then(|mut decoder| {
            decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
            Ok(decoder)
        });
        Self { decoder: decoder.ok(), at_frame_end: true }
    }

    fn step(&mut self, input: &mut Bytes) -> Result<Vec<u8>, DecodeError> {
        if input.is_empty() && self.at_frame_end {
            return Ok(Vec::new());
        }
        let decoder = self.decoder.as_mut().ok_or(DecodeError::Corrupt)?;
        let mut out = vec![0; WINDOW];
        let status =
            decoder.run_on_buffers(input, &mut out).map_err(|_unreadable| DecodeError::Corrupt)?;
        if status.bytes_read > 0 || status.bytes_written > 0 {
            self.at_frame_end = status.remaining == 0;
        }
        input.advance(status.bytes_read.min(input.len()));
        out.truncate(status.bytes_written);
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
