//! Management calls over the admin socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::client::{Reply, request};

/// Sends raw bytes over a connection of their own and reads the reply.
pub(crate) fn raw(socket: &Path, bytes: &[u8]) -> Reply {
    let mut stream = UnixStream::connect(socket).expect("the admin socket answers");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = memchr::memmem::find(&answer, b"\r\n\r\n").expect("a whole head");
    let text = String::from_utf8(answer[..head].to_vec()).unwrap();
    let mut lines = text.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let body = answer[head + 4..].to_vec();
    let mut reply = Reply { status, headers, body, complete: true };
    if reply.header("transfer-encoding") == Some("chunked") {
        reply.body = unchunked(&reply.body);
    }
    reply
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = memchr::memmem::find(rest, b"\r\n").expect("a chunk's size");
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
}

/// One call with a JSON body, or none.
pub(crate) fn call(socket: &Path, method: &str, target: &str, body: Option<&Value>) -> Reply {
    let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let mut headers = vec![("connection", "close")];
    if body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    raw(socket, &request(method, target, &headers, &bytes))
}
