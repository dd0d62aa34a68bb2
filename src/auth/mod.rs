//! Who may call: API keys, client address, host check, limits.

pub mod address;
pub mod admit;
pub mod audit;
pub mod candidate;
pub mod cors;
pub mod failed;
pub mod glob;
pub mod host;
pub mod ipset;
pub mod key;
pub mod keyring;
pub mod limits;
pub mod load;
pub mod permission;
pub mod policy;
pub mod refusal;
