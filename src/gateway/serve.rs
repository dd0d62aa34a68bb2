//! Inference endpoints by name: who answers what.

use actix_web::HttpResponse;
use actix_web::web::Payload;
use ninerouter_dialect::ErrorKind;

use crate::gateway::admission::{self, Door};
use crate::gateway::noted::Witness;
use crate::gateway::reply::Refusal;
use crate::gateway::route::{Endpoint, GemAction};
use crate::gateway::{count, inference, models, ollama, usage};

/// Answers one request of class `Inference`.
///
/// # Errors
/// The refusal to render in the endpoint's shape.
pub async fn serve(door: Door, payload: Payload) -> Result<HttpResponse, Box<Refusal>> {
    match &door.matched.endpoint {
        Endpoint::ChatCompletions
        | Endpoint::Completions
        | Endpoint::Responses
        | Endpoint::Messages
        | Endpoint::OllamaAnswer(_)
        | Endpoint::GemAction { action: GemAction::Generate | GemAction::Stream, .. } => {
            Ok(inference::serve(door, payload).await)
        }
        _ => {
            let witness = Witness::of(&door);
            // Boxed: what generates must not carry the room that the others need.
            let served = Box::pin(beside(door, payload)).await;
            if let Err(refusal) = &served {
                witness.note(refusal);
            }
            served
        }
    }
}

/// What is no generation.
async fn beside(door: Door, payload: Payload) -> Result<HttpResponse, Box<Refusal>> {
    match &door.matched.endpoint {
        Endpoint::CountTokens
        | Endpoint::ResponsesInputTokens
        | Endpoint::GemAction { action: GemAction::Count, .. } => count::serve(door, payload).await,
        Endpoint::Models
        | Endpoint::Model { .. }
        | Endpoint::GemModels
        | Endpoint::GemModel { .. } => models::serve(door).await,
        Endpoint::OllamaTags
        | Endpoint::OllamaShow
        | Endpoint::OllamaVersion
        | Endpoint::OllamaPs => ollama::serve(door, payload).await,
        Endpoint::Usage => usage::serve(door).await,
        Endpoint::ResponsesItem { id } | Endpoint::ResponsesInputItems { id } => {
            let _admitted = admission::admit(&door)?;
            let message = format!("response `{id}` is not stored; `store` is off on this router");
            Err(Box::new(
                Refusal::new(ErrorKind::NotFound, message).code("not_found").param("response_id"),
            ))
        }
        Endpoint::ResponsesCancel { .. } => {
            let _admitted = admission::admit(&door)?;
            let message = "background responses are not supported; there is nothing to cancel";
            Err(Box::new(Refusal::new(ErrorKind::InvalidRequest, message)))
        }
        Endpoint::MessagesBatches => {
            let _admitted = admission::admit(&door)?;
            Err(Box::new(Refusal::new(ErrorKind::NotFound, "message batches are not offered")))
        }
        Endpoint::ResponsesCompact => {
            let _admitted = admission::admit(&door)?;
            Err(not_yet("compaction of a Responses conversation"))
        }
        Endpoint::NotYet(what) => {
            let _admitted = admission::admit(&door)?;
            Err(not_yet(what))
        }
        Endpoint::Root
        | Endpoint::Health
        | Endpoint::Ready
        | Endpoint::Dashboard { .. }
        | Endpoint::Asset { .. }
        | Endpoint::Callback { .. }
        | Endpoint::Login
        | Endpoint::Logout
        | Endpoint::Management { .. }
        | Endpoint::ChatCompletions
        | Endpoint::Completions
        | Endpoint::Responses
        | Endpoint::Messages
        | Endpoint::OllamaAnswer(_)
        | Endpoint::GemAction { action: GemAction::Generate | GemAction::Stream, .. } => {
            Err(Box::new(Refusal::new(ErrorKind::NotFound, "no such endpoint")))
        }
    }
}

fn not_yet(what: &str) -> Box<Refusal> {
    let message = format!("{what} is not offered by this version of the router");
    let mut refusal =
        Refusal::new(ErrorKind::InvalidRequest, message).status(501).code("not_implemented");
    refusal.should_retry = Some(false);
    Box::new(refusal)
}
