//! The fast upstream: one thread that answers from ready-made bytes, whatever it is asked.
//!
//! The first segment of the path says how: `/small` whole, `/stream` all pieces at once, `/paced` a
//! millisecond apart, `/slow` a second apart, `/limited` whole unless the credential is the limited one.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use actix_web::rt::System;
use actix_web::rt::net::{TcpListener, TcpStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Credential that is always refused under `/limited`.
pub(crate) const LIMITED: &str = "key-limited";

/// Pause between the pieces of `/paced`, and of `/slow`.
const PACED: Duration = Duration::from_millis(1);
const SLOW: Duration = Duration::from_secs(1);

/// A running upstream; it ends with the process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    refused: Arc<AtomicU64>,
}

/// What a stream is made of.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Pieces of a stream with content.
    pub(crate) chunks: u32,
    /// Bytes of text in each.
    pub(crate) bytes: usize,
}

/// Answers, made once.
struct Answers {
    whole: Vec<u8>,
    limited: Vec<u8>,
    stream_head: Vec<u8>,
    pieces: Vec<Vec<u8>>,
    refused: Arc<AtomicU64>,
}

impl Upstream {
    pub(crate) fn start(shape: Shape) -> Self {
        let refused = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&refused);
        let (tell, told) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            System::new().block_on(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let answers = Rc::new(Answers::new(shape, counter));
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    actix_web::rt::spawn(serve(socket, Rc::clone(&answers)));
                }
            });
        });
        Self { address: told.recv().unwrap(), refused }
    }

    /// Requests of the limited credential so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Answers {
    fn new(shape: Shape, refused: Arc<AtomicU64>) -> Self {
        let text = "x".repeat(shape.bytes);
        let whole = format!(
            "{{\"id\":\"c-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"sim-1\",\
             \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\
             \"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":16,\
             \"total_tokens\":25}}}}"
        );
        let event = |delta: &str, finish: &str, more: &str| {
            let json = format!(
                "{{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"sim-1\",\
                 \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]{more}}}"
            );
            chunked(format!("data: {json}\n\n").as_bytes())
        };
        let content = format!("{{\"content\":\"{text}\"}}");
        let mut pieces: Vec<_> = (0..shape.chunks).map(|_| event(&content, "null", "")).collect();
        let usage = ",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":16,\"total_tokens\":25}";
        let mut last = event("{}", "\"stop\"", usage);
        last.extend(chunked(b"data: [DONE]\n\n"));
        last.extend(b"0\r\n\r\n");
        pieces.push(last);
        Self {
            whole: reply("200 OK", "", &whole),
            limited: reply(
                "429 Too Many Requests",
                "retry-after: 30\r\n",
                "{\"error\":{\"message\":\"slow down\",\"type\":\"rate_limit_error\"}}",
            ),
            stream_head: b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                           transfer-encoding: chunked\r\n\r\n"
                .to_vec(),
            pieces,
            refused,
        }
    }
}

fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn chunked(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// One connection, request after request, until the other side leaves.
async fn serve(mut socket: TcpStream, answers: Rc<Answers>) {
    socket.set_nodelay(true).unwrap();
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !more(&mut socket, &mut buffer).await {
                return;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let mut left = content_length(&head).saturating_sub(buffer.len() - end);
        buffer.clear();
        while left > 0 {
            if !more(&mut socket, &mut buffer).await {
                return;
            }
            left = left.saturating_sub(buffer.len());
            buffer.clear();
        }
        if answer(&mut socket, &head, &answers).await.is_err() {
            return;
        }
    }
}

async fn more(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> bool {
    socket.read_buf(buffer).await.is_ok_and(|read| read > 0)
}

async fn answer(socket: &mut TcpStream, head: &str, answers: &Answers) -> std::io::Result<()> {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let pause = match path.split('/').nth(1) {
        Some("stream") => None,
        Some("paced") => Some(PACED),
        Some("slow") => Some(SLOW),
        Some("limited") if head.contains(LIMITED) => {
            answers.refused.fetch_add(1, Ordering::Relaxed);
            return socket.write_all(&answers.limited).await;
        }
        _ => return socket.write_all(&answers.whole).await,
    };
    socket.write_all(&answers.stream_head).await?;
    for piece in &answers.pieces {
        match pause {
            Some(pause) => actix_web::rt::time::sleep(pause).await,
            None => actix_web::rt::task::yield_now().await,
        }
        socket.write_all(piece).await?;
    }
    Ok(())
}

/// The length that a head declares; 0 without one.
pub(crate) fn content_length(head: &str) -> usize {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap())
}
