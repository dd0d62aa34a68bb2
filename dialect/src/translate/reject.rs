//! What cannot be translated: found before anything is sent (translation §2.8).

use std::borrow::Cow;

use super::{Envelope, Target, TranslateError};
use crate::Dialect;
use crate::ir::{
    Builtin, BuiltinTool, MediaSource, Modality, Part, Request, Role, Tool, ToolChoice,
};

/// Checks that the target can do what the request cannot do without.
///
/// # Errors
/// [`TranslateError::Unsupported`]: another target of a combo may still take it.
pub fn check(request: &Request, target: &Target) -> Result<(), TranslateError> {
    alternatives(request, target)?;
    state(request, target)?;
    if request.modalities.contains(&Modality::Audio)
        && !matches!(target.dialect, Dialect::Chat | Dialect::Gem)
    {
        return Err(unsupported("modalities", "audio output is not supported by this route"));
    }
    if request.cache.cached_content.is_some() && target.dialect != Dialect::Gem {
        let message = "cachedContent is not supported by this route; send the full contents";
        return Err(unsupported("cachedContent", message));
    }
    forced_tool(request, target)?;
    let parts = request.turns.iter().flat_map(|turn| turn.parts.iter().map(|p| (turn.role, p)));
    for (role, part) in parts {
        check_part(role, part, target)?;
    }
    Ok(())
}

fn unsupported(param: &'static str, message: &str) -> TranslateError {
    TranslateError::Unsupported { param: Cow::Borrowed(param), message: message.to_owned() }
}

fn alternatives(request: &Request, target: &Target) -> Result<(), TranslateError> {
    let one_only =
        matches!(target.dialect, Dialect::Resp | Dialect::Anth) || target.profile.single_choice;
    if one_only && request.n.is_some_and(|n| n > 1) {
        return Err(unsupported("n", "`n` above 1 is not supported by this route"));
    }
    Ok(())
}

/// What the server of an earlier answer would have to remember.
fn state(request: &Request, target: &Target) -> Result<(), TranslateError> {
    let remembers = target.dialect == Dialect::Resp && target.envelope == Envelope::Plain;
    if remembers {
        return Ok(());
    }
    let has_template = request.ext.get(Dialect::Resp, "prompt").is_some_and(|raw| raw.is_object());
    for (given, param) in [
        (request.previous_response_id.is_some(), "previous_response_id"),
        (request.conversation.is_some(), "conversation"),
        (has_template && target.dialect != Dialect::Resp, "prompt"),
    ] {
        if given {
            let message = format!("{param} is not supported by this route; send the full input");
            return Err(unsupported(param, &message));
        }
    }
    if request.background == Some(true) {
        return Err(unsupported(
            "background",
            "background answers are not supported by this route",
        ));
    }
    Ok(())
}

/// A tool that only its own provider can run, and that the model must use.
fn forced_tool(request: &Request, target: &Target) -> Result<(), TranslateError> {
    let stays_home = |tool: &BuiltinTool| {
        tool.origin != target.dialect && matches!(tool.kind, Builtin::FileSearch | Builtin::Mcp)
    };
    let mut builtins = request.tools.iter().filter_map(|tool| match tool {
        Tool::Builtin(builtin) => Some(builtin),
        Tool::Function(_) | Tool::Custom { .. } | Tool::Namespace { .. } => None,
    });
    let forced = match &request.tool_choice {
        Some(ToolChoice::NamedBuiltin(kind)) => {
            builtins.any(|tool| tool.kind == *kind && stays_home(tool))
        }
        Some(ToolChoice::Any) => {
            let all = request.tools.len();
            all > 0 && builtins.filter(|tool| stays_home(tool)).count() == all
        }
        _ => false,
    };
    if forced {
        let message = "the tool that `tool_choice` forces is not supported by this route";
        return Err(unsupported("tool_choice", message));
    }
    Ok(())
}

/// What upstreams whose messages hold text and images alone have no part for.
fn only_text_and_images(part: &Part, target: &Target) -> Result<(), TranslateError> {
    let limited = match target.envelope {
        Envelope::Ollama => true,
        Envelope::Copilot => target.dialect == Dialect::Chat,
        _ => false,
    };
    let message = match part {
        _ if !limited => return Ok(()),
        Part::Document { source: MediaSource::Text(_), .. } => return Ok(()),
        Part::Document { .. } => "documents are not supported by this route",
        Part::Audio { .. } => "audio input is not supported by this route",
        Part::Video { .. } => "video input is not supported by this route",
        _ => return Ok(()),
    };
    Err(unsupported("messages", message))
}

fn check_part(role: Role, part: &Part, target: &Target) -> Result<(), TranslateError> {
    only_text_and_images(part, target)?;
    let source = match part {
        Part::ToolResult(result) => {
            return result.content.iter().try_for_each(|part| check_part(role, part, target));
        }
        Part::Audio { .. } if role == Role::User && target.dialect == Dialect::Anth => {
            return Err(unsupported("messages", "audio input is not supported by this route"));
        }
        Part::Opaque { dialect: Dialect::Resp, raw } if target.dialect != Dialect::Resp => {
            let kind = crate::json::member(raw.get(), "type");
            if kind == Some("\"item_reference\"") {
                let message = "item references are not supported by this route; send the items";
                return Err(unsupported("input", message));
            }
            return Ok(());
        }
        Part::Image { source, .. } | Part::Document { source, .. } | Part::Audio { source, .. } => {
            source
        }
        _ => return Ok(()),
    };
    if is_elsewhere(source, target.dialect) {
        let message = "a file that is stored at another provider is not supported by this route; \
                       send its content";
        return Err(unsupported("file_id", message));
    }
    Ok(())
}

/// Whether the bytes lie where the target cannot get at them.
fn is_elsewhere(source: &MediaSource, target: Dialect) -> bool {
    let is_openai = |dialect| matches!(dialect, Dialect::Chat | Dialect::Resp);
    match source {
        MediaSource::FileId { dialect, .. } => {
            *dialect != target && !(is_openai(*dialect) && is_openai(target))
        }
        MediaSource::FileUri { uri, .. } => {
            let is_googles = uri.starts_with("gs://")
                || uri.starts_with("https://generativelanguage.googleapis.com/");
            target != Dialect::Gem && is_googles
        }
        MediaSource::Base64 { .. } | MediaSource::Url(_) | MediaSource::Text(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{BuiltinConfig, Ext, RawJson, Turn};

    fn refused(request: &Request, dialect: Dialect) -> Option<String> {
        match check(request, &Target::new(dialect, "m")) {
            Ok(()) => None,
            Err(TranslateError::Unsupported { param, .. }) => Some(param.into_owned()),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn refusing(request: &Request) -> Vec<Dialect> {
        [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem]
            .into_iter()
            .filter(|dialect| refused(request, *dialect).is_some())
            .collect()
    }

    fn saying(part: Part) -> Request {
        Request { turns: vec![Turn::new(Role::User, vec![part])], ..Request::default() }
    }

    #[test]
    fn t090_several_answers_only_where_there_are_several() {
        let several = Request { n: Some(2), ..Request::default() };
        assert_eq!(refusing(&several), [Dialect::Resp, Dialect::Anth]);
        assert_eq!(refusing(&Request { n: Some(1), ..Request::default() }), []);
        let mut target = Target::new(Dialect::Chat, "m");
        target.profile.single_choice = true;
        assert!(check(&several, &target).is_err());
    }

    #[test]
    fn state_stays_with_the_server_that_has_it() {
        use Dialect::{Anth, Chat, Gem};
        let mut prompt = Ext::default();
        prompt.push(Dialect::Resp, "prompt", RawJson::parse(r#"{"id":"p"}"#).unwrap());
        for request in [
            Request { previous_response_id: Some("r".into()), ..Request::default() },
            Request { conversation: RawJson::parse("\"c\"").ok(), ..Request::default() },
            Request { background: Some(true), ..Request::default() },
            Request { ext: prompt, ..Request::default() },
            saying(Part::Opaque {
                dialect: Dialect::Resp,
                raw: RawJson::parse(r#"{"type":"item_reference","id":"x"}"#).unwrap(),
            }),
        ] {
            assert_eq!(refusing(&request), [Chat, Anth, Gem], "{request:?}");
        }
        let mut stateless = Target::new(Dialect::Resp, "m");
        stateless.envelope = Envelope::Codex;
        let request = Request { previous_response_id: Some("r".into()), ..Request::default() };
        let refusal = check(&request, &stateless).unwrap_err();
        assert!(refusal.is_target_specific());
        assert!(refusal.to_string().contains("send the full input"));
    }

    #[test]
    fn t106_sound_goes_only_where_it_is_heard() {
        let sound = Part::Audio {
            source: MediaSource::Base64 { mime: "audio/wav".into(), data: "AAAA".into() },
            format: "wav".into(),
            transcript: None,
            id: None,
        };
        assert_eq!(refusing(&saying(sound)), [Dialect::Anth]);
        let spoken = Request { modalities: vec![Modality::Audio], ..Request::default() };
        assert_eq!(refusing(&spoken), [Dialect::Resp, Dialect::Anth]);
    }

    #[test]
    fn files_stay_with_their_provider() {
        let image = |source| Part::Image {
            source,
            detail: None,
            cache: None,
            signature: None,
            ext: Ext::default(),
        };
        let openai = MediaSource::FileId { dialect: Dialect::Chat, id: "f".into() };
        assert_eq!(refusing(&saying(image(openai))), [Dialect::Anth, Dialect::Gem]);
        let google = MediaSource::FileUri { uri: "gs://b/o".into(), mime: None };
        assert_eq!(refusing(&saying(image(google))), [Dialect::Chat, Dialect::Resp, Dialect::Anth]);
        let anywhere = MediaSource::Url("https://x/y.png".into());
        assert_eq!(refusing(&saying(image(anywhere))), []);
        let mut cached = Request::default();
        cached.cache.cached_content = Some("c".into());
        assert_eq!(refusing(&cached), [Dialect::Chat, Dialect::Resp, Dialect::Anth]);
    }

    #[test]
    fn a_forced_tool_must_exist_there() {
        let search = Tool::Builtin(BuiltinTool {
            kind: Builtin::FileSearch,
            name: None,
            origin: Dialect::Resp,
            raw: RawJson::parse(r#"{"type":"file_search"}"#).unwrap(),
            config: BuiltinConfig::default(),
        });
        let request = |choice| Request {
            tools: vec![search.clone()],
            tool_choice: Some(choice),
            ..Request::default()
        };
        let others = [Dialect::Chat, Dialect::Anth, Dialect::Gem];
        let named = ToolChoice::NamedBuiltin(Builtin::FileSearch);
        assert_eq!(refusing(&request(named)), others);
        assert_eq!(refusing(&request(ToolChoice::Any)), others);
        assert_eq!(refusing(&request(ToolChoice::Auto)), []);
    }
}
