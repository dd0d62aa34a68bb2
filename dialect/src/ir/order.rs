//! Checks the promises that decoders make about the order of events (translation §1.5).

use std::collections::BTreeSet;

use super::{Event, PartKind};

/// Follows a stream of events and names the first broken promise. Tests and fuzz targets hold every
/// decoder against it.
#[derive(Clone, Default, Debug)]
pub struct EventOrder {
    started: bool,
    ended: bool,
    parts: u32,
    /// Open parts: index, choice, what they take.
    open: Vec<(u32, u32, Takes)>,
    finished: BTreeSet<u32>,
}

/// A promise that was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutOfOrder {
    /// Something came before `Start`, or a second `Start`.
    #[error("`Start` comes first and once")]
    Start,
    /// Something came after `End` or `Failed`.
    #[error("nothing comes after the end")]
    AfterEnd,
    /// A part's index is not the next one.
    #[error("part indices count up from 0")]
    Index,
    /// A part began while another of the same choice was open, or after its choice had finished.
    #[error("one part of a choice is open at a time, and none after its finish")]
    Overlap,
    /// A delta or a stop for a part that is not open.
    #[error("only an open part goes on")]
    NotOpen,
    /// A delta of another kind than its part, or an empty one.
    #[error("a delta fits its part and says something")]
    Delta,
    /// A choice finished twice, or with an open part, or the answer ended with one.
    #[error("a choice finishes once, with all of its parts closed")]
    Finish,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Takes {
    Text,
    Thinking,
    ToolInput,
    Refusal,
    Audio,
    Nothing,
}

impl From<&PartKind> for Takes {
    fn from(kind: &PartKind) -> Self {
        match kind {
            PartKind::Text { .. } => Self::Text,
            PartKind::Thinking { .. } => Self::Thinking,
            PartKind::ToolUse { .. } => Self::ToolInput,
            PartKind::Refusal => Self::Refusal,
            PartKind::Audio { .. } => Self::Audio,
            PartKind::Redacted { .. }
            | PartKind::Image { .. }
            | PartKind::ServerTool(_)
            | PartKind::Opaque { .. } => Self::Nothing,
        }
    }
}

impl EventOrder {
    /// Takes the next event.
    ///
    /// # Errors
    /// The promise that it breaks.
    pub fn check(&mut self, event: &Event) -> Result<(), OutOfOrder> {
        if self.ended {
            return Err(OutOfOrder::AfterEnd);
        }
        let starts = matches!(event, Event::Start { .. });
        // A stream may fail, and an upstream may show that it lives, before anything is known of it.
        let early = matches!(event, Event::Failed(_) | Event::Ping);
        if starts == self.started && !early {
            return Err(OutOfOrder::Start);
        }
        match event {
            Event::Start { .. } => self.started = true,
            Event::PartStart { part, choice, kind } => {
                if *part != self.parts {
                    return Err(OutOfOrder::Index);
                }
                let busy = self.open.iter().any(|(_, other, _)| other == choice);
                if busy || self.finished.contains(choice) {
                    return Err(OutOfOrder::Overlap);
                }
                self.parts = self.parts.saturating_add(1);
                self.open.push((*part, *choice, kind.into()));
            }
            Event::Text { part, text } => self.delta(*part, &[Takes::Text], text)?,
            Event::Thinking { part, text } => self.delta(*part, &[Takes::Thinking], text)?,
            Event::ThinkingBreak { part } => self.delta(*part, &[Takes::Thinking], "\n")?,
            Event::ToolInput { part, text } => self.delta(*part, &[Takes::ToolInput], text)?,
            Event::Refusal { part, text } => self.delta(*part, &[Takes::Refusal], text)?,
            Event::Audio { part, data, transcript } => {
                let said = if data.is_empty() { transcript } else { data };
                self.delta(*part, &[Takes::Audio], said)?;
            }
            Event::Citation { part, .. } => self.delta(*part, &[Takes::Text], "c")?,
            Event::Logprobs { part, .. } => {
                self.delta(*part, &[Takes::Text, Takes::Refusal], "p")?;
            }
            Event::Signature { part, signature } => {
                let signable = [Takes::Text, Takes::Thinking, Takes::ToolInput];
                self.delta(*part, &signable, &signature.value)?;
            }
            Event::PartStop { part, .. } => {
                let at = self.open.iter().position(|(index, _, _)| index == part);
                self.open.remove(at.ok_or(OutOfOrder::NotOpen)?);
            }
            Event::Finish { choice, .. } => {
                let busy = self.open.iter().any(|(_, other, _)| other == choice);
                if busy || !self.finished.insert(*choice) {
                    return Err(OutOfOrder::Finish);
                }
            }
            Event::Usage(_) | Event::Ping => {}
            Event::End if !self.open.is_empty() => return Err(OutOfOrder::Finish),
            Event::End | Event::Failed(_) => self.ended = true,
        }
        Ok(())
    }

    /// Whether the end was reached.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    fn delta(&self, part: u32, fits: &[Takes], says: &str) -> Result<(), OutOfOrder> {
        let open = self.open.iter().find(|(index, _, _)| *index == part);
        let (_, _, takes) = open.ok_or(OutOfOrder::NotOpen)?;
        if fits.contains(takes) && !says.is_empty() { Ok(()) } else { Err(OutOfOrder::Delta) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Failure, Finish};

    fn start() -> Event {
        Event::Start {
            id: "r".into(),
            model: "m".into(),
            created: None,
            usage: None,
            service_tier: None,
            fingerprint: None,
        }
    }

    fn open(part: u32, choice: u32) -> Event {
        Event::PartStart { part, choice, kind: PartKind::Text { phase: None } }
    }

    fn text(part: u32) -> Event {
        Event::Text { part, text: "a".into() }
    }

    fn stop(part: u32) -> Event {
        Event::PartStop { part, full: None }
    }

    fn finish(choice: u32) -> Event {
        Event::Finish {
            choice,
            finish: Finish::Stop,
            reason: None,
            stop_sequence: None,
            details: None,
        }
    }

    fn verdict(events: Vec<Event>) -> Result<bool, OutOfOrder> {
        let mut order = EventOrder::default();
        events.iter().try_for_each(|event| order.check(event))?;
        Ok(order.is_ended())
    }

    #[test]
    fn streams_in_order_pass() {
        for events in [
            vec![start(), open(0, 0), text(0), stop(0), finish(0), Event::End],
            vec![Event::Ping, Event::Failed(Box::new(Failure::Truncated))],
            vec![start(), open(0, 0), open(1, 1), text(0), text(1), stop(1), stop(0), Event::End],
            vec![start(), open(0, 0), Event::Failed(Box::new(Failure::Truncated))],
        ] {
            assert_eq!(verdict(events.clone()), Ok(true), "{events:?}");
        }
    }

    #[test]
    fn each_broken_promise_is_named() {
        let empty = Event::Text { part: 0, text: "".into() };
        let thought = Event::Thinking { part: 0, text: "t".into() };
        for (events, want) in [
            (vec![open(0, 0)], OutOfOrder::Start),
            (vec![start(), start()], OutOfOrder::Start),
            (vec![start(), Event::End, Event::Ping], OutOfOrder::AfterEnd),
            (vec![start(), open(1, 0)], OutOfOrder::Index),
            (vec![start(), open(0, 0), open(1, 0)], OutOfOrder::Overlap),
            (vec![start(), finish(0), open(0, 0)], OutOfOrder::Overlap),
            (vec![start(), open(0, 0), stop(0), text(0)], OutOfOrder::NotOpen),
            (vec![start(), stop(0)], OutOfOrder::NotOpen),
            (vec![start(), open(0, 0), thought], OutOfOrder::Delta),
            (vec![start(), open(0, 0), empty], OutOfOrder::Delta),
            (vec![start(), open(0, 0), finish(0)], OutOfOrder::Finish),
            (vec![start(), finish(0), finish(0)], OutOfOrder::Finish),
            (vec![start(), open(0, 0), Event::End], OutOfOrder::Finish),
        ] {
            assert_eq!(verdict(events.clone()), Err(want), "{events:?}");
        }
    }
}
