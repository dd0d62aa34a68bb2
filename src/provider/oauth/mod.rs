//! Token endpoints of OAuth providers: what to send, and what an answer means (accounts §3). Sans-IO.
//!
//! A vendor that differs from RFC 6749 has a file of its own ([`claude`], [`google`]) with one [`Family`] in it;
//! everything else here is shared.

pub mod call;
pub mod claims;
pub mod claude;
pub mod client;
pub mod codes;
pub mod connect;
pub mod family;
pub mod follow;
pub mod google;
pub mod outcome;
pub mod refresh;
pub mod reply;

pub use call::TokenCall;
pub use client::{Client, ClientError, OperatorClient};
pub use family::Family;
pub use follow::{Followed, NotFollowed};
pub use outcome::{Failure, FailureKind, TokenAnswer, judge};
pub use refresh::{Refresh, Variant};
pub use reply::{NotTokens, Tokens};
