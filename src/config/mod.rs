//! Flags, environment, `.env` files, the config file, and the start-up audit. The only reader of the environment.

pub mod keys;
pub mod kind;
pub mod proxies;
pub mod rule;
pub mod settings;
