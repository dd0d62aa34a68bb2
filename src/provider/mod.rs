//! The catalog and how each upstream is called. Pure: says what to send and what an answer means.

pub mod apis;
pub mod base_url;
pub mod beside;
pub mod catalog;
pub mod check;
pub mod count;
pub mod credential;
mod edit;
pub mod endpoint;
pub mod entry;
pub mod family;
pub mod glob;
mod head;
pub mod header;
pub mod model;
mod model_change;
pub mod models;
pub mod node;
pub mod oauth;
pub mod overlay;
pub mod overrides;
pub mod price;
pub mod proxy;
pub mod quota;
pub mod request;
pub mod sign_in;
mod template;
mod think;
pub mod translation;
pub mod transport;
pub mod trial;
pub mod upstream_id;
mod url;
mod value;

// How much a model reasons and what an upstream takes: the translation core needs to know both.
pub use ninerouter_dialect::{effort, profile};
