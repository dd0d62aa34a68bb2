//! An upstream for every dialect whose mood changes: answers, refusals, resets, cuts and slow streams.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ninerouter::demo::chaos::reply;

use crate::support::Dialect;

/// Which of two upstreams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Temper {
    /// Fails now and then.
    Moody,
    /// Answers well.
    Good,
}

impl Temper {
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Moody => "moody",
            Self::Good => "good",
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    Well,
    Slow,
    TooMany,
    Broken,
    ResetBefore,
    ResetAfter,
    Truncated,
}

struct State {
    asked: AtomicU64,
    shift: AtomicU64,
    /// Streams wait in their middle.
    held: Mutex<bool>,
    changed: Condvar,
}

/// A running upstream. Its threads end with the process.
pub(crate) struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
}

impl Upstream {
    /// Connections that the router keeps open for the next request, of all its workers.
    pub(crate) const KEPT_CONNECTIONS: usize = 128;

    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            asked: AtomicU64::new(0),
            shift: AtomicU64::new(0),
            held: Mutex::new(false),
            changed: Condvar::new(),
        });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                std::thread::spawn(move || while serve(&stream, &state).is_some() {});
            }
        });
        Self { address, state }
    }

    /// Base URL of a node.
    pub(crate) fn url(&self, temper: Temper, dialect: Dialect) -> String {
        format!("http://{}/{}/{}{}", self.address, temper.prefix(), dialect.name(), dialect.base())
    }

    /// Another order of moods.
    pub(crate) fn next_mood(&self) {
        self.state.shift.fetch_add(1, Ordering::Relaxed);
    }

    /// Streams wait in their middle until released.
    pub(crate) fn hold(&self) {
        *self.state.held.lock().unwrap() = true;
    }

    pub(crate) fn release(&self) {
        *self.state.held.lock().unwrap() = false;
        self.state.changed.notify_all();
    }
}

impl State {
    fn mood(&self, path: &str) -> Mood {
        if path.starts_with("/good/") {
            return Mood::Well;
        }
        let n = self.asked.fetch_add(1, Ordering::Relaxed);
        match (n + self.shift.load(Ordering::Relaxed)) % 16 {
            1 => Mood::TooMany,
            4 => Mood::Broken,
            6 => Mood::ResetBefore,
            9 => Mood::ResetAfter,
            11 => Mood::Truncated,
            13 => Mood::Slow,
            _ => Mood::Well,
        }
    }

    fn wait_while_held(&self) {
        let held = self.held.lock().unwrap();
        drop(self.changed.wait_while(held, |held| *held).unwrap());
    }
}

/// One request; `None` = the connection is over.
fn serve(stream: &TcpStream, state: &State) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let dialect = Dialect::ALL.into_iter().find(|d| path.contains(&format!("/{}/", d.name())))?;
    let streams = path.contains("streamGenerateContent")
        || memchr::memmem::find(&body, b"\"stream\":true").is_some()
        || memchr::memmem::find(&body, b"\"stream\" : true").is_some();
    play(stream, state, dialect, streams, state.mood(&path))
}

fn play(
    mut stream: &TcpStream,
    state: &State,
    dialect: Dialect,
    streams: bool,
    mood: Mood,
) -> Option<()> {
    let error = |status, retry_after: &[(&str, &str)]| {
        let body = dialect.error(status, "api_error", "api_error", "a mood");
        let headers = [&[("content-type", "application/json")], retry_after].concat();
        reply::whole(status, &headers, body.as_bytes())
    };
    match mood {
        Mood::TooMany => return stream.write_all(&error(429, &[("retry-after", "1")])).ok(),
        Mood::Broken => return stream.write_all(&error(500, &[])).ok(),
        Mood::ResetBefore => return reset(stream),
        _ => {}
    }
    if !streams {
        let answer = reply::json(200, &dialect.answer());
        let cut = answer.len() - 7;
        return match mood {
            Mood::ResetAfter | Mood::Truncated => {
                stream.write_all(&answer[..cut]).ok()?;
                reset(stream)
            }
            _ => stream.write_all(&answer).ok(),
        };
    }
    let story = dialect.story();
    let begun = format!("{}{}", story.start, story.content[0]);
    let head = [reply::sse_head(), reply::chunk(begun.as_bytes())].concat();
    stream.write_all(&head).ok()?;
    match mood {
        Mood::ResetAfter => return reset(stream),
        Mood::Truncated => {
            stream.write_all(reply::LAST_CHUNK).ok()?;
            return Some(());
        }
        Mood::Slow => std::thread::park_timeout(Duration::from_millis(400)),
        _ => {}
    }
    state.wait_while_held();
    let rest = [&story.content[1], &story.finish, &story.usage, &story.done];
    let rest: String = rest.map(String::as_str).concat();
    stream.write_all(&[&reply::chunk(rest.as_bytes()), reply::LAST_CHUNK].concat()).ok()
}

fn reset(stream: &TcpStream) -> Option<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok()?;
    None
}
