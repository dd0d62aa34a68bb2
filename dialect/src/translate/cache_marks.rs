//! Places caching marks for Anthropic (translation §2.10).

use super::{Target, TranslateError, WarningKind, Warnings};
use crate::ir::{CacheMark, CacheTtl, Part, Request, Role, SigFamily, Tool, ToolResult};
use crate::{Dialect, json};

/// The most marks that a request may hold.
const LIMIT: usize = 4;

/// Keeps the client's marks, the last four of them; where a client of another dialect has none, the
/// router places its own. Other dialects have no marks, their encoders leave them out.
///
/// # Errors
/// None.
pub fn place(
    request: &mut Request,
    client: Dialect,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<(), TranslateError> {
    if target.dialect != Dialect::Anth {
        return Ok(());
    }
    let automatic = usize::from(request.cache.automatic.is_some());
    let mut count = 0_usize;
    each_mark(request, &mut |mark| count = count.saturating_add(usize::from(mark.is_some())));
    let room = LIMIT.saturating_sub(automatic);
    if count > room {
        let mut surplus = count.saturating_sub(room);
        each_mark(request, &mut |mark| {
            if surplus > 0 && mark.take().is_some() {
                surplus = surplus.saturating_sub(1);
            }
        });
        warnings.push(WarningKind::Dropped, "cache_control", "more than four marks");
    }
    let places_own = target.profile.auto_cache.unwrap_or(target.family == SigFamily::Claude);
    if count == 0 && automatic == 0 && client != Dialect::Anth && places_own {
        place_own(request);
    }
    Ok(())
}

/// Visits the places that can hold a mark, in the order in which the upstream reads them. Marks of
/// built-in tools are part of their declaration: they are counted as the client's and stay.
fn each_mark(request: &mut Request, visit: &mut dyn FnMut(&mut Option<CacheMark>)) {
    for tool in &mut request.tools {
        match tool {
            Tool::Function(tool) => visit(&mut tool.cache),
            Tool::Builtin(tool) if json::member(tool.raw.get(), "cache_control").is_some() => {
                visit(&mut Some(own_mark()));
            }
            Tool::Builtin(_) | Tool::Custom { .. } | Tool::Namespace { .. } => {}
        }
    }
    for part in &mut request.system {
        visit(&mut part.cache);
    }
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let Part::ToolResult(ToolResult { content, .. }) = part {
            for inner in content {
                if let Some(mark) = inner.cache_mut() {
                    visit(mark);
                }
            }
        }
        if let Some(mark) = part.cache_mut() {
            visit(mark);
        }
    }
}

fn own_mark() -> CacheMark {
    CacheMark { ttl: CacheTtl::Minutes5, raw: None }
}

/// Marks what the next request will repeat: tools, instructions, and the conversation up to here.
fn place_own(request: &mut Request) {
    let shown = request.tools.iter_mut().rev().find_map(|tool| match tool {
        Tool::Function(tool) if tool.defer_loading != Some(true) => Some(&mut tool.cache),
        _ => None,
    });
    if let Some(cache) = shown {
        *cache = Some(own_mark());
    }
    if let Some(part) = request.system.last_mut() {
        part.cache = Some(own_mark());
    }
    // The one before the last marks what this request finds in the cache.
    let users = request.turns.iter_mut().rev().filter(|turn| turn.role == Role::User);
    for turn in users.take(2) {
        let says = |part: &Part| !matches!(part, Part::Text(text) if text.text.trim().is_empty());
        let last = turn.parts.iter_mut().rev().filter(|part| says(part)).find_map(Part::cache_mut);
        if let Some(cache) = last {
            *cache = Some(own_mark());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::TextPart;
    use crate::ir::{Ext, FunctionTool, SystemOrigin, SystemPart, Turn};

    fn marked(text: &'static str) -> Part {
        let part = TextPart { text: text.into(), cache: Some(own_mark()), ..TextPart::default() };
        Part::Text(part)
    }

    fn request(marks: usize) -> Request {
        let cache = |at: usize| (at < marks).then(own_mark);
        let tool =
            |at| Tool::Function(FunctionTool { cache: cache(at), ..FunctionTool::default() });
        let system = |at| SystemPart {
            text: "s".into(),
            cache: cache(at),
            origin: SystemOrigin::Top,
            ext: Ext::default(),
        };
        let text = |at| if at < marks { marked("t") } else { Part::text("t") };
        Request {
            tools: vec![tool(0)],
            system: vec![system(1), system(2)],
            turns: vec![
                Turn::new(Role::User, vec![text(3)]),
                Turn::new(Role::Assistant, vec![text(4)]),
                Turn::new(Role::User, vec![Part::text("u"), text(5), Part::text(" ")]),
            ],
            ..Request::default()
        }
    }

    fn marks(request: &mut Request) -> Vec<bool> {
        let mut marks = Vec::new();
        each_mark(request, &mut |mark| marks.push(mark.is_some()));
        marks
    }

    #[test]
    fn t100_of_too_many_marks_the_last_four_stay() {
        let target = Target::new(Dialect::Anth, "claude-x");
        for (count, want) in [
            (4, [true, true, true, true, false, false]),
            (5, [false, true, true, true, true, false]),
            (6, [false, false, true, true, true, true]),
        ] {
            let mut request = request(count);
            place(&mut request, Dialect::Anth, &target, &mut Warnings::default()).unwrap();
            let seen = marks(&mut request);
            // The first and the last text of the last turn never had one.
            let places = [0, 1, 2, 3, 4, 6].map(|at| seen[at]);
            assert_eq!(places, want, "{count}");
        }
    }

    #[test]
    fn the_router_marks_where_the_client_cannot() {
        let mut target = Target::new(Dialect::Anth, "claude-x");
        target.family = SigFamily::Claude;
        let placed = |client, target: &Target| {
            let mut request = request(0);
            place(&mut request, client, target, &mut Warnings::default()).unwrap();
            marks(&mut request)
        };
        let own = [true, false, true, true, false, false, true, false];
        assert_eq!(placed(Dialect::Chat, &target), own);
        assert_eq!(placed(Dialect::Anth, &target), [false; 8]);
        target.profile.auto_cache = Some(false);
        assert_eq!(placed(Dialect::Chat, &target), [false; 8]);
        let chat = Target::new(Dialect::Chat, "m");
        assert_eq!(placed(Dialect::Chat, &chat), [false; 8]);
    }
}
