//! How each vendor says "quota used up", with the reset in the vendor's own form.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Value, json};

use super::Wire;
use crate::clock::UnixMs;

/// 429 of the given wire: the body names the simulator, the headers name the reset.
pub(in crate::demo) fn quota(
    wire: Wire,
    name: &str,
    now: UnixMs,
    resets_at: UnixMs,
) -> HttpResponse {
    let wait_s = ((resets_at - now).max(1) + 999) / 1000;
    let reset_s = (resets_at + 999) / 1000;
    let message = format!("simulated provider {name}: quota used up, try again in {wait_s}s");
    let mut reply = HttpResponse::build(StatusCode::TOO_MANY_REQUESTS);
    reply.insert_header(("retry-after", wait_s.to_string()));
    match wire {
        Wire::Chat | Wire::Responses => {
            reply
                .insert_header(("x-ratelimit-remaining-requests", "0"))
                .insert_header(("x-ratelimit-reset-requests", format!("{wait_s}s")));
        }
        Wire::Messages => {
            let reset = reset_s.to_string();
            reply
                .insert_header(("anthropic-ratelimit-unified-status", "rejected"))
                .insert_header(("anthropic-ratelimit-unified-reset", reset.as_str()))
                .insert_header(("anthropic-ratelimit-unified-5h-status", "rejected"))
                .insert_header(("anthropic-ratelimit-unified-5h-reset", reset.as_str()));
        }
        // Google puts the wait into the body alone.
        Wire::Gemini => {}
    }
    reply.json(body(wire, &message, wait_s))
}

fn body(wire: Wire, message: &str, wait_s: i64) -> Value {
    match wire {
        Wire::Chat | Wire::Responses => json!({"error": {"message": message,
            "type": "requests", "param": null, "code": "rate_limit_exceeded"}}),
        Wire::Messages => json!({"type": "error",
            "error": {"type": "rate_limit_error", "message": message}}),
        Wire::Gemini => json!({"error": {"code": 429, "message": message,
            "status": "RESOURCE_EXHAUSTED", "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                 "reason": "RATE_LIMIT_EXCEEDED", "domain": "googleapis.com"},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo",
                 "retryDelay": format!("{wait_s}s")}]}}),
    }
}

/// Error of the given wire for a request the simulator does not serve.
pub(in crate::demo) fn bad_request(wire: Wire, name: &str, why: &str) -> HttpResponse {
    let message = format!("simulated provider {name}: {why}");
    HttpResponse::BadRequest().json(match wire {
        Wire::Chat | Wire::Responses => json!({"error": {"message": message,
            "type": "invalid_request_error", "param": null, "code": null}}),
        Wire::Messages => json!({"type": "error",
            "error": {"type": "invalid_request_error", "message": message}}),
        Wire::Gemini => json!({"error": {"code": 400, "message": message,
            "status": "INVALID_ARGUMENT"}}),
    })
}
