//! The parsed error answer of an upstream.

/// Fields of an error body.
#[derive(Clone, Debug, Default)]
pub struct UpstreamErrorBody {
    /// The provider's own message.
    pub message: Option<String>,
    /// `error.type`.
    pub error_type: Option<String>,
    /// `error.code`.
    pub code: Option<String>,
    /// `error.status`.
    pub status: Option<String>,
    /// `error.param`.
    pub param: Option<String>,
    /// `error.details`.
    pub details: Option<serde_json::Value>,
    /// Everything, parsed.
    pub raw: serde_json::Value,
    /// The body is an HTML page.
    pub is_html: bool,
    /// Its title.
    pub html_title: Option<String>,
}
