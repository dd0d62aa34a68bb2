//! The data plane: endpoint families, admission, the relay loop, streaming bodies.

mod admission;
mod answer;
mod attempt;
mod blame;
mod body;
mod broken;
mod count;
mod deadline;
mod early;
mod edge;
mod exchange;
mod failure;
mod farewell;
mod finale;
mod inference;
pub mod media;
mod models;
mod ollama;
mod opening;
mod passage;
mod record;
mod relay;
mod reply;
mod retry;
pub mod route;
mod serve;
pub mod signatures;
mod stream;
mod tool;
mod translation;
mod usage;
pub mod worker;

pub use admission::{Door, LocalEnd, local_ip};
pub use reply::{Refusal, json, start};
pub use serve::serve;
