//! A live feed (`text/event-stream`) as a client reads it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::PATIENCE;

/// One event.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

/// An open feed.
pub(crate) struct Feed {
    reader: BufReader<UnixStream>,
    pub(crate) status: u16,
    pub(crate) content_type: String,
}

impl Feed {
    /// Opens it over the admin socket; `headers` are whole lines.
    pub(crate) fn open(socket: &Path, target: &str, headers: &str) -> Self {
        let mut stream = UnixStream::connect(socket).expect("the admin socket answers");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET {target} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut feed =
            Self { reader: BufReader::new(stream), status: 0, content_type: String::new() };
        let line = feed.line().expect("a head");
        feed.status = line.split(' ').nth(1).unwrap().parse().unwrap();
        while let Some(line) = feed.line().filter(|line| !line.is_empty()) {
            if let Some(value) = line.strip_prefix("content-type: ") {
                feed.content_type = value.to_owned();
            }
        }
        feed
    }

    /// The next event; `None` when the feed ended. Comments and the framing of chunks are passed over: a line of
    /// hexadecimal digits alone is no line of an event.
    pub(crate) fn next(&mut self) -> Option<Heard> {
        let mut heard = Heard::default();
        loop {
            let line = self.line()?;
            if let Some((field, value)) = line.split_once(':') {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "id" => heard.id = value.to_owned(),
                    "event" => heard.name = value.to_owned(),
                    "data" => {
                        if !heard.data.is_empty() {
                            heard.data.push('\n');
                        }
                        heard.data.push_str(value);
                    }
                    _ => {}
                }
            } else if line.is_empty() && !heard.name.is_empty() {
                return Some(heard);
            } else if line == "0" {
                return None;
            }
        }
    }

    /// Reads on until an event fits.
    pub(crate) fn wait_for(&mut self, what: &str, fits: impl Fn(&Heard) -> bool) -> Heard {
        let mut others = Vec::new();
        while let Some(heard) = self.next() {
            if fits(&heard) {
                return heard;
            }
            others.push(heard);
        }
        panic!("the feed ended before {what}: {others:#?}");
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).expect("the feed goes on");
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
