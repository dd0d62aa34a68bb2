//! The catalog and how each upstream is called. Pure: says what to send and what an answer means.

pub mod base_url;
pub mod catalog;
pub mod check;
pub mod credential;
pub mod effort;
pub mod endpoint;
pub mod entry;
pub mod family;
pub mod glob;
pub mod header;
pub mod model;
pub mod node;
pub mod overlay;
pub mod overrides;
pub mod price;
pub mod profile;
mod template;
pub mod upstream_id;
