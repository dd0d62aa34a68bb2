//! Legacy `/v1/completions` on top of chat: the stream (endpoints §4.2).

use std::ops::ControlFlow;

use crate::completions::completion_object;
use crate::json;
use crate::sse::{Frame, SseSplitter};
use crate::tap::TapFault;

/// Converts a chat stream into a completions stream, event by event.
#[derive(Debug)]
pub struct CompletionStream {
    splitter: SseSplitter,
}

impl CompletionStream {
    /// A converter at the start of a stream.
    pub fn new(max_event_bytes: usize) -> Self {
        Self { splitter: SseSplitter::new(max_event_bytes) }
    }

    /// Converts the events that end in `chunk`; comments become comments, errors pass unchanged.
    ///
    /// # Errors
    /// A [`TapFault`] when an event is larger than allowed.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), TapFault> {
        let before = out.len();
        self.splitter.push(chunk, &mut |frame, _| {
            if let Some(frame) = frame {
                convert(&frame, out);
            }
            ControlFlow::Continue(())
        })?;
        // A chunk of comments only is a sign of life that the client should get too.
        let silent = out.len() == before && self.splitter.at_boundary();
        if silent && memchr::memchr(b':', chunk) == Some(0) {
            out.extend_from_slice(b": keep-alive\n\n");
        }
        Ok(())
    }

    /// Converts an event that the end of the stream left unterminated.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.splitter.finish(&mut |frame, _| {
            if let Some(frame) = frame {
                convert(&frame, out);
            }
            ControlFlow::Continue(())
        });
    }

    /// Whether the output so far ends between two events.
    pub fn at_boundary(&self) -> bool {
        // Only whole events are ever put out.
        true
    }
}

fn convert(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let data = frame.data.trim_ascii();
    if data.is_empty() || data == b"null" {
        return;
    }
    if data == b"[DONE]" {
        out.extend_from_slice(b"data: [DONE]\n\n");
        return;
    }
    let text = json::lossy(data);
    match completion_object(&text) {
        Some(chunk) if chunk.has_choices && chunk.speaks => put(out, chunk.json.as_bytes()),
        // The chunk that only names the role has no counterpart.
        Some(chunk) if chunk.has_choices => {}
        // An error, or something unknown: the client gets what the upstream said.
        Some(_) => put(out, data),
        None => {}
    }
}

fn put(out: &mut Vec<u8>, data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        out.push(b'\n');
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = concat!(
        "data: {\"id\":\"chatcmpl-1\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"chatcmpl-1\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hé\"},\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"chatcmpl-1\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"id\":\"chatcmpl-1\",\"created\":7,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: [DONE]\n\n",
    );

    const COMPLETION: &str = concat!(
        "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"hé\",\"logprobs\":null,\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: [DONE]\n\n",
    );

    fn convert_all(chunks: &[&[u8]]) -> String {
        let mut stream = CompletionStream::new(1 << 20);
        let mut out = Vec::new();
        for chunk in chunks {
            stream.push(chunk, &mut out).unwrap();
        }
        stream.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn e015_stream_is_text_and_ends_with_done() {
        assert_eq!(convert_all(&[CHAT.as_bytes()]), COMPLETION);
        let bytes: Vec<&[u8]> = CHAT.as_bytes().chunks(1).collect();
        assert_eq!(convert_all(&bytes), COMPLETION);
    }

    #[test]
    fn errors_pass_and_comments_stay_comments() {
        let error = "data: {\"error\":{\"message\":\"m\"}}\n\n";
        assert_eq!(convert_all(&[error.as_bytes()]), error);
        assert_eq!(convert_all(&[b": PROCESSING\n\n"]), ": keep-alive\n\n");
    }
}
