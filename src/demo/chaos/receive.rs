//! Reading one HTTP/1.1 request byte by byte, without judging it.

use std::io::{self, Read};
use std::net::TcpStream;

use memchr::memmem;

use super::Reading;

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Position among all requests, from 0.
    pub index: usize,
    /// Number of its connection, from 0.
    pub connection: usize,
    /// Position on its connection, from 0.
    pub nth: usize,
    /// Request line and headers with the empty line, as sent.
    pub head: Vec<u8>,
    /// Body without its framing.
    pub body: Vec<u8>,
}

impl Received {
    /// Path and query of the request line.
    #[must_use]
    pub fn target(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        head.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Value of a header, without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers().into_iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Headers in order; names in lower case.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let head = String::from_utf8_lossy(&self.head);
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect()
    }
}

/// Bytes of a connection that were read but not used yet.
#[derive(Default)]
pub(super) struct Incoming(Vec<u8>);

impl Incoming {
    /// The next request; an error when the client closed before it was complete.
    pub(super) fn request(
        &mut self,
        socket: &mut TcpStream,
        reading: Reading,
    ) -> io::Result<Received> {
        let mut request = Received::default();
        if reading == Reading::Nothing {
            return Ok(request);
        }
        let end = loop {
            if let Some(at) = memmem::find(&self.0, b"\r\n\r\n") {
                break at + 4;
            }
            self.more(socket)?;
        };
        request.head = self.take(end);
        if reading == Reading::Whole {
            request.body = self.body(socket, &request)?;
        }
        Ok(request)
    }

    fn body(&mut self, socket: &mut TcpStream, request: &Received) -> io::Result<Vec<u8>> {
        if request.header("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
            return self.chunked(socket);
        }
        let length = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        self.exactly(socket, length)
    }

    fn chunked(&mut self, socket: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(socket)?;
            let size = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            body.extend(self.exactly(socket, size)?);
            self.line(socket)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self, socket: &mut TcpStream) -> io::Result<String> {
        loop {
            if let Some(at) = memmem::find(&self.0, b"\r\n") {
                let line = self.take(at + 2);
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.more(socket)?;
        }
    }

    fn exactly(&mut self, socket: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
        while self.0.len() < length {
            self.more(socket)?;
        }
        Ok(self.take(length))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.0.split_off(length.min(self.0.len()));
        std::mem::replace(&mut self.0, rest)
    }

    fn more(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        let read = socket.read(&mut buffer)?;
        self.0.extend(buffer.iter().take(read));
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
