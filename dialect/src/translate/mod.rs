//! From any dialect to any other: what all codecs share (translation §2–§4).
//!
//! A codec is four pairs of pure functions for one dialect: requests, whole answers, streams in, streams
//! out. No codec knows another; they meet in the neutral form [`ir`](crate::ir).
//!
//! ```text
//! request   client body ── decode ──► ir::Request ── repair ── adapt to Target ── encode ──► upstream body
//! stream    upstream bytes ── frames ── decode ──► ir::Event ── client's names ── encode ──► client bytes
//! whole     upstream body ── decode ──► ir::Response ── client's names ── encode ──► client body
//! crosswise a stream for a client that wants the whole: [`Fold`]; the reverse: [`unfold`]
//! ```
//!
//! * A request is decoded once. For each attempt a clone of it, cheap because text is shared, is repaired
//!   and adapted to that attempt's [`Target`]; an attempt never sees what another one changed.
//! * What the way back needs of the request is its [`ReplyPlan`].
//! * What no target takes, or this one does not, is a [`TranslateError`] before anything is sent. What
//!   merely got lost or changed is a [`Warning`]. An unknown field is never an error.
//! * A decoder tells of a broken answer with [`Event::Failed`](crate::ir::Event::Failed) and nothing after
//!   it. What the client is told is up to the caller, who knows whether another target may still be asked.
//! * Signatures, fetched media, the time and the model's abilities come from the caller.

pub mod allow_list;
mod answer;
pub mod builtins;
pub mod cache_marks;
mod client_names;
mod codec;
pub mod data_url;
pub mod effort_fit;
mod error;
mod error_in;
pub mod family;
pub mod finish;
mod fold;
pub mod gem3;
pub mod ids;
mod limits;
pub mod media;
pub mod names;
pub mod output_format;
pub mod pairing;
pub mod parameters;
mod part_queue;
mod reader;
pub mod reject;
mod reply;
mod request;
pub mod schema;
pub mod signature;
mod signature_notes;
pub(crate) mod sound;
mod stream;
mod summary;
mod target;
pub(crate) mod think_tags;
pub mod thinking;
pub mod tier;
pub mod tools;
pub mod turns;
mod unfold;

pub use allow_list::foreign_fields;
pub use answer::{BadFrame, Source, Translated, translate_response};
pub use client_names::{ClientNames, PLACEHOLDER};
pub use error::{TranslateError, Warning, WarningKind, Warnings};
pub use error_in::{error_for_client, failure_for_client};
pub use fold::{Fold, free_text_input, tool_input};
pub use part_queue::PartQueue;
pub use reader::EventReader;
pub use reply::{ClientTool, ClientTools, ReplyPlan, ResponseEcho};
pub use request::{Encoded, EncodedRequest, PrepareCx, Prepared, RequestTranslator};
pub use signature::{NoSignatures, Note, Signatures};
pub use signature_notes::SignatureNotes;
pub use stream::{Folding, StreamTranslator, unfold_body};
pub use target::{
    BudgetCaps, Envelope, EnvelopeIds, LevelCaps, ModelCaps, Target, ThinkingCaps,
    needs_translation,
};
pub use unfold::{PIECE_BYTES, unfold};
