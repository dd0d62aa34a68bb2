//! From an event to its line, and from there to every output.

use std::fmt;
use std::io::{self, Write as _};

use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::clock::Clock;
use crate::log::line::{LogLine, Members};
use crate::log::{Console, inert};

/// This program's own events are named by their place in it.
const OWN: &str = "ninerouter::";
/// What the bridge of another logging interface adds.
const BRIDGE: &str = "log.";

/// Writes every event that the filter lets through.
pub(super) struct Lines {
    console: &'static Console,
    clock: Clock,
    json: bool,
    colour: bool,
    file: Option<NonBlocking>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("json", &self.json).finish_non_exhaustive()
    }
}

impl Lines {
    pub(super) fn new(
        console: &'static Console,
        clock: Clock,
        json: bool,
        colour: bool,
        file: Option<NonBlocking>,
    ) -> Self {
        Self { console, clock, json, colour, file }
    }

    fn line(&self, event: &Event<'_>) -> LogLine {
        let mut members = Members::default();
        event.record(&mut members);
        members.fields.retain(|name, _| !name.starts_with(BRIDGE));
        let normal = event.normalized_metadata();
        let metadata = normal.as_ref().unwrap_or_else(|| event.metadata());
        let target = metadata.target();
        LogLine {
            id: 0,
            ts: self.clock.now_ms(),
            level: (*metadata.level()).into(),
            component: inert(target.strip_prefix(OWN).unwrap_or(target)).into_owned(),
            message: members.message,
            fields: members.fields,
        }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = self.line(event);
        let text = |colour| if self.json { line.to_json_line() } else { line.to_text(colour) };
        // Nobody may read standard error: the program goes on.
        drop(io::stderr().lock().write_all(text(self.colour && !self.json).as_bytes()));
        if let Some(file) = &self.file {
            // A full queue drops the line: nobody waits for a disk.
            drop(file.clone().write_all(text(false).as_bytes()));
        }
        self.console.push(line);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::log::Wanted;

    #[test]
    fn t_log_01_what_an_event_holds_is_redacted_in_the_console() {
        let console: &'static Console = Box::leak(Box::default());
        let lines = Lines::new(console, Clock::manual(7), true, false, None);
        let secret = format!("ghp_{}", "Ab34".repeat(8));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::warn!(api_key = "hush", error = %format!("bad {secret}"), n = 3, "\u{1b}[2Jhello");
        });
        let found = console.find(&Wanted::default(), 10);
        let line = &found[0];
        assert_eq!(line.message, "␛[2Jhello");
        assert_eq!(line.fields["error"], "bad [redacted]");
        assert!(line.fields["api_key"].as_str().unwrap().starts_with("[redacted:4:"));
        assert_eq!((line.ts, line.component.as_str()), (7, "log::layer::tests"));
    }
}
