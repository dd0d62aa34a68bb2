//! Live events as JSON: `GET /api/events`, and the feed that pages are drawn from (dashboard §1.3, api §2).
//!
//! Events are made by the `newsroom`, on a thread of its own that exists while somebody listens or is about to.

mod filter;
mod newsroom;
mod rows;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;

pub use crate::actors::live::channel::{Event, EventId, Told};
pub use crate::actors::live::topic::Topic;

use crate::actors::live::channel::{Feed, Full, PING_EVERY, Wish};
use crate::actors::live::topic::Topics;
use crate::api::Api;
use crate::api::call::{Body, Call, Reply, parse_query};
use crate::api::error::ApiError;
use crate::api::events::filter::Filter;
use crate::auth::audit::{Authority, Caller};

/// A page's feed opens so soon after the page was rendered; events of that time are kept for it.
const SOON: Duration = Duration::from_secs(15);

/// An open feed that leaves out what its address does not ask for.
#[derive(Debug)]
pub struct EventFeed {
    feed: Feed,
    filter: Filter,
}

impl Stream for EventFeed {
    type Item = Told;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        let this = &mut *self;
        loop {
            let told = std::task::ready!(this.feed.poll_next_unpin(cx));
            let Some(Told::Event(event)) = told else { return Poll::Ready(told) };
            if let Some(event) = this.filter.keep(event) {
                return Poll::Ready(Some(Told::Event(event)));
            }
        }
    }
}

/// `GET /api/events`.
pub(super) async fn feed(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let parts = api.event_feed(&call)?;
    // What tells proxies and clients at once that the feed is open.
    let hello = stream::iter([Bytes::from_static(b": open\n\n")]);
    let parts = hello.chain(parts.map(|told| Bytes::from(written(&told))));
    let content_type = "text/event-stream";
    let body = Body::Stream { content_type, name: None, parts: Box::pin(parts) };
    Ok(Reply { body, ..Reply::ok(Value::Null) })
}

impl Api {
    /// The newest event, for a page that is rendered now: its feed goes on from there. Events are made from now on.
    #[must_use]
    pub fn newest_event(&self) -> EventId {
        self.ask_for_events();
        self.shared().live.channel().newest()
    }

    /// Opens the feed that the call's query describes: `topics`, `since`, and the filters of requests and log lines.
    ///
    /// # Errors
    /// 400 or 422 for a query that means nothing, 429 for one feed too many, 503 when the router stops.
    pub fn event_feed(&self, call: &Call) -> Result<EventFeed, ApiError> {
        call.only_query(&[&["topics", "since", "view"], &filter::QUERY[..]].concat())?;
        let topics = Topics::parse(call.query("topics").unwrap_or_default())
            .map_err(|unknown| ApiError::invalid("topics", unknown.to_string()))?;
        let filter = Filter::of(call)?;
        self.ask_for_events();
        let most = self.shared().snapshot.load().settings.limits.feeds_total;
        let session = match &call.caller.authority {
            Authority::Session(session) => Some(Arc::clone(&session.id)),
            Authority::System | Authority::Command | Authority::Anonymous => None,
        };
        let wish = Wish { session, topics, since: since(call), most, ping_every: PING_EVERY };
        let feed = self.shared().live.channel().open(wish, self.shared().clock.clone());
        Ok(EventFeed { feed: feed.map_err(refusal)?, filter })
    }

    /// The feed that a page's query describes; as [`Api::event_feed`].
    ///
    /// # Errors
    /// As [`Api::event_feed`].
    pub fn page_feed(
        &self,
        query: &str,
        last_event_id: Option<&str>,
        caller: &Caller,
    ) -> Result<EventFeed, ApiError> {
        let (query, caller) = (parse_query(query)?, caller.clone());
        let last_event_id = last_event_id.map(str::to_owned);
        self.event_feed(&Call { query, last_event_id, caller, ..Call::default() })
    }

    /// What runs now, as the event `inflight` tells it, the oldest first.
    #[must_use]
    pub fn running_requests(&self) -> Vec<Value> {
        let running = self.shared().live.running().list();
        running.iter().map(|request| rows::in_flight(request)).collect()
    }

    /// Sees to it that events are made.
    fn ask_for_events(&self) {
        let live = &self.shared().live;
        let notices = live.subscribe();
        if live.channel().ask_for_events(self.shared().clock.now() + SOON) {
            newsroom::begin(self.service.clone(), notices);
        }
    }
}

/// The newest event that the client knows: the later of what the address and what the browser says. A text that is no
/// id is of no process, as is an old one.
fn since(call: &Call) -> Option<EventId> {
    let read = |text: Option<&str>| text.map(|text| text.parse().unwrap_or_default());
    read(call.query("since")).max(read(call.last_event_id.as_deref()))
}

fn refusal(full: Full) -> ApiError {
    match full {
        Full::Session => ApiError::new(
            429,
            "rate_limited",
            "this session has 8 live feeds open; close a tab, or wait until one of them ends",
        ),
        Full::All => ApiError::new(
            429,
            "rate_limited",
            "all live feeds are taken (`limits.feeds_total`); close one, or try again later",
        ),
        Full::Closed => ApiError::unavailable("the router is stopping"),
    }
}

/// As it goes over the wire. A batch is one event for each of its members, and only the last one has the id: whoever
/// comes back in the middle hears the batch again.
fn written(told: &Told) -> String {
    match told {
        Told::Ping => ": ping\n\n".to_owned(),
        Told::Resync(id) => format!("id: {id}\nevent: resync\ndata:\n\n"),
        Told::Event(event) => match (event.topic, event.object.is_none(), &event.data) {
            // Of pages alone.
            (Topic::Shell, ..) => String::new(),
            (Topic::Req | Topic::Log, true, Value::Array(members)) => {
                let Some((last, rest)) = members.split_last() else { return String::new() };
                let name = event.name();
                let mut text: String = rest
                    .iter()
                    .map(|member| format!("event: {name}\ndata: {member}\n\n"))
                    .collect();
                text.push_str(&with_id(event, &last.to_string()));
                text
            }
            _ => with_id(event, event.text()),
        },
    }
}

fn with_id(event: &Event, data: &str) -> String {
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.name())
}

#[cfg(test)]
mod tests;
