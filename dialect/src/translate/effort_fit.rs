//! How much reasoning a model can be asked for (translation §1.6).

use crate::effort::{Effort, Level};

use super::{BudgetCaps, LevelCaps, ThinkingCaps};

/// The effort nearest to what was asked that the model takes; `None` = nothing is asked of it.
pub fn fit_effort(effort: Effort, caps: &ThinkingCaps) -> Option<Effort> {
    let effort = if effort == Effort::Budget(0) { Effort::Off } else { effort };
    match caps {
        ThinkingCaps::Unknown | ThinkingCaps::Switch => Some(effort),
        ThinkingCaps::None => None,
        ThinkingCaps::Budget(caps) => Some(to_budget(effort, *caps)),
        ThinkingCaps::Levels(caps) | ThinkingCaps::Adaptive(caps) => Some(to_level(effort, caps)),
        ThinkingCaps::Hybrid(budget, levels) => Some(match effort {
            Effort::Budget(_) => to_budget(effort, *budget),
            Effort::Off if budget.off => Effort::Off,
            Effort::Off | Effort::Auto | Effort::Level(_) => to_level(effort, levels),
        }),
    }
}

fn to_budget(effort: Effort, caps: BudgetCaps) -> Effort {
    match effort.budget() {
        Some(0) if caps.off => Effort::Off,
        Some(tokens) => Effort::Budget(tokens.clamp(caps.min, caps.max.max(caps.min))),
        None if caps.dynamic => Effort::Auto,
        None => Effort::Budget(caps.min.midpoint(caps.max)),
    }
}

fn to_level(effort: Effort, caps: &LevelCaps) -> Effort {
    let nearest = |level| Effort::Level(caps.levels.nearest(level).unwrap_or(level));
    match effort {
        Effort::Off if caps.off || caps.levels.has_none() => Effort::Off,
        Effort::Off => Effort::Level(caps.levels.lowest().unwrap_or(Level::Low)),
        Effort::Auto if caps.dynamic => Effort::Auto,
        Effort::Auto => nearest(Level::Medium),
        Effort::Level(level) => nearest(level),
        Effort::Budget(tokens) => nearest(Level::of_budget(tokens)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::family::family_caps;

    fn fitted(effort: Effort, model: &str) -> Option<Effort> {
        fit_effort(effort, &family_caps(model).thinking)
    }

    #[test]
    fn t093_to_t096_efforts_are_fitted_to_the_model() {
        let level = |level| Some(Effort::Level(level));
        let budget = |tokens| Some(Effort::Budget(tokens));
        let asked = Effort::Level;
        for (effort, model, want) in [
            (Effort::Budget(5000), "o3", level(Level::Medium)),
            (Effort::Budget(1024), "o3", level(Level::Low)),
            (Effort::Budget(30_000), "gpt-5.2", level(Level::XHigh)),
            (Effort::Budget(30_000), "o3", level(Level::High)),
            (asked(Level::Minimal), "gemini-2.5-pro", budget(512)),
            (asked(Level::Minimal), "gemini-2.5-flash-lite", budget(512)),
            (Effort::Off, "gemini-2.5-pro", budget(128)),
            (Effort::Off, "gemini-2.5-flash", Some(Effort::Off)),
            (Effort::Auto, "gemini-2.5-pro", Some(Effort::Auto)),
            (asked(Level::Medium), "gemini-3-pro-preview", level(Level::Low)),
            (Effort::Off, "gpt-5", level(Level::Minimal)),
            (Effort::Off, "gpt-5.1", Some(Effort::Off)),
            (asked(Level::Max), "claude-sonnet-4-5", budget(63_999)),
            (asked(Level::XHigh), "claude-opus-4-6", level(Level::High)),
            (Effort::Budget(2000), "claude-opus-4-6", budget(2000)),
            (Effort::Budget(2000), "claude-opus-4-7", level(Level::Medium)),
            (asked(Level::High), "gpt-4o", None),
            (asked(Level::High), "somebody/elses-model", level(Level::High)),
            (asked(Level::Ultra), "gpt-5.2", level(Level::XHigh)),
        ] {
            assert_eq!(fitted(effort, model), want, "{model} {effort:?}");
        }
        let fixed = BudgetCaps { min: 100, max: 300, off: false, dynamic: false };
        assert_eq!(fit_effort(Effort::Auto, &ThinkingCaps::Budget(fixed)), budget(200));
    }
}
