//! A port that refuses every connection for as long as it is held.

use std::net::{Ipv4Addr, SocketAddr};

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// A bound socket that does not listen. A port that was merely freed may be somebody else's soon.
pub(crate) struct ClosedPort(OwnedFd);

impl ClosedPort {
    pub(crate) fn new() -> Self {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&fd, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        Self(fd)
    }

    pub(crate) fn url(&self) -> String {
        let address = SocketAddr::try_from(getsockname(&self.0).unwrap()).unwrap();
        format!("http://{address}")
    }
}
