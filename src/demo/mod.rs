//! Simulated providers behind real loopback sockets, for `ninerouter demo`, tests and benches.
//!
//! [`Simulator`] answers well in all four wire formats; [`chaos::Chaos`] answers exactly as badly
//! as its script says; [`authority::Authority`] is a vendor that people sign in to. None opens a connection of
//! its own; [`proxy::Proxy`] opens those it is asked for.

mod answer;
mod ask;
pub mod authority;
pub mod chaos;
mod host;
pub mod proxy;
mod sim;
mod wire;
mod world;

pub use sim::{Behavior, SimConfig, SimError, Simulator};
pub use world::{DEMO_COMBO, DEMO_MODEL, DemoWorld};
