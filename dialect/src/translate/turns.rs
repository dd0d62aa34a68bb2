//! Puts turns into the order and form that the target takes (translation §2.2, §2.3).

use super::{Target, TranslateError, WarningKind, Warnings};
use crate::Dialect;
use crate::ir::{Part, Request, Role, SigFamily, Str, TextPart, Turn};

/// Stands for what the user said before a conversation that begins with the model.
const SOMETHING: &str = "…";
/// Makes a model go on that does not take an unfinished turn of its own.
const GO_ON: &str = "Continue.";
/// Claude Code's note on its own billing: noise for anybody else, and another one each time.
const BILLING_NOTE: &str = "x-anthropic-billing-header:";

/// Arranges the conversation for the target.
///
/// # Errors
/// When nothing is left to be said.
pub fn arrange(
    request: &mut Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<(), TranslateError> {
    drop_billing_note(request, target);
    request.system.retain(|part| !is_empty(&part.text, target));
    place_notes(&mut request.turns, target);
    drop_empty(&mut request.turns, target);
    if merges_turns(target) {
        let turns = std::mem::take(&mut request.turns);
        request.turns = merged(turns, |_, _| true);
    } else if target.dialect == Dialect::Chat {
        // Items of Responses are one message here.
        let turns = std::mem::take(&mut request.turns);
        request.turns = merged(turns, |before, after| {
            before.role == Role::Assistant && after.role == Role::Assistant
        });
    }
    drop_mere_thoughts(&mut request.turns, target);
    request.turns.iter_mut().for_each(|turn| arrange_parts(turn, target));
    begin(request, target, warnings)?;
    end(request, target, warnings);
    Ok(())
}

fn drop_billing_note(request: &mut Request, target: &Target) {
    let is_claude = target.dialect == Dialect::Anth
        && matches!(target.family, SigFamily::Claude | SigFamily::Unknown);
    if !is_claude {
        request.system.retain(|part| !part.text.trim_start().starts_with(BILLING_NOTE));
    }
}

/// Anthropic refuses text of white space only; nobody wants text of nothing.
fn is_empty(text: &str, target: &Target) -> bool {
    if target.dialect == Dialect::Anth { text.trim().is_empty() } else { text.is_empty() }
}

fn merges_turns(target: &Target) -> bool {
    matches!(target.dialect, Dialect::Anth | Dialect::Gem)
}

/// Puts notes into words where the target has no role for them. They stay where they are: to move them
/// to the front would change the beginning of every later request, which caches live on.
fn place_notes(turns: &mut [Turn], target: &Target) {
    let has_role = match target.dialect {
        Dialect::Resp => true,
        Dialect::Chat => target.profile.mid_system_ok,
        Dialect::Anth | Dialect::Gem => false,
    };
    if has_role {
        return;
    }
    for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let Part::SystemNote { text, cache, .. } = part {
            let text = if text.trim().is_empty() { Str::new() } else { reminder(text) };
            *part = Part::Text(TextPart { text, cache: cache.take(), ..TextPart::default() });
        }
    }
}

/// Instructions between turns, as text that models take for such.
pub fn reminder(text: &str) -> Str {
    format!("<system-reminder>\n{text}\n</system-reminder>").into()
}

/// Drops empty texts, and the turns that hold nothing else.
fn drop_empty(turns: &mut Vec<Turn>, target: &Target) {
    for turn in turns.iter_mut() {
        turn.parts.retain(|part| match part {
            Part::Text(part) => part.signature.is_some() || !is_empty(&part.text, target),
            _ => true,
        });
    }
    keep_turns(turns, |turn| !turn.parts.is_empty());
}

/// Drops turns of reasoning alone, unless it is signed: without a word or a proof it says nothing.
fn drop_mere_thoughts(turns: &mut Vec<Turn>, target: &Target) {
    let proves = target.dialect != Dialect::Chat;
    keep_turns(turns, |turn| {
        turn.parts.iter().any(|part| match part {
            Part::Thinking(thinking) => proves && thinking.signature.is_some(),
            Part::Redacted { .. } => proves,
            _ => true,
        })
    });
}

/// Drops all other turns. Turns of one role that become neighbours by that are one.
fn keep_turns(turns: &mut Vec<Turn>, keep: impl Fn(&Turn) -> bool) {
    let mut gap = false;
    let mut kept: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns.drain(..) {
        if !keep(&turn) {
            gap = true;
            continue;
        }
        match kept.last_mut() {
            Some(before)
                if gap && before.role == turn.role && !is_note(before) && !is_note(&turn) =>
            {
                before.absorb(turn);
            }
            _ => kept.push(turn),
        }
        gap = false;
    }
    *turns = kept;
}

fn is_note(turn: &Turn) -> bool {
    turn.parts.iter().any(|part| matches!(part, Part::SystemNote { .. }))
}

/// Joins neighbours of the same role.
fn merged(turns: Vec<Turn>, joins: impl Fn(&Turn, &Turn) -> bool) -> Vec<Turn> {
    let mut out: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns {
        match out.last_mut() {
            Some(before) if before.role == turn.role && joins(before, &turn) => {
                before.absorb(turn);
            }
            _ => out.push(turn),
        }
    }
    out
}

fn arrange_parts(turn: &mut Turn, target: &Target) {
    match turn.role {
        // Results answer the turn before; all targets want them first.
        Role::User => turn.parts.sort_by_key(|part| !matches!(part, Part::ToolResult(_))),
        Role::Assistant if target.profile.anth_strict_tool_tail => {
            let is_call = |part: &Part| matches!(part, Part::ToolUse(_));
            let Some(first) = turn.parts.iter().position(is_call) else { return };
            if let Some(tail) = turn.parts.get_mut(first..) {
                tail.sort_by_key(is_call);
            }
        }
        Role::Assistant => {}
    }
}

fn begin(
    request: &mut Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<(), TranslateError> {
    let kept_elsewhere = request.previous_response_id.is_some()
        || request.conversation.is_some()
        || request.cache.cached_content.is_some();
    let Some(first) = request.turns.first() else {
        if request.system.is_empty() && !kept_elsewhere {
            return Err(TranslateError::Invalid {
                param: target.dialect.turns_key().into(),
                message: "messages: at least one message is required".into(),
            });
        }
        if target.dialect != Dialect::Chat && !request.system.is_empty() {
            // Instructions alone are no conversation to these.
            let texts: Vec<&str> = request.system.iter().map(|part| &*part.text).collect();
            let turn = Turn::new(Role::User, vec![Part::text(texts.join("\n\n"))]);
            request.turns.push(turn);
            request.system.clear();
            warnings.push(WarningKind::Changed, "system", "it became the first message");
        }
        return Ok(());
    };
    if first.role == Role::Assistant && merges_turns(target) {
        request.turns.insert(0, Turn::new(Role::User, vec![Part::text(SOMETHING)]));
        let field = target.dialect.turns_key();
        warnings.push(WarningKind::Added, field, "a first message of the user");
    }
    Ok(())
}

/// A last turn of the model is one that it is to go on with. Not all can.
fn end(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    let goes_on = match target.dialect {
        Dialect::Anth => target.is_messages() && target.caps.prefill != Some(false),
        Dialect::Chat => return,
        Dialect::Resp | Dialect::Gem => false,
    };
    let Some(last) = request.turns.last_mut().filter(|turn| turn.role == Role::Assistant) else {
        return;
    };
    if last.parts.iter().any(|part| matches!(part, Part::ToolUse(_))) {
        return;
    }
    if goes_on {
        if let Some(Part::Text(part)) = last.parts.last_mut() {
            part.text = part.text.slice_ref(part.text.trim_end());
        }
        return;
    }
    request.turns.push(Turn::new(Role::User, vec![Part::text(GO_ON)]));
    let field = target.dialect.turns_key();
    warnings.push(WarningKind::Added, field, "a message that asks the model to go on");
}

#[cfg(test)]
mod tests;
