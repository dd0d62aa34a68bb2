//! Citations (translation §3.5).

use super::object::Object;
use crate::Dialect;
use crate::ir::{Citation, CitationKind, RawJson};

/// Reads a citation; `None` when it is no object or of no known kind.
///
/// It marks the whole block that it stands in, hence it has no span.
pub(super) fn read(raw: &str) -> Option<Citation> {
    let mut object = Object::read(raw)?;
    let kind = match object.text("type")?.as_ref() {
        "web_search_result_location" => CitationKind::Url,
        "search_result_location" => CitationKind::SearchResult,
        "char_location" | "page_location" | "content_block_location" => CitationKind::Document,
        _ => return None,
    };
    let url = match kind {
        CitationKind::Url => object.string("url"),
        // Names an address or anything else that the client called its source.
        CitationKind::SearchResult => object.string("source"),
        CitationKind::Document | CitationKind::File => None,
    };
    let title = object.string("title").or_else(|| object.string("document_title"));
    Some(Citation {
        kind,
        url,
        title,
        cited_text: object.string("cited_text"),
        span: None,
        document: object.count("document_index"),
        raw: RawJson::parse(raw).ok().map(|raw| (Dialect::Anth, raw)),
    })
}

/// The citation in Anthropic's form. One from elsewhere has none: the proof in it cannot be made up.
pub(super) fn write(citation: &Citation) -> Option<&RawJson> {
    match &citation.raw {
        Some((Dialect::Anth, raw)) => Some(raw),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_keep_what_other_dialects_can_show() {
        let raw = r#"{"type":"web_search_result_location","url":"u","title":"t","cited_text":"c","encrypted_index":"e"}"#;
        let web = read(raw).unwrap();
        assert_eq!((web.url.as_deref(), web.title.as_deref()), (Some("u"), Some("t")));
        assert_eq!((web.kind, web.cited_text.as_deref()), (CitationKind::Url, Some("c")));
        assert_eq!(write(&web).map(RawJson::get), Some(raw));

        let page =
            read(r#"{"type":"page_location","document_index":2,"document_title":"D"}"#).unwrap();
        assert_eq!((page.kind, page.document), (CitationKind::Document, Some(2)));
        assert_eq!(page.title.as_deref(), Some("D"));
        assert_eq!(read(r#"{"type":"new"}"#), None);
        assert_eq!(read("3"), None);
    }
}
