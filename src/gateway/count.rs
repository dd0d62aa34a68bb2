//! Token counts, without lease, account slot or usage row: estimated from the text in milliseconds, or asked of
//! the upstream when the operator wants it so.

mod native;

use actix_web::HttpResponse;
use actix_web::web::Payload;
use ninerouter_dialect::{Dialect, ErrorKind, estimate_tokens, peek, strip_bom};
use serde_json::json;

use crate::gateway::admission::{self, Door};
use crate::gateway::inference::{bad, read_body};
use crate::gateway::reply::{self, Refusal};
use crate::gateway::route::Endpoint;

/// Answers a count. An unknown model is counted too: clients ask before routing is set up.
///
/// # Errors
/// The refusal to render in the endpoint's shape.
pub(super) async fn serve(door: Door, payload: Payload) -> Result<HttpResponse, Box<Refusal>> {
    let inside = admission::admit(&door)?;
    let held = read_body(&door, payload, &inside).await?;
    let body = strip_bom(held.bytes);
    let dialect = match &door.matched.endpoint {
        Endpoint::CountTokens => Dialect::Anth,
        Endpoint::ResponsesInputTokens => Dialect::Resp,
        _ => Dialect::Gem,
    };
    if dialect == Dialect::Anth {
        let found = peek(dialect, &body).map_err(bad)?;
        found.require_turns(dialect).map_err(bad)?;
    }
    let mut tokens = estimate_tokens(dialect, &body).map_err(bad)?;
    if inside.snapshot.settings.count_tokens.is_native() {
        let counted = native::count(&door, &inside, dialect, &body, tokens).await;
        tokens = counted.unwrap_or(tokens);
    }
    let answer = match dialect {
        Dialect::Anth => json!({"input_tokens": tokens}),
        Dialect::Resp => json!({"object": "response.input_tokens", "input_tokens": tokens}),
        Dialect::Gem => json!({
            "totalTokens": tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}],
        }),
        Dialect::Chat => {
            return Err(Box::new(Refusal::new(ErrorKind::NotFound, "no such endpoint")));
        }
    };
    Ok(reply::json(200, &door.request_id, answer.to_string()))
}
