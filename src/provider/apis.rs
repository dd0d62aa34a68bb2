//! URLs of a provider besides chat.

use serde::Deserialize;

use crate::provider::transport::Auth;

/// Absolute URLs besides chat. Absent = not supported.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Apis {
    /// List of models.
    pub models: Option<String>,
    /// Which of them count, for people.
    pub models_filter: Option<String>,
    /// Embeddings.
    pub embeddings: Option<String>,
    /// Image generation.
    pub images: Option<String>,
    /// Image edits.
    pub images_edit: Option<String>,
    /// Speech.
    pub speech: Option<String>,
    /// Transcriptions.
    pub transcriptions: Option<String>,
    /// Ordering of documents.
    pub rerank: Option<String>,
    /// Compaction.
    pub compact: Option<String>,
    /// Quota.
    pub usage: Option<String>,
    /// Where the credential goes, for providers without endpoint.
    pub auth: Option<Auth>,
}

impl Apis {
    /// The URLs without an override role of their own: all but `usage`, whose role is QUOTA.
    pub(super) fn plain_urls_mut(&mut self) -> impl Iterator<Item = &mut String> {
        [
            &mut self.models,
            &mut self.embeddings,
            &mut self.images,
            &mut self.images_edit,
            &mut self.speech,
            &mut self.transcriptions,
            &mut self.rerank,
            &mut self.compact,
        ]
        .into_iter()
        .flatten()
    }

    /// Every URL with its key.
    pub(super) fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("models", &self.models),
            ("embeddings", &self.embeddings),
            ("images", &self.images),
            ("images_edit", &self.images_edit),
            ("speech", &self.speech),
            ("transcriptions", &self.transcriptions),
            ("rerank", &self.rerank),
            ("compact", &self.compact),
            ("usage", &self.usage),
        ]
        .into_iter()
        .filter_map(|(key, url)| url.as_deref().map(|u| (key, u)))
    }
}
