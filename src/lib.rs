//! NineRouter: one endpoint, many accounts, real fallback.

pub mod actors;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dashboard;
pub mod demo;
pub mod gateway;
pub mod id;
pub mod net;
pub mod provider;
pub mod redact;
pub mod routing;
pub mod secret;
pub mod server;
pub mod store;
