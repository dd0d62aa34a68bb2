//! Tells reasoning in tags from the text behind it, for vendors that stream it so (translation §4.2,
//! item 8; §5.3).

/// White space before the tag; more than that is text.
const LEAD: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Start,
    Inside,
    After,
}

/// Follows the text of one choice. Tags count at its very start only.
#[derive(Debug)]
pub(crate) struct ThinkTags {
    open: &'static str,
    close: &'static str,
    place: Place,
    held: String,
}

/// A stretch of text, sorted.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Stretch {
    Thinking(String),
    Text(String),
}

impl ThinkTags {
    /// Looks for `<think>`, as most vendors write it.
    pub(crate) fn think() -> Self {
        Self::new("<think>", "</think>")
    }

    /// Looks for `<thinking>`, as Claude writes it when told to think in words (Kiro).
    pub(crate) fn thinking() -> Self {
        Self::new("<thinking>", "</thinking>")
    }

    fn new(open: &'static str, close: &'static str) -> Self {
        Self { open, close, place: Place::Start, held: String::new() }
    }

    /// Takes more text; what may still become a tag is held back.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Stretch> {
        self.held.push_str(text);
        let mut out = Vec::new();
        if self.place == Place::Start {
            let lead = self.held.trim_start();
            if let Some(rest) = lead.strip_prefix(self.open) {
                self.held = rest.to_owned();
                self.place = Place::Inside;
            } else if !self.open.starts_with(lead) || self.held.len() > LEAD {
                self.place = Place::After;
            } else {
                return out;
            }
        }
        if self.place == Place::Inside {
            if let Some((thinking, rest)) = self.held.split_once(self.close) {
                out.push(Stretch::Thinking(thinking.to_owned()));
                self.held = rest.to_owned();
                self.place = Place::After;
            } else {
                let tail =
                    self.held.split_off(self.held.len().saturating_sub(self.partial_close()));
                out.push(Stretch::Thinking(std::mem::replace(&mut self.held, tail)));
            }
        }
        if self.place == Place::After {
            out.push(Stretch::Text(std::mem::take(&mut self.held)));
        }
        out
    }

    /// The text ended.
    pub(crate) fn finish(&mut self) -> Stretch {
        let held = std::mem::take(&mut self.held);
        if self.place == Place::Inside { Stretch::Thinking(held) } else { Stretch::Text(held) }
    }

    /// Bytes at the end that may begin the closing tag.
    fn partial_close(&self) -> usize {
        let most = self.close.len().saturating_sub(1);
        (1..=most)
            .rev()
            .find(|&length| self.close.get(..length).is_some_and(|head| self.held.ends_with(head)))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(pieces: &[&str]) -> (String, String) {
        let mut tags = ThinkTags::think();
        let mut all: Vec<Stretch> = pieces.iter().flat_map(|piece| tags.push(piece)).collect();
        all.push(tags.finish());
        let (mut thinking, mut text) = (String::new(), String::new());
        for stretch in all {
            match stretch {
                Stretch::Thinking(more) => thinking.push_str(&more),
                Stretch::Text(more) => text.push_str(&more),
            }
        }
        (thinking, text)
    }

    #[test]
    fn t167_tags_are_found_wherever_they_are_cut() {
        for (text, thinking, rest) in [
            ("<think>a</think>b", "a", "b"),
            ("\n<think>a < b</thin</think>b</think>", "a < b</thin", "b</think>"),
            ("<think>é", "é", ""),
            ("<thin", "", "<thin"),
            ("x<think>a</think>", "", "x<think>a</think>"),
            ("", "", ""),
        ] {
            let characters: Vec<String> = text.chars().map(String::from).collect();
            let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
            for pieces in [&[text][..], &characters] {
                let got = sorted(pieces);
                assert_eq!((got.0.as_str(), got.1.as_str()), (thinking, rest), "{pieces:?}");
            }
        }
        assert_eq!(sorted(&["<thi", "nk>a</th", "ink>b"]), ("a".into(), "b".into()));
    }
}
