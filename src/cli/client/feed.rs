//! Live events of the running router: a stream of server-sent events over its socket.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, HeaderValue};
use bytes::Bytes;

use crate::cli::client::{Client, Door, Failed, Refusal, escape};
use crate::net::LocalReply;

/// The library ends an answer after the time its head may take: a feed has no end.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Longest event.
const EVENT: usize = 4 << 20;

/// An open feed.
#[derive(Debug)]
pub struct Feed {
    reply: LocalReply,
    held: Vec<u8>,
}

impl Client {
    /// Opens the feed of a topic.
    ///
    /// # Errors
    /// No router runs, or it refuses.
    pub fn feed(&self, topic: &str) -> Result<Feed, Failed> {
        let Door::Socket { runner, client } = &self.door else { return Err(Failed::NotRunning) };
        let silent = |error| Failed::Silent { place: client.place().clone(), error };
        let path = format!("/api/events?topics={}", escape(topic));
        let headers = [(ACCEPT, HeaderValue::from_static("text/event-stream"))];
        let sent = client.send(Method::GET, &path, &headers, Bytes::new(), FOR_EVER);
        let reply = runner.block_on(sent).map_err(silent)?;
        let status = reply.status().as_u16();
        if status == 200 {
            return Ok(Feed { reply, held: Vec::new() });
        }
        let body = runner.block_on(reply.body()).map_err(silent)?;
        let body = serde_json::from_slice(&body).ok();
        Err(Failed::Refused(Box::new(Refusal::read(status, body))))
    }

    /// The next event: its name and its data; `None` = the router ended the feed.
    ///
    /// # Errors
    /// The connection broke.
    pub fn next_event(&self, feed: &mut Feed) -> Result<Option<(String, String)>, Failed> {
        let Door::Socket { runner, client } = &self.door else { return Err(Failed::NotRunning) };
        loop {
            if let Some(event) = feed.cut() {
                return Ok(Some(event));
            }
            let silent = |error| Failed::Silent { place: client.place().clone(), error };
            match runner.block_on(feed.reply.chunk()).map_err(silent)? {
                Some(bytes) if feed.held.len() + bytes.len() <= EVENT => {
                    feed.held.extend_from_slice(&bytes);
                }
                Some(_) => {
                    let why = "an event is longer than any of the router's".to_owned();
                    return Err(Failed::Garbled { place: client.place().to_string(), why });
                }
                None => return Ok(None),
            }
        }
    }
}

impl Feed {
    /// Takes the first whole event out of what is there. Comments and events without data are passed over.
    fn cut(&mut self) -> Option<(String, String)> {
        loop {
            let end = self.held.windows(2).position(|pair| pair == b"\n\n")?;
            let rest = self.held.split_off(end + 2);
            let block = std::mem::replace(&mut self.held, rest);
            let text = String::from_utf8_lossy(&block);
            let (mut name, mut data) = ("message".to_owned(), Vec::new());
            for line in text.lines() {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut name),
                    "data" => data.push(value),
                    _ => {}
                }
            }
            if !data.is_empty() {
                return Some((name, data.join("\n")));
            }
        }
    }
}
