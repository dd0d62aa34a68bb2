//! Pairs calls of tools with their results (translation §2.4).
//!
//! Every upstream wants, right after a turn with calls, one result for each of them. Clients send less
//! than that: ids are missing or used twice, results come late, twice, or not at all. Nothing that they
//! said is lost; what cannot be paired is told in words.

use std::collections::{HashMap, HashSet};

use super::{Target, TranslateError, WarningKind, Warnings, ids};
use crate::Dialect;
use crate::ir::{
    Ext, FunctionTool, Part, RawJson, Request, Role, Str, Tool, ToolInput, ToolResult, ToolUse,
    Turn,
};

/// What stands for the result of a call that has none.
const NO_RESULT: &str = "[no result: the tool call was interrupted]";

/// Repairs the pairing of calls and results.
///
/// # Errors
/// None: what cannot be paired is put into words.
pub fn repair(
    request: &mut Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<(), TranslateError> {
    name_nameless(request, warnings);
    give_ids(request);
    let turns = std::mem::take(&mut request.turns);
    // The other half of a pair may be in what the upstream keeps.
    let continues = request.previous_response_id.is_some() || request.conversation.is_some();
    let keeps_orphans = target.dialect == Dialect::Resp && continues;
    let mut pairing = Pairing { calls: Vec::new(), by_id: HashMap::new(), keeps_orphans };
    let rest = pairing.collect(turns, target, warnings);
    request.turns = pairing.lay_out(rest, target, warnings);
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let Part::ToolResult(result) = part {
            tell_unknown_content(result, target.dialect);
        }
    }
    if target.profile.needs_tools_with_history && request.tools.is_empty() {
        declare_history(request, warnings);
    }
    Ok(())
}

/// A call in the history.
struct Call {
    turn: usize,
    part: usize,
    /// Its id as the client wrote it.
    id: Str,
    name: Str,
    result: Option<ToolResult>,
}

struct Pairing {
    calls: Vec<Call>,
    /// The calls of each id, in order.
    by_id: HashMap<Str, Vec<usize>>,
    keeps_orphans: bool,
}

impl Pairing {
    /// Takes the results out of the turns and hands each to its call.
    fn collect(
        &mut self,
        mut turns: Vec<Turn>,
        target: &Target,
        warnings: &mut Warnings,
    ) -> Vec<Turn> {
        for (at, turn) in turns.iter_mut().enumerate() {
            if turn.role == Role::Assistant {
                for (part, call) in turn.parts.iter().enumerate() {
                    if let Part::ToolUse(call) = call {
                        self.note(at, part, call);
                    }
                }
                continue;
            }
            let mut rest = Vec::with_capacity(turn.parts.len());
            for part in std::mem::take(&mut turn.parts) {
                match part {
                    Part::ToolResult(result) => match self.take(result) {
                        None => {}
                        Some(orphan) if self.keeps_orphans => {
                            rest.push(Part::ToolResult(orphan));
                        }
                        Some(orphan) => {
                            let field = target.dialect.turns_key();
                            warnings.push(
                                WarningKind::Changed,
                                field,
                                "a tool result without a call became text",
                            );
                            rest.extend(in_words(orphan));
                        }
                    },
                    part => rest.push(part),
                }
            }
            turn.parts = rest;
        }
        turns
    }

    fn note(&mut self, turn: usize, part: usize, call: &ToolUse) {
        let at = self.calls.len();
        self.by_id.entry(call.id.clone()).or_default().push(at);
        self.calls.push(Call {
            turn,
            part,
            id: call.id.clone(),
            name: call.name.clone(),
            result: None,
        });
    }

    /// Hands a result to the call it belongs to: that of the latest turn that has one of its id. Of
    /// several results for one call the last one counts: clients send corrected output again. An orphan
    /// comes back.
    fn take(&mut self, result: ToolResult) -> Option<ToolResult> {
        match self.owner(&result.id).and_then(|at| self.calls.get_mut(at)) {
            Some(call) => {
                call.result = Some(result);
                None
            }
            None => Some(result),
        }
    }

    fn owner(&self, id: &str) -> Option<usize> {
        let same_id = self.by_id.get(id)?;
        let turn = self.calls.get(*same_id.last()?)?.turn;
        let calls = || {
            same_id
                .iter()
                .copied()
                .filter(|at| self.calls.get(*at).is_some_and(|call| call.turn == turn))
        };
        let open = |at: &usize| self.calls.get(*at).is_some_and(|call| call.result.is_none());
        calls().find(open).or_else(|| calls().next_back())
    }

    /// Puts the results behind their calls, in the order of the calls.
    fn lay_out(self, turns: Vec<Turn>, target: &Target, warnings: &mut Warnings) -> Vec<Turn> {
        let mut out: Vec<Turn> = Vec::with_capacity(turns.len());
        let last = turns.len().saturating_sub(1);
        let mut calls = self.calls.into_iter().peekable();
        let mut used: HashSet<Str> = HashSet::new();
        let mut results: Vec<Part> = Vec::new();
        for (at, mut turn) in turns.into_iter().enumerate() {
            if !results.is_empty() {
                if turn.role == Role::User && !is_note(&turn) {
                    results.append(&mut turn.parts);
                    turn.parts = std::mem::take(&mut results);
                } else {
                    out.push(Turn::new(Role::User, std::mem::take(&mut results)));
                }
            }
            let mut in_turn: HashSet<Str> = HashSet::new();
            while let Some(call) = calls.next_if(|call| call.turn == at) {
                // A second call of the same id in one turn cannot be told apart by anyone; in a later
                // turn only Anthropic minds.
                let taken = in_turn.contains(&call.id)
                    || (target.dialect == Dialect::Anth && used.contains(&call.id));
                let id = if taken { another(&call.id, &used) } else { call.id.clone() };
                in_turn.insert(id.clone());
                used.insert(id.clone());
                if let Some(Part::ToolUse(part)) = turn.parts.get_mut(call.part) {
                    part.id = id.clone();
                    let kind = part.kind.clone();
                    // The final turn's calls wait for results that are yet to come: if the client has
                    // none, the upstream's own error is the honest one.
                    let result =
                        call.result.or_else(|| (at < last).then(|| missing(warnings, target)));
                    if let Some(mut result) = result {
                        result.id = id;
                        result.kind = kind;
                        if result.name.as_ref().is_none_or(|name| name.is_empty()) {
                            result.name = Some(call.name);
                        }
                        results.push(Part::ToolResult(result));
                    }
                }
            }
            out.push(turn);
        }
        if !results.is_empty() {
            out.push(Turn::new(Role::User, results));
        }
        out
    }
}

fn is_note(turn: &Turn) -> bool {
    turn.parts.iter().any(|part| matches!(part, Part::SystemNote { .. }))
}

fn another(id: &str, used: &HashSet<Str>) -> Str {
    let mut number = 2_u32;
    loop {
        let id = Str::from(format!("{id}_{number}"));
        if !used.contains(&id) {
            return id;
        }
        number = number.saturating_add(1);
    }
}

fn missing(warnings: &mut Warnings, target: &Target) -> ToolResult {
    let field = target.dialect.turns_key();
    warnings.push(WarningKind::Added, field, "a result for a tool call that has none");
    ToolResult {
        id: Str::new(),
        name: None,
        content: vec![Part::text(NO_RESULT)],
        is_error: true,
        kind: crate::ir::ToolKind::Function,
        cache: None,
        ext: Ext::default(),
    }
}

/// A result without a call, as text in its place; images stay images.
fn in_words(result: ToolResult) -> Vec<Part> {
    let mut words = format!("[tool result {}]", result.id);
    let mut media = Vec::new();
    for part in result.content {
        match part {
            Part::Text(text) => {
                words.push(' ');
                words.push_str(&text.text);
            }
            Part::Opaque { raw, .. } => {
                words.push(' ');
                words.push_str(raw.get());
            }
            part => media.push(part),
        }
    }
    let mut parts = vec![Part::text(words)];
    parts.append(&mut media);
    parts
}

/// Calls that name no tool cannot be sent to anyone: they are told in words, and so are their results.
fn name_nameless(request: &mut Request, warnings: &mut Warnings) {
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let Part::ToolUse(call) = part
            && call.name.trim().is_empty()
        {
            warnings.push(WarningKind::Changed, "tools", "a tool call without a name became text");
            *part = Part::text(format!("[tool call without name] {}", input_text(&call.input)));
        }
    }
}

fn input_text(input: &ToolInput) -> &str {
    match input {
        ToolInput::Json(json) => json.get(),
        ToolInput::Text(text) => text,
    }
}

/// Gives ids to calls that have none, and the same ones to their results: by name where there is one,
/// and by position otherwise.
fn give_ids(request: &mut Request) {
    // Calls of the latest turn with calls that no result was matched with yet.
    let mut open: Vec<(Str, Str)> = Vec::new();
    for (at, turn) in request.turns.iter_mut().enumerate() {
        if turn.role == Role::Assistant {
            let mut calls = Vec::new();
            for (place, part) in turn.parts.iter_mut().enumerate() {
                let Part::ToolUse(call) = part else { continue };
                if call.id.trim().is_empty() {
                    let input = input_text(&call.input);
                    call.id = ids::history_call_id(at, place, &call.name, input).into();
                }
                calls.push((call.id.clone(), call.name.clone()));
            }
            if !calls.is_empty() {
                open = calls;
            }
            continue;
        }
        // Results that say whose they are come first: the others take what is left.
        for part in &turn.parts {
            if let Part::ToolResult(result) = part
                && let Some(found) = open.iter().position(|(id, _)| *id == result.id)
            {
                open.remove(found);
            }
        }
        for part in &mut turn.parts {
            let Part::ToolResult(result) = part else { continue };
            if !result.id.trim().is_empty() || open.is_empty() {
                continue;
            }
            let named = result.name.as_ref().filter(|name| !name.is_empty());
            let found = named.and_then(|name| open.iter().position(|(_, known)| known == name));
            let (id, _) = open.remove(found.unwrap_or(0));
            result.id = id;
        }
    }
}

/// Blocks of a dialect's own inside a result are told as JSON to all others (§2.4, item 6).
fn tell_unknown_content(result: &mut ToolResult, target: Dialect) {
    for part in &mut result.content {
        if let Part::Opaque { dialect, raw } = part
            && *dialect != target
        {
            *part = Part::text(raw.get());
        }
    }
}

/// Declares the tools that the history names, for upstreams that refuse calls without declarations.
fn declare_history(request: &mut Request, warnings: &mut Warnings) {
    let mut names: Vec<Str> = Vec::new();
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        if let Part::ToolUse(call) = part
            && !names.contains(&call.name)
        {
            names.push(call.name.clone());
        }
    }
    let schema = RawJson::from(serde_json::json!({ "type": "object" }));
    for name in names {
        warnings.push(WarningKind::Added, "tools", "a declaration of a tool in the history");
        request.tools.push(Tool::Function(FunctionTool {
            name,
            description: Some(Str::from_static("(historic tool)")),
            schema: Some(schema.clone()),
            ..FunctionTool::default()
        }));
    }
}

#[cfg(test)]
mod tests;
