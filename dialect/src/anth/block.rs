//! Blocks of content and the parts that they stand for, both ways.

use std::borrow::Cow;

use super::citation;
use super::object::Object;
use super::wire::{self, Block, Enabled, Mark, Rest};
use crate::ir::{
    CacheMark, CacheTtl, Ext, MediaSource, Part, RawJson, ServerTool, SigFamily, Signature, Str,
    TextPart, Thinking, ToolInput, ToolKind, ToolResult, ToolUse,
};
use crate::translate::data_url::{self, DataUrl};
use crate::translate::{free_text_input, ids, signature, turns};
use crate::{Dialect, json};

/// Reads the content of a message: a text, or blocks.
pub(super) fn read_content(raw: &str) -> Vec<Part> {
    if let Some(text) = json::string(raw) {
        return vec![Part::text(text.into_owned())];
    }
    let mut parts = Vec::new();
    json::visit_elements(raw, |raw| {
        let Some(part) = read(raw) else { return };
        match (parts.last_mut(), part) {
            (Some(Part::ServerTool(call)), Part::Opaque { raw, .. })
                if call.result.is_none() && is_result_of(raw.get(), &call.id) =>
            {
                call.result = Some(raw);
            }
            (_, part) => parts.push(part),
        }
    });
    parts
}

/// Whether a block is the result of a call that the provider ran.
pub(super) fn is_result_of(raw: &str, call_id: &str) -> bool {
    let text = |key| json::member(raw, key).and_then(json::string);
    text("type").is_some_and(|kind| kind.ends_with("_tool_result"))
        && text("tool_use_id").is_some_and(|id| id == call_id)
}

/// Reads one block; `None` for what is no object. Blocks of unknown kinds are kept as they are.
pub(super) fn read(raw: &str) -> Option<Part> {
    let mut object = Object::read(raw)?;
    let kind = object.text("type").unwrap_or_default();
    Some(match kind.as_ref() {
        "text" => read_text(object),
        "image" => read_image(raw, object),
        "document" => read_document(raw, object),
        // Clients that mix the dialects up.
        "image_url" => read_image_url(raw, &mut object),
        "tool_use" => read_call(object),
        "tool_result" => read_result(object),
        "thinking" => Part::Thinking(Thinking {
            text: object.string("thinking").unwrap_or_default(),
            signature: object.string("signature").and_then(classified),
            summary: false,
            item_id: None,
            ext: object.into_ext(),
        }),
        "redacted_thinking" => match object.string("data").and_then(classified) {
            Some(seal) => Part::Redacted { seal, item_id: None },
            None => opaque(raw),
        },
        "server_tool_use" => Part::ServerTool(read_server_call(object)),
        _ => opaque(raw),
    })
}

fn opaque(raw: &str) -> Part {
    // The block was read as an object before, hence it has a text.
    let raw = RawJson::parse(raw).unwrap_or_else(|_| RawJson::from(serde_json::Value::Null));
    Part::Opaque { dialect: Dialect::Anth, raw }
}

fn classified(value: Str) -> Option<Signature> {
    (!value.is_empty()).then(|| Signature { family: signature::classify(&value), value })
}

fn read_text(mut object: Object<'_>) -> Part {
    let text = object.string("text").unwrap_or_default();
    let mut citations = Vec::new();
    if let Some(raw) = object.take("citations") {
        json::visit_elements(raw, |raw| citations.extend(citation::read(raw)));
    }
    Part::Text(TextPart {
        text,
        cache: read_mark(&mut object),
        citations,
        signature: None,
        phase: None,
        ext: object.into_ext(),
    })
}

fn read_image(raw: &str, mut object: Object<'_>) -> Part {
    let Some(source) = object.take("source").and_then(read_source) else { return opaque(raw) };
    Part::Image {
        source,
        detail: None,
        cache: read_mark(&mut object),
        signature: None,
        ext: object.into_ext(),
    }
}

fn read_image_url(raw: &str, object: &mut Object<'_>) -> Part {
    let Some(value) = object.take("image_url") else { return opaque(raw) };
    let url = json::member(value, "url").unwrap_or(value);
    let Some(url) = json::string(url) else { return opaque(raw) };
    Part::Image {
        source: data_url::source_of(&url),
        detail: None,
        cache: read_mark(object),
        signature: None,
        ext: Ext::default(),
    }
}

fn read_document(raw: &str, mut object: Object<'_>) -> Part {
    let Some(written) = object.take("source") else { return opaque(raw) };
    let known = read_source(written);
    let Some(source) = known.clone().or_else(|| read_blocks_source(written)) else {
        return opaque(raw);
    };
    let citations = object
        .take("citations")
        .and_then(|raw| json::member(raw, "enabled"))
        .is_some_and(|enabled| enabled == "true");
    let title = object.string("title");
    let context = object.string("context");
    let cache = read_mark(&mut object);
    let mut ext = object.into_ext();
    if known.is_none()
        && let Ok(written) = RawJson::parse(written)
    {
        // Citations count its blocks, hence it goes back as it was.
        ext.push(Dialect::Anth, "source", written);
    }
    Part::Document { source, name: None, title, context, citations, cache, ext }
}

fn read_source(raw: &str) -> Option<MediaSource> {
    let mut object = Object::read(raw)?;
    Some(match object.text("type")?.as_ref() {
        "base64" => {
            let data = data_url::standard_base64(&object.text("data")?);
            let mime = match object.text("media_type").filter(|mime| !mime.trim().is_empty()) {
                Some(mime) => data_url::media_type(&mime),
                None => data_url::sniff(&data)?.into(),
            };
            MediaSource::Base64 { mime, data }
        }
        "url" => {
            let url = object.string("url")?;
            DataUrl::parse(&url).map_or(MediaSource::Url(url), MediaSource::from)
        }
        "file" => MediaSource::FileId { dialect: Dialect::Anth, id: object.string("file_id")? },
        "text" => MediaSource::Text(object.string("data")?),
        _ => return None,
    })
}

/// The text of a document that is given in blocks.
fn read_blocks_source(raw: &str) -> Option<MediaSource> {
    let mut object = Object::read(raw)?;
    (object.text("type")? == "content").then_some(())?;
    let texts: Vec<Str> = read_content(object.take("content")?)
        .into_iter()
        .filter_map(|part| match part {
            Part::Text(part) => Some(part.text),
            _ => None,
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
    Some(MediaSource::Text(texts.join("\n").into()))
}

fn read_call(mut object: Object<'_>) -> Part {
    Part::ToolUse(ToolUse {
        id: object.string("id").unwrap_or_default(),
        name: object.string("name").unwrap_or_default(),
        input: read_input(object.take("input")),
        kind: ToolKind::Function,
        namespace: None,
        signature: None,
        cache: read_mark(&mut object),
        ext: object.into_ext(),
    })
}

fn read_input(raw: Option<&str>) -> ToolInput {
    let raw = raw.unwrap_or("{}");
    // Some clients send the arguments as the text that they got.
    let text = json::string(raw).map_or_else(|| raw.to_owned(), Cow::into_owned);
    crate::translate::tool_input(&ToolKind::Function, text.into())
}

fn read_result(mut object: Object<'_>) -> Part {
    let content = match object.take("content") {
        None => Vec::new(),
        Some(raw) if json::string(raw).is_some() || json::is_array(raw) => read_content(raw),
        Some(raw) => vec![Part::text(raw)],
    };
    Part::ToolResult(ToolResult {
        id: object.string("tool_use_id").unwrap_or_default(),
        name: None,
        content,
        is_error: object.flag("is_error").unwrap_or(false),
        kind: ToolKind::Function,
        cache: read_mark(&mut object),
        ext: object.into_ext(),
    })
}

/// The call of a tool that the provider ran; its result is a block of its own.
pub(super) fn read_server_call(mut object: Object<'_>) -> ServerTool {
    let id = object.string("id").unwrap_or_default();
    let name = object.string("name").unwrap_or_default();
    let input = match read_input(object.take("input")) {
        ToolInput::Json(json) => json,
        ToolInput::Text(text) => wrapped(&text),
    };
    ServerTool { id, name, input, result: None, origin: Dialect::Anth, ext: object.into_ext() }
}

/// Takes out a caching mark.
pub(super) fn read_mark(object: &mut Object<'_>) -> Option<CacheMark> {
    let raw = object.take("cache_control").filter(|raw| json::is_object(raw))?;
    let hour = json::member(raw, "ttl").and_then(json::string).is_some_and(|ttl| ttl == "1h");
    let ttl = if hour { CacheTtl::Hour1 } else { CacheTtl::Minutes5 };
    Some(CacheMark { ttl, raw: RawJson::parse(raw).ok() })
}

/// Writes a part as blocks; none for what this dialect cannot say.
pub(super) fn write(part: &Part) -> Vec<Block<'_>> {
    let block = match part {
        Part::Text(part) => (!part.text.trim().is_empty()).then(|| write_text(part)),
        Part::Image { source, cache, ext, .. } => write_source(source).map(|source| {
            let cache_control = Mark::of(cache.as_ref());
            Block::Image(wire::Image { source, cache_control, rest: Rest(ext) })
        }),
        Part::Document { source, name, title, context, citations, cache, ext } => {
            // A source of this dialect's own kind is among the unknown fields.
            let own = ext.get(Dialect::Anth, "source").is_some();
            let source = if own { None } else { write_source(source) };
            (own || source.is_some()).then(|| {
                Block::Document(wire::Document {
                    source,
                    title: title.as_deref().or(name.as_deref()),
                    context: context.as_deref(),
                    citations: citations.then_some(Enabled { enabled: true }),
                    cache_control: Mark::of(cache.as_ref()),
                    rest: Rest(ext),
                })
            })
        }
        Part::ToolUse(call) => Some(write_call(call)),
        Part::ToolResult(result) => Some(Block::ToolResult(wire::ToolResult {
            tool_use_id: ids::plain_call_id(&result.id),
            content: result.content.iter().flat_map(write).collect(),
            is_error: result.is_error,
            cache_control: Mark::of(result.cache.as_ref()),
            rest: Rest(&result.ext),
        })),
        Part::Thinking(thinking) => Some(Block::Thinking(wire::Thinking {
            thinking: &thinking.text,
            signature: thinking.signature.as_ref().map_or("", |signature| &signature.value),
            rest: Rest(&thinking.ext),
        })),
        Part::Redacted { seal, .. } => Some(Block::Redacted(wire::Redacted { data: &seal.value })),
        Part::Refusal { text } => own_text(Cow::Borrowed(text)),
        Part::ServerTool(call) => return write_server_call(call),
        // Before encoding, notes are put into words where their place is known.
        Part::SystemNote { text, cache, .. } => {
            own_text(Cow::Owned(turns::reminder(text).to_string())).map(|block| {
                let Block::Text(text) = block else { return block };
                Block::Text(wire::Text { cache_control: Mark::of(cache.as_ref()), ..text })
            })
        }
        Part::Opaque { dialect: Dialect::Anth, raw } => Some(Block::Same(Cow::Borrowed(raw))),
        Part::Audio { transcript, .. } => {
            transcript.as_deref().and_then(|text| own_text(Cow::Borrowed(text)))
        }
        Part::Video { .. } | Part::Opaque { .. } => None,
    };
    block.into_iter().collect()
}

static NO_FIELDS: std::sync::LazyLock<Ext> = std::sync::LazyLock::new(Ext::default);

/// A text block without anything else. The API refuses blank ones.
pub(super) fn own_text(text: Cow<'_, str>) -> Option<Block<'_>> {
    (!text.trim().is_empty()).then(|| {
        Block::Text(wire::Text {
            text,
            citations: Vec::new(),
            cache_control: None,
            rest: Rest(&NO_FIELDS),
        })
    })
}

pub(super) fn write_text(part: &TextPart) -> Block<'_> {
    Block::Text(wire::Text {
        text: Cow::Borrowed(&part.text),
        citations: part.citations.iter().filter_map(citation::write).collect(),
        cache_control: Mark::of(part.cache.as_ref()),
        rest: Rest(&part.ext),
    })
}

fn write_source(source: &MediaSource) -> Option<wire::Source<'_>> {
    Some(match source {
        // Plain text in base64 was decoded when media were fitted to the target.
        MediaSource::Base64 { mime, data } => wire::Source::Base64 { media_type: mime, data },
        MediaSource::Url(url) | MediaSource::FileUri { uri: url, .. } => wire::Source::Url { url },
        MediaSource::FileId { dialect: Dialect::Anth, id } => wire::Source::File { file_id: id },
        MediaSource::FileId { .. } => return None,
        MediaSource::Text(text) => wire::Source::Text { media_type: "text/plain", data: text },
    })
}

fn write_call(call: &ToolUse) -> Block<'_> {
    Block::ToolUse(wire::ToolUse {
        id: ids::plain_call_id(&call.id),
        name: &call.name,
        input: object_input(&call.kind, &call.input),
        cache_control: Mark::of(call.cache.as_ref()),
        rest: Rest(&call.ext),
    })
}

/// Arguments as an object, which this dialect wants: nothing is lost, and nothing invented (T045).
pub(crate) fn object_input<'a>(kind: &ToolKind, input: &'a ToolInput) -> Cow<'a, RawJson> {
    match input {
        ToolInput::Json(json) => Cow::Borrowed(json),
        ToolInput::Text(text) if *kind == ToolKind::Custom => Cow::Owned(free_text_input(text)),
        ToolInput::Text(text) => Cow::Owned(wrapped(text)),
    }
}

fn wrapped(text: &str) -> RawJson {
    let text = text.trim();
    let object = if text.is_empty() {
        "{}".to_owned()
    } else if RawJson::parse(text).is_ok() {
        format!("{{\"value\":{text}}}")
    } else {
        format!("{{\"_raw\":{}}}", json::quote(text))
    };
    RawJson::parse(object).unwrap_or_else(|_| RawJson::from(serde_json::json!({})))
}

fn write_server_call(call: &ServerTool) -> Vec<Block<'_>> {
    if call.origin != Dialect::Anth {
        return Vec::new();
    }
    let head = wire::ServerToolUse {
        id: &call.id,
        name: &call.name,
        input: &call.input,
        rest: Rest(&call.ext),
    };
    let mut blocks = vec![Block::ServerToolUse(head)];
    blocks.extend(call.result.as_ref().map(|result| Block::Same(Cow::Borrowed(result))));
    blocks
}

/// The signature of an answer's reasoning.
pub(super) fn signed_by(family: SigFamily, value: Str) -> Option<Signature> {
    (!value.is_empty()).then_some(Signature { family, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn round_trip(block: &str) {
        let part = read(block).unwrap();
        let blocks = write(&part);
        let written = serde_json::to_string(&blocks).unwrap();
        assert_eq!(written, format!("[{block}]"), "{part:?}");
    }

    #[test]
    fn t113_blocks_come_out_as_they_came_in() {
        for block in [
            r#"{"type":"text","text":"a","citations":[{"type":"char_location","document_index":0}],"cache_control":{"type":"ephemeral","ttl":"5m"},"new":1.0}"#,
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}"#,
            r#"{"type":"image","source":{"type":"url","url":"https://a/b.png"}}"#,
            r#"{"type":"image","source":{"type":"file","file_id":"file_1"}}"#,
            r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"title":"t","context":"c","citations":{"enabled":true}}"#,
            r#"{"type":"document","title":"t","source":{"type":"content","content":[{"type":"text","text":"x"}]}}"#,
            r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{"id":12345678901234567890},"caller":{"type":"direct"}}"#,
            r#"{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"a"},{"type":"search_result","title":"s"}],"is_error":true}"#,
            r#"{"type":"tool_result","tool_use_id":"toolu_1"}"#,
            r#"{"type":"thinking","thinking":"","signature":"abc"}"#,
            r#"{"type":"redacted_thinking","data":"abc"}"#,
            r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"},"caller":{"type":"direct"}}"#,
            r#"{"type":"container_upload","file_id":"file_1"}"#,
        ] {
            round_trip(block);
        }
    }

    #[test]
    fn results_of_server_tools_belong_to_their_call() {
        let call = r#"{"type":"server_tool_use","id":"s1","name":"web_search","input":{}}"#;
        let result = |id: &str| {
            format!(r#"{{"type":"web_search_tool_result","tool_use_id":"{id}","content":[]}}"#)
        };
        let own = read_content(&format!("[{call},{}]", result("s1")));
        assert!(matches!(own.as_slice(), [Part::ServerTool(call)] if call.result.is_some()));
        let other = read_content(&format!("[{call},{}]", result("s2")));
        assert!(matches!(other.as_slice(), [Part::ServerTool(_), Part::Opaque { .. }]));
        let blocks: Vec<_> = own.iter().flat_map(write).collect();
        let want = format!("[{call},{}]", result("s1"));
        assert_eq!(serde_json::to_string(&blocks).unwrap(), want);
    }

    #[test]
    fn t045_arguments_are_objects() {
        for (text, want) in [
            ("", "{}"),
            ("[1]", r#"{"value":[1]}"#),
            ("{bad", r#"{"_raw":"{bad"}"#),
            ("12345678901234567890", r#"{"value":12345678901234567890}"#),
        ] {
            let input = ToolInput::Text(text.into());
            assert_eq!(object_input(&ToolKind::Function, &input).get(), want);
        }
        let free = ToolInput::Text("+x\"\n".into());
        assert_eq!(object_input(&ToolKind::Custom, &free).get(), r#"{"input":"+x\"\n"}"#);
    }

    #[test]
    fn shapes_of_other_dialects_and_sloppy_media_are_understood() {
        let image = |mime: &str| MediaSource::Base64 { mime: mime.into(), data: "/9j/".into() };
        for (block, want) in [
            (
                r#"{"type":"image_url","image_url":{"url":"data:image/jpg;base64,/9j/"}}"#,
                image("image/jpeg"),
            ),
            (
                r#"{"type":"image","source":{"type":"base64","media_type":"image/JPG","data":"/9\nj/"}}"#,
                image("image/jpeg"),
            ),
            (r#"{"type":"image","source":{"type":"base64","data":"/9j/"}}"#, image("image/jpeg")),
            (
                r#"{"type":"image","source":{"type":"url","url":"data:image/jpeg;base64,/9j/"}}"#,
                image("image/jpeg"),
            ),
        ] {
            let Some(Part::Image { source, .. }) = read(block) else { panic!("{block}") };
            assert_eq!(source, want, "{block}");
        }
        for block in [r#"{"type":"image"}"#, r#"{"type":"image","source":{"type":"new"}}"#, "{}"] {
            assert!(matches!(read(block), Some(Part::Opaque { .. })), "{block}");
        }
        assert_eq!(read("1"), None);
    }

    #[test]
    fn results_of_any_type_are_text() {
        for (content, want) in [
            (r#""a""#, vec![Part::text("a")]),
            (r#"{"a":1}"#, vec![Part::text(r#"{"a":1}"#)]),
            ("5", vec![Part::text("5")]),
            ("null", vec![]),
            ("[]", vec![]),
        ] {
            let block =
                format!(r#"{{"type":"tool_result","tool_use_id":"t","content":{content}}}"#);
            let Some(Part::ToolResult(result)) = read(&block) else { panic!("{block}") };
            assert_eq!(result.content, want, "{content}");
        }
    }
}
