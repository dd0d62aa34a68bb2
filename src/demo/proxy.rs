//! A simulated outbound proxy, HTTP `CONNECT` or SOCKS 5, that opens every way it is asked for and remembers it.
//!
//! For tests: blocking sockets, threads, no library in between. What misbehaves is played by [`crate::demo::chaos`].

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// How the proxy is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaks {
    /// HTTP.
    Connect,
    /// SOCKS 5.
    Socks5,
}

/// What the proxy does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// Its protocol.
    pub speaks: Speaks,
    /// User and password it asks for.
    pub login: Option<(String, String)>,
    /// Where every way ends, whatever is asked for; `None` = where it should.
    pub leads_to: Option<SocketAddr>,
    /// SOCKS reply code instead of a way.
    pub refuses: Option<u8>,
}

impl Script {
    /// Opens every way to where it should end, for everybody.
    #[must_use]
    pub fn honest(speaks: Speaks) -> Self {
        Self { speaks, login: None, leads_to: None, refuses: None }
    }
}

/// A running proxy. Dropping it closes every socket.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    script: Script,
    stopping: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    asked: Vec<String>,
    opened: usize,
    sockets: Vec<TcpStream>,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a second handle, so that the end of the proxy ends the connection.
    fn keep(&self, socket: &TcpStream) -> io::Result<()> {
        self.log().sockets.push(socket.try_clone()?);
        Ok(())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub fn start(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { script, stopping: AtomicBool::new(false), log: Mutex::default() });
        let for_accept = Arc::clone(&shared);
        let accepting = std::thread::Builder::new()
            .name("proxy-accept".to_owned())
            .spawn(move || accept(&listener, &for_accept))?;
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Address of its socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where ways were asked for, in order: `host:port`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shared.log().asked.clone()
    }

    /// Ways that were opened.
    #[must_use]
    pub fn opened(&self) -> usize {
        self.shared.log().opened
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.accepting.take() {
            let _ended = thread.join();
        }
        for socket in self.shared.log().sockets.drain(..) {
            // It may be closed already.
            let _closed = socket.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        let serving = std::thread::Builder::new().name("proxy-connection".to_owned());
        let started = serving.spawn(move || {
            // A client that leaves, or an upstream that is not there, ends here.
            let _ended = serve(socket, &shared);
        });
        if started.is_err() {
            return;
        }
    }
}

fn serve(mut socket: TcpStream, shared: &Shared) -> io::Result<()> {
    socket.set_nodelay(true)?;
    shared.keep(&socket)?;
    let script = &shared.script;
    let wanted = match script.speaks {
        Speaks::Connect => asked_by_connect(&mut socket, script)?,
        Speaks::Socks5 => asked_by_socks(&mut socket, script)?,
    };
    shared.log().asked.push(wanted.clone());
    if let Some(code) = script.refuses {
        return socket.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    let upstream = match script.leads_to {
        Some(address) => TcpStream::connect(address),
        None => wanted
            .to_socket_addrs()?
            .next()
            .ok_or(ErrorKind::NotFound.into())
            .and_then(TcpStream::connect),
    };
    let upstream = match (upstream, script.speaks) {
        (Ok(upstream), Speaks::Connect) => {
            socket.write_all(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 demo\r\n\r\n")?;
            upstream
        }
        (Ok(upstream), Speaks::Socks5) => {
            socket.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
            upstream
        }
        (Err(_), Speaks::Connect) => {
            return socket.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
        }
        (Err(_), Speaks::Socks5) => return socket.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]),
    };
    upstream.set_nodelay(true)?;
    shared.keep(&upstream)?;
    shared.log().opened += 1;
    let (up_from, up_to) = (socket.try_clone()?, upstream.try_clone()?);
    let upwards = std::thread::Builder::new()
        .name("proxy-upwards".to_owned())
        .spawn(move || copy(up_from, up_to))?;
    copy(upstream, socket);
    let _ended = upwards.join();
    Ok(())
}

/// Until either side ends.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ended = io::copy(&mut from, &mut to);
    let _closed = (from.shutdown(Shutdown::Read), to.shutdown(Shutdown::Write));
}

fn asked_by_connect(socket: &mut TcpStream, script: &Script) -> io::Result<String> {
    let head = head(socket)?;
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some("CONNECT"), Some(target)) = (words.next(), words.next()) else {
        socket.write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")?;
        return Err(ErrorKind::InvalidData.into());
    };
    if let Some((user, password)) = &script.login {
        let pair = BASE64_STANDARD.encode([user, ":", password].concat());
        let given = lines
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"))
            .and_then(|(_, value)| value.strip_prefix("Basic "));
        if given != Some(pair.as_str()) {
            socket.write_all(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n\
                  Proxy-Authenticate: Basic realm=\"demo\"\r\ncontent-length: 0\r\n\r\n",
            )?;
            return Err(ErrorKind::PermissionDenied.into());
        }
    }
    Ok(target.to_owned())
}

/// Byte by byte: what follows the head belongs to the upstream.
fn head(socket: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let [byte] = bytes(socket)?;
        head.push(byte);
    }
    String::from_utf8(head).map_err(|_other| ErrorKind::InvalidData.into())
}

fn asked_by_socks(socket: &mut TcpStream, script: &Script) -> io::Result<String> {
    let [version, count] = bytes(socket)?;
    let methods = text(socket, count)?;
    let method = if script.login.is_some() { 2 } else { 0 };
    if version != 5 || !methods.contains(&method) {
        socket.write_all(&[5, 0xff])?;
        return Err(ErrorKind::PermissionDenied.into());
    }
    socket.write_all(&[5, method])?;
    if let Some((user, password)) = &script.login {
        let [_version, length] = bytes(socket)?;
        let user_given = text(socket, length)?;
        let [length] = bytes(socket)?;
        let password_given = text(socket, length)?;
        let fits = user_given == user.as_bytes() && password_given == password.as_bytes();
        socket.write_all(&[1, u8::from(!fits)])?;
        if !fits {
            return Err(ErrorKind::PermissionDenied.into());
        }
    }
    let [_version, _connect, _reserved, kind] = bytes(socket)?;
    let host = match kind {
        1 => IpAddr::from(Ipv4Addr::from(bytes::<4>(socket)?)).to_string(),
        4 => format!("[{}]", Ipv6Addr::from(bytes::<16>(socket)?)),
        _ => {
            let [length] = bytes(socket)?;
            String::from_utf8_lossy(&text(socket, length)?).into_owned()
        }
    };
    let port = u16::from_be_bytes(bytes(socket)?);
    Ok(format!("{host}:{port}"))
}

fn bytes<const N: usize>(socket: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(socket: &mut TcpStream, length: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    socket.read_exact(&mut bytes)?;
    Ok(bytes)
}
