//! Simulated providers behind real loopback sockets, for `ninerouter demo`, tests and benches.
//!
//! [`Simulator`] answers well in all four wire formats; [`chaos::Chaos`] answers exactly as badly
//! as its script says. Neither opens a connection of its own.

mod answer;
mod ask;
pub mod chaos;
mod sim;
mod wire;
mod world;

pub use sim::{Behavior, SimConfig, SimError, Simulator};
pub use world::{DEMO_COMBO, DEMO_MODEL, DemoWorld};
