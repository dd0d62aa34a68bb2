//! Reading the bodies of forms and management calls: bounded in size and in time (security §10).

use std::time::Duration;

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::clock::Clock;

/// Longest silence of a client that sends its body.
const SILENCE: Duration = Duration::from_secs(15);
/// After this long the average must have reached [`SLOWEST`].
const GRACE: Duration = Duration::from_secs(20);
/// Bytes per second.
const SLOWEST: u64 = 4 * 1_024;

/// Why a body was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BadBody {
    /// Larger than allowed.
    TooLarge,
    /// Too slow, or stopped.
    TooSlow,
    /// The connection broke, or the framing is wrong.
    Broken,
}

/// The whole body, of `limit` bytes at most.
///
/// # Errors
/// See [`BadBody`].
pub(super) async fn read(
    mut payload: Payload,
    limit: usize,
    clock: &Clock,
) -> Result<Bytes, BadBody> {
    let started = clock.now();
    let mut body = BytesMut::new();
    loop {
        let next = tokio::time::timeout(SILENCE, payload.next()).await;
        let part = match next.map_err(|_elapsed| BadBody::TooSlow)? {
            Some(Ok(part)) => part,
            Some(Err(_gone)) => return Err(BadBody::Broken),
            None => return Ok(body.freeze()),
        };
        if body.len() + part.len() > limit {
            return Err(BadBody::TooLarge);
        }
        body.extend_from_slice(&part);
        let spent = clock.now().saturating_duration_since(started);
        let seen = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if spent > GRACE && seen < SLOWEST.saturating_mul(spent.as_secs()) {
            return Err(BadBody::TooSlow);
        }
    }
}
