//! Flood control: beyond 20 equal events of one client a minute, the rest of that minute is one row with a count
//! (SEC-AUD-5).

use std::collections::HashMap;
use std::net::IpAddr;

use crate::actors::audit::row::Pending;
use crate::auth::audit::EventName;
use crate::clock::UnixMs;

/// Rows of their own a minute.
const FREE: u32 = 20;
const MINUTE_MS: i64 = 60_000;
/// Clients that are told apart; beyond that they share one count per event.
const CLIENTS: usize = 4_096;

type Source = (EventName, Option<IpAddr>);

/// What is counted in this minute.
#[derive(Debug, Default)]
pub(super) struct Flood {
    open: HashMap<Source, Minute>,
}

#[derive(Debug)]
struct Minute {
    began: UnixMs,
    seen: u32,
    /// The rest, as the last one of them with their count.
    rest: Option<Pending>,
}

impl Flood {
    /// Gives the row back when it is to be written as it is.
    pub(super) fn pass(&mut self, now: UnixMs, row: Pending) -> Option<Pending> {
        if !row.floods {
            return Some(row);
        }
        let mut source = (row.name, row.client);
        if self.open.len() >= CLIENTS && !self.open.contains_key(&source) {
            source.1 = None;
        }
        let minute = self.open.entry(source).or_insert(Minute { began: now, seen: 0, rest: None });
        if minute.seen < FREE {
            minute.seen += 1;
            return Some(row);
        }
        let count = minute.rest.as_ref().map_or(0, |rest| rest.count).saturating_add(row.count);
        minute.rest = Some(Pending { count, ..row });
        None
    }

    /// Rows of minutes that are over at `now`. A clock that was set back ends them as well.
    pub(super) fn due(&mut self, now: UnixMs) -> Vec<Pending> {
        let is_over = |minute: &Minute| !(0..MINUTE_MS).contains(&now.saturating_sub(minute.began));
        let mut rows: Vec<_> = self
            .open
            .extract_if(|_, minute| is_over(minute))
            .filter_map(|(_, minute)| minute.rest)
            .collect();
        rows.sort_by_key(|row| row.event.ts_ms);
        rows
    }

    /// Every row there is: nothing may stay behind at a stop.
    pub(super) fn all(&mut self) -> Vec<Pending> {
        let mut rows: Vec<_> = self.open.drain().filter_map(|(_, minute)| minute.rest).collect();
        rows.sort_by_key(|row| row.event.ts_ms);
        rows
    }

    /// Nothing is being counted.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
