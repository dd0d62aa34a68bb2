//! The socket under a client: counts bytes, and can be kept out of the pool.
//!
//! The client library owns the connection once it is made, says neither whether it came from the pool
//! nor whether an end was clean, and puts connections back that must not be used again (§26). All of it
//! runs on one thread inside the poll of the request that caused it, so counters compared before and
//! after one poll tell exactly what that request did.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_rt::net::{ActixStream, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio_rustls::client::TlsStream;

/// What the connections of one worker did so far.
#[derive(Default)]
pub(super) struct Meter {
    dials: Cell<u64>,
    written: Cell<u64>,
    last: RefCell<Option<Rc<Wire>>>,
}

impl Meter {
    /// Connections started.
    pub(super) fn dials(&self) -> u64 {
        self.dials.get()
    }

    pub(super) fn dialed(&self) {
        self.dials.set(self.dials.get().wrapping_add(1));
    }

    /// Bytes handed to sockets.
    pub(super) fn written(&self) -> u64 {
        self.written.get()
    }

    /// The connection used last.
    pub(super) fn last(&self) -> Option<Rc<Wire>> {
        self.last.borrow().clone()
    }

    /// Starts a fresh look: nobody was used yet.
    pub(super) fn forget_last(&self) {
        self.last.borrow_mut().take();
    }

    fn touch(&self, wire: &Rc<Wire>) {
        let mut last = self.last.borrow_mut();
        if !last.as_ref().is_some_and(|known| Rc::ptr_eq(known, wire)) {
            *last = Some(Rc::clone(wire));
        }
    }
}

/// What is known of one connection, beside the connection.
#[derive(Default)]
pub(super) struct Wire {
    poisoned: Cell<bool>,
    write_failed: Cell<bool>,
    ended: Cell<bool>,
    answering: Cell<bool>,
    answer: Cell<Answer>,
}

impl Wire {
    /// The pool must not lend this connection again.
    pub(super) fn poison(&self) {
        self.poisoned.set(true);
    }

    /// A write failed; the rest of the request was thrown away to look for an answer.
    pub(super) fn write_failed(&self) -> bool {
        self.write_failed.get()
    }

    /// The upstream closed its side.
    pub(super) fn ended(&self) -> bool {
        self.ended.get()
    }

    /// Bytes of the current answer, head included.
    pub(super) fn received(&self) -> u64 {
        self.answer.get().received
    }

    /// Bytes beyond an answer whose body has `body` bytes; 0 while its head is not known.
    pub(super) fn surplus(&self, body: u64) -> u64 {
        let answer = self.answer.get();
        answer.head.map_or(0, |head| answer.received.saturating_sub(head.saturating_add(body)))
    }

    fn note_read(&self, bytes: &[u8]) {
        self.answering.set(true);
        if bytes.is_empty() {
            self.ended.set(true);
            return;
        }
        let mut answer = self.answer.get();
        answer.push(bytes);
        self.answer.set(answer);
    }

    /// A write after a read begins the next request.
    fn note_write(&self) {
        if self.answering.replace(false) {
            self.answer.set(Answer::default());
        }
    }
}

/// Counts the bytes of one answer and finds the end of its head.
#[derive(Clone, Copy, Default)]
struct Answer {
    received: u64,
    head: Option<u64>,
    /// Bytes of the current line so far, and the last of them.
    line: u64,
    last: u8,
    /// A line that is not empty was seen (parsers skip empty lines in front).
    begun: bool,
}

impl Answer {
    fn push(&mut self, bytes: &[u8]) {
        let before = self.received;
        self.received = before.saturating_add(length(bytes));
        if self.head.is_some() {
            return;
        }
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            let long = self.line.saturating_add(length(line));
            let last = line.last().copied().unwrap_or(self.last);
            rest = after.get(1..).unwrap_or_default();
            (self.line, self.last) = (0, 0);
            if long > 1 || (long == 1 && last != b'\r') {
                self.begun = true;
            } else if self.begun {
                let used = length(bytes).saturating_sub(length(rest));
                self.head = Some(before.saturating_add(used));
                return;
            }
        }
        self.line = self.line.saturating_add(length(rest));
        self.last = rest.last().copied().unwrap_or(self.last);
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The way to the upstream: a connection of its own, or a tunnel through a proxy.
pub(super) enum Line {
    /// To the upstream, or through a proxy that is spoken to in clear.
    Tcp(TcpStream),
    /// Through a proxy that is spoken to over TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Line {
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

/// A connection to the upstream, with or without TLS.
pub(super) enum Socket {
    /// As it is.
    Plain(Line),
    /// Inside TLS.
    Tls(Box<TlsStream<Line>>),
}

/// What the client library is given as its connection.
pub(super) struct UpstreamIo {
    socket: Socket,
    wire: Rc<Wire>,
    meter: Rc<Meter>,
    /// After a failed write, go on reading: the answer may explain it (a 413 before the body's end).
    salvage: bool,
}

impl UpstreamIo {
    pub(super) fn new(socket: Socket, meter: Rc<Meter>, salvage: bool) -> Self {
        Self { socket, wire: Rc::default(), meter, salvage }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.socket {
            Socket::Plain(line) => line.tcp(),
            Socket::Tls(tls) => tls.get_ref().0.tcp(),
        }
    }

    fn written(&self, done: io::Result<usize>, offered: usize) -> io::Result<usize> {
        match done {
            Ok(n) => {
                let n64 = u64::try_from(n).unwrap_or(u64::MAX);
                self.meter.written.set(self.meter.written.get().wrapping_add(n64));
                Ok(n)
            }
            Err(_broken) if self.salvage => {
                self.wire.write_failed.set(true);
                Ok(offered)
            }
            Err(error) => Err(error),
        }
    }

    fn before_write(&self) {
        self.meter.touch(&self.wire);
        self.wire.note_write();
    }
}

impl fmt::Debug for UpstreamIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamIo").finish_non_exhaustive()
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.wire.poisoned.get() {
            // The pool looks before it lends; an error makes it drop the connection.
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.meter.touch(&self.wire);
        let before = buf.filled().len();
        match &mut self.socket {
            Socket::Plain(line) => ready!(Pin::new(line).poll_read(cx, buf))?,
            Socket::Tls(tls) => ready!(Pin::new(tls.as_mut()).poll_read(cx, buf))?,
        }
        self.wire.note_read(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.before_write();
        if self.wire.write_failed.get() {
            return Poll::Ready(Ok(buf.len()));
        }
        let done = ready!(match &mut self.socket {
            Socket::Plain(line) => Pin::new(line).poll_write(cx, buf),
            Socket::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        });
        Poll::Ready(self.written(done, buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.before_write();
        let offered = bufs.iter().fold(0_usize, |sum, buf| sum.saturating_add(buf.len()));
        if self.wire.write_failed.get() {
            return Poll::Ready(Ok(offered));
        }
        let done = ready!(match &mut self.socket {
            Socket::Plain(line) => Pin::new(line).poll_write_vectored(cx, bufs),
            Socket::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, bufs),
        });
        Poll::Ready(self.written(done, offered))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(line) => line.is_write_vectored(),
            Socket::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.write_failed.get() {
            return Poll::Ready(Ok(()));
        }
        let done = ready!(match &mut self.socket {
            Socket::Plain(line) => Pin::new(line).poll_flush(cx),
            Socket::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        });
        Poll::Ready(self.written(done.map(|()| 0), 0).map(drop))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(line) => Pin::new(line).poll_shutdown(cx),
            Socket::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

impl ActixStream for UpstreamIo {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        std::pin::pin!(self.tcp().ready(Interest::READABLE)).poll(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        std::pin::pin!(self.tcp().ready(Interest::WRITABLE)).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head_of(parts: &[&[u8]]) -> Option<u64> {
        let mut answer = Answer::default();
        for part in parts {
            answer.push(part);
        }
        answer.head
    }

    #[test]
    fn the_head_ends_at_the_first_empty_line() {
        assert_eq!(head_of(&[b"HTTP/1.1 200 OK\r\na: b\r\n\r\nbody"]), Some(25));
        assert_eq!(head_of(&[b"HTTP/1.1 200 OK\n\nbody\n\n"]), Some(17));
        assert_eq!(head_of(&[b"\r\nHTTP/1.1 200 OK\r\n\r\n"]), Some(21));
        assert_eq!(head_of(&[b"HTTP/1.1 200 OK\r\na: b\r\n"]), None);
    }

    proptest! {
        #[test]
        fn splits_do_not_move_the_end_of_the_head(cuts in proptest::collection::vec(0_usize..40, 0..6)) {
            let text = b"HTTP/1.1 200 OK\r\nab: c\r\n\r\nbody\r\n\r\n";
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.sort_unstable();
            let (mut parts, mut from) = (Vec::new(), 0);
            for cut in cuts.into_iter().chain([text.len()]) {
                parts.push(&text[from..cut]);
                from = cut;
            }
            prop_assert_eq!(head_of(&parts), Some(26));
        }
    }
}
