//! Views of the dashboard: maud functions over view models. No I/O, no product types.
//!
//! One page per file; shared parts beside them. A view gets display-ready values and decides nothing.

mod layout;
mod start;

pub use start::{ModelRow, StartPage, start_page};
