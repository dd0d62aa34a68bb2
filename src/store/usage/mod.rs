//! Usage: one row per request, one per attempt, and the aggregates every page reads.
//!
//! Rows and aggregates are written in one transaction, so lists and charts always agree.

mod fold;
mod insert;
mod query;
mod report;
mod reprice;
mod requests;
mod row;
mod spend;
mod write;

pub use fold::FoldedAggregates;
pub use query::{
    KeySpend, KeyTotals, KeyUsage, MAX_MODELS, ModelUsage, Period, key_spend, key_usage,
};
pub use report::{Dimension, Filter, Point, Totals, by, error_series, series, summary};
pub use reprice::{Repriced, reprice, request_span, requests_between};
pub use requests::{
    Listed, RequestFilter, StatusFilter, StoredAttempt, StoredRequest, delete_requests,
    find_request, list_requests, unpriced,
};
pub use row::{
    AttemptOutcome, AttemptRow, ExecTier, InboundDialect, PriceSource, RequestKind, RequestRow,
    RequestStatus, UsageRecord,
};
pub use spend::{Spend, spend_by_minute, spend_ever, spend_since};
pub use write::{BatchReport, KeyUse, UsageWriter, write_batch};

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// Start of the UTC hour of an instant.
fn hour_of(ts: crate::clock::UnixMs) -> i64 {
    ts.div_euclid(HOUR_MS).saturating_mul(HOUR_MS)
}
