//! `ninerouter healthcheck`: one small HTTP request to the router of this machine. Container images have no curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::listen::Listen;

/// Time the whole check may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Most bytes of an answer that are read.
const MOST: usize = 64 * 1024;

/// Why the router counts as not healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// No listener can be asked.
    #[error("the port is 0 (any free one), so its number is not known; name it with --port")]
    NoAddress,
    /// Nobody answers, or not in time.
    #[error("no answer from {address}: {why}")]
    Silent {
        /// Where it was asked.
        address: String,
        /// From the system.
        why: io::Error,
    },
    /// The answer is not 200.
    #[error("{address} answered {status}")]
    Unhealthy {
        /// Where it was asked.
        address: String,
        /// Its status line.
        status: String,
    },
}

/// Asks `path` of the first listener that can be asked; healthy means 200.
///
/// # Errors
/// Why the router counts as not healthy.
pub fn check(listeners: &[Listen], path: &str, clock: &Clock) -> Result<(), HealthError> {
    let listener = listeners
        .iter()
        .find(|listen| !matches!(listen, Listen::Tcp { addr, .. } if addr.port() == 0))
        .ok_or(HealthError::NoAddress)?;
    let address = describe(listener);
    let answer = ask(listener, path, clock)
        .map_err(|why| HealthError::Silent { address: address.clone(), why })?;
    let head = answer.lines().next().unwrap_or_default();
    if head.split_whitespace().nth(1) == Some("200") {
        return Ok(());
    }
    let status = head.chars().filter(|c| !c.is_control()).take(80).collect();
    Err(HealthError::Unhealthy { address, status })
}

/// `GET path` of a listener on this machine: the answer's bytes, head first.
///
/// # Errors
/// Nobody answers within two seconds.
pub fn ask(listener: &Listen, path: &str, clock: &Clock) -> io::Result<String> {
    match listener {
        Listen::Tcp { addr, .. } => {
            let target = reachable(*addr);
            let stream = TcpStream::connect_timeout(&target, LIMIT)?;
            exchange(Connection::Tcp(stream), &target.to_string(), path, clock)
        }
        #[cfg(unix)]
        Listen::Unix(socket) => {
            exchange(Connection::Unix(UnixStream::connect(socket)?), "localhost", path, clock)
        }
        #[cfg(not(unix))]
        Listen::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

enum Connection {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Connection {
    fn limit(&self, left: Duration) -> io::Result<()> {
        // Zero would mean "no limit".
        let left = Some(left.max(Duration::from_millis(1)));
        match self {
            Self::Tcp(s) => s.set_read_timeout(left).and_then(|()| s.set_write_timeout(left)),
            #[cfg(unix)]
            Self::Unix(s) => s.set_read_timeout(left).and_then(|()| s.set_write_timeout(left)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.write_all(bytes),
            #[cfg(unix)]
            Self::Unix(s) => s.write_all(bytes),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.read(buffer),
            #[cfg(unix)]
            Self::Unix(s) => s.read(buffer),
        }
    }
}

fn exchange(
    mut connection: Connection,
    host: &str,
    path: &str,
    clock: &Clock,
) -> io::Result<String> {
    let end = clock.now() + LIMIT;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\nconnection: close\r\n\r\n"
    );
    connection.limit(LIMIT)?;
    connection.write(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = end.saturating_duration_since(clock.now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        connection.limit(left)?;
        match connection.read(&mut buffer)? {
            0 if answer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => break,
            n => answer.extend_from_slice(buffer.get(..n).unwrap_or_default()),
        }
        if answer.len() > MOST {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A listener on every address is reached through loopback.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

fn describe(listener: &Listen) -> String {
    match listener {
        Listen::Tcp { addr, .. } => reachable(*addr).to_string(),
        Listen::Unix(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers one request with `answer` and says what it was asked.
    fn server(answer: &'static str) -> (Listen, thread::JoinHandle<String>) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let asked = thread::spawn(move || {
            let (mut stream, _) = socket.accept().unwrap();
            let mut buffer = [0; 1024];
            let n = stream.read(&mut buffer).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&buffer[..n]).into_owned()
        });
        (Listen::Tcp { addr, optional: false }, asked)
    }

    #[test]
    fn only_200_is_healthy() {
        let (listen, asked) = server("HTTP/1.1 200 OK\r\n\r\n{\"ok\":true}");
        check(&[listen], "/healthz", &Clock::System).unwrap();
        assert!(asked.join().unwrap().starts_with("GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:"));

        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "SSH-2.0-OpenSSH\r\n"] {
            let (listen, _asked) = server(answer);
            let err = check(&[listen], "/readyz", &Clock::System).unwrap_err();
            assert!(matches!(err, HealthError::Unhealthy { .. }), "{err}");
        }
        let (listen, _asked) = server("");
        let err = check(&[listen], "/readyz", &Clock::System).unwrap_err();
        assert!(matches!(err, HealthError::Silent { .. }), "{err}");
    }

    #[test]
    fn nobody_there_is_not_healthy() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        drop(socket);
        let gone = Listen::Tcp { addr, optional: false };
        assert!(matches!(
            check(&[gone], "/healthz", &Clock::System),
            Err(HealthError::Silent { .. })
        ));
        let unknown = Listen::Tcp { addr: "127.0.0.1:0".parse().unwrap(), optional: false };
        assert!(matches!(
            check(&[unknown], "/healthz", &Clock::System),
            Err(HealthError::NoAddress)
        ));
    }

    #[test]
    fn a_wildcard_listener_is_asked_on_loopback() {
        for (addr, want) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("192.168.1.2:1", "192.168.1.2:1"),
        ] {
            assert_eq!(reachable(addr.parse().unwrap()).to_string(), want);
        }
    }
}
