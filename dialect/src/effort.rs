//! Reasoning effort: the levels, their budgets, and the suffix that asks for one (providers §1.3).

use serde::Deserialize;

/// Largest budget a level or a suffix stands for, in tokens.
const MAX_BUDGET: u32 = 128_000;

/// A named step of reasoning effort, lowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// `minimal`.
    Minimal,
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
    /// `xhigh`.
    XHigh,
    /// `max`.
    Max,
    /// `ultra`: the highest level of the model, whatever it is called there.
    Ultra,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 7] =
        [Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max, Self::Ultra];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
            Self::Ultra => "ultra",
        }
    }

    /// The level a word names, in any case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.as_str().eq_ignore_ascii_case(word))
    }

    /// Thinking tokens the level stands for.
    #[must_use]
    pub fn budget(self) -> u32 {
        match self {
            Self::Minimal => 512,
            Self::Low => 1_024,
            Self::Medium => 8_192,
            Self::High => 24_576,
            Self::XHigh => 32_768,
            Self::Max | Self::Ultra => MAX_BUDGET,
        }
    }

    /// The level a budget comes to, by upper bounds.
    #[must_use]
    pub fn of_budget(tokens: u32) -> Self {
        match tokens {
            0..=512 => Self::Minimal,
            513..=1_024 => Self::Low,
            1_025..=8_192 => Self::Medium,
            8_193..=24_576 => Self::High,
            _ => Self::XHigh,
        }
    }

    fn step(self) -> u8 {
        match self {
            Self::Minimal => 0,
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 3,
            Self::XHigh => 4,
            Self::Max => 5,
            Self::Ultra => 6,
        }
    }
}

/// How much reasoning a model id's suffix asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effort {
    /// No reasoning.
    Off,
    /// The model decides.
    Auto,
    /// A named step.
    Level(Level),
    /// A number of thinking tokens.
    Budget(u32),
}

impl Effort {
    /// The effort a suffix word means; `None` when the word is no suffix.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        if word == "0" || word.eq_ignore_ascii_case("none") || word.eq_ignore_ascii_case("off") {
            return Some(Self::Off);
        }
        if word == "-1" || word.eq_ignore_ascii_case("auto") {
            return Some(Self::Auto);
        }
        if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
            // more digits than fit is still a number: the ceiling
            let tokens = word.parse::<u32>().unwrap_or(MAX_BUDGET).min(MAX_BUDGET);
            return Some(if tokens == 0 { Self::Off } else { Self::Budget(tokens) });
        }
        Level::parse(word).map(Self::Level)
    }

    /// Splits `model(word)` at the last `(`. Parentheses that hold no effort belong to the id.
    #[must_use]
    pub fn split_suffix(id: &str) -> (&str, Option<Self>) {
        let split = id.strip_suffix(')').and_then(|head| head.rsplit_once('('));
        match split {
            Some((model, word)) if !model.is_empty() => match Self::parse(word) {
                Some(effort) => (model, Some(effort)),
                None => (id, None),
            },
            _ => (id, None),
        }
    }

    /// Thinking tokens asked for; `None` for [`Effort::Auto`].
    #[must_use]
    pub fn budget(self) -> Option<u32> {
        match self {
            Self::Off => Some(0),
            Self::Auto => None,
            Self::Level(level) => Some(level.budget()),
            Self::Budget(tokens) => Some(tokens),
        }
    }

    /// The named step; `None` for off and auto.
    #[must_use]
    pub fn level(self) -> Option<Level> {
        match self {
            Self::Off | Self::Auto => None,
            Self::Level(level) => Some(level),
            Self::Budget(tokens) => Some(Level::of_budget(tokens)),
        }
    }
}

/// The efforts a model accepts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Levels {
    steps: Vec<Level>,
    none: bool,
}

impl Levels {
    /// True when `level` is accepted as it is.
    #[must_use]
    pub fn has(&self, level: Level) -> bool {
        self.steps.contains(&level)
    }

    /// True when the word `none` is accepted.
    #[must_use]
    pub fn has_none(&self) -> bool {
        self.none
    }

    /// The accepted steps, lowest first.
    #[must_use]
    pub fn steps(&self) -> &[Level] {
        &self.steps
    }

    /// The lowest accepted step.
    #[must_use]
    pub fn lowest(&self) -> Option<Level> {
        self.steps.first().copied()
    }

    /// The highest accepted step.
    #[must_use]
    pub fn highest(&self) -> Option<Level> {
        self.steps.last().copied()
    }

    /// The accepted step nearest to `level`; of two equally near, the lower one.
    #[must_use]
    pub fn nearest(&self, level: Level) -> Option<Level> {
        if level == Level::Ultra {
            return self.highest();
        }
        // min_by_key keeps the first of equals, and steps are sorted upwards: ties go down
        self.steps.iter().copied().min_by_key(|l| l.step().abs_diff(level.step()))
    }
}

impl TryFrom<Vec<String>> for Levels {
    type Error = UnknownLevel;

    fn try_from(words: Vec<String>) -> Result<Self, Self::Error> {
        let mut levels = Self::default();
        for word in words {
            if word == "none" {
                levels.none = true;
            } else {
                levels.steps.push(Level::parse(&word).ok_or(UnknownLevel(word))?);
            }
        }
        levels.steps.sort_unstable();
        levels.steps.dedup();
        Ok(levels)
    }
}

/// A word in a list of levels names no level.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown effort level `{0}`; use none, minimal, low, medium, high, xhigh, max or ultra")]
pub struct UnknownLevel(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_words_mean_what_the_grammar_says() {
        let cases = [
            ("none", Some(Effort::Off)),
            ("OFF", Some(Effort::Off)),
            ("0", Some(Effort::Off)),
            ("00", Some(Effort::Off)),
            ("auto", Some(Effort::Auto)),
            ("-1", Some(Effort::Auto)),
            ("8192", Some(Effort::Budget(8_192))),
            ("99999999999999", Some(Effort::Budget(128_000))),
            ("High", Some(Effort::Level(Level::High))),
            ("ultra", Some(Effort::Level(Level::Ultra))),
            ("", None),
            ("-2", None),
            ("+3", None),
            ("bar", None),
        ];
        for (word, want) in cases {
            assert_eq!(Effort::parse(word), want, "{word}");
        }
    }

    #[test]
    fn parentheses_without_an_effort_stay_in_the_id() {
        assert_eq!(Effort::split_suffix("foo(bar)"), ("foo(bar)", None));
        assert_eq!(
            Effort::split_suffix("foo(bar)(low)"),
            ("foo(bar)", Some(Effort::Level(Level::Low)))
        );
        assert_eq!(Effort::split_suffix("foo(low"), ("foo(low", None));
        assert_eq!(Effort::split_suffix("(low)"), ("(low)", None));
        assert_eq!(Effort::split_suffix("m()"), ("m()", None));
    }

    #[test]
    fn budgets_and_levels_use_the_same_bounds() {
        let cases = [
            (1, Level::Minimal),
            (512, Level::Minimal),
            (513, Level::Low),
            (1_024, Level::Low),
            (1_025, Level::Medium),
            (8_192, Level::Medium),
            (24_576, Level::High),
            (24_577, Level::XHigh),
            (u32::MAX, Level::XHigh),
        ];
        for (tokens, want) in cases {
            assert_eq!(Level::of_budget(tokens), want, "{tokens}");
        }
    }

    #[test]
    fn nearest_level_breaks_ties_downwards() {
        let levels = |words: &[&str]| {
            Levels::try_from(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(levels(&["high", "low"]).nearest(Level::Medium), Some(Level::Low));
        assert_eq!(levels(&["low", "high"]).nearest(Level::Max), Some(Level::High));
        assert_eq!(levels(&["high", "max"]).nearest(Level::Minimal), Some(Level::High));
        assert_eq!(levels(&["low", "max"]).nearest(Level::Ultra), Some(Level::Max));
        assert_eq!(levels(&["none"]).nearest(Level::Low), None);
        assert!(levels(&["none", "low"]).has_none());
    }
}
