//! Every endpoint the server knows, with its class, key scope and canonical path.

use ninerouter_dialect::ollama::Form;

use super::ErrorShape;
use super::alias::Base;
use crate::auth::key::Scope;

/// What a request path means.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// `/`
    Root,
    /// `/healthz` and its other names.
    Health,
    /// `/readyz`
    Ready,
    /// `/v1/chat/completions`
    ChatCompletions,
    /// `/v1/completions`
    Completions,
    /// `/v1/responses`
    Responses,
    /// `/v1/responses/compact`
    ResponsesCompact,
    /// `/v1/responses/input_tokens`
    ResponsesInputTokens,
    /// `/v1/responses/{id}`
    ResponsesItem {
        /// Response id.
        id: String,
    },
    /// `/v1/responses/{id}/input_items`
    ResponsesInputItems {
        /// Response id.
        id: String,
    },
    /// `/v1/responses/{id}/cancel`
    ResponsesCancel {
        /// Response id.
        id: String,
    },
    /// `/v1/messages`
    Messages,
    /// `/v1/messages/count_tokens`
    CountTokens,
    /// `/v1/messages/batches` and below: answered with 404 after admission.
    MessagesBatches,
    /// `/v1/models`, also `/v1` itself.
    Models,
    /// `/v1/models/{id…}`
    Model {
        /// Model string, decoded.
        id: String,
    },
    /// `/v1beta/models`, also `/v1beta` itself.
    GemModels,
    /// `/v1beta/models/{m…}`
    GemModel {
        /// Model string, decoded, without `models/`.
        id: String,
    },
    /// `/v1beta/models/{m…}:{action}`
    GemAction {
        /// Model string, decoded, without `models/`.
        model: String,
        /// What to do.
        action: GemAction,
    },
    /// `/api/chat` and `/api/generate` of Ollama
    OllamaAnswer(Form),
    /// `/api/tags` of Ollama
    OllamaTags,
    /// `/api/show` of Ollama
    OllamaShow,
    /// `/api/version` of Ollama
    OllamaVersion,
    /// `/api/ps` of Ollama
    OllamaPs,
    /// `/v1/usage`
    Usage,
    /// A catalogued endpoint that this release does not serve: 501 in dialect after admission.
    NotYet(&'static str),
    /// `/login`: the sign-in form.
    Login,
    /// `/logout`
    Logout,
    /// `/dashboard` and below.
    Dashboard {
        /// The normalised path, from the root.
        path: String,
    },
    /// `/assets/…`
    Asset {
        /// The normalised path, from the root.
        path: String,
    },
    /// `/callback` and `/oauth/callback/{provider}`: where a sign-in's browser comes back.
    Callback {
        /// As in the path; `None` = the state alone tells.
        provider: Option<String>,
    },
    /// `/api` and below, the management API.
    Management {
        /// The normalised path, from the root.
        path: String,
    },
}

/// The Gemini actions this release serves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GemAction {
    /// `:generateContent`
    Generate,
    /// `:streamGenerateContent`
    Stream,
    /// `:countTokens`
    Count,
}

/// Who may reach an endpoint (security §2). A path without a class is 404 for everyone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// Host check only; tells no secret.
    Public,
    /// API key, or keyless where §7.3 allows it.
    Inference,
    /// Admitted address and session.
    Ui,
    /// As `Ui`, and CSRF on unsafe methods. An API key is never accepted.
    Admin,
    /// As `Admin`, and the password entered again within five minutes.
    Sudo,
    /// A valid single-use `state`.
    Callback,
    /// Local, or a token of its own; off by default.
    Metrics,
    /// Bearer token of a vault; off by default.
    Sync,
}

impl Endpoint {
    /// The class of the endpoint: no wildcard here, so that a new one cannot be forgotten.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Root | Self::Health | Self::Ready | Self::Login | Self::Asset { .. } => {
                Class::Public
            }
            Self::ChatCompletions
            | Self::Completions
            | Self::Responses
            | Self::ResponsesCompact
            | Self::ResponsesInputTokens
            | Self::ResponsesItem { .. }
            | Self::ResponsesInputItems { .. }
            | Self::ResponsesCancel { .. }
            | Self::Messages
            | Self::CountTokens
            | Self::MessagesBatches
            | Self::Models
            | Self::Model { .. }
            | Self::GemModels
            | Self::GemModel { .. }
            | Self::GemAction { .. }
            | Self::OllamaAnswer(_)
            | Self::OllamaTags
            | Self::OllamaShow
            | Self::OllamaVersion
            | Self::OllamaPs
            | Self::Usage
            | Self::NotYet(_) => Class::Inference,
            Self::Dashboard { .. } | Self::Logout => Class::Ui,
            Self::Callback { .. } => Class::Callback,
            // The floor; the management router raises single routes to `Sudo`.
            Self::Management { .. } => Class::Admin,
        }
    }

    /// The scope a key needs (SEC-AK-6).
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Models
            | Self::Model { .. }
            | Self::GemModels
            | Self::GemModel { .. }
            | Self::OllamaTags
            | Self::OllamaShow => Scope::Models,
            Self::Usage => Scope::UsageOwn,
            Self::Root
            | Self::Health
            | Self::Ready
            | Self::ChatCompletions
            | Self::Completions
            | Self::Responses
            | Self::ResponsesCompact
            | Self::ResponsesInputTokens
            | Self::ResponsesItem { .. }
            | Self::ResponsesInputItems { .. }
            | Self::ResponsesCancel { .. }
            | Self::Messages
            | Self::CountTokens
            | Self::MessagesBatches
            | Self::GemAction { .. }
            | Self::OllamaAnswer(_)
            | Self::OllamaVersion
            | Self::OllamaPs
            | Self::NotYet(_)
            | Self::Login
            | Self::Logout
            | Self::Dashboard { .. }
            | Self::Asset { .. }
            | Self::Callback { .. }
            | Self::Management { .. } => Scope::Inference,
        }
    }
}

/// The methods of a route; HEAD goes with GET.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verbs {
    Get,
    Post,
    GetPost,
    GetDelete,
    Any,
}

impl Verbs {
    /// As an `Allow` header.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::GetPost => "GET, HEAD, POST",
            Self::GetDelete => "GET, HEAD, DELETE",
            Self::Any => "GET, HEAD, POST, PUT, PATCH, DELETE",
        }
    }

    pub(super) fn contains(self, method: &str) -> bool {
        self.allow().split(", ").any(|verb| verb == method)
    }
}

/// A route without parameters.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) path: &'static str,
    pub(super) base: Base,
    pub(super) rest: &'static str,
    pub(super) verbs: Verbs,
    pub(super) endpoint: Endpoint,
    pub(super) shape: ErrorShape,
}

macro_rules! row {
    (V1 $rest:literal, $verbs:ident, $endpoint:expr, $shape:ident) => {
        row!(@ concat!("/v1/", $rest), V1, $rest, $verbs, $endpoint, $shape)
    };
    (Beta $rest:literal, $verbs:ident, $endpoint:expr, $shape:ident) => {
        row!(@ concat!("/v1beta/", $rest), Beta, $rest, $verbs, $endpoint, $shape)
    };
    (Top $rest:literal, $verbs:ident, $endpoint:expr, $shape:ident) => {
        row!(@ concat!("/", $rest), Top, $rest, $verbs, $endpoint, $shape)
    };
    (@ $path:expr, $base:ident, $rest:literal, $verbs:ident, $endpoint:expr, $shape:ident) => {
        Row {
            path: $path,
            base: Base::$base,
            rest: $rest,
            verbs: Verbs::$verbs,
            endpoint: $endpoint,
            shape: ErrorShape::$shape,
        }
    };
}

/// Name of the Code Assist endpoints; they are Gemini-shaped but not under `/v1beta`.
pub(super) const CODE_ASSIST: &str = "code assist";

/// All routes without parameters, the busiest first: lookup is a linear scan.
pub(super) static ROWS: &[Row] = &[
    row!(V1 "chat/completions", Post, Endpoint::ChatCompletions, Chat),
    row!(V1 "messages", Post, Endpoint::Messages, Anth),
    row!(V1 "responses", Post, Endpoint::Responses, Chat),
    row!(V1 "messages/count_tokens", Post, Endpoint::CountTokens, Anth),
    row!(V1 "models", Get, Endpoint::Models, Chat),
    row!(V1 "responses/compact", Post, Endpoint::ResponsesCompact, Chat),
    row!(V1 "responses/input_tokens", Post, Endpoint::ResponsesInputTokens, Chat),
    row!(V1 "completions", Post, Endpoint::Completions, Chat),
    row!(V1 "usage", Get, Endpoint::Usage, Chat),
    row!(Top "healthz", Get, Endpoint::Health, Chat),
    row!(Top "readyz", Get, Endpoint::Ready, Chat),
    row!(Top "", Get, Endpoint::Root, Chat),
    row!(V1 "", Get, Endpoint::Models, Chat),
    row!(Beta "", Get, Endpoint::GemModels, Gem),
    row!(Beta "models", Get, Endpoint::GemModels, Gem),
    row!(Top "login", GetPost, Endpoint::Login, Chat),
    row!(Top "logout", Post, Endpoint::Logout, Chat),
    row!(Top "livez", Get, Endpoint::Health, Chat),
    row!(Top "health", Get, Endpoint::Health, Chat),
    row!(Top "api/health", Get, Endpoint::Health, Chat),
    row!(Top "callback", Get, Endpoint::Callback { provider: None }, Chat),
    row!(V1 "embeddings", Post, Endpoint::NotYet("embeddings"), Chat),
    row!(V1 "images/generations", Post, Endpoint::NotYet("image generation"), Chat),
    row!(V1 "images/edits", Post, Endpoint::NotYet("image edits"), Chat),
    row!(V1 "images/variations", Post, Endpoint::NotYet("image variations"), Chat),
    row!(V1 "audio/speech", Post, Endpoint::NotYet("speech"), Chat),
    row!(V1 "audio/transcriptions", Post, Endpoint::NotYet("transcription"), Chat),
    row!(V1 "audio/translations", Post, Endpoint::NotYet("audio translation"), Chat),
    row!(V1 "audio/voices", Get, Endpoint::NotYet("voice list"), Chat),
    row!(V1 "rerank", Post, Endpoint::NotYet("rerank"), Chat),
    row!(Top "v2/rerank", Post, Endpoint::NotYet("rerank"), Chat),
    row!(V1 "moderations", Post, Endpoint::NotYet("moderation"), Chat),
    row!(Top "v1internal:generateContent", Post, Endpoint::NotYet(CODE_ASSIST), Gem),
    row!(Top "v1internal:streamGenerateContent", Post, Endpoint::NotYet(CODE_ASSIST), Gem),
    row!(Top "v1internal:countTokens", Post, Endpoint::NotYet(CODE_ASSIST), Gem),
    row!(Top "v1internal:loadCodeAssist", Post, Endpoint::NotYet(CODE_ASSIST), Gem),
    row!(Top "v1internal:onboardUser", Post, Endpoint::NotYet(CODE_ASSIST), Gem),
    row!(Top "api/chat", Post, Endpoint::OllamaAnswer(Form::Chat), Ollama),
    row!(Top "api/generate", Post, Endpoint::OllamaAnswer(Form::Generate), Ollama),
    row!(Top "api/tags", Get, Endpoint::OllamaTags, Ollama),
    row!(Top "api/show", Post, Endpoint::OllamaShow, Ollama),
    row!(Top "api/embed", Post, Endpoint::NotYet("Ollama embeddings"), Ollama),
    row!(Top "api/embeddings", Post, Endpoint::NotYet("Ollama embeddings"), Ollama),
    row!(Top "api/version", Get, Endpoint::OllamaVersion, Ollama),
    row!(Top "api/ps", Get, Endpoint::OllamaPs, Ollama),
];

/// What a Gemini action word means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Served(GemAction),
    NotYet(&'static str),
}

/// Reads the word after the last `:`; `None` for words that are no action.
pub(super) fn action(word: &str) -> Option<Action> {
    Some(match word {
        "generateContent" => Action::Served(GemAction::Generate),
        "streamGenerateContent" => Action::Served(GemAction::Stream),
        "countTokens" => Action::Served(GemAction::Count),
        "embedContent" | "batchEmbedContents" => Action::NotYet("embeddings"),
        "predict" => Action::NotYet("predict"),
        "batchGenerateContent" => Action::NotYet("batches"),
        _ => return None,
    })
}
