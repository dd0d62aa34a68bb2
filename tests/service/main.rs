//! The real binary, driven over HTTP, against simulated and misbehaving upstreams.

#[path = "../support/mod.rs"]
mod support;

mod passthrough;
mod simulators;
