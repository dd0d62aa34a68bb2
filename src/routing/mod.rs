//! Pure routing: model ids, aliases, combos, account choice, error classes, cool-down arithmetic.

pub mod account;
pub mod affinity;
pub mod breaker;
pub mod budget;
pub mod choose;
pub mod classify;
pub mod combo;
pub mod error_rule;
pub(crate) mod facts;
pub mod freshness;
pub mod gate;
pub(crate) mod hints;
pub mod instant;
pub mod ladder;
pub mod live;
pub mod lock;
mod near;
pub mod outcome;
pub mod plan;
pub mod resolve;
pub mod rotation;
pub(crate) mod rules;
pub mod target;
pub mod verdict;
