//! The catalog and how each upstream is called. Pure: says what to send and what an answer means.

pub mod credential;
pub mod node;
