//! What the client gets, and where it came from.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use ninerouter_dialect::{Dialect, TapSummary};
use sha2::{Digest, Sha256};

use crate::actors::lease::Lease;
use crate::gateway::passage::Passage;
use crate::gateway::reply::Refusal;
use crate::id::AccountId;
use crate::net::ReplyBody;
use crate::routing::account::Tier;
use crate::routing::plan::PlannedEntry;
use crate::store::usage::ExecTier;

/// What the client gets.
#[derive(Debug)]
pub(super) enum Answer {
    /// A whole answer.
    Whole(Box<WholeAnswer>, Route),
    /// A stream past its commit point.
    Stream(Box<Committed>),
    /// An error.
    Refused(Box<Refusal>),
}

impl Answer {
    /// An error.
    #[must_use]
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct WholeAnswer {
    /// Upstream status, 2xx.
    pub status: u16,
    /// Upstream headers.
    pub headers: HeaderMap,
    /// The answer, in the client's dialect.
    pub body: Bytes,
    /// What was read in it.
    pub summary: TapSummary,
}

/// A stream past its commit point.
#[derive(Debug)]
pub(super) struct OpenStream {
    /// Upstream status, 2xx.
    pub status: u16,
    /// Upstream headers.
    pub headers: HeaderMap,
    /// The upstream's dialect.
    pub dialect: Dialect,
    /// How its bytes become the client's.
    pub passage: Passage,
    /// Bytes that go out first.
    pub held: Vec<Bytes>,
    /// What comes after them; `None` when the upstream has already ended well.
    pub body: Option<Pin<Box<ReplyBody>>>,
    /// When the head came.
    pub head_at: Instant,
}

/// A committed stream with everything it must give back.
#[derive(Debug)]
pub(super) struct Committed {
    /// Permission, reported at the end.
    pub lease: Option<Lease>,
    /// Where it comes from.
    pub route: Route,
    /// The stream itself.
    pub open: OpenStream,
}

/// Where an answer comes from, for headers and the usage row.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Entry that serves.
    pub entry: Arc<PlannedEntry>,
    /// Account that serves.
    pub account: AccountId,
    /// Its label.
    pub label: String,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// Combo, when one was asked for.
    pub combo: Option<Arc<str>>,
    /// Price class.
    pub tier: Tier,
    /// What was done to the request's body.
    pub exec: ExecTier,
    /// Served beyond the account's plan, at extra cost.
    pub overage: bool,
}

/// A mark of the account that tells accounts apart and nothing else (endpoints §1).
#[must_use]
pub(super) fn account_mark(account: AccountId) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16);
    let digest = Sha256::digest(account.as_bytes());
    let bytes = digest.iter().take(4);
    bytes.flat_map(|byte| [byte >> 4, byte & 15]).filter_map(digit).collect()
}
