//! Accounts: what they are, how they stand, and what an operator does to them.

pub(super) mod status;
