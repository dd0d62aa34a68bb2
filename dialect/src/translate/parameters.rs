//! Fits the parameters of a request to the target: output cap, reasoning, sampling, stop texts, speed
//! class, sound (translation §1.6, §2.1).

use crate::Dialect;
use crate::effort::Effort;
use crate::ir::{Request, ServiceTier, Str};

use super::effort_fit::fit_effort;
use super::{Target, ThinkingCaps, TranslateError, WarningKind, Warnings, sound};

/// Output cap for Messages where neither the client nor the catalog names one, tokens.
const UNKNOWN_MAX: u32 = 8192;
/// The most that Messages is given when the client names no cap, tokens.
const USUAL_MAX: u32 = 32_000;
/// Room for the answer beside a thinking budget, tokens.
const ANSWER_ROOM: u32 = 8192;
/// Thinking budget where the client leaves it to the model, tokens.
const AUTO_BUDGET: u32 = 10_000;
/// Least thinking budget of Messages, tokens.
const LEAST_BUDGET: u32 = 1024;
const CHAT_STOPS: usize = 4;
const GEMINI_STOPS: usize = 5;

/// Fits what can be fitted, with a warning for each change.
///
/// # Errors
/// None so far; the signature is that of all steps.
pub fn fit(
    request: &mut Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<(), TranslateError> {
    let mut fit = Fit { request, target, warnings };
    fit.effort();
    fit.max_tokens();
    fit.sampling();
    fit.stop();
    fit.service_tier();
    fit.sound();
    Ok(())
}

struct Fit<'a> {
    request: &'a mut Request,
    target: &'a Target,
    warnings: &'a mut Warnings,
}

impl Fit<'_> {
    fn is_anth(&self) -> bool {
        self.target.dialect == Dialect::Anth
    }

    fn clamped(&mut self, field: &'static str, note: String) {
        self.warnings.push(WarningKind::Clamped, field, note);
    }

    fn dropped(&mut self, field: &'static str, note: &'static str) {
        self.warnings.push(WarningKind::Dropped, field, note);
    }

    fn effort(&mut self) {
        let Some(asked) = self.request.reasoning.effort else { return };
        let fitted = fit_effort(asked, &self.target.caps.thinking);
        self.request.reasoning.effort = fitted;
        match fitted {
            None if asked != Effort::Off => self.dropped("reasoning", "the model does not reason"),
            // Another unit for the same amount is no loss.
            Some(fitted) if fitted.level() != asked.level() && asked != Effort::Auto => {
                self.clamped("reasoning", "to what the model takes".to_owned());
            }
            _ => {}
        }
    }

    fn max_tokens(&mut self) {
        if self.request.max_tokens == Some(0) {
            self.request.max_tokens = None;
            self.dropped("max_tokens", "not above 0");
        }
        if let (Some(asked), Some(most)) = (self.request.max_tokens, self.target.caps.max_output)
            && asked > most
        {
            self.request.max_tokens = Some(most);
            self.clamped("max_tokens", format!("{asked} to {most}"));
        }
        if self.target.is_messages() {
            self.thinking_budget();
            // Messages demands a cap; nobody else is given one that the client did not ask for.
            let usual = self.target.caps.max_output.map_or(UNKNOWN_MAX, |most| most.min(USUAL_MAX));
            self.request.max_tokens.get_or_insert(usual);
        }
    }

    /// The budget of Messages counts as output and must be smaller than the cap.
    fn thinking_budget(&mut self) {
        let Some(wanted) = self.budget() else { return };
        let wanted = wanted.max(LEAST_BUDGET);
        let room = match self.request.max_tokens {
            Some(most) => most,
            None => {
                let most = self.target.caps.max_output.unwrap_or(u32::MAX);
                let room = most.min(wanted.saturating_add(ANSWER_ROOM));
                *self.request.max_tokens.insert(room)
            }
        };
        let budget = wanted.min(room.saturating_sub(1));
        if budget < LEAST_BUDGET {
            self.request.reasoning.effort = None;
            self.dropped("thinking", "max_tokens leaves no room for it");
            return;
        }
        if budget < wanted {
            self.clamped("thinking.budget_tokens", format!("{wanted} to {budget}"));
        }
        self.request.reasoning.effort = Some(Effort::Budget(budget));
    }

    /// The tokens that a model which reasons by budget is to be given.
    fn budget(&self) -> Option<u32> {
        let effort = self.request.reasoning.effort?;
        let by_budget = match &self.target.caps.thinking {
            ThinkingCaps::Budget(_) | ThinkingCaps::Unknown => true,
            ThinkingCaps::Hybrid(..) => matches!(effort, Effort::Budget(_)),
            ThinkingCaps::None
            | ThinkingCaps::Switch
            | ThinkingCaps::Levels(_)
            | ThinkingCaps::Adaptive(_) => false,
        };
        match effort {
            Effort::Off => None,
            Effort::Auto => Some(AUTO_BUDGET),
            Effort::Level(_) | Effort::Budget(_) => effort.budget(),
        }
        .filter(|_| by_budget)
    }

    fn sampling(&mut self) {
        if self.target.caps.default_sampling_only {
            return self.default_sampling();
        }
        let most = if self.is_anth() { 1.0 } else { 2.0 };
        if let Some(asked) = self.request.sampling.temperature {
            let fitted = asked.clamp(0.0, most);
            if fitted != asked {
                self.request.sampling.temperature = Some(fitted);
                self.clamped("temperature", format!("{asked} to {fitted}"));
            }
        }
        if self.is_anth() {
            self.claude_sampling();
        }
    }

    fn default_sampling(&mut self) {
        let sampling = &mut self.request.sampling;
        let taken = [
            sampling.temperature.take().is_some(),
            sampling.top_p.take().is_some(),
            sampling.top_k.take().is_some(),
            sampling.frequency_penalty.take().is_some(),
            sampling.presence_penalty.take().is_some(),
            self.request.logprobs.take().is_some(),
            self.request.top_logprobs.take().is_some(),
        ];
        let fields = [
            "temperature",
            "top_p",
            "top_k",
            "frequency_penalty",
            "presence_penalty",
            "logprobs",
            "top_logprobs",
        ];
        for (field, _) in fields.into_iter().zip(taken).filter(|(_, taken)| *taken) {
            self.dropped(field, "the model takes its default only");
        }
    }

    fn claude_sampling(&mut self) {
        let thinks = self.request.reasoning.effort.is_some_and(|effort| effort != Effort::Off);
        let sampling = &mut self.request.sampling;
        let mut gone = Vec::new();
        if thinks {
            if sampling.temperature.take().is_some() {
                gone.push("temperature");
            }
            if sampling.top_k.take().is_some() {
                gone.push("top_k");
            }
            if sampling.top_p.take_if(|top_p| !(0.95..=1.0).contains(top_p)).is_some() {
                gone.push("top_p");
            }
        }
        let both = sampling.temperature.is_some() && sampling.top_p.is_some();
        if both && refuses_both(&self.target.model) {
            sampling.top_p = None;
            gone.push("top_p");
        }
        gone.into_iter().for_each(|field| self.dropped(field, "the model refuses it here"));
    }

    fn stop(&mut self) {
        let before = self.request.stop.len();
        let stop = &mut self.request.stop;
        match self.target.dialect {
            Dialect::Chat if self.target.caps.default_sampling_only => stop.clear(),
            Dialect::Chat => stop.truncate(CHAT_STOPS),
            Dialect::Gem => stop.truncate(GEMINI_STOPS),
            Dialect::Anth => stop.retain(|text| !text.trim().is_empty()),
            Dialect::Resp => stop.clear(),
        }
        let after = self.request.stop.len();
        if after < before {
            self.clamped("stop", format!("{before} to {after} texts"));
        }
    }

    /// Chat wants a format named. Its streams have raw samples only.
    fn sound(&mut self) {
        if self.target.dialect == Dialect::Chat
            && let Some(audio) = &mut self.request.audio
        {
            let usual = if self.request.stream { sound::RAW } else { "wav" };
            audio.format.get_or_insert(Str::from_static(usual));
        }
    }

    /// The dialects use the same words for different things.
    fn service_tier(&mut self) {
        let Some(tier) = self.request.service_tier.take() else { return };
        let open_ai = |dialect| matches!(dialect, Dialect::Chat | Dialect::Resp);
        let to = self.target.dialect;
        let name = match (tier.dialect, to) {
            (from, to) if from == to || (open_ai(from) && open_ai(to)) => Some(tier.name.clone()),
            (from, Dialect::Anth) if open_ai(from) => match &*tier.name {
                "default" => Some("standard_only".into()),
                "auto" | "priority" | "flex" => Some("auto".into()),
                _ => None,
            },
            (Dialect::Anth, to) if open_ai(to) => match &*tier.name {
                "standard_only" => Some("default".into()),
                "auto" => Some("auto".into()),
                _ => None,
            },
            _ => None,
        };
        if name.is_none() {
            self.dropped("service_tier", "no such class there");
        }
        self.request.service_tier = name.map(|name: Str| ServiceTier { dialect: to, name });
    }
}

/// Claude from 4.1 on refuses `temperature` beside `top_p`.
fn refuses_both(model: &str) -> bool {
    let older = ["claude-3", "claude-2", "claude-opus-4-0", "claude-sonnet-4-0", "-4-2025"];
    model.contains("claude") && !older.iter().any(|mark| model.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::super::family::family_caps;
    use super::*;
    use crate::effort::Level;
    use crate::ir::{Reasoning, Sampling};

    fn target(dialect: Dialect, model: &str) -> Target {
        Target { caps: family_caps(model), ..Target::new(dialect, model) }
    }

    fn fitted(mut request: Request, target: &Target) -> Request {
        fit(&mut request, target, &mut Warnings::default()).unwrap();
        request
    }

    fn thinking(effort: Effort, max_tokens: Option<u32>) -> Request {
        let reasoning = Reasoning { effort: Some(effort), ..Reasoning::default() };
        Request { reasoning, max_tokens, ..Request::default() }
    }

    #[test]
    fn t085_messages_gets_an_output_cap() {
        for (dialect, model, asked, want) in [
            (Dialect::Anth, "claude-sonnet-4-5", None, Some(32_000)),
            (Dialect::Anth, "claude-3-haiku", None, Some(4096)),
            (Dialect::Anth, "m", None, Some(8192)),
            (Dialect::Anth, "m", Some(50), Some(50)),
            (Dialect::Anth, "claude-3-haiku", Some(9000), Some(4096)),
            (Dialect::Anth, "m", Some(0), Some(8192)),
            (Dialect::Chat, "m", None, None),
            (Dialect::Chat, "gpt-4o", Some(128_000), Some(16_384)),
        ] {
            let request = Request { max_tokens: asked, ..Request::default() };
            let got = fitted(request, &target(dialect, model)).max_tokens;
            assert_eq!(got, want, "{dialect:?} {model} {asked:?}");
        }
    }

    #[test]
    fn t091_t092_budget_and_cap_fit_each_other() {
        let high = Effort::Level(Level::High);
        for (model, effort, asked, effort_wanted, max_wanted) in [
            ("claude-sonnet-4-5", high, None, Some(Effort::Budget(24_576)), 32_768),
            ("m", high, None, Some(Effort::Budget(24_576)), 32_768),
            ("m", high, Some(4000), Some(Effort::Budget(3999)), 4000),
            ("m", high, Some(1000), None, 1000),
            ("m", Effort::Auto, None, Some(Effort::Budget(10_000)), 18_192),
            ("m", Effort::Auto, Some(5000), Some(Effort::Budget(4999)), 5000),
            ("claude-opus-4-7", high, None, Some(high), 32_000),
            ("claude-opus-4-6", Effort::Auto, None, Some(Effort::Auto), 32_000),
            ("m", Effort::Off, None, Some(Effort::Off), 8192),
        ] {
            let got = fitted(thinking(effort, asked), &target(Dialect::Anth, model));
            let got = (got.reasoning.effort, got.max_tokens);
            assert_eq!(got, (effort_wanted, Some(max_wanted)), "{model} {effort:?} {asked:?}");
        }
    }

    #[test]
    fn t086_t087_sampling_is_what_the_model_takes() {
        let hot = Sampling {
            temperature: Some(1.7),
            top_p: Some(0.5),
            top_k: Some(3),
            ..Sampling::default()
        };
        let sampled = |request: Request, dialect, model| {
            let request = Request { sampling: hot, ..request };
            let got = fitted(request, &target(dialect, model)).sampling;
            (got.temperature, got.top_p, got.top_k)
        };
        let none = (None, None, None);
        let plain = Request::default;
        assert_eq!(sampled(plain(), Dialect::Anth, "m"), (Some(1.0), Some(0.5), Some(3)));
        let claude = sampled(plain(), Dialect::Anth, "claude-sonnet-4-5");
        assert_eq!(claude, (Some(1.0), None, Some(3)));
        let thinks = thinking(Effort::Auto, None);
        assert_eq!(sampled(thinks, Dialect::Anth, "m"), none);
        assert_eq!(sampled(plain(), Dialect::Anth, "claude-opus-4-7"), none);
        assert_eq!(sampled(plain(), Dialect::Chat, "gpt-5"), none);
        assert_eq!(sampled(plain(), Dialect::Chat, "m").0, Some(1.7));
    }

    #[test]
    fn t088_t089_stop_texts_are_as_many_as_the_dialect_takes() {
        let texts = ["a", " ", "b", "c", "d", "e", "f"];
        for (dialect, model, want) in [
            (Dialect::Chat, "m", 4),
            (Dialect::Chat, "o3", 0),
            (Dialect::Gem, "m", 5),
            (Dialect::Anth, "m", 6),
            (Dialect::Resp, "m", 0),
        ] {
            let stop = texts.iter().map(|text| (*text).into()).collect();
            let got = fitted(Request { stop, ..Request::default() }, &target(dialect, model));
            assert_eq!(got.stop.len(), want, "{dialect:?} {model}");
        }
    }

    #[test]
    fn t101_speed_classes_are_translated() {
        use Dialect::{Anth, Chat, Gem, Resp};
        for (from, name, to, want) in [
            (Chat, "default", Anth, Some("standard_only")),
            (Chat, "flex", Anth, Some("auto")),
            (Chat, "priority", Resp, Some("priority")),
            (Anth, "standard_only", Chat, Some("default")),
            (Anth, "auto", Anth, Some("auto")),
            (Chat, "auto", Gem, None),
            (Resp, "scale", Anth, None),
        ] {
            let tier = ServiceTier { dialect: from, name: name.into() };
            let request = Request { service_tier: Some(tier), ..Request::default() };
            let got = fitted(request, &target(to, "m")).service_tier;
            assert_eq!(got.as_ref().map(|tier| &*tier.name), want, "{from:?} {name} {to:?}");
            assert!(got.is_none_or(|tier| tier.dialect == to));
        }
    }
}
