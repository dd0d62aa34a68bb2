//! Edits of a request body that leave every other byte as the client sent it.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use bytes::Bytes;

use crate::json;
use crate::peek::{PeekError, StrField, checked_text, json_error};

/// Below this size one copy is cheaper than a body in several parts (translation §1.3).
const CONCAT_BELOW: usize = 256 * 1024;

/// One change to the top level of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BodyEdit {
    /// Replaces the value, or inserts the member in front.
    Set {
        /// The key.
        key: Cow<'static, str>,
        /// The value, as JSON.
        json: String,
    },
    /// Inserts the member in front unless the body has it.
    SetIfAbsent {
        /// The key.
        key: Cow<'static, str>,
        /// The value, as JSON.
        json: String,
    },
    /// Sets one member inside an object member; an absent or null object is made.
    SetMember {
        /// The key of the object.
        key: Cow<'static, str>,
        /// The key inside it.
        member: Cow<'static, str>,
        /// The value, as JSON.
        json: String,
    },
    /// Removes the member.
    Remove {
        /// The key.
        key: Cow<'static, str>,
    },
    /// Removes one member inside an object member; the object stays.
    RemoveMember {
        /// The key of the object.
        key: Cow<'static, str>,
        /// The key inside it.
        member: Cow<'static, str>,
    },
    /// Removes the member when it has just this value.
    RemoveIf {
        /// The key.
        key: Cow<'static, str>,
        /// The value, as JSON.
        json: String,
    },
    /// Gives the member another key; dropped instead when that key is taken.
    Rename {
        /// The old key.
        from: Cow<'static, str>,
        /// The new key.
        to: Cow<'static, str>,
    },
}

/// A body as slices of the received one and small inserts. Cloning copies no payload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SplicedBody {
    /// The parts, in order.
    pub parts: Vec<Bytes>,
    /// Sum of their lengths.
    pub len: u64,
}

impl SplicedBody {
    /// A body in one part.
    pub fn whole(body: Bytes) -> Self {
        Self::join(vec![body])
    }

    /// The body with something before and behind it.
    pub(crate) fn between(mut self, before: String, behind: &'static str) -> Self {
        self.parts.insert(0, before.into());
        self.parts.push(Bytes::from_static(behind.as_bytes()));
        Self::join(self.parts)
    }

    fn join(parts: Vec<Bytes>) -> Self {
        let len = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let parts = if parts.len() > 1 && len < CONCAT_BELOW {
            vec![Bytes::from(parts.concat())]
        } else {
            parts
        };
        Self { parts, len: u64::try_from(len).unwrap_or(u64::MAX) }
    }
}

/// Tier A: replaces the bytes of the model and nothing else (T001–T003, T007, T008).
///
/// # Examples
/// ```
/// use bytes::Bytes;
/// use ninerouter_dialect::{Dialect, peek, splice_model};
/// let body = Bytes::from_static(b"{ \"model\" : \"a/b\" ,\"x\":1.0}");
/// let seen = peek(Dialect::Chat, &body).unwrap();
/// let spliced = splice_model(&body, seen.require_model().unwrap(), "b");
/// assert_eq!(spliced.parts.concat(), b"{ \"model\" : \"b\" ,\"x\":1.0}");
/// ```
pub fn splice_model(body: &Bytes, model: &StrField, new: &str) -> SplicedBody {
    let end = model.range.end.min(body.len());
    let start = model.range.start.min(end);
    SplicedBody::join(vec![body.slice(..start), Bytes::from(json::quote(new)), body.slice(end..)])
}

/// Tier B: applies the edits in order; untouched members keep their bytes.
///
/// # Errors
/// A [`PeekError`] when the body is not a JSON object.
pub fn apply_edits(body: &Bytes, edits: &[BodyEdit]) -> Result<SplicedBody, PeekError> {
    if edits.is_empty() {
        return Ok(SplicedBody::whole(body.clone()));
    }
    let text = checked_text(body)?;
    let mut patch = Patch::read(text)?;
    for edit in edits {
        patch.apply(edit);
    }
    // A byte order mark, if any, is not part of the text and is dropped.
    let offset = body.len().saturating_sub(text.len());
    Ok(patch.emit(&body.slice(offset..)))
}

/// A stretch of the received text, or a replacement.
#[derive(Clone, Debug)]
enum Piece {
    Kept(Range<usize>),
    New(String),
}

#[derive(Debug)]
struct Slot {
    key: String,
    key_span: Range<usize>,
    key_piece: Piece,
    value_span: Range<usize>,
    value: Piece,
    removed: bool,
}

/// The members of an object with the edits made so far.
struct Patch<'a> {
    text: &'a str,
    slots: Vec<Slot>,
    inserted: Vec<(String, String)>,
}

impl<'a> Patch<'a> {
    fn read(text: &'a str) -> Result<Self, PeekError> {
        let mut slots = Vec::new();
        json::each_member(text, |m| {
            let key_span = json::range_in(text, m.raw_key);
            let value_span = json::range_in(text, m.value);
            slots.push(Slot {
                key: m.key.into_owned(),
                key_piece: Piece::Kept(key_span.clone()),
                key_span,
                value: Piece::Kept(value_span.clone()),
                value_span,
                removed: false,
            });
            ControlFlow::Continue(())
        })
        .map_err(|error| json_error(&error))?;
        Ok(Self { text, slots, inserted: Vec::new() })
    }

    fn apply(&mut self, edit: &BodyEdit) {
        match edit {
            BodyEdit::Set { key, json } => self.set(key, json),
            BodyEdit::SetIfAbsent { key, json } => {
                if !self.has(key) {
                    self.set(key, json);
                }
            }
            BodyEdit::SetMember { key, member, json } => self.set_member(key, member, json),
            BodyEdit::Remove { key } => self.remove(key),
            BodyEdit::RemoveMember { key, member } => self.remove_member(key, member),
            BodyEdit::RemoveIf { key, json } => {
                if self.value_text(key).as_deref() == Some(json) {
                    self.remove(key);
                }
            }
            BodyEdit::Rename { from, to } => self.rename(from, to),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.live(key).next().is_some() || self.inserted.iter().any(|(k, _)| k == key)
    }

    fn live(&self, key: &str) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| !slot.removed && slot.key == key)
    }

    fn set(&mut self, key: &str, json: &str) {
        let mut found = false;
        for slot in self.slots.iter_mut().filter(|slot| !slot.removed && slot.key == key) {
            slot.value = Piece::New(json.to_owned());
            found = true;
        }
        for (_, value) in self.inserted.iter_mut().filter(|(k, _)| k == key) {
            json.clone_into(value);
            found = true;
        }
        if !found {
            self.inserted.push((key.to_owned(), json.to_owned()));
        }
    }

    fn set_member(&mut self, key: &str, member: &str, json: &str) {
        let current = self.value_text(key);
        let next = match current.as_deref() {
            None | Some("null") => format!("{{{}:{json}}}", json::quote(member)),
            // Not an object: the client's mistake, and the upstream says so better.
            Some(object) if !json::is_object(object) => return,
            Some(object) => match Patch::read(object) {
                Ok(mut inner) => {
                    inner.set(member, json);
                    inner.emit_text()
                }
                Err(_) => return,
            },
        };
        self.set(key, &next);
    }

    fn remove_member(&mut self, key: &str, member: &str) {
        let Some(object) = self.value_text(key).filter(|object| json::is_object(object)) else {
            return;
        };
        if let Ok(mut inner) = Patch::read(&object)
            && inner.has(member)
        {
            inner.remove(member);
            let next = inner.emit_text();
            self.set(key, &next);
        }
    }

    fn value_text(&self, key: &str) -> Option<String> {
        if let Some(slot) = self.live(key).next() {
            return Some(self.piece_text(&slot.value).to_owned());
        }
        self.inserted.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone())
    }

    fn remove(&mut self, key: &str) {
        for slot in self.slots.iter_mut().filter(|slot| slot.key == key) {
            slot.removed = true;
        }
        self.inserted.retain(|(k, _)| k != key);
    }

    fn rename(&mut self, from: &str, to: &str) {
        if self.has(to) {
            self.remove(from);
            return;
        }
        for slot in self.slots.iter_mut().filter(|slot| !slot.removed && slot.key == from) {
            to.clone_into(&mut slot.key);
            slot.key_piece = Piece::New(json::quote(to));
        }
        for (key, _) in self.inserted.iter_mut().filter(|(k, _)| k == from) {
            to.clone_into(key);
        }
    }

    fn piece_text<'p>(&'p self, piece: &'p Piece) -> &'p str {
        match piece {
            Piece::Kept(range) => self.text.get(range.clone()).unwrap_or_default(),
            Piece::New(text) => text,
        }
    }

    /// The edited object as pieces in order; neighbouring kept stretches are one piece.
    fn pieces(&self) -> Vec<Piece> {
        let mut out = Pieces::default();
        let first_key = self.slots.first().map(|slot| slot.key_span.start);
        let open = self.text.find('{').map_or(0, |at| at.saturating_add(1));
        out.keep(0..open);
        let last_live = self.slots.iter().rposition(|slot| !slot.removed);
        for (at, (key, value)) in self.inserted.iter().enumerate() {
            let more = last_live.is_some() || at.saturating_add(1) < self.inserted.len();
            out.insert(&format!("{}:{value}{}", json::quote(key), if more { "," } else { "" }));
        }
        out.keep(open..first_key.unwrap_or(open));
        for (at, slot) in self.slots.iter().enumerate() {
            let next_key = self.slots.get(at.saturating_add(1)).map(|next| next.key_span.start);
            let gap = slot.value_span.end..next_key.unwrap_or(slot.value_span.end);
            let comma = self.comma_in(&gap);
            if !slot.removed {
                out.piece(&slot.key_piece);
                out.keep(slot.key_span.end..slot.value_span.start);
                out.piece(&slot.value);
            }
            if let Some(comma) = comma {
                out.keep(gap.start..comma);
                // The comma goes with a removed member, or with the last one that stays.
                let stays = !slot.removed && last_live.is_some_and(|last| at < last);
                if stays {
                    out.keep(comma..comma.saturating_add(1));
                }
                out.keep(comma.saturating_add(1)..gap.end);
            }
        }
        let tail = self.slots.last().map_or(open, |slot| slot.value_span.end);
        out.keep(tail..self.text.len());
        out.0
    }

    fn comma_in(&self, gap: &Range<usize>) -> Option<usize> {
        let text = self.text.get(gap.clone())?;
        text.find(',').map(|at| gap.start.saturating_add(at))
    }

    fn emit_text(&self) -> String {
        self.pieces().iter().map(|piece| self.piece_text(piece)).collect()
    }

    fn emit(&self, body: &Bytes) -> SplicedBody {
        let parts = self.pieces().into_iter().map(|piece| match piece {
            Piece::Kept(range) => body.slice(range),
            Piece::New(text) => Bytes::from(text),
        });
        SplicedBody::join(parts.collect())
    }
}

#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn keep(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(Piece::Kept(last)) if last.end == range.start => last.end = range.end,
            _ => self.0.push(Piece::Kept(range)),
        }
    }

    fn insert(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::New(last)) => last.push_str(text),
            _ => self.0.push(Piece::New(text.to_owned())),
        }
    }

    fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Kept(range) => self.keep(range.clone()),
            Piece::New(text) => self.insert(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Dialect, peek};

    fn splice(body: &str, new: &str) -> String {
        let body = Bytes::from(body.to_owned());
        let seen = peek(Dialect::Chat, &body).unwrap();
        let spliced = splice_model(&body, seen.require_model().unwrap(), new);
        let bytes = spliced.parts.concat();
        assert_eq!(usize::try_from(spliced.len), Ok(bytes.len()));
        String::from_utf8(bytes).unwrap()
    }

    fn edit(body: &str, edits: &[BodyEdit]) -> String {
        let spliced = apply_edits(&Bytes::from(body.to_owned()), edits).unwrap();
        String::from_utf8(spliced.parts.concat()).unwrap()
    }

    fn set(key: &'static str, json: &str) -> BodyEdit {
        BodyEdit::Set { key: key.into(), json: json.to_owned() }
    }

    fn member(key: &'static str, member: &'static str, json: &str) -> BodyEdit {
        BodyEdit::SetMember { key: key.into(), member: member.into(), json: json.to_owned() }
    }

    fn remove(key: &'static str) -> BodyEdit {
        BodyEdit::Remove { key: key.into() }
    }

    #[test]
    fn a_member_of_a_member_is_removed_and_the_rest_stays() {
        let gone = [BodyEdit::RemoveMember { key: "o".into(), member: "a".into() }];
        for (body, want) in [
            (r#"{"o":{ "a":1, "b":1.0 } ,"a":2}"#, r#"{"o":{  "b":1.0 } ,"a":2}"#),
            (r#"{"o":{"a":1}}"#, r#"{"o":{}}"#),
            (r#"{ "o" : { "b" : 1 } }"#, r#"{ "o" : { "b" : 1 } }"#),
            (r#"{"o":null,"p":1}"#, r#"{"o":null,"p":1}"#),
            (r#"{"p":1}"#, r#"{"p":1}"#),
        ] {
            assert_eq!(edit(body, &gone), want);
        }
    }

    #[test]
    fn t001_to_t003_t007_t008_only_the_model_value_changes() {
        for (body, new, want) in [
            (
                r#"{ "model" : "a/b" ,"x":1.0, "messages":[]}"#,
                "b",
                r#"{ "model" : "b" ,"x":1.0, "messages":[]}"#,
            ),
            (
                r#"{"messages":[{"role":"user","content":"{\"model\":\"no\"}"}],"model":"a"}"#,
                "b",
                r#"{"messages":[{"role":"user","content":"{\"model\":\"no\"}"}],"model":"b"}"#,
            ),
            (r#"{"mod\u0065l":"a"}"#, "b", r#"{"mod\u0065l":"b"}"#),
            (r#"{"model":"a"}"#, "a\"é", r#"{"model":"a\"é"}"#),
            (
                r#"{"model":"a","big":12345678901234567890,"f":1e2,"u":"\u00e9"}"#,
                "b",
                r#"{"model":"b","big":12345678901234567890,"f":1e2,"u":"\u00e9"}"#,
            ),
        ] {
            assert_eq!(splice(body, new), want);
        }
    }

    #[test]
    fn large_bodies_stay_slices_of_the_received_buffer() {
        let body = Bytes::from(format!(r#"{{"model":"a","x":"{}"}}"#, "y".repeat(CONCAT_BELOW)));
        let seen = peek(Dialect::Chat, &body).unwrap();
        let spliced = splice_model(&body, seen.require_model().unwrap(), "long/name");
        assert_eq!(spliced.parts.len(), 3);
        let last = spliced.parts.last().unwrap();
        assert!(body.as_ptr_range().contains(&last.as_ptr()));
        assert_eq!(usize::try_from(spliced.len), Ok(body.len() + 8));
    }

    #[test]
    fn t009_usage_is_asked_for_in_front_of_everything_else() {
        let edits = [member("stream_options", "include_usage", "true")];
        assert_eq!(
            edit(r#"{"model":"a", "stream":true}"#, &edits),
            r#"{"stream_options":{"include_usage":true},"model":"a", "stream":true}"#
        );
        for (options, want) in [
            (r#"{"x":1}"#, r#"{"include_usage":true,"x":1}"#),
            (r#"{ "include_usage" : false }"#, r#"{ "include_usage" : true }"#),
            ("{}", r#"{"include_usage":true}"#),
            ("null", r#"{"include_usage":true}"#),
            ("5", "5"),
        ] {
            let body = format!(r#"{{"model":"a","stream_options":{options}}}"#);
            let want = format!(r#"{{"model":"a","stream_options":{want}}}"#);
            assert_eq!(edit(&body, &edits), want);
        }
    }

    #[test]
    fn t010_no_edit_leaves_the_buffer_itself() {
        let body = Bytes::from_static(br#"{"stream_options":{"include_usage":true}}"#);
        let spliced = apply_edits(&body, &[]).unwrap();
        assert_eq!(spliced.parts, [body]);
    }

    #[test]
    fn t011_removal_takes_one_comma_along() {
        for (body, keys, want) in [
            (r#"{"a":1,"temperature":0.5,"b":2}"#, &["temperature"][..], r#"{"a":1,"b":2}"#),
            (r#"{"temperature":1}"#, &["temperature"], "{}"),
            (r#"{"a":1,"temperature":1}"#, &["temperature"], r#"{"a":1}"#),
            (r#"{"temperature":1,"a":1}"#, &["temperature"], r#"{"a":1}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["b", "c"], r#"{"a":1}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["a", "b", "c"], "{}"),
            (r#"{"a":1,"b":2,"a":3}"#, &["a"], r#"{"b":2}"#),
            (r#"{"a":"x,}","b":2}"#, &["b"], r#"{"a":"x,}"}"#),
        ] {
            let edits: Vec<_> = keys.iter().map(|key| remove(key)).collect();
            assert_eq!(edit(body, &edits), want, "{body}");
        }
    }

    #[test]
    fn a_member_goes_when_it_has_the_value() {
        let edits = [BodyEdit::RemoveIf { key: "a".into(), json: "\"x\"".to_owned() }];
        for (body, want) in [
            (r#"{"a":"x","b":1}"#, r#"{"b":1}"#),
            (r#"{"a":"y","b":1}"#, r#"{"a":"y","b":1}"#),
            (r#"{"b":"x"}"#, r#"{"b":"x"}"#),
        ] {
            assert_eq!(edit(body, &edits), want);
        }
    }

    #[test]
    fn members_are_set_inserted_and_renamed() {
        for (body, edits, want) in [
            (r#"{ }"#, vec![set("a", "1")], r#"{"a":1 }"#),
            (r#"{"z":0}"#, vec![set("a", "1"), set("b", "2")], r#"{"a":1,"b":2,"z":0}"#),
            (r#"{"a": 5,"z":0}"#, vec![set("a", "1")], r#"{"a": 1,"z":0}"#),
            (r#"{"z":0}"#, vec![remove("z"), set("a", "1")], r#"{"a":1}"#),
            (r#"{"z":0}"#, vec![remove("z"), set("z", "1")], r#"{"z":1}"#),
            (
                r#"{"max_tokens" : 5}"#,
                vec![BodyEdit::Rename {
                    from: "max_tokens".into(),
                    to: "max_completion_tokens".into(),
                }],
                r#"{"max_completion_tokens" : 5}"#,
            ),
            (
                r#"{"a":1,"b":2}"#,
                vec![BodyEdit::Rename { from: "a".into(), to: "b".into() }],
                r#"{"b":2}"#,
            ),
            (
                r#"{"a":1}"#,
                vec![
                    BodyEdit::SetIfAbsent { key: "a".into(), json: "2".into() },
                    BodyEdit::SetIfAbsent { key: "b".into(), json: "3".into() },
                ],
                r#"{"b":3,"a":1}"#,
            ),
        ] {
            assert_eq!(edit(body, &edits), want, "{body}");
        }
        assert_eq!(
            apply_edits(&Bytes::from_static(b"[1]"), &[remove("a")]),
            Err(PeekError::NotObject)
        );
    }

    proptest! {
        #[test]
        fn edits_keep_every_other_member(
            keys in proptest::collection::vec("[a-f]", 0..8),
            gone in "[a-f]",
            space in "[ \n]{0,2}",
        ) {
            let members: Vec<String> = keys
                .iter()
                .enumerate()
                .map(|(n, key)| format!("{space}\"{key}\"{space}:{space}{n}.0{space}"))
                .collect();
            let body = Bytes::from(format!("{{{}}}", members.join(",")));
            let edits = [
                BodyEdit::Remove { key: gone.clone().into() },
                BodyEdit::Set { key: "zz".into(), json: "[1, 2]".into() },
            ];
            let got = apply_edits(&body, &edits).unwrap().parts.concat();
            let got = String::from_utf8(got).unwrap();
            let mut seen = Vec::new();
            json::each_member(&got, |m| {
                seen.push((m.key.into_owned(), m.value.to_owned()));
                ControlFlow::Continue(())
            })
            .unwrap();
            let mut want = vec![("zz".to_owned(), "[1, 2]".to_owned())];
            want.extend(
                keys.iter().enumerate().filter(|(_, k)| **k != gone).map(|(n, k)| (k.clone(), format!("{n}.0"))),
            );
            prop_assert_eq!(seen, want);
        }
    }
}
