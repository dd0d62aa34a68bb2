//! The binary framing of AWS event streams (`application/vnd.amazon.eventstream`, providers §3.6).
//!
//! A frame has a length, headers, a payload and two checksums. Which bytes are wrong cannot be told from
//! where the next frame begins: after a damaged frame nothing more is read.

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use bytes::{Buf, BytesMut};

use crate::ir::Failure;
use crate::parse_error_body;
use crate::tap::{StreamError, TapFault};

/// Lengths and their checksum.
const PRELUDE: usize = 12;
/// Lengths, their checksum and that of the whole.
const LEAST: usize = 16;
const MOST: usize = 24 * 1024 * 1024;
const MOST_HEADERS: usize = 128 * 1024;

/// Cuts a stream into its messages. It holds the unfinished frame and nothing else.
#[derive(Debug)]
pub(crate) struct FrameSplitter {
    buffer: BytesMut,
    started: bool,
    max_event: usize,
}

impl FrameSplitter {
    /// At the start of a stream; no frame may be larger than `max_event` bytes.
    pub(crate) fn new(max_event: usize) -> Self {
        Self { buffer: BytesMut::new(), started: false, max_event }
    }

    /// Whether the bytes so far end between two frames.
    pub(crate) fn at_boundary(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether any byte came.
    pub(crate) fn started(&self) -> bool {
        self.started
    }

    /// Takes a chunk and hands each message that ends in it to `sink`.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(&Message),
    ) -> Result<(), TapFault> {
        self.started |= !chunk.is_empty();
        self.buffer.extend_from_slice(chunk);
        while let Some(total) = self.total()?.filter(|total| self.buffer.len() >= *total) {
            let frame = self.buffer.split_to(total).freeze();
            let Ok(message) = read_message_from(frame) else { return Err(TapFault::Corrupt) };
            sink(&message);
        }
        Ok(())
    }

    /// The length of the next frame, once its prelude is here. The prelude is checked at once: a wrong
    /// length would make us wait for bytes that never come.
    fn total(&self) -> Result<Option<usize>, TapFault> {
        let Some(mut prelude) = self.buffer.get(..PRELUDE) else { return Ok(None) };
        let lengths = prelude.get(..8).unwrap_or_default();
        let sum = crc32fast::hash(lengths);
        let (total, headers, expected) = (prelude.get_u32(), prelude.get_u32(), prelude.get_u32());
        let length = |bits: u32| usize::try_from(bits).unwrap_or(usize::MAX);
        let (total, headers) = (length(total), length(headers));
        let fits = (LEAST..=MOST).contains(&total)
            && headers <= MOST_HEADERS.min(total.saturating_sub(LEAST));
        if sum != expected || !fits {
            return Err(TapFault::Corrupt);
        }
        if total > self.max_event {
            return Err(TapFault::EventTooLarge { limit: self.max_event });
        }
        Ok(Some(total))
    }
}

/// The text of a header.
pub(crate) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let found = message.headers().iter().find(|header| header.name().as_str() == name)?;
    found.value().as_string().ok().map(|text| text.as_str())
}

/// Why a message breaks the answer off: it is an exception of the service, or an error of the connection.
pub(crate) fn failure(message: &Message) -> Option<Failure> {
    let name = match header(message, ":message-type") {
        Some("exception") => header(message, ":exception-type"),
        Some("error") => header(message, ":error-code"),
        _ => return None,
    };
    let name = name.unwrap_or("UnknownException");
    let payload = message.payload();
    let status = status(name);
    let mut body = parse_error_body(status, None, payload);
    if let Some(text) = header(message, ":error-message") {
        body.message = Some(text.to_owned());
    }
    let reason = body.raw.get("reason").and_then(serde_json::Value::as_str);
    body.code = body.code.or_else(|| reason.map(str::to_owned));
    let spent = ["MONTHLY_REQUEST_COUNT", "OVERAGE_REQUEST_LIMIT_EXCEEDED"];
    let status =
        if body.code.as_deref().is_some_and(|code| spent.contains(&code)) { 402 } else { status };
    body.error_type.get_or_insert_with(|| name.to_owned());
    let error = StreamError { raw: payload.clone(), status: Some(status), body };
    Some(Failure::Upstream(Box::new(error)))
}

/// The status that an exception stands for.
fn status(name: &str) -> u16 {
    // Kiro writes ThrottlingException, Bedrock throttlingException.
    match name.rsplit('#').next().unwrap_or(name).to_ascii_lowercase().as_str() {
        "validationexception" => 400,
        "expiredtokenexception" | "unrecognizedclientexception" => 401,
        "accessdeniedexception" => 403,
        "resourcenotfoundexception" => 404,
        "conflictexception" => 409,
        "throttlingexception" | "servicequotaexceededexception" => 429,
        "serviceunavailableexception" => 503,
        "modeltimeoutexception" => 504,
        // InternalServerException, ModelStreamErrorException and whatever else it may be.
        _ => 502,
    }
}

/// A frame as the service would write it.
#[cfg(test)]
pub(crate) fn frame(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    use aws_smithy_types::event_stream::{Header, HeaderValue};
    let mut message = Message::new(bytes::Bytes::copy_from_slice(payload.as_bytes()));
    for (name, value) in headers {
        let value = HeaderValue::String((*value).to_owned().into());
        message = message.add_header(Header::new((*name).to_owned(), value));
    }
    let mut bytes = Vec::new();
    aws_smithy_eventstream::frame::write_message_to(&message, &mut bytes).unwrap();
    bytes
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::DateTime;
    use aws_smithy_types::event_stream::{Header, HeaderValue};
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 16 * 1024 * 1024;
    const LIMIT_BITS: u32 = 16 * 1024 * 1024;
    /// `assistantResponseEvent` with `{"content":"Hi"}` (providers §3.6).
    const EVENT: &str = "0000007c0000005c3bddcf780b3a6576656e742d74797065070016617373697374616e74526573706f6e73654576656e740d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070005\
        6576656e747b22636f6e74656e74223a224869227db02babdc";
    /// `ThrottlingException` with `{"message":"slow down"}`.
    const EXCEPTION: &str = "0000008800000061de0175f40f3a657863657074696f6e2d747970650700135468726f74746c696e67457863657074696f6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009\
        657863657074696f6e7b226d657373616765223a22736c6f7720646f776e227d5b4bbb49";
    const NOTHING: &str = "000000100000000005c248eb7d98c8ff";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|digits| pair(digits).unwrap()).collect()
    }

    /// Types and payloads of all messages, and whether nothing is left over.
    fn split(pieces: &[&[u8]]) -> Result<(Vec<(String, String)>, bool), TapFault> {
        let mut splitter = FrameSplitter::new(LIMIT);
        let mut seen = Vec::new();
        for piece in pieces {
            splitter.push(piece, &mut |message| {
                let name =
                    [":event-type", ":exception-type"].iter().find_map(|n| header(message, n));
                let payload = String::from_utf8(message.payload().to_vec()).unwrap();
                seen.push((name.unwrap_or_default().to_owned(), payload));
            })?;
        }
        Ok((seen, splitter.at_boundary()))
    }

    /// A prelude with a right checksum.
    fn prelude(total: u32, headers: u32) -> Vec<u8> {
        let lengths = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        let sum = crc32fast::hash(&lengths).to_be_bytes();
        [lengths, sum.to_vec()].concat()
    }

    #[test]
    fn t172_frames_are_whole_wherever_they_are_cut() {
        let stream = [bytes(EVENT), bytes(NOTHING), bytes(EXCEPTION)].concat();
        let owned = |name: &str, payload: &str| (name.to_owned(), payload.to_owned());
        let want = vec![
            owned("assistantResponseEvent", r#"{"content":"Hi"}"#),
            owned("", ""),
            owned("ThrottlingException", r#"{"message":"slow down"}"#),
        ];
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(split(&[head, tail]), Ok((want.clone(), true)), "cut at {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(split(&single), Ok((want, true)));
        let (seen, whole) = split(&[&stream[..stream.len() - 1]]).unwrap();
        assert_eq!((seen.len(), whole), (2, false));
        let headers = [
            (":event-type", "assistantResponseEvent"),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ];
        assert_eq!(frame(&headers, r#"{"content":"Hi"}"#), bytes(EVENT));
    }

    #[test]
    fn t172_damaged_frames_are_told_at_once() {
        let good = bytes(EVENT);
        let flipped = |at: usize| {
            let mut frame = good.clone();
            frame[at] ^= 1;
            frame
        };
        for (frame, what) in [
            (flipped(3), "total length"),
            (flipped(7), "length of the headers"),
            (flipped(11), "checksum of the prelude"),
            (flipped(20), "a header"),
            (flipped(good.len() - 6), "the payload"),
            (flipped(good.len() - 1), "checksum of the message"),
            (prelude(8, 0), "shorter than a frame"),
            (prelude(15, 0), "shorter than a frame"),
            (prelude(100, 85), "headers beyond the end"),
            (prelude(100, u32::MAX), "headers beyond the end"),
            (prelude(24 * 1024 * 1024 + 1, 0), "more than any frame"),
            (prelude(1024 * 1024, 128 * 1024 + 1), "more than any headers"),
        ] {
            assert_eq!(split(&[&frame]), Err(TapFault::Corrupt), "{what}");
        }
        let large = TapFault::EventTooLarge { limit: LIMIT };
        assert_eq!(split(&[&prelude(LIMIT_BITS + 1, 0)]), Err(large));
        assert_eq!(split(&[&prelude(LIMIT_BITS, 0)]), Ok((Vec::new(), false)));
    }

    #[test]
    fn t172_headers_of_all_types_are_passed_over() {
        let mut message = Message::new(Bytes::from_static(b"{}"));
        for value in [
            HeaderValue::Bool(true),
            HeaderValue::Bool(false),
            HeaderValue::Byte(-1),
            HeaderValue::Int16(-2),
            HeaderValue::Int32(-3),
            HeaderValue::Int64(-4),
            HeaderValue::ByteArray(Bytes::from_static(b"\xff\0")),
            HeaderValue::String("text".into()),
            HeaderValue::Timestamp(DateTime::from_secs(5)),
            HeaderValue::Uuid(6),
        ] {
            message = message.add_header(Header::new("x", value));
        }
        message = message.add_header(Header::new(":event-type", HeaderValue::String("e".into())));
        let mut frame = Vec::new();
        aws_smithy_eventstream::frame::write_message_to(&message, &mut frame).unwrap();
        assert_eq!(split(&[&frame]), Ok((vec![("e".to_owned(), "{}".to_owned())], true)));
    }

    #[test]
    fn t174_exceptions_have_a_status() {
        use crate::ErrorKind as Kind;
        let exception = |name: &str, payload: &str| {
            frame(&[(":message-type", "exception"), (":exception-type", name)], payload)
        };
        let slow = exception("ThrottlingException", r#"{"message":"slow"}"#);
        for (bytes, status, kind, code) in [
            (slow, 429, Kind::RateLimit, None),
            (exception("throttlingException", "{}"), 429, Kind::RateLimit, None),
            (bytes(EXCEPTION), 429, Kind::RateLimit, None),
            (
                exception("ValidationException", r#"{"message":"Improperly formed request."}"#),
                400,
                Kind::InvalidRequest,
                None,
            ),
            (
                exception("ValidationException", r#"{"message":"Input is too long."}"#),
                400,
                Kind::ContextLength,
                None,
            ),
            (
                exception(
                    "ValidationException",
                    r#"{"message":"no","reason":"CONTENT_LENGTH_EXCEEDS_THRESHOLD"}"#,
                ),
                400,
                Kind::ContextLength,
                Some("CONTENT_LENGTH_EXCEEDS_THRESHOLD"),
            ),
            (exception("AccessDeniedException", "{}"), 403, Kind::Permission, None),
            (exception("ServiceQuotaExceededException", "{}"), 429, Kind::Quota, None),
            (
                exception("ServiceQuotaExceededException", r#"{"reason":"MONTHLY_REQUEST_COUNT"}"#),
                402,
                Kind::Quota,
                Some("MONTHLY_REQUEST_COUNT"),
            ),
            (exception("InternalServerException", ""), 502, Kind::BadGateway, None),
            (exception("ModelStreamErrorException", "not json"), 502, Kind::BadGateway, None),
            (exception("NeverHeardOfException", "{}"), 502, Kind::BadGateway, None),
            (
                frame(
                    &[
                        (":message-type", "error"),
                        (":error-code", "InternalError"),
                        (":error-message", "gone"),
                    ],
                    "",
                ),
                502,
                Kind::BadGateway,
                None,
            ),
        ] {
            let mut splitter = FrameSplitter::new(LIMIT);
            let mut found = None;
            splitter.push(&bytes, &mut |message| found = failure(message)).unwrap();
            let Some(Failure::Upstream(error)) = found else { panic!("{found:?}") };
            let got = (error.status, error.body.kind(error.status), error.body.code.as_deref());
            assert_eq!(got, (Some(status), kind, code), "{error:?}");
            assert!(error.body.error_type.is_some());
        }
        let event = frame(&[(":message-type", "event"), (":event-type", "x")], "{}");
        FrameSplitter::new(LIMIT).push(&event, &mut |m| assert_eq!(failure(m), None)).unwrap();
    }

    proptest! {
        #[test]
        fn t180_any_bytes_are_split_without_panic(
            junk in proptest::collection::vec(any::<u8>(), 0..200),
            total in 0_u32..400,
            headers in 0_u32..400,
            keep in 0_usize..130,
        ) {
            let mut splitter = FrameSplitter::new(256);
            let frames = [bytes(EVENT)[..keep.min(124)].to_vec(), prelude(total, headers), junk].concat();
            let mut payload = 0;
            let mut sink = |message: &Message| payload += message.payload().len();
            let _fault = splitter.push(&frames, &mut sink).is_err();
            prop_assert!(payload <= frames.len());
        }
    }
}
