//! The usage row of a request and the rows of its attempts (`storage.md` §4.1, §4.2).

use crate::clock::UnixMs;
use crate::id::{AccountId, ComboId, KeyId};
use crate::routing::account::Tier;
use crate::routing::classify::{Class, Next};
use crate::store::column;

/// What the client spoke.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum InboundDialect {
    /// Chat completions.
    #[default]
    Chat,
    /// Responses.
    Resp,
    /// Messages.
    Anth,
    /// Gemini.
    Gem,
    /// Ollama.
    Ollama,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RequestKind {
    /// A conversation.
    #[default]
    Chat,
    /// A legacy completion.
    Completion,
    /// An embedding.
    Embedding,
    /// An image.
    Image,
    /// Speech.
    Speech,
    /// A transcription.
    Transcription,
    /// A reranking.
    Rerank,
    /// A moderation.
    Moderation,
    /// A compaction.
    Compact,
}

/// How much of the body was rebuilt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExecTier {
    /// Spliced.
    A,
    /// Patched.
    B,
    /// Translated.
    C,
}

/// How the request ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RequestStatus {
    /// Answered.
    #[default]
    Ok,
    /// Failed.
    Error,
    /// The client went away.
    ClientCancelled,
    /// Refused by the router before any attempt; counted, never billed.
    Rejected,
}

/// Where the price came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PriceSource {
    /// The operator's table.
    Operator,
    /// The upstream's reply.
    Reply,
    /// The catalog.
    Catalog,
    /// The upstream's model list.
    Live,
    /// A pattern of model names.
    Pattern,
    /// Nowhere.
    #[default]
    None,
    /// Another router's history.
    Imported,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AttemptOutcome {
    /// Answered.
    Ok,
    /// Failed.
    Failed,
    /// Not tried: locked, busy, not allowed …
    Skipped,
    /// Our side gave up: the client went away, a time-out of the whole request.
    Aborted,
}

column::names_written!(InboundDialect, dialect_text, {
    Chat => "chat",
    Resp => "resp",
    Anth => "anth",
    Gem => "gem",
    Ollama => "ollama",
});
column::names_written!(RequestKind, request_kind_text, {
    Chat => "chat",
    Completion => "completion",
    Embedding => "embedding",
    Image => "image",
    Speech => "speech",
    Transcription => "transcription",
    Rerank => "rerank",
    Moderation => "moderation",
    Compact => "compact",
});
column::names_written!(ExecTier, exec_tier_text, {
    A => "A",
    B => "B",
    C => "C",
});
column::names_written!(RequestStatus, status_text, {
    Ok => "ok",
    Error => "error",
    ClientCancelled => "client_cancelled",
    Rejected => "rejected",
});
column::names_written!(PriceSource, price_source_text, {
    Operator => "operator",
    Reply => "reply",
    Catalog => "catalog",
    Live => "live",
    Pattern => "pattern",
    None => "none",
    Imported => "imported",
});
column::names_written!(AttemptOutcome, outcome_text, {
    Ok => "ok",
    Failed => "failed",
    Skipped => "skipped",
    Aborted => "aborted",
});
column::names_written!(Next, next_text, {
    SameAccount => "same_account",
    NextAccount => "next_account",
    NextEntry => "next_entry",
    Return => "return",
});

/// One client request. Field names are those of the columns.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RequestRow {
    /// Our own id of the request; never the client's.
    pub id: String,
    /// Start, Unix ms.
    pub ts: UnixMs,
    /// The client's `x-request-id`.
    pub external_id: Option<String>,
    /// Key of the caller; `None` = local.
    pub api_key_id: Option<KeyId>,
    /// Name of that key at the time.
    pub api_key_name: Option<String>,
    /// Family of the user agent: `claude-code`, `codex` … `other`.
    pub tool: String,
    /// Address of the client.
    pub client_ip: Option<String>,
    /// Keyed hash of the session.
    pub session_hash: Option<[u8; 32]>,
    /// What the client spoke.
    pub dialect: InboundDialect,
    /// Alias of the route used.
    pub entrypoint: String,
    /// What was asked for.
    pub kind: RequestKind,
    /// A stream was asked for.
    pub stream: bool,
    /// Model as the client wrote it.
    pub requested_model: String,
    /// Combo that was resolved.
    pub combo_id: Option<ComboId>,
    /// Its name at the time.
    pub combo_name: Option<String>,
    /// Provider that answered, or failed last.
    pub provider: Option<String>,
    /// Upstream's model id.
    pub model: Option<String>,
    /// `prefix/model`.
    pub model_key: Option<String>,
    /// Account that answered, or failed last.
    pub account_id: Option<AccountId>,
    /// Its label at the time.
    pub account_label: Option<String>,
    /// Price class.
    pub tier: Option<Tier>,
    /// How much of the body was rebuilt.
    pub exec_tier: Option<ExecTier>,
    /// Combo entry that answered.
    pub entry_index: Option<u16>,
    /// How it ended.
    pub status: RequestStatus,
    /// Status sent to the client.
    pub http_status: u16,
    /// Error class, when it failed.
    pub error_class: Option<String>,
    /// Error code, when it failed.
    pub error_code: Option<String>,
    /// The answer was cut.
    pub incomplete: bool,
    /// Upstream attempts made.
    pub attempts: u16,
    /// Another target than the first one answered.
    pub fallback: bool,
    /// Total input, with cache.
    pub input_tokens: u64,
    /// Input read from the cache.
    pub cached_tokens: u64,
    /// Input written to the five-minute cache.
    pub cache_write_5m_tokens: u64,
    /// Input written to the one-hour cache.
    pub cache_write_1h_tokens: u64,
    /// Output, with reasoning.
    pub output_tokens: u64,
    /// Output spent on reasoning.
    pub reasoning_tokens: u64,
    /// The tokens are an estimate.
    pub estimated: bool,
    /// Micro-dollars at list price; `None` = unpriced. What never reached an upstream costs `Some(0)`.
    pub list_cost: Option<i64>,
    /// Micro-dollars really paid (flat plans: 0); `None` = unpriced.
    pub paid_cost: Option<i64>,
    /// Where the price came from.
    pub price_source: PriceSource,
    /// Beyond the plan.
    pub overage: bool,
    /// Counted at list price though a flat plan covers it.
    pub notional: bool,
    /// Waiting before the first attempt.
    pub queue_ms: Option<u32>,
    /// Time to the first content.
    pub ttft_ms: Option<u32>,
    /// Time to the end.
    pub total_ms: Option<u32>,
    /// Bytes of the client's body.
    pub bytes_in: u64,
    /// Bytes sent to the client.
    pub bytes_out: u64,
    /// Bodies were kept.
    pub captured: bool,
    /// Their size.
    pub body_bytes: u64,
}

/// One upstream attempt or skip. The request's id is that of the [`RequestRow`] beside it.
#[derive(Clone, PartialEq, Debug)]
pub struct AttemptRow {
    /// 1 is the first.
    pub n: u16,
    /// Start, Unix ms.
    pub ts: UnixMs,
    /// `prefix/model`.
    pub target: String,
    /// Combo entry.
    pub entry_index: Option<u16>,
    /// Account tried.
    pub account_id: Option<AccountId>,
    /// Its label at the time.
    pub account_label: Option<String>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Class of the failure.
    pub class: Option<Class>,
    /// The upstream's status.
    pub upstream_status: Option<u16>,
    /// The upstream's code.
    pub code: Option<String>,
    /// Redacted; cut at 500 characters on writing.
    pub message: Option<String>,
    /// Where the request went next.
    pub next: Next,
    /// Until when the target is locked.
    pub until: Option<UnixMs>,
    /// Connecting.
    pub connect_ms: Option<u32>,
    /// Until the head.
    pub head_ms: Option<u32>,
    /// Until the first content.
    pub first_ms: Option<u32>,
    /// Until the end.
    pub total_ms: Option<u32>,
}

/// A finished request with its attempts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UsageRecord {
    /// The usage row.
    pub request: RequestRow,
    /// In order.
    pub attempts: Vec<AttemptRow>,
}
