//! Dashboard handlers: read, view model, template. One file per page.

pub mod start;
