//! What Antigravity takes of a request, told in the neutral form (providers §3.4).

use super::makes_images;
use crate::effort::Effort;
use crate::ir::{Part, Request};
use crate::translate::{Envelope, Target, WarningKind, Warnings};

/// The most that Claude may write there, tokens.
const CLAUDE_MAX: u32 = 64_000;
/// Room for the answer beside a thinking budget, tokens.
const ANSWER_ROOM: u32 = 8192;
/// The least thinking budget of Claude, tokens.
const LEAST_BUDGET: u32 = 1024;

/// Takes out of the history what is not taken back: reasoning, save that which Claude signed.
pub(crate) fn fit_history(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    if target.envelope != Envelope::Antigravity {
        return;
    }
    let claude = target.is_code_assist_claude();
    let only_text = makes_images(&target.model);
    let mut dropped = false;
    for turn in &mut request.turns {
        turn.parts.retain(|part| {
            let keeps = match part {
                Part::Text(_) | Part::SystemNote { .. } | Part::Refusal { .. } => true,
                Part::Thinking(thinking) => claude && thinking.signature.is_some() && !only_text,
                _ => !only_text,
            };
            dropped |= !keeps;
            keeps
        });
    }
    if only_text {
        dropped |= !std::mem::take(&mut request.tools).is_empty();
        request.tool_choice = None;
    }
    if dropped {
        warnings.push(WarningKind::Dropped, "contents.parts", "the target does not take them");
    }
}

/// Takes out or bounds the parameters that Antigravity is particular about. Comes after effort and caps
/// were fitted to the model.
pub(crate) fn fit_parameters(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    if target.envelope != Envelope::Antigravity {
        return;
    }
    if request.safety_settings.take().is_some() {
        warnings.push(WarningKind::Dropped, "safetySettings", "the target does not take them");
    }
    if !target.is_code_assist_claude() {
        if request.max_tokens.take().is_some() {
            let note = "the target refuses a cap for this model";
            warnings.push(WarningKind::Dropped, "maxOutputTokens", note);
        }
        return;
    }
    if let Some(most) = request.max_tokens.as_mut().filter(|most| **most > CLAUDE_MAX) {
        *most = CLAUDE_MAX;
        warnings.push(WarningKind::Clamped, "maxOutputTokens", "to 64000");
    }
    let effort = request.reasoning.effort.filter(|effort| *effort != Effort::Off);
    let Some(wanted) = effort.and_then(Effort::budget) else { return };
    let room = || wanted.saturating_add(ANSWER_ROOM).min(CLAUDE_MAX);
    let cap = *request.max_tokens.get_or_insert_with(room);
    if cap > wanted {
        return;
    }
    let budget = cap.saturating_sub(1);
    request.reasoning.effort = (budget >= LEAST_BUDGET).then_some(Effort::Budget(budget));
    let note = "the output cap leaves less room for it";
    warnings.push(WarningKind::Clamped, "thinkingBudget", note);
}
