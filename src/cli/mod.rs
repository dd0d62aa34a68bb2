//! The command line: arguments, the start banner, messages for people, and commands that need no server.

pub mod args;
pub mod banner;
pub mod healthcheck;
pub mod port;
pub mod service;
pub mod version;
