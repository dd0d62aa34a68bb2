//! The test vectors of translation §6, each through the whole pipeline: a client's request to the body that
//! goes upstream, an upstream's answer to the bytes that the client gets. The number is in the test's name.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "vectors/calls.rs"]
mod calls;
#[path = "vectors/declarations.rs"]
mod declarations;
#[path = "vectors/media.rs"]
mod media;
#[path = "vectors/parameters.rs"]
mod parameters;
#[path = "vectors/pipeline.rs"]
mod pipeline;
#[path = "vectors/reasoning.rs"]
mod reasoning;
#[path = "vectors/streams_chat.rs"]
mod streams_chat;
#[path = "vectors/streams_cut.rs"]
mod streams_cut;
#[path = "vectors/streams_gem.rs"]
mod streams_gem;
#[path = "vectors/streams_out.rs"]
mod streams_out;
#[path = "vectors/streams_resp.rs"]
mod streams_resp;
#[path = "vectors/turns.rs"]
mod turns;
#[path = "vectors/whole.rs"]
mod whole;
