//! Images, documents and sound, fitted to a target; addresses that must be fetched for it (translation §2.9).

use super::data_url::{DataUrl, MediaClass, media_type};
use super::{Envelope, Target, WarningKind, Warnings};
use crate::Dialect;
use crate::gem::is_gemini_3;
use crate::ir::{Ext, MediaSource, Part, Request, Role, Str, ToolResult, Turn};

/// Fits media: what the model cannot see becomes text, what a result cannot hold goes beside it.
pub fn fit(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        each_part(part, &mut |part| {
            mend(part);
            if target.caps.vision == Some(false) && matches!(part, Part::Image { .. }) {
                *part = Part::text("[image omitted: model has no vision]");
                warnings.push(WarningKind::Changed, "messages", "the model has no vision");
            }
        });
    }
    let placeholder = match target.dialect {
        Dialect::Chat => Some("[image omitted: see next message]"),
        Dialect::Gem if !is_gemini_3(&target.model) => None,
        Dialect::Gem | Dialect::Resp | Dialect::Anth => return,
    };
    for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::User) {
        beside_results(turn, placeholder);
    }
}

/// Moves media out of results, behind all results of the turn (T042).
fn beside_results(turn: &mut Turn, placeholder: Option<&'static str>) {
    let mut moved = Vec::new();
    let mut after = 0;
    for (at, part) in turn.parts.iter_mut().enumerate() {
        let Part::ToolResult(ToolResult { content, .. }) = part else { continue };
        after = at.saturating_add(1);
        for part in std::mem::take(content) {
            let is_text =
                matches!(part, Part::Text(_) | Part::Document { source: MediaSource::Text(_), .. });
            if is_text {
                content.push(part);
            } else {
                content.extend(placeholder.map(Part::text));
                moved.push(part);
            }
        }
    }
    let rest = turn.parts.split_off(after);
    turn.parts.extend(moved);
    turn.parts.extend(rest);
}

/// Calls `f` for a part, and for those inside a result.
fn each_part(part: &mut Part, f: &mut dyn FnMut(&mut Part)) {
    if let Part::ToolResult(result) = part {
        result.content.iter_mut().for_each(f);
    } else {
        f(part);
    }
}

/// Reads data URLs that a decoder left, and takes an image for one whatever it was declared as.
fn mend(part: &mut Part) {
    if let Some(source) = source_mut(part)
        && let MediaSource::Url(url) = source
        && let Some(data) = DataUrl::parse(url)
    {
        *source = data.into();
    }
    if let Part::Document { source, cache, .. } = part
        && let MediaSource::Base64 { mime, .. } = source
        && MediaClass::of(mime) == MediaClass::Image
    {
        let source = source.clone();
        let cache = cache.take();
        *part = Part::Image { source, detail: None, cache, signature: None, ext: Ext::default() };
    }
}

fn source_mut(part: &mut Part) -> Option<&mut MediaSource> {
    match part {
        Part::Image { source, .. }
        | Part::Document { source, .. }
        | Part::Audio { source, .. }
        | Part::Video { source, .. } => Some(source),
        _ => None,
    }
}

/// An address whose bytes a target needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The address as the client wrote it.
    pub url: Str,
    /// What the client takes it for.
    pub class: MediaClass,
}

/// The addresses whose bytes the target needs, each once, in order. The caller fetches them, guarded.
pub fn wanted(request: &Request, target: &Target) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let parts = request.turns.iter().flat_map(|turn| &turn.parts);
    for part in parts.flat_map(|part| match part {
        Part::ToolResult(result) => result.content.as_slice(),
        part => std::slice::from_ref(part),
    }) {
        let (source, class) = match part {
            Part::Document { source, .. } => (source, MediaClass::Document),
            Part::Image { source, .. } => (source, MediaClass::Image),
            Part::Audio { source, .. } => (source, MediaClass::Audio),
            Part::Video { source, .. } => (source, MediaClass::Video),
            _ => continue,
        };
        if let MediaSource::Url(url) = source
            && needs_bytes(target, class)
            && !wanted.iter().any(|known| known.url == *url)
        {
            wanted.push(Wanted { url: url.clone(), class });
        }
    }
    wanted
}

/// Whether the target reads no addresses itself.
fn needs_bytes(target: &Target, class: MediaClass) -> bool {
    match (target.dialect, target.envelope) {
        // Of nothing else it could send the bytes.
        (_, Envelope::Kiro) => class == MediaClass::Image,
        (Dialect::Gem, _) | (_, Envelope::Codex | Envelope::Ollama) => true,
        // Chat has addresses for images alone.
        (Dialect::Chat, _) => class == MediaClass::Document,
        (Dialect::Resp | Dialect::Anth, _) => false,
    }
}

/// Puts fetched bytes in the place of their address, wherever it stands.
pub fn provide(request: &mut Request, url: &str, mime: &str, base64: &Str) {
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        each_part(part, &mut |part| {
            if let Some(source) = source_mut(part)
                && matches!(source, MediaSource::Url(own) if own == url)
            {
                *source = MediaSource::Base64 { mime: media_type(mime), data: base64.clone() };
                mend(part);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ToolKind;

    const PIXEL: &str = "iVBORw0KGgo=";

    fn image(source: MediaSource) -> Part {
        Part::Image { source, detail: None, cache: None, signature: None, ext: Ext::default() }
    }

    fn url(url: &'static str) -> MediaSource {
        MediaSource::Url(url.into())
    }

    fn pixel() -> MediaSource {
        MediaSource::Base64 { mime: "image/png".into(), data: PIXEL.into() }
    }

    fn document(source: MediaSource) -> Part {
        Part::Document {
            source,
            name: None,
            title: None,
            context: None,
            citations: false,
            cache: None,
            ext: Ext::default(),
        }
    }

    fn result(content: Vec<Part>) -> Part {
        Part::ToolResult(ToolResult {
            id: "1".into(),
            name: None,
            content,
            is_error: false,
            kind: ToolKind::Function,
            cache: None,
            ext: Ext::default(),
        })
    }

    fn asks(parts: Vec<Part>) -> Request {
        Request { turns: vec![Turn::new(Role::User, parts)], ..Request::default() }
    }

    fn fitted(parts: Vec<Part>, target: &Target) -> Vec<Part> {
        let mut request = asks(parts);
        fit(&mut request, target, &mut Warnings::default());
        request.turns.remove(0).parts
    }

    #[test]
    fn t042_images_of_results_go_beside_them() {
        let parts = || {
            vec![
                result(vec![Part::text("a"), image(pixel())]),
                result(vec![Part::text("b")]),
                Part::text("more"),
            ]
        };
        let beside = |content: Vec<Part>| {
            vec![result(content), result(vec![Part::text("b")]), image(pixel()), Part::text("more")]
        };
        let told = vec![Part::text("a"), Part::text("[image omitted: see next message]")];
        assert_eq!(fitted(parts(), &Target::new(Dialect::Chat, "m")), beside(told));
        let old = Target::new(Dialect::Gem, "gemini-2.5-pro");
        assert_eq!(fitted(parts(), &old), beside(vec![Part::text("a")]));
        for (dialect, model) in
            [(Dialect::Gem, "gemini-3-pro"), (Dialect::Anth, "m"), (Dialect::Resp, "m")]
        {
            assert_eq!(fitted(parts(), &Target::new(dialect, model)), parts(), "{dialect:?}");
        }
    }

    #[test]
    fn t107_models_without_vision_are_told() {
        let mut target = Target::new(Dialect::Anth, "m");
        target.caps.vision = Some(false);
        let omitted = Part::text("[image omitted: model has no vision]");
        let parts = vec![image(pixel()), result(vec![image(pixel())])];
        assert_eq!(fitted(parts, &target), [omitted.clone(), result(vec![omitted])]);
    }

    #[test]
    fn t103_data_urls_and_mislabelled_images_are_mended() {
        let target = Target::new(Dialect::Anth, "m");
        let parts = vec![image(url("data:image/png;base64,iVBORw0KGgo=")), document(pixel())];
        assert_eq!(fitted(parts, &target), [image(pixel()), image(pixel())]);
    }

    #[test]
    fn t104_only_targets_that_read_no_addresses_need_bytes() {
        let request = asks(vec![
            image(url("https://a/i")),
            result(vec![image(url("https://a/i")), document(url("https://a/d"))]),
            image(MediaSource::FileUri { uri: "gs://b/c".into(), mime: None }),
        ]);
        for (dialect, want) in [
            (Dialect::Gem, &["https://a/i", "https://a/d"][..]),
            (Dialect::Chat, &["https://a/d"]),
            (Dialect::Anth, &[]),
            (Dialect::Resp, &[]),
        ] {
            let got = wanted(&request, &Target::new(dialect, "m"));
            let urls: Vec<_> = got.iter().map(|wanted| &*wanted.url).collect();
            assert_eq!(urls, want, "{dialect:?}");
        }
        let target = Target { envelope: Envelope::Codex, ..Target::new(Dialect::Resp, "m") };
        assert_eq!(wanted(&request, &target).len(), 2);

        let mut request = request;
        provide(&mut request, "https://a/i", "image/jpg; x=y", &PIXEL.into());
        let jpeg = MediaSource::Base64 { mime: "image/jpeg".into(), data: PIXEL.into() };
        assert_eq!(request.turns[0].parts[0], image(jpeg));
        let gem = Target::new(Dialect::Gem, "m");
        let left = Wanted { url: "https://a/d".into(), class: MediaClass::Document };
        assert_eq!(wanted(&request, &gem), [left]);
        // A page may turn out to be an image.
        provide(&mut request, "https://a/d", "image/png", &PIXEL.into());
        assert!(wanted(&request, &gem).is_empty());
    }
}
