//! What an account may still use: the canonical form, and how vendors' headers and usage pages are read into it
//! (accounts §4).
//!
//! * [`document`]: the canonical form, kept per account; [`window`]: one window of it; [`pace`]: whether it will last.
//! * [`reading`]: what one answer told, and [`merge`]: how it changes the document.
//! * [`headers`]: readings of response headers.
//! * [`usage`]: requests to usage endpoints, and readings of their answers.
//! * [`declared`]: what the catalog says of a provider's windows, for display.

pub mod declared;
pub mod document;
pub mod headers;
pub mod merge;
mod number;
pub mod pace;
pub mod reading;
pub mod usage;
pub mod window;

pub use declared::{Quota, QuotaKind, QuotaSource, QuotaUnit};
pub use document::{Credits, Document, Source};
pub use reading::{Overage, Reading};
pub use window::{Rhythm, Status, Unit, Window};
