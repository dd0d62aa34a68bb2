//! The catalog and how each upstream is called. Pure: says what to send and what an answer means.

pub mod base_url;
pub mod catalog;
pub mod check;
pub mod credential;
mod edit;
pub mod effort;
pub mod endpoint;
pub mod entry;
pub mod family;
pub mod glob;
mod head;
pub mod header;
pub mod model;
pub mod node;
pub mod overlay;
pub mod overrides;
pub mod price;
pub mod profile;
pub mod request;
mod template;
mod think;
pub mod upstream_id;
mod url;
mod value;
