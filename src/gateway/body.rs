//! Reading the client's request body: bounded in size, in time and in total memory (security §10).

use std::time::Duration;

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use ninerouter_dialect::ErrorKind;
use tracing::debug;

use crate::auth::load::{BODY_RETRY_S, Capacity, Portion};
use crate::clock::Clock;
use crate::gateway::reply::Refusal;
use crate::net::decode::{DecodeError, decode_request_body_within};

/// Longest silence of a client that sends its body.
const SILENCE: Duration = Duration::from_secs(15);
/// After this long the average must have reached [`SLOWEST`].
const GRACE: Duration = Duration::from_secs(20);
/// Bytes per second.
const SLOWEST: u64 = 4 * 1024;
/// Room made before the first byte came: a declared length is a claim, not a fact. A client that declares
/// much and sends little must not keep the others out.
const FIRST_ROOM: u64 = 1024 * 1024;
/// Coded bodies beyond this are decoded on the blocking pool: they may become 200 times as large, and a
/// worker serves many streams.
const DECODED_HERE: usize = 4 * 1024;

/// A body held in memory, with the permit that counts it.
#[derive(Debug)]
pub(super) struct HeldBody {
    /// Decoded bytes.
    pub bytes: Bytes,
    /// Counts the bytes against the total; kept as long as the body is.
    pub permit: Portion,
}

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Larger than the limit, declared or counted, coded or decoded.
    #[error(
        "request body is larger than the limit of {0} MiB; send less, or raise the setting `limits.body_mib`"
    )]
    TooLarge(u64),
    /// Too slow, or stopped.
    #[error("request body did not arrive in time; send it faster than 4 KiB/s")]
    TooSlow,
    /// All bodies together fill the memory set aside for them.
    #[error("the router holds too many request bodies now; try again in 2 seconds")]
    NoMemory,
    /// `Content-Encoding` is unknown or stacked.
    #[error("request `content-encoding` is not supported; use one of gzip, br, zstd or none")]
    UnknownCoding,
    /// The coded bytes are broken.
    #[error("request body is not valid in its declared `content-encoding`")]
    BadCoding,
    /// The connection broke, or the framing is wrong.
    #[error("request body could not be read to its end")]
    Broken,
}

/// Reads, counts and decodes a body.
///
/// # Errors
/// See [`BodyError`].
pub(super) async fn read(
    mut payload: Payload,
    declared: Option<u64>,
    coding: Option<&str>,
    limit: u64,
    memory: &Capacity,
    clock: &Clock,
) -> Result<HeldBody, BodyError> {
    let too_large = || BodyError::TooLarge(limit / (1024 * 1024));
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let first_room = declared.unwrap_or(0).min(FIRST_ROOM);
    let mut permit = memory.take(first_room).ok_or(BodyError::NoMemory)?;
    let started = clock.now();
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut seen: u64 = 0;
    loop {
        let next = tokio::time::timeout(SILENCE, payload.next());
        let chunk = match next.await.map_err(|_elapsed| BodyError::TooSlow)? {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => {
                debug!(%error, "a request body broke off");
                return Err(BodyError::Broken);
            }
            None => break,
        };
        seen += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        if seen > limit {
            return Err(too_large());
        }
        grow_to(&mut permit, seen)?;
        let spent = clock.now().duration_since(started);
        if spent > GRACE && seen < SLOWEST * spent.as_secs() {
            return Err(BodyError::TooSlow);
        }
        match &mut rest {
            None if first.is_empty() => first = chunk,
            None => {
                let room = usize::try_from(declared.unwrap_or(seen).min(FIRST_ROOM)).unwrap_or(0);
                let mut whole = BytesMut::with_capacity(room.max(first.len() + chunk.len()));
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&chunk);
                rest = Some(whole);
            }
            Some(whole) => {
                if whole.capacity() - whole.len() < chunk.len() {
                    // What room was made for has come: the rest of what was declared is no idle claim. To grow by and
                    // by copies the body twice. Memory that nothing was written to is not taken yet.
                    let declared = usize::try_from(declared.unwrap_or(0)).unwrap_or(0);
                    whole.reserve(declared.saturating_sub(whole.len()).max(chunk.len()));
                }
                whole.extend_from_slice(&chunk);
            }
        }
    }
    let bytes = rest.map_or(first, BytesMut::freeze);
    permit.shrink_to(seen);
    let Some(coding) = coding else { return Ok(HeldBody { bytes, permit }) };
    let cap = usize::try_from(limit).unwrap_or(usize::MAX);
    let coded = Coded { bytes, coding: coding.to_owned(), cap, permit };
    let decoded = if coded.bytes.len() <= DECODED_HERE {
        coded.decode()
    } else {
        let work = tokio::task::spawn_blocking(move || coded.decode());
        work.await.map_err(|_panicked| BodyError::BadCoding)?
    };
    decoded.map_err(|error| match error {
        DecodeError::TooLarge | DecodeError::Bomb => too_large(),
        DecodeError::NoRoom => BodyError::NoMemory,
        DecodeError::Unknown | DecodeError::Stacked => BodyError::UnknownCoding,
        DecodeError::Corrupt | DecodeError::Truncated => BodyError::BadCoding,
    })
}

/// A body as it came, to be decoded on any thread.
struct Coded {
    bytes: Bytes,
    coding: String,
    cap: usize,
    permit: Portion,
}

impl Coded {
    /// While it runs, the permit counts the coded and the decoded bytes; afterwards the decoded ones.
    fn decode(self) -> Result<HeldBody, DecodeError> {
        let Self { bytes, coding, cap, mut permit } = self;
        let coded = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let bytes = decode_request_body_within(bytes, Some(&coding), cap, |decoded| {
            let decoded = u64::try_from(decoded).unwrap_or(u64::MAX);
            grow_to(&mut permit, coded.saturating_add(decoded)).is_ok()
        })?;
        permit.shrink_to(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(HeldBody { bytes, permit })
    }
}

fn grow_to(permit: &mut Portion, size: u64) -> Result<(), BodyError> {
    let more = size.saturating_sub(permit.size());
    if more == 0 || permit.grow(more) { Ok(()) } else { Err(BodyError::NoMemory) }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let message = error.to_string();
        match error {
            BodyError::TooLarge(_) => Self::new(ErrorKind::TooLarge, message),
            BodyError::TooSlow => {
                let mut refusal = Self::new(ErrorKind::Timeout, message);
                refusal.close = true;
                refusal
            }
            BodyError::NoMemory => Self::new(ErrorKind::Unavailable, message)
                .code("router_overloaded")
                .retry_after(BODY_RETRY_S.into()),
            BodyError::UnknownCoding => Self::new(ErrorKind::InvalidRequest, message)
                .status(415)
                .code("unsupported_content_encoding"),
            BodyError::BadCoding => {
                Self::new(ErrorKind::InvalidRequest, message).code("invalid_content_encoding")
            }
            BodyError::Broken => {
                let mut refusal =
                    Self::new(ErrorKind::InvalidRequest, message).code("incomplete_body");
                refusal.close = true;
                refusal
            }
        }
    }
}
