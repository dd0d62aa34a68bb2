//! The command line: arguments, the start banner, messages for people, and what each command does.

pub mod args;
pub mod banner;
pub mod config;
pub mod demo;
pub mod healthcheck;
pub mod local;
pub mod logging;
pub mod port;
pub mod process;
pub mod run;
pub mod service;
pub mod start;
pub mod version;
