//! Owners of mutable state: router, accounts, ledger, live events, settings.
//!
//! Who asks whom (asks go downwards only, so no cycle of awaited asks exists):
//!
//! ```text
//! HTTP worker ──Checkout──► Router ──Acquire──► Account
//! HTTP worker ──Report (do_send, bounded by leases)──► Account
//! Account ──writes its view into the shared table, then one nudge──► Router
//! HTTP worker ──request row──► Ledger thread        everyone ──► LiveEvents
//! ```

pub mod account;
pub mod affinity;
pub mod breakers;
pub mod checkout;
pub mod configured;
pub mod desk;
pub mod discovery;
pub mod lease;
pub mod ledger;
pub mod listing;
pub mod live;
mod outbound;
pub mod restarts;
pub mod revoked;
pub mod router;
pub mod shared;
pub mod snapshot;
pub mod table;
pub mod upkeep;
pub mod waiting;
