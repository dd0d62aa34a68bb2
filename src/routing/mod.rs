//! Pure routing: model ids, aliases, combos, account choice, error classes, cool-down arithmetic.

pub mod account;
pub mod classify;
pub mod combo;
pub mod instant;
pub mod lock;
