//! Well-formed HTTP/1.1 replies, to send whole or to spoil.

use std::fmt::Write;

/// Ends a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Status line and headers with the empty line.
#[must_use]
pub fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Simulated\r\n");
    for (name, value) in headers {
        // Writing to a string cannot fail.
        let _written = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A whole reply with its length declared.
#[must_use]
pub fn whole(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut all = vec![("content-length", length.as_str())];
    all.extend_from_slice(headers);
    let mut reply = head(status, &all);
    reply.extend_from_slice(body);
    reply
}

/// A whole JSON reply.
#[must_use]
pub fn json(status: u16, body: &str) -> Vec<u8> {
    whole(status, &[("content-type", "application/json")], body.as_bytes())
}

/// Head of a stream of server-sent events; [`chunk`]s follow.
#[must_use]
pub fn sse_head() -> Vec<u8> {
    head(200, &[("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
}

/// One chunk of a chunked body; nothing for no data, because an empty chunk is the last one.
#[must_use]
pub fn chunk(data: &[u8]) -> Vec<u8> {
    if data.is_empty() {
        return Vec::new();
    }
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// A whole stream of server-sent events, in one chunk.
#[must_use]
pub fn sse(events: &[u8]) -> Vec<u8> {
    [&sse_head(), &chunk(events), LAST_CHUNK].concat()
}
