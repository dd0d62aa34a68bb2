//! The command line: arguments, the start banner, messages for people, and what each command does.

pub mod args;
pub mod banner;
pub mod client;
pub mod commands;
pub mod demo;
pub mod doctor;
mod fields;
pub mod healthcheck;
pub mod input;
pub mod local;
pub mod output;
pub mod pages;
pub mod port;
pub mod process;
pub mod run;
pub mod service;
pub mod start;
pub mod version;
