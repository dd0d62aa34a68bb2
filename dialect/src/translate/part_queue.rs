//! Puts parts that a source streams at the same time one behind the other (translation §4.5).

use std::collections::VecDeque;

use crate::ir::{Event, Failure, Part, PartKind};
use crate::tap::TapFault;

/// The most that waits behind an open part.
const LIMIT: usize = 32 * 1024 * 1024;

/// Hands on the events of one part at a time for each choice; the others wait for their turn.
///
/// `K` is what the source tells its parts apart by (`index` of chat calls, `output_index`). Part
/// indices are given out here, in the order in which parts begin.
#[derive(Debug)]
pub struct PartQueue<K> {
    /// Parts that began and did not end, and those that ended behind one of them.
    parts: VecDeque<Waiting<K>>,
    next: u32,
    held_bytes: usize,
}

#[derive(Debug)]
struct Waiting<K> {
    key: K,
    choice: u32,
    /// The part's index once its start was handed on.
    live: Option<u32>,
    kind: Option<PartKind>,
    deltas: Vec<Event>,
    held_bytes: usize,
    /// Its end, if it came while the part waited.
    stopped: Option<Option<Box<Part>>>,
}

impl<K: Copy + PartialEq> Default for PartQueue<K> {
    fn default() -> Self {
        Self { parts: VecDeque::new(), next: 0, held_bytes: 0 }
    }
}

impl<K: Copy + PartialEq> PartQueue<K> {
    /// A part begins. Its start is handed on at once when no other part of its choice is open.
    pub fn start(&mut self, key: K, choice: u32, kind: PartKind, out: &mut Vec<Event>) {
        let waiting = Waiting {
            key,
            choice,
            live: None,
            kind: Some(kind),
            deltas: Vec::new(),
            held_bytes: 0,
            stopped: None,
        };
        self.parts.push_back(waiting);
        self.advance(choice, out);
    }

    /// Whether the part began and did not end.
    pub fn is_open(&self, key: K) -> bool {
        self.find(key).is_some()
    }

    /// Whether the part's events are handed on as they come.
    pub fn is_live(&self, key: K) -> bool {
        self.find(key).and_then(|at| self.parts.get(at)).is_some_and(|part| part.live.is_some())
    }

    /// More of a part: `event` gets the part's index. Nothing happens for a part that is not open.
    ///
    /// # Errors
    /// [`TapFault::EventTooLarge`] when more than 32 MiB wait.
    pub fn delta(
        &mut self,
        key: K,
        event: impl FnOnce(u32) -> Event,
        bytes: usize,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(part) = self.find(key).and_then(|at| self.parts.get_mut(at)) else {
            return Ok(());
        };
        if let Some(index) = part.live {
            out.push(event(index));
            return Ok(());
        }
        self.held_bytes = self.held_bytes.saturating_add(bytes);
        if self.held_bytes > LIMIT {
            return Err(TapFault::EventTooLarge { limit: LIMIT }.into());
        }
        part.held_bytes = part.held_bytes.saturating_add(bytes);
        part.deltas.push(event(0));
        Ok(())
    }

    /// A part ends; parts of its choice that waited behind it take their turn.
    pub fn stop(&mut self, key: K, full: Option<Box<Part>>, out: &mut Vec<Event>) {
        let Some(part) = self.find(key).and_then(|at| self.parts.get_mut(at)) else { return };
        part.stopped = Some(full);
        let choice = part.choice;
        self.advance(choice, out);
    }

    /// Ends every part of a choice, in the order in which they began.
    pub fn stop_all(&mut self, choice: u32, out: &mut Vec<Event>) {
        for part in self.parts.iter_mut().filter(|part| part.choice == choice) {
            part.stopped.get_or_insert(None);
        }
        self.advance(choice, out);
    }

    /// The last part of that key which did not end: sources may use a key again.
    fn find(&self, key: K) -> Option<usize> {
        self.parts.iter().rposition(|part| part.key == key && part.stopped.is_none())
    }

    fn advance(&mut self, choice: u32, out: &mut Vec<Event>) {
        while let Some(at) = self.parts.iter().position(|part| part.choice == choice) {
            let Some(part) = self.parts.get_mut(at) else { return };
            let index = match (part.live, part.kind.take()) {
                (Some(index), _) => index,
                (None, Some(kind)) => {
                    let index = self.next;
                    self.next = self.next.saturating_add(1);
                    part.live = Some(index);
                    out.push(Event::PartStart { part: index, choice, kind });
                    self.held_bytes = self.held_bytes.saturating_sub(part.held_bytes);
                    let deltas = std::mem::take(&mut part.deltas);
                    out.extend(deltas.into_iter().map(|delta| delta.with_part(index)));
                    index
                }
                (None, None) => return,
            };
            let Some(full) = part.stopped.take() else { return };
            out.push(Event::PartStop { part: index, full });
            let _ended = self.parts.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{EventOrder, Str, ToolKind};

    fn call(name: &str) -> PartKind {
        PartKind::ToolUse {
            id: name.into(),
            name: name.into(),
            kind: ToolKind::Function,
            namespace: None,
            signature: None,
        }
    }

    fn input(queue: &mut PartQueue<u32>, key: u32, text: &str, out: &mut Vec<Event>) {
        let text = Str::from(text);
        let bytes = text.len();
        queue.delta(key, |part| Event::ToolInput { part, text }, bytes, out).unwrap();
    }

    fn inputs(events: &[Event]) -> Vec<(u32, &str)> {
        let of = |event| match event {
            &Event::ToolInput { part, ref text } => Some((part, &**text)),
            _ => None,
        };
        events.iter().filter_map(of).collect()
    }

    fn assert_in_order(events: &[Event]) {
        let mut order = EventOrder::default();
        let start = Event::Start {
            id: "r".into(),
            model: "m".into(),
            created: None,
            usage: None,
            service_tier: None,
            fingerprint: None,
        };
        order.check(&start).unwrap();
        events.iter().for_each(|event| order.check(event).unwrap());
        order.check(&Event::End).unwrap();
    }

    #[test]
    fn t134_interleaved_calls_come_one_after_the_other() {
        let (mut queue, mut out) = (PartQueue::default(), Vec::new());
        queue.start(0, 0, call("f"), &mut out);
        queue.start(1, 0, call("g"), &mut out);
        for (key, text) in [(0, "{\"a\":"), (1, "{\"b\":"), (0, "1}"), (1, "2}")] {
            input(&mut queue, key, text, &mut out);
        }
        assert!(queue.is_live(0) && queue.is_open(1) && !queue.is_live(1));
        assert_eq!(inputs(&out), [(0, "{\"a\":"), (0, "1}")]);
        queue.stop_all(0, &mut out);
        assert_eq!(inputs(&out), [(0, "{\"a\":"), (0, "1}"), (1, "{\"b\":"), (1, "2}")]);
        assert_in_order(&out);
        assert!(!queue.is_open(0) && !queue.is_open(1));
    }

    #[test]
    fn a_part_that_ended_behind_another_goes_out_whole() {
        let (mut queue, mut out) = (PartQueue::default(), Vec::new());
        queue.start(0, 0, call("f"), &mut out);
        queue.start(1, 0, call("g"), &mut out);
        input(&mut queue, 1, "{}", &mut out);
        queue.stop(1, None, &mut out);
        queue.start(2, 0, call("h"), &mut out);
        assert_eq!(out.len(), 1);
        queue.stop(0, None, &mut out);
        assert!(queue.is_live(2));
        queue.stop(2, None, &mut out);
        assert_eq!(inputs(&out), [(1, "{}")]);
        assert_in_order(&out);
    }

    #[test]
    fn choices_do_not_wait_for_each_other() {
        let (mut queue, mut out) = (PartQueue::default(), Vec::new());
        queue.start(0, 0, call("f"), &mut out);
        queue.start(1, 1, call("g"), &mut out);
        input(&mut queue, 1, "{}", &mut out);
        input(&mut queue, 0, "{}", &mut out);
        assert_eq!(inputs(&out), [(1, "{}"), (0, "{}")]);
        queue.stop(0, None, &mut out);
        queue.stop(1, None, &mut out);
        assert_in_order(&out);
    }

    #[test]
    fn a_key_may_be_used_again() {
        let (mut queue, mut out) = (PartQueue::default(), Vec::new());
        queue.start(0, 0, call("f"), &mut out);
        queue.stop(0, None, &mut out);
        queue.start(0, 0, call("g"), &mut out);
        input(&mut queue, 0, "{}", &mut out);
        queue.stop(0, None, &mut out);
        queue.stop(0, None, &mut out);
        assert_eq!(inputs(&out), [(1, "{}")]);
        assert_in_order(&out);
    }

    #[test]
    fn what_waits_is_bounded() {
        let (mut queue, mut out) = (PartQueue::default(), Vec::new());
        queue.start(0, 0, call("f"), &mut out);
        queue.start(1, 0, call("g"), &mut out);
        let big = |part| Event::ToolInput { part, text: "x".into() };
        assert!(queue.delta(1, big, LIMIT, &mut out).is_ok());
        let over = queue.delta(1, big, 1, &mut out);
        assert_eq!(over, Err(Failure::Fault(TapFault::EventTooLarge { limit: LIMIT })));
    }
}
