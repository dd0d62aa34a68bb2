//! What the router itself puts into a stream: error events and keep-alives (translation §4.8, §4.1).

use bytes::Bytes;
use serde_json::json;

use crate::error::{ApiError, ErrorShape, anth_message, error_body, open_ai_code, open_ai_error};
use crate::{Dialect, Framing};

/// Where in a stream an error event goes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct StreamPosition<'a> {
    /// The sequence number of the next Responses event; for a JSON array, elements so far.
    pub next_sequence: u64,
    /// The response's id, where known.
    pub response_id: Option<&'a str>,
    /// The model as the stream names it.
    pub model: Option<&'a str>,
    /// The last bytes that went out are an unfinished event.
    pub mid_event: bool,
}

/// The error events of a broken stream, without any fake end; between two events.
pub fn stream_error(
    dialect: Dialect,
    framing: Framing,
    error: &ApiError,
    next_sequence: u64,
) -> Bytes {
    let at = StreamPosition { next_sequence, ..StreamPosition::default() };
    stream_error_at(dialect, framing, error, &at)
}

/// The error events of a broken stream at a known position. The caller must still break the
/// connection after them: several clients take a clean end for success (clients §1, item 5).
pub fn stream_error_at(
    dialect: Dialect,
    framing: Framing,
    error: &ApiError,
    at: &StreamPosition<'_>,
) -> Bytes {
    if framing == Framing::JsonArray {
        return array_error(error, at);
    }
    let events = match dialect {
        Dialect::Chat => format!("data: {}\n\n", json!({ "error": open_ai_error(error) })),
        Dialect::Resp => responses_error(error, at),
        Dialect::Anth => {
            let body = json!({ "type": "error", "error": {
                "type": error.kind.anth_type(),
                "message": anth_message(error),
            } });
            format!("event: error\ndata: {body}\n\n")
        }
        Dialect::Gem => format!("data: {}\r\n\r\n", text(error_body(ErrorShape::Gem, error))),
    };
    // An unfinished event is closed first, so that the error is an event of its own.
    Bytes::from(if at.mid_event { format!("\n\n{events}") } else { events })
}

/// The error once more, in the form that official Gemini SDKs look for; a piece of its own after the event.
///
/// Google's servers break into a stream with a bare JSON object, and the SDKs pass over an error inside an
/// event. The JavaScript one wants the object alone in a chunk of the body, which makes it the SDK's error
/// with a status; Gemini CLI then asks again, and gives up over a connection that merely closes. Parsers of
/// event streams ignore the line.
pub fn bare_error(dialect: Dialect, framing: Framing, error: &ApiError) -> Option<Bytes> {
    let wanted = dialect == Dialect::Gem && framing == Framing::Sse;
    wanted.then(|| error_body(ErrorShape::Gem, error).into())
}

/// Bytes that keep a silent stream alive. They may go between two events only.
///
/// Gemini clients get an empty line, which every parser skips: the official SDKs know no comments (the
/// JavaScript one, and with it Gemini CLI, fails with "Incomplete JSON segment at the end", the Python one
/// takes the comment for JSON).
pub fn keep_alive(dialect: Dialect, framing: Framing, message_started: bool) -> Bytes {
    match (framing, dialect) {
        (Framing::JsonArray, _) => Bytes::from_static(b"\n"),
        (Framing::Sse, Dialect::Anth) if message_started => {
            Bytes::from_static(b"event: ping\ndata: {\"type\":\"ping\"}\n\n")
        }
        (Framing::Sse, Dialect::Gem) => Bytes::from_static(b"\r\n"),
        (Framing::Sse, Dialect::Chat | Dialect::Resp | Dialect::Anth) => {
            Bytes::from_static(b": keep-alive\n\n")
        }
    }
}

fn responses_error(error: &ApiError, at: &StreamPosition<'_>) -> String {
    let code = open_ai_code(error).unwrap_or(error.kind.open_ai_type());
    let event = json!({
        "type": "error",
        "code": code,
        "message": error.message,
        "param": error.param,
        "sequence_number": at.next_sequence,
    });
    let made_up = format!("resp_{}", error.request_id);
    let failed = json!({
        "type": "response.failed",
        "sequence_number": at.next_sequence.saturating_add(1),
        "response": {
            "id": at.response_id.unwrap_or(&made_up),
            "object": "response",
            "status": "failed",
            "error": { "code": code, "message": error.message },
            "incomplete_details": null,
            "model": at.model.unwrap_or_default(),
            "output": [],
            "usage": null,
        },
    });
    format!("event: error\ndata: {event}\n\nevent: response.failed\ndata: {failed}\n\n")
}

/// The error element, without the closing bracket. In the middle of an element nothing fits.
fn array_error(error: &ApiError, at: &StreamPosition<'_>) -> Bytes {
    if at.mid_event {
        return Bytes::new();
    }
    let open = if at.next_sequence == 0 { "[" } else { ",\r\n" };
    Bytes::from(format!("{open}{}", text(error_body(ErrorShape::Gem, error))))
}

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn error() -> ApiError {
        ApiError {
            kind: ErrorKind::Overloaded,
            status: None,
            code: None,
            param: None,
            message: "busy".into(),
            request_id: "req_1".into(),
        }
    }

    fn event(dialect: Dialect, framing: Framing, next: u64) -> String {
        String::from_utf8(stream_error(dialect, framing, &error(), next).to_vec()).unwrap()
    }

    #[test]
    fn error_events_have_the_dialects_form_and_no_end() {
        assert_eq!(
            event(Dialect::Chat, Framing::Sse, 3),
            "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"param\":null,\"code\":\"overloaded\"}}\n\n"
        );
        assert_eq!(
            event(Dialect::Anth, Framing::Sse, 3),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n"
        );
        assert_eq!(
            event(Dialect::Gem, Framing::Sse, 3),
            "data: {\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n"
        );
        let resp = event(Dialect::Resp, Framing::Sse, 3);
        assert!(resp.starts_with(
            "event: error\ndata: {\"type\":\"error\",\"code\":\"overloaded\",\"message\":\"busy\",\"param\":null,\"sequence_number\":3}\n\nevent: response.failed\n"
        ));
        assert!(resp.contains("\"sequence_number\":4"));
        assert!(resp.contains("\"id\":\"resp_req_1\""));
    }

    #[test]
    fn array_errors_continue_the_array() {
        let open = event(Dialect::Gem, Framing::JsonArray, 0);
        assert!(open.starts_with("[{\"error\""), "{open}");
        let more = event(Dialect::Gem, Framing::JsonArray, 2);
        assert!(more.starts_with(",\r\n{\"error\"") && more.ends_with('}'), "{more}");
        let at = StreamPosition { mid_event: true, ..StreamPosition::default() };
        assert!(stream_error_at(Dialect::Gem, Framing::JsonArray, &error(), &at).is_empty());
    }

    #[test]
    fn an_unfinished_event_is_closed_first() {
        let at = StreamPosition { mid_event: true, ..StreamPosition::default() };
        let bytes = stream_error_at(Dialect::Chat, Framing::Sse, &error(), &at);
        assert!(bytes.starts_with(b"\n\ndata: "));
    }

    #[test]
    fn pings_go_to_anthropic_clients_after_the_start_only() {
        let ping = keep_alive(Dialect::Anth, Framing::Sse, true);
        assert_eq!(ping, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
        for (dialect, started) in
            [(Dialect::Anth, false), (Dialect::Chat, true), (Dialect::Resp, true)]
        {
            assert_eq!(keep_alive(dialect, Framing::Sse, started), ": keep-alive\n\n");
        }
    }

    #[test]
    fn gemini_clients_get_the_error_as_a_bare_object_too() {
        let bare = bare_error(Dialect::Gem, Framing::Sse, &error()).unwrap();
        assert_eq!(
            bare,
            "{\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}"
        );
        assert_eq!(bare_error(Dialect::Gem, Framing::JsonArray, &error()), None);
        assert_eq!(bare_error(Dialect::Chat, Framing::Sse, &error()), None);
    }

    #[test]
    fn gemini_clients_are_kept_alive_by_empty_lines() {
        assert_eq!(keep_alive(Dialect::Gem, Framing::Sse, true), "\r\n");
        assert_eq!(keep_alive(Dialect::Gem, Framing::JsonArray, true), "\n");
    }
}
