//! Owners of mutable state: router, accounts, ledger, live events, settings.
//!
//! Who asks whom (asks go downwards only, so no cycle of awaited asks exists):
//!
//! ```text
//! HTTP worker ──Checkout──► Router ──Acquire──► Account
//! HTTP worker ──Report (do_send, bounded by leases; successes together)──► Account
//! Account ──writes its view into the shared table, then one nudge──► Router
//! HTTP worker ──request row──► Ledger thread        everyone ──► LiveEvents
//! HTTP worker ──tape, while bodies are captured──► Capture thread        everyone ──event──► Audit thread
//! Account ──begins or joins──► Exchanges (tasks of their own) ──► token endpoint, store
//! Refresher ──what is due?──► Router        Refresher ──RefreshDue──► Account
//! ```

pub mod account;
pub mod affinity;
pub mod audit;
pub mod breakers;
pub mod budgets;
pub mod capture;
pub mod checkout;
pub mod configured;
pub mod desk;
pub mod discovery;
pub mod exchanges;
pub mod lease;
pub mod ledger;
pub mod listing;
pub mod live;
mod outbound;
pub mod outbox;
pub mod quota_poller;
pub mod refresher;
pub mod reports;
pub mod restarts;
pub mod revoked;
pub mod router;
pub mod shared;
pub mod snapshot;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod upkeep;
pub mod waiting;
