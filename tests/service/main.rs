//! The real binary, driven over HTTP, against simulated and misbehaving upstreams.
//!
//! One test target for all suites: they share `support`, and the linker runs once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod audit;
mod auth;
mod bad_input;
mod budgets;
mod canaries;
mod cancel;
mod cli;
mod counting;
mod deadline;
mod discovery;
mod endings;
mod fallback;
mod faults;
mod front_door;
mod guard;
mod lifecycle;
mod live;
mod login;
mod many;
mod media;
mod model_work;
mod nodes;
mod ollama;
mod openapi;
mod own_requests;
mod pages;
mod passthrough;
mod prices;
mod proxies;
mod quota;
mod record;
mod recordings;
mod refresh;
mod regressions;
mod routes;
mod sdk;
mod sign_in;
mod simulators;
mod state_faults;
mod storage;
mod traceability;
mod translated;
mod usage;
mod walkthrough;
