//! Clients against upstreams that misbehave: raw sockets on loopback, scripted byte by byte.

mod content;
mod guard;
mod misbehaviour;
mod proxies;
mod reuse;
mod rig;
mod tls;
