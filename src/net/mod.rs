//! Outbound HTTP: address verdict, guarded connector, TLS, time-outs, bounded decoding. The only maker of clients.
//!
//! One request: [`url::accept`] judges the text, its [`Route`] names the proxy if there is one, a [`client::Clients`]
//! pool lends or dials a connection (resolve, judge **every** address, connect to exactly those, TLS), the request goes out, and a
//! [`reply::ReplyBody`] streams the answer back. Dropping either future or body closes the socket.

mod blocked;
mod body;
pub mod client;
mod connector;
pub mod content;
pub mod decode;
pub mod error;
mod exchange;
mod io;
pub mod local;
mod pool;
pub mod reply;
pub mod resolve;
pub mod shared;
pub mod tls;
mod tunnel;
pub mod url;
pub mod verdict;

/// The way a call takes, of configuration.
pub use crate::provider::proxy::Route;
/// Method of an outgoing request.
pub use actix_http::Method;
pub use blocked::{Blocked, Initiator, Purpose};
pub use client::{Clients, DestClass, Destination, Outgoing, wire_headers};
pub use decode::{DecodeError, decode_request_body};
pub use error::{DnsFailure, NetError, ProxyFailure, Refusal};
pub use local::{LocalClient, LocalError, LocalReply, Place};
pub use reply::{Reply, ReplyBody, Watcher};
pub use shared::{NetSettings, NetShared};

#[cfg(test)]
mod tests;
