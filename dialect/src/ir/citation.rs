//! Where a statement in an answer comes from (translation §3.5).

use super::{RawJson, Str};
use crate::Dialect;

/// What is cited.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CitationKind {
    /// A page of the web.
    Url,
    /// A document of the request.
    Document,
    /// A search result of the request.
    SearchResult,
    /// An uploaded file.
    File,
}

/// The cited stretch of a text part, in characters (Unicode scalar values) of the part's whole text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CitationSpan {
    /// The first character.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
}

/// One citation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Citation {
    /// What is cited.
    pub kind: CitationKind,
    /// The address.
    pub url: Option<Str>,
    /// The title.
    pub title: Option<Str>,
    /// The words of the source.
    pub cited_text: Option<Str>,
    /// The stretch that it supports; `None` = the source marks the whole part.
    pub span: Option<CitationSpan>,
    /// Which document of the request, counted from 0.
    pub document: Option<u32>,
    /// The citation as the source wrote it, given back to the same dialect as it is.
    pub raw: Option<(Dialect, RawJson)>,
}
