//! Decides which reasoning of the history goes to the target (translation §2.7).
//!
//! Proof of reasoning is only worth something to the family of models that made it. A foreign one is a
//! refusal upstream, and one made up would be a lie: both are left out. What the client lost is looked up
//! in the memory of answers.

use super::signature::{NoteKey, Signatures, classify};
use super::{Target, ThinkingCaps, TranslateError, WarningKind, Warnings};
use crate::Dialect;
use crate::effort::Effort;
use crate::ir::{
    Part, Request, Role, SigFamily, Signature, Str, Summary, TextPart, Thinking, Turn,
};
use crate::profile::Quirk;

/// Keeps, drops or brings back reasoning. Afterwards every signature left is the target's own.
///
/// # Errors
/// None.
pub fn carry(
    request: &mut Request,
    client: Dialect,
    target: &Target,
    memory: &dyn Signatures,
    warnings: &mut Warnings,
) -> Result<(), TranslateError> {
    let carrier = Carrier { client, target, memory, family: family(target) };
    let mut dropped = false;
    for turn in &mut request.turns {
        turn.parts.retain_mut(|part| {
            let keeps = carrier.keep(part);
            dropped |= !keeps;
            keeps
        });
    }
    if dropped {
        let field = client.turns_key();
        warnings.push(WarningKind::Dropped, field, "reasoning that the target cannot verify");
    }
    if target.dialect == Dialect::Chat {
        carrier.echo(request);
    }
    if target.is_messages() && carrier.family == SigFamily::Claude {
        carrier.lead_calls(request, warnings);
        ask_for_words(request, client, target);
    }
    Ok(())
}

/// The family whose signatures the target verifies: as the catalog says, or by the model's name.
pub fn family(target: &Target) -> SigFamily {
    if target.family != SigFamily::Unknown {
        return target.family;
    }
    let model = target.model.to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| model.contains(word));
    if names(&["claude"]) {
        SigFamily::Claude
    } else if names(&["gemini"]) {
        SigFamily::Gemini
    } else if names(&["grok"]) {
        SigFamily::Grok
    } else if names(&["gpt-", "codex"]) {
        SigFamily::OpenAi
    } else {
        SigFamily::Unknown
    }
}

struct Carrier<'a> {
    client: Dialect,
    target: &'a Target,
    memory: &'a dyn Signatures,
    family: SigFamily,
}

impl Carrier<'_> {
    /// Whether the part may stay; what it may not keep is taken off it.
    fn keep(&self, part: &mut Part) -> bool {
        match part {
            Part::Thinking(thinking) => {
                self.settle(&mut thinking.signature);
                thinking.signature.is_some() || self.takes_unsigned()
            }
            Part::Redacted { seal, .. } => {
                let mut signature = Some(seal.clone());
                self.settle(&mut signature);
                match signature {
                    Some(own) => {
                        *seal = own;
                        true
                    }
                    None => false,
                }
            }
            Part::Text(TextPart { signature, .. }) | Part::Image { signature, .. } => {
                self.settle(signature);
                true
            }
            Part::ToolUse(call) => {
                self.settle(&mut call.signature);
                true
            }
            _ => true,
        }
    }

    /// Finds out who made a signature, and takes it away unless the target can use it.
    fn settle(&self, signature: &mut Option<Signature>) {
        let Some(known) = signature else { return };
        if known.family == SigFamily::Unknown {
            known.family =
                self.memory.family_of(&known.value).unwrap_or_else(|| classify(&known.value));
        }
        if known.family == SigFamily::Unknown && self.client == self.target.dialect {
            // The client talks as the target does: the conversation most likely began there.
            known.family = self.family;
        }
        let own = match self.target.dialect {
            // Chat has a place for Google's signatures alone.
            Dialect::Chat => known.family == SigFamily::Gemini && self.family == SigFamily::Gemini,
            Dialect::Resp | Dialect::Anth | Dialect::Gem => {
                known.family == self.family && (known.family != SigFamily::Unknown || self.is_kin())
            }
        };
        if !own {
            *signature = None;
        }
    }

    /// Whether client and target speak alike, so that what nobody knows is better kept.
    fn is_kin(&self) -> bool {
        self.client == self.target.dialect
    }

    /// Whether the target takes reasoning in words without proof.
    fn takes_unsigned(&self) -> bool {
        let profile = &self.target.profile;
        match self.target.dialect {
            Dialect::Anth => profile.unsigned_thinking_ok,
            Dialect::Chat => {
                profile.reasoning_history
                    || self.target.has(Quirk::ReasoningEchoAll)
                    || self.target.has(Quirk::ReasoningEchoToolCalls)
            }
            Dialect::Resp | Dialect::Gem => false,
        }
    }

    /// What a model of the target's family thought before one of these calls.
    fn remembered(&self, turn: &Turn) -> Option<Vec<Part>> {
        turn.parts.iter().find_map(|part| {
            let Part::ToolUse(call) = part else { return None };
            let found = self.memory.recall(self.family, &NoteKey::Call(call.id.clone()))?;
            (!found.reasoning.is_empty()).then_some(found.reasoning)
        })
    }

    /// Gives the upstream back the reasoning that it demands (DeepSeek): its own where it is known.
    fn echo(&self, request: &mut Request) {
        let all = self.target.has(Quirk::ReasoningEchoAll);
        let calls = self.target.has(Quirk::ReasoningEchoToolCalls);
        if !(all || calls) || request.reasoning.effort == Some(Effort::Off) {
            return;
        }
        for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
            let has_call = turn.parts.iter().any(|part| matches!(part, Part::ToolUse(_)));
            let has_words = turn
                .parts
                .iter()
                .any(|part| matches!(part, Part::Thinking(t) if !t.text.is_empty()));
            if has_words || !(all || has_call) {
                continue;
            }
            // A space is the least that is taken; words that the model never said would mislead it.
            let text = self.remembered(turn).map(|parts| words(&parts)).filter(|t| !t.is_empty());
            let text = text.unwrap_or_else(|| Str::from_static(" "));
            turn.parts.insert(0, Part::Thinking(Thinking { text, ..Thinking::default() }));
        }
    }

    /// Puts the reasoning that led to the turn's calls before them, where it is known.
    fn bring_back(&self, turn: &mut Turn) -> bool {
        let reasoning = self.remembered(turn);
        let known = reasoning.is_some();
        turn.parts.splice(0..0, reasoning.into_iter().flatten());
        known
    }

    /// Claude, when it reasons, wants its last calls to begin with the reasoning that led to them. It gets
    /// that of earlier calls too: the history stays what it was a request ago, and so does the prompt cache.
    fn lead_calls(&self, request: &mut Request, warnings: &mut Warnings) {
        if !request.reasoning.effort.is_some_and(|effort| effort != Effort::Off) {
            return;
        }
        let waits = request.turns.last().is_some_and(|turn| {
            turn.role == Role::User
                && turn.parts.iter().any(|part| matches!(part, Part::ToolResult(_)))
        });
        let mut last_is_lost = false;
        for turn in request.turns.iter_mut().filter(|turn| calls(turn)) {
            last_is_lost = !begins_with_reasoning(turn) && !self.bring_back(turn);
        }
        if !last_is_lost {
            return;
        }
        let refuses = match &self.target.caps.thinking {
            ThinkingCaps::Adaptive(_) | ThinkingCaps::Levels(_) | ThinkingCaps::None => false,
            // Told by steps, it is as tolerant as the models that know nothing else.
            ThinkingCaps::Hybrid(..) => {
                matches!(request.reasoning.effort, Some(Effort::Budget(_)))
            }
            ThinkingCaps::Unknown | ThinkingCaps::Switch | ThinkingCaps::Budget(_) => true,
        };
        if waits && refuses {
            request.reasoning.effort = None;
            warnings.push(
                WarningKind::Dropped,
                "reasoning",
                "the reasoning that led to the last tool calls is lost",
            );
        }
    }
}

fn calls(turn: &Turn) -> bool {
    turn.role == Role::Assistant && turn.parts.iter().any(|part| matches!(part, Part::ToolUse(_)))
}

fn begins_with_reasoning(turn: &Turn) -> bool {
    matches!(turn.parts.first(), Some(Part::Thinking(_) | Part::Redacted { .. }))
}

fn words(parts: &[Part]) -> Str {
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Thinking(thinking) => Some(&*thinking.text),
            _ => None,
        })
        .collect();
    texts.join("\n\n").into()
}

/// Models that reason as they like keep it to themselves unless asked for a summary.
fn ask_for_words(request: &mut Request, client: Dialect, target: &Target) {
    let adaptive = matches!(target.caps.thinking, ThinkingCaps::Adaptive(_));
    if adaptive && client != Dialect::Anth && request.reasoning.summary == Summary::Unset {
        request.reasoning.summary = Summary::Auto;
    }
}

#[cfg(test)]
mod tests;
