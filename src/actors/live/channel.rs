//! The events that feeds read: a ring of the newest, and the feeds that are open.
//!
//! A feed pulls: it remembers how far it has read and takes what is newer when its client can take more. A slow client
//! therefore holds nothing but its own place; when the ring has run past it, it is told to look at everything anew
//! (`resync`), and when it reads nothing at all it loses its place (dashboard §1.3, F66).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use serde_json::Value;
use tokio::time::{Sleep, sleep};

use crate::actors::live::topic::{Topic, Topics};
use crate::clock::{Clock, UnixMs};

/// Events kept for feeds that come back.
pub const RING: usize = 1_000;
/// Feeds of one session.
pub const PER_SESSION: usize = 8;
/// A silent feed says that it lives this often.
pub const PING_EVERY: Duration = Duration::from_secs(15);
/// A feed whose client has not read for this long is dropped. Longer than [`PING_EVERY`]: a client that reads is
/// written to at least that often.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Events a feed takes out of the ring at once.
const HANDFUL: usize = 64;

/// Name of an event: the start of the process, and a number that only grows.
///
/// The greater of two is the later one: of one process by number, of two by their starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EventId {
    start: UnixMs,
    number: u64,
}

/// A text is no [`EventId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoEventId;

/// Something that a feed is told.
#[derive(Debug)]
pub struct Event {
    /// Its name in the order of events.
    pub id: EventId,
    /// Kind.
    pub topic: Topic,
    /// The object it is about, for topics that have one for each.
    pub object: Option<String>,
    /// What is told.
    pub data: Value,
    text: OnceLock<String>,
}

/// What comes out of a feed.
#[derive(Clone, Debug)]
pub enum Told {
    /// An event.
    Event(Arc<Event>),
    /// Events were missed: look at everything anew. The id is where the feed goes on.
    Resync(EventId),
    /// Nothing happened for a while.
    Ping,
}

/// Why a feed cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// The session has [`PER_SESSION`].
    Session,
    /// All places are taken.
    All,
    /// The router stops.
    Closed,
}

/// Who opens a feed and what it wants.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The session it belongs to; `None` = the admin socket.
    pub session: Option<Arc<str>>,
    /// What it wants to hear of.
    pub topics: Topics,
    /// The newest event it knows; `None` = begin now.
    pub since: Option<EventId>,
    /// Feeds at a time, of everybody.
    pub most: usize,
    /// A silent feed says that it lives this often: [`PING_EVERY`].
    pub ping_every: Duration,
}

/// The ring and the feeds.
#[derive(Debug)]
pub struct Channel {
    start: UnixMs,
    state: Mutex<State>,
    /// Somebody makes events.
    made: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the newest event.
    last: u64,
    /// Whoever knows less than this has missed something.
    floor: u64,
    ring: VecDeque<Arc<Event>>,
    seats: HashMap<u64, Arc<Seat>>,
    next_seat: u64,
    /// Until then events are made for pages whose feeds are still to come.
    expected_until: Option<Instant>,
    /// No feed any more.
    closed: bool,
}

#[derive(Debug)]
struct Seat {
    session: Mutex<Option<Arc<str>>>,
    topics: Topics,
    waker: AtomicWaker,
    dropped: AtomicBool,
    polled_at: Mutex<Instant>,
}

/// An open feed. Its place is free again when it is dropped.
#[derive(Debug)]
pub struct Feed {
    channel: Arc<Channel>,
    clock: Clock,
    id: u64,
    seat: Arc<Seat>,
    /// Number of the newest event it has seen; `None` = what it knows is not of this process.
    at: Option<u64>,
    held: VecDeque<Arc<Event>>,
    ping_every: Duration,
    ping: Pin<Box<Sleep>>,
}

impl Default for Channel {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Channel {
    /// A channel of a process that started at `start`.
    #[must_use]
    pub fn new(start: UnixMs) -> Self {
        Self { start, state: Mutex::default(), made: AtomicBool::new(false) }
    }

    /// Tells every feed that wants it.
    pub fn tell(&self, topic: Topic, object: Option<String>, data: Value) {
        let wake: Vec<_> = {
            let mut state = self.state();
            state.last += 1;
            let id = self.id(state.last);
            if state.ring.len() >= RING
                && let Some(oldest) = state.ring.pop_front()
            {
                state.floor = oldest.id.number;
            }
            let object_of = object.as_deref();
            let wants = |seat: &&Arc<Seat>| seat.topics.covers(topic, object_of);
            let wake = state.seats.values().filter(wants).map(Arc::clone).collect();
            state.ring.push_back(Arc::new(Event {
                id,
                topic,
                object,
                data,
                text: OnceLock::new(),
            }));
            wake
        };
        wake.iter().for_each(|seat| seat.waker.wake());
    }

    /// Something was missed: every feed looks at everything anew.
    pub fn interrupt(&self) {
        let wake: Vec<_> = {
            let mut state = self.state();
            state.interrupt();
            state.seats.values().map(Arc::clone).collect()
        };
        wake.iter().for_each(|seat| seat.waker.wake());
    }

    /// Asks for events: a feed opens, or a page is rendered whose feed will open before `until`. True when nobody makes
    /// them: the caller is to begin.
    pub fn ask_for_events(&self, until: Instant) -> bool {
        let mut state = self.state();
        state.expected_until = state.expected_until.max(Some(until));
        !self.made.swap(true, Ordering::Relaxed)
    }

    /// Whether whoever makes events may end, because nobody listens or is about to. Then it must end: the next who
    /// asks is told to begin anew. What happens meanwhile is missed by whoever comes back later.
    pub fn rests(&self, now: Instant) -> bool {
        let mut state = self.state();
        if !state.closed && (!state.seats.is_empty() || state.is_expected(now)) {
            return false;
        }
        state.interrupt();
        self.made.store(false, Ordering::Relaxed);
        true
    }

    /// Whoever made events is gone.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.interrupt();
        self.made.store(false, Ordering::Relaxed);
    }

    /// Somebody makes events.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.made.load(Ordering::Relaxed)
    }

    /// Ends all feeds, and takes no more: the router stops.
    pub fn close(&self) {
        self.state().closed = true;
        self.drop_seats(|_| true);
    }

    /// What is listened for.
    #[must_use]
    pub fn interest(&self, now: Instant) -> Interest {
        let state = self.state();
        if state.is_expected(now) {
            return Interest(vec![Topics::all()]);
        }
        Interest(state.seats.values().map(|seat| seat.topics.clone()).collect())
    }

    /// The newest event's id: what a page that is rendered now knows.
    #[must_use]
    pub fn newest(&self) -> EventId {
        self.id(self.state().last)
    }

    /// Opens a feed.
    ///
    /// # Errors
    /// When it would be one too many.
    pub fn open(self: &Arc<Self>, wish: Wish, clock: Clock) -> Result<Feed, Full> {
        let mut state = self.state();
        if state.closed {
            return Err(Full::Closed);
        }
        if state.seats.len() >= wish.most {
            return Err(Full::All);
        }
        let same = |seat: &&Arc<Seat>| {
            wish.session.as_deref().is_some_and(|session| seat.belongs_to(session))
        };
        if state.seats.values().filter(same).count() >= PER_SESSION {
            return Err(Full::Session);
        }
        let at = match wish.since {
            None => Some(state.last),
            Some(id) => Some(id.number).filter(|n| id.start == self.start && *n <= state.last),
        };
        let seat = Arc::new(Seat {
            session: Mutex::new(wish.session),
            topics: wish.topics,
            waker: AtomicWaker::new(),
            dropped: AtomicBool::new(false),
            polled_at: Mutex::new(clock.now()),
        });
        let id = state.next_seat;
        state.next_seat += 1;
        state.seats.insert(id, Arc::clone(&seat));
        drop(state);
        Ok(Feed {
            channel: Arc::clone(self),
            clock,
            id,
            seat,
            at,
            held: VecDeque::new(),
            ping_every: wish.ping_every,
            ping: Box::pin(sleep(wish.ping_every)),
        })
    }

    /// Ends the feeds of a session that ended.
    pub fn end_session(&self, session: &str) {
        self.drop_seats(|seat| seat.belongs_to(session));
    }

    /// A session goes on under another id, and its feeds with it.
    pub fn move_session(&self, from: &str, to: &Arc<str>) {
        for seat in self.state().seats.values().filter(|seat| seat.belongs_to(from)) {
            *locked(&seat.session) = Some(Arc::clone(to));
        }
    }

    /// Drops feeds whose clients have not read for [`PATIENCE`].
    pub fn drop_stalled(&self, now: Instant) {
        self.drop_seats(|seat| now.saturating_duration_since(*locked(&seat.polled_at)) > PATIENCE);
    }

    /// Feeds that are open.
    #[must_use]
    pub fn feeds(&self) -> usize {
        self.state().seats.len()
    }

    fn drop_seats(&self, which: impl Fn(&Seat) -> bool) {
        let mut gone = Vec::new();
        self.state().seats.retain(|_, seat| {
            let goes = which(seat);
            if goes {
                gone.push(Arc::clone(seat));
            }
            !goes
        });
        for seat in gone {
            seat.dropped.store(true, Ordering::Release);
            seat.waker.wake();
        }
    }

    fn id(&self, number: u64) -> EventId {
        EventId { start: self.start, number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl Seat {
    fn belongs_to(&self, session: &str) -> bool {
        locked(&self.session).as_deref() == Some(session)
    }
}

/// What is listened for.
#[derive(Clone, Debug, Default)]
pub struct Interest(Vec<Topics>);

impl Interest {
    /// Whether anybody wants any event of a topic.
    #[must_use]
    pub fn has(&self, topic: Topic) -> bool {
        self.0.iter().any(|topics| topics.has(topic))
    }

    /// Whether anybody wants a topic's events about an object.
    #[must_use]
    pub fn covers(&self, topic: Topic, object: &str) -> bool {
        self.0.iter().any(|topics| topics.covers(topic, Some(object)))
    }
}

impl State {
    fn is_expected(&self, now: Instant) -> bool {
        self.expected_until.is_some_and(|until| now < until)
    }

    fn interrupt(&mut self) {
        self.last += 1;
        self.floor = self.last;
        self.ring.clear();
    }

    /// What a feed that is at `at` is told next, and where it is then. `None` = it has missed something.
    fn after(&self, at: u64, topics: &Topics) -> Option<(VecDeque<Arc<Event>>, u64)> {
        if at < self.floor {
            return None;
        }
        let newer = self.ring.iter().skip_while(|event| event.id.number <= at);
        let mut taken = VecDeque::new();
        let mut read = at;
        for event in newer {
            if taken.len() >= HANDFUL {
                return Some((taken, read));
            }
            read = event.id.number;
            if topics.covers(event.topic, event.object.as_deref()) {
                taken.push_back(Arc::clone(event));
            }
        }
        Some((taken, read))
    }
}

impl Stream for Feed {
    type Item = Told;

    /// Ends when the feed was dropped: its session ended, or its client did not read.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        let this = &mut *self;
        *locked(&this.seat.polled_at) = this.clock.now();
        if this.seat.dropped.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        if let Some(event) = this.held.pop_front() {
            return this.say(Told::Event(event));
        }
        // Before the look into the ring: an event that comes between the two wakes.
        this.seat.waker.register(cx.waker());
        let told = {
            let state = this.channel.state();
            match this.at.and_then(|at| state.after(at, &this.seat.topics)) {
                Some((held, at)) => {
                    (this.held, this.at) = (held, Some(at));
                    this.held.pop_front().map(Told::Event)
                }
                None => {
                    this.at = Some(state.last);
                    Some(Told::Resync(this.channel.id(state.last)))
                }
            }
        };
        if let Some(told) = told {
            return this.say(told);
        }
        if this.ping.as_mut().poll(cx).is_ready() {
            return this.say(Told::Ping);
        }
        Poll::Pending
    }
}

impl Feed {
    fn say(&mut self, told: Told) -> Poll<Option<Told>> {
        self.ping.set(sleep(self.ping_every));
        Poll::Ready(Some(told))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.channel.state().seats.remove(&self.id);
    }
}

impl Event {
    /// The same event with other members, about no object of its own.
    #[must_use]
    pub fn with_members(&self, members: Vec<Value>) -> Self {
        let data = Value::Array(members);
        Self { id: self.id, topic: self.topic, object: None, data, text: OnceLock::new() }
    }

    /// Name of the event: its topic, and the object where there is one for each.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.object {
            Some(object) => format!("{}-{object}", self.topic.as_str()),
            None => self.topic.as_str().to_owned(),
        }
    }

    /// What is told, as JSON text; written once for all feeds.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.get_or_init(|| self.data.to_string())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.number)
    }
}

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let (start, number) = text.split_once('-').ok_or(NoEventId)?;
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !plain(start) || !plain(number) {
            return Err(NoEventId);
        }
        let start = start.parse().map_err(|_too_long| NoEventId)?;
        let number = number.parse().map_err(|_too_long| NoEventId)?;
        Ok(Self { start, number })
    }
}

/// Nothing panics while one of these locks is held.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
