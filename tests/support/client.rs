//! A small HTTP/1.1 client that hides nothing: raw bytes out, pieces in, and how the body ended.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use memchr::memmem;
use serde_json::Value;

use super::PATIENCE;

/// A connection to the router.
pub(crate) struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
    framing: Framing,
}

enum Framing {
    Length(usize),
    Chunked,
    ToEnd,
    Done,
}

/// Next part of a body.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Data(Vec<u8>),
    /// The body ended as its framing says.
    End,
    /// The connection ended before the body did.
    Cut,
}

/// A reply, with its body as far as it came.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// False when the connection was cut inside the body.
    pub(crate) complete: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e} in {} {:?}", self.status, self.text()))
    }

    /// Status and body in one line, for messages.
    pub(crate) fn brief(&self) -> String {
        let end = if self.complete { "" } else { " (cut)" };
        let text: String = self.text().chars().take(300).collect();
        format!("{}{end} {text:?}", self.status)
    }
}

/// Bytes of a request with its length declared.
pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("host")) {
        head.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" && method != "HEAD" {
        if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-type")) {
            head.push_str("content-type: application/json\r\n");
        }
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

impl Conn {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::try_open(address).expect("the router accepts")
    }

    /// As [`Conn::open`], for routers that may be gone.
    pub(crate) fn try_open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Self { stream, buffer: Vec::new(), framing: Framing::Done })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the router reads");
    }

    /// As [`Conn::send`], for routers that may have hung up.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Closes our direction only.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with RST.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// Status and headers; `None` when the connection ended instead. `head_only` for HEAD requests.
    pub(crate) fn head(&mut self, head_only: bool) -> Option<Reply> {
        let end = loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more() {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.take(end)).into_owned();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
        let headers: Vec<(String, String)> = lines
            .filter_map(|l| l.split_once(':'))
            .map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        if (100..200).contains(&status) && status != 101 {
            return self.head(head_only);
        }
        let reply = Reply { status, headers, body: Vec::new(), complete: false };
        self.framing = if head_only || matches!(status, 204 | 304) {
            Framing::Done
        } else if reply.header("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
            Framing::Chunked
        } else if let Some(length) = reply.header("content-length") {
            Framing::Length(length.parse().expect("a length"))
        } else {
            Framing::ToEnd
        };
        Some(reply)
    }

    /// The next part of the body.
    pub(crate) fn piece(&mut self) -> Piece {
        match self.framing {
            Framing::Done | Framing::Length(0) => Piece::End,
            Framing::Length(left) => {
                if self.buffer.is_empty() && !self.more() {
                    return Piece::Cut;
                }
                let data = self.take(left.min(self.buffer.len()));
                self.framing = Framing::Length(left - data.len());
                Piece::Data(data)
            }
            Framing::ToEnd => {
                if self.buffer.is_empty() && !self.more() {
                    return Piece::End;
                }
                Piece::Data(std::mem::take(&mut self.buffer))
            }
            Framing::Chunked => self.chunk(),
        }
    }

    fn chunk(&mut self) -> Piece {
        let line_end = loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n") {
                break at + 2;
            }
            if !self.more() {
                return Piece::Cut;
            }
        };
        let line = String::from_utf8_lossy(&self.buffer[..line_end]).into_owned();
        let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
        while self.buffer.len() < line_end + size + 2 {
            if !self.more() {
                return Piece::Cut;
            }
        }
        self.take(line_end);
        let data = self.take(size);
        self.take(2);
        if size == 0 {
            self.framing = Framing::Done;
            return Piece::End;
        }
        Piece::Data(data)
    }

    /// The whole reply.
    pub(crate) fn reply(&mut self, head_only: bool) -> Option<Reply> {
        let head = self.head(head_only)?;
        Some(self.rest(head))
    }

    /// The answer whose head has been read.
    pub(crate) fn rest(&mut self, mut reply: Reply) -> Reply {
        loop {
            match self.piece() {
                Piece::Data(data) => reply.body.extend(data),
                Piece::End => {
                    reply.complete = true;
                    return reply;
                }
                Piece::Cut => return reply,
            }
        }
    }

    /// Reads until the body so far contains `mark`; panics when the body ends first.
    pub(crate) fn read_to(&mut self, mark: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        while memmem::find(&body, mark).is_none() {
            match self.piece() {
                Piece::Data(data) => body.extend(data),
                end => panic!("{end:?} before {:?}", String::from_utf8_lossy(mark)),
            }
        }
        body
    }

    /// True when the router closes within the patience, whatever it sends before.
    pub(crate) fn is_closed_by_router(&mut self) -> bool {
        let mut scratch = [0; 4096];
        loop {
            match self.stream.read(&mut scratch) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Reads what is there; false at the end of the connection, panics when nothing comes.
    fn more(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(n) => {
                self.buffer.extend(&chunk[..n]);
                true
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the router sent nothing for {PATIENCE:?}")
            }
            Err(_) => false,
        }
    }
}
