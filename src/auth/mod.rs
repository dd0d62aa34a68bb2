//! Who may call: API keys, client address, host check, limits.

pub mod address;
pub mod admit;
pub mod arrival;
pub mod audit;
pub mod candidate;
pub mod cors;
pub mod csrf;
pub mod failed;
pub mod glob;
pub mod host;
pub mod ipset;
pub mod key;
pub mod keyring;
pub mod limits;
pub mod load;
pub mod login;
pub mod login_limit;
pub mod password;
pub mod permission;
pub mod policy;
pub mod refusal;
pub mod session;
pub mod setup_code;
