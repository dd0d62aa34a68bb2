//! Picks the codec of a dialect.

use bytes::Bytes;

use crate::ir::{Event, Failure, Response};
use crate::translate::{BadFrame, Envelope, ReplyPlan, Source};
use crate::{ApiError, Dialect, Framing, anth, chat, gem, kiro, ollama, resp};

/// Reads the events of one answer.
#[derive(Debug)]
pub(super) enum Decoder {
    Chat(Box<chat::StreamDecoder>),
    Resp(Box<resp::StreamDecoder>),
    Anth(Box<anth::StreamDecoder>),
    Gem(Box<gem::StreamDecoder>),
    Kiro(Box<kiro::StreamDecoder>),
    Ollama(Box<ollama::StreamDecoder>),
}

impl Decoder {
    pub(super) fn new(source: &Source) -> Self {
        match source.dialect {
            _ if source.envelope == Envelope::Kiro => {
                Self::Kiro(Box::new(kiro::StreamDecoder::new(source)))
            }
            _ if source.envelope == Envelope::Ollama => {
                Self::Ollama(Box::new(ollama::StreamDecoder::new(source)))
            }
            Dialect::Chat => Self::Chat(Box::new(chat::StreamDecoder::new(source))),
            Dialect::Resp => Self::Resp(Box::new(resp::StreamDecoder::new(source))),
            Dialect::Anth => Self::Anth(Box::new(anth::StreamDecoder::new(source))),
            Dialect::Gem => Self::Gem(Box::new(gem::StreamDecoder::new(source))),
        }
    }

    pub(super) fn frame(
        &mut self,
        data: &[u8],
        name: Option<&[u8]>,
        out: &mut Vec<Event>,
    ) -> Result<(), BadFrame> {
        match self {
            Self::Chat(decoder) => decoder.frame(data, name, out),
            Self::Resp(decoder) => decoder.frame(data, name, out),
            Self::Anth(decoder) => decoder.frame(data, name, out),
            Self::Gem(decoder) => decoder.frame(data, name, out),
            Self::Kiro(decoder) => decoder.frame(data, name, out),
            Self::Ollama(decoder) => decoder.frame(data, out),
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::Chat(decoder) => decoder.finish(out),
            Self::Resp(decoder) => decoder.finish(out),
            Self::Anth(decoder) => decoder.finish(out),
            Self::Gem(decoder) => decoder.finish(out),
            Self::Kiro(decoder) => decoder.finish(out),
            Self::Ollama(decoder) => decoder.finish(out),
        }
    }

    /// Whether the decoder knows of an end that it has not told yet: chat waits for usage.
    pub(super) fn may_end(&self) -> bool {
        match self {
            Self::Chat(decoder) => decoder.may_end(),
            Self::Kiro(decoder) => decoder.may_end(),
            Self::Resp(_) | Self::Anth(_) | Self::Gem(_) | Self::Ollama(_) => false,
        }
    }
}

/// Writes the events of one answer.
#[derive(Debug)]
pub(super) enum Encoder {
    Chat(Box<chat::StreamEncoder>),
    Resp(Box<resp::StreamEncoder>),
    Anth(Box<anth::StreamEncoder>),
    Gem(Box<gem::StreamEncoder>),
}

impl Encoder {
    pub(super) fn new(plan: ReplyPlan, framing: Framing) -> Self {
        match plan.client {
            Dialect::Chat => Self::Chat(Box::new(chat::StreamEncoder::new(plan, framing))),
            Dialect::Resp => Self::Resp(Box::new(resp::StreamEncoder::new(plan, framing))),
            Dialect::Anth => Self::Anth(Box::new(anth::StreamEncoder::new(plan, framing))),
            Dialect::Gem => Self::Gem(Box::new(gem::StreamEncoder::new(plan, framing))),
        }
    }

    pub(super) fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Self::Chat(encoder) => encoder.event(event, out),
            Self::Resp(encoder) => encoder.event(event, out),
            Self::Anth(encoder) => encoder.event(event, out),
            Self::Gem(encoder) => encoder.event(event, out),
        }
    }

    pub(super) fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        match self {
            Self::Chat(encoder) => encoder.error(error, out),
            Self::Resp(encoder) => encoder.error(error, out),
            Self::Anth(encoder) => encoder.error(error, out),
            Self::Gem(encoder) => encoder.error(error, out),
        }
    }

    pub(super) fn keep_alive(&self) -> Bytes {
        match self {
            Self::Chat(encoder) => encoder.keep_alive(),
            Self::Resp(encoder) => encoder.keep_alive(),
            Self::Anth(encoder) => encoder.keep_alive(),
            Self::Gem(encoder) => encoder.keep_alive(),
        }
    }
}

pub(super) fn decode_response(body: &[u8], source: &Source) -> Result<Response, Failure> {
    match source.dialect {
        _ if source.envelope == Envelope::Kiro => kiro::decode_response(body, source),
        _ if source.envelope == Envelope::Ollama => ollama::decode_response(body, source),
        Dialect::Chat => chat::decode_response(body, source),
        Dialect::Resp => resp::decode_response(body, source),
        Dialect::Anth => anth::decode_response(body, source),
        Dialect::Gem => gem::decode_response(body, source),
    }
}

pub(super) fn encode_response(response: &Response, plan: &ReplyPlan) -> Vec<u8> {
    match plan.client {
        Dialect::Chat => chat::encode_response(response, plan),
        Dialect::Resp => resp::encode_response(response, plan),
        Dialect::Anth => anth::encode_response(response, plan),
        Dialect::Gem => gem::encode_response(response, plan),
    }
}
