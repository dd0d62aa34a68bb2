//! Clients of every dialect: most read to the end, some hang up in the middle.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::KEY;
use crate::support::client::request;
use crate::support::{Conn, Dialect, Piece};

/// One in so many clients hangs up in the middle.
const HANGS_UP: u64 = 11;
/// Requests on one connection.
const PER_CONNECTION: u64 = 20;
/// Different complaints that are kept.
const COMPLAINTS: usize = 8;

/// What the clients saw.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    sent: AtomicU64,
    /// The head of an answer came: the request has a row.
    answered: AtomicU64,
    served: AtomicU64,
    /// Streams that broke after content, as the upstream's did.
    broken: AtomicU64,
    refused: AtomicU64,
    hung_up: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    pub(crate) fn told(&self) -> impl fmt::Display {
        let n = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} sent, {} answered ({} served, {} broken off by the upstream, {} refused, {} left by their client)",
            n(&self.sent),
            n(&self.answered),
            n(&self.served),
            n(&self.broken),
            n(&self.refused),
            n(&self.hung_up)
        )
    }

    fn complain(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < COMPLAINTS && !wrong.contains(&what) {
            wrong.push(what);
        }
    }
}

/// Running clients.
pub(crate) struct Clients {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Clients {
    pub(crate) fn start(router: SocketAddr, count: usize, tally: &Arc<Tally>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|index| {
            let (stop, tally) = (Arc::clone(&stop), Arc::clone(tally));
            std::thread::spawn(move || {
                let mut turn = u64::try_from(index).unwrap() * 7;
                while !stop.load(Ordering::Relaxed) {
                    turn = connection(router, turn, &tally, &stop);
                }
            })
        });
        Self { threads: threads.collect(), stop }
    }

    /// Lets each end its request.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client ends by itself");
        }
    }
}

fn ask(dialect: Dialect, model: &str, stream: bool) -> Vec<u8> {
    let bearer = format!("Bearer {KEY}");
    let body = dialect.body(model, stream);
    request("POST", &dialect.path(model, stream), &[("authorization", &bearer)], body.as_bytes())
}

/// Some requests on one connection. Returns the next turn.
fn connection(router: SocketAddr, mut turn: u64, tally: &Tally, stop: &AtomicBool) -> u64 {
    let mut conn = Conn::open(router);
    let last = turn + PER_CONNECTION;
    while turn < last && !stop.load(Ordering::Relaxed) {
        turn += 1;
        let dialect = Dialect::ALL[usize::try_from(turn % 4).unwrap()];
        let stream = !turn.is_multiple_of(3);
        let model = match turn % 2 {
            0 => dialect.name().to_owned(),
            _ => format!("over-{}", dialect.name()),
        };
        tally.sent.fetch_add(1, Ordering::Relaxed);
        if !conn.try_send(&ask(dialect, &model, stream)) {
            return turn;
        }
        if turn.is_multiple_of(HANGS_UP) {
            hang_up(conn, turn, tally);
            return turn;
        }
        let Some(reply) = conn.reply(false) else {
            tally.complain(format!("{dialect:?} {model}: no answer"));
            return turn;
        };
        tally.answered.fetch_add(1, Ordering::Relaxed);
        match (reply.status, reply.complete) {
            (200, true) => tally.served.fetch_add(1, Ordering::Relaxed),
            (200, false) if stream => tally.broken.fetch_add(1, Ordering::Relaxed),
            (429 | 500..=599, _) => tally.refused.fetch_add(1, Ordering::Relaxed),
            _ => {
                tally.complain(format!("{dialect:?} {model}: {}", reply.brief()));
                0
            }
        };
        if !reply.complete || reply.header("connection") == Some("close") {
            return turn;
        }
    }
    turn
}

/// Leaves at once, behind the head, or within the body; with a close or a reset.
fn hang_up(mut conn: Conn, turn: u64, tally: &Tally) {
    tally.hung_up.fetch_add(1, Ordering::Relaxed);
    let way = turn / HANGS_UP;
    if !way.is_multiple_of(3) && conn.head(false).is_some() {
        tally.answered.fetch_add(1, Ordering::Relaxed);
        if way % 3 == 2 {
            drop(conn.piece());
        }
    }
    if way.is_multiple_of(2) {
        conn.reset();
    }
}

/// A stream that has begun.
pub(crate) struct Stream {
    conn: Conn,
    dialect: Dialect,
    body: Vec<u8>,
}

/// Begins streams that wait in their middle.
pub(crate) fn begin_streams(router: SocketAddr, count: usize, tally: &Tally) -> Vec<Stream> {
    let mut streams: Vec<Stream> = (0..count)
        .map(|index| {
            let dialect = Dialect::ALL[index % 4];
            let mut conn = Conn::open(router);
            tally.sent.fetch_add(1, Ordering::Relaxed);
            conn.send(&ask(dialect, &format!("good{}/m", dialect.name()), true));
            Stream { conn, dialect, body: Vec::new() }
        })
        .collect();
    for stream in &mut streams {
        let head = stream.conn.head(false).expect("a stream begins");
        assert_eq!(head.status, 200, "{:?}", stream.dialect);
        tally.answered.fetch_add(1, Ordering::Relaxed);
        stream.body = stream.conn.read_to("Hé".as_bytes());
    }
    streams
}

impl Stream {
    /// Reads the rest; why it is none.
    pub(crate) fn finish(&mut self) -> Option<String> {
        loop {
            match self.conn.piece() {
                Piece::Data(data) => self.body.extend(data),
                Piece::End => break,
                Piece::Cut => return Some(format!("{:?}: cut", self.dialect)),
            }
        }
        let text = String::from_utf8_lossy(&self.body);
        let whole = text.contains("llo") && !text.contains("event: error");
        (!whole).then(|| format!("{:?}: {text}", self.dialect))
    }
}
