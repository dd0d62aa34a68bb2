//! Requests: one decoding, then for each attempt a clone that is repaired, adapted and encoded (translation §2.0).

use std::fmt;

use super::{
    Envelope, ReplyPlan, Signatures, Target, TranslateError, Warning, Warnings, builtins,
    cache_marks, gem3, limits, media, output_format, pairing, parameters, reject, schema, thinking,
    tools, turns,
};
use crate::ir::Str;
use crate::{Dialect, anth, chat, cloud_code, codex, copilot, gem, hosted, ir, kiro, ollama, resp};

/// A request in the target's dialect.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct EncodedRequest {
    /// The JSON body.
    pub body: Vec<u8>,
    /// Tokens that the body needs in `anthropic-beta` (§2.14); empty for all other dialects.
    pub betas: Vec<&'static str>,
}

/// A client's request, decoded once. Attempts never see what another one changed.
#[derive(Clone, Debug)]
pub struct RequestTranslator {
    client: Dialect,
    request: ir::Request,
    warnings: Warnings,
}

/// What preparing a request needs to know of the world.
#[derive(Clone, Copy)]
pub struct PrepareCx<'a> {
    /// What the router remembers of reasoning that it passed on to this client.
    pub signatures: &'a dyn Signatures,
    /// The time, Unix seconds.
    pub now: u64,
    /// The prompt's size as the router guesses it, tokens.
    pub estimated_input: u64,
}

impl fmt::Debug for PrepareCx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrepareCx")
            .field("now", &self.now)
            .field("estimated_input", &self.estimated_input)
            .finish_non_exhaustive()
    }
}

impl RequestTranslator {
    /// Reads a request of a client.
    ///
    /// # Errors
    /// When the body is no request of the client's dialect, or one with more in it than anybody sends in earnest.
    pub fn decode(client: Dialect, body: &[u8]) -> Result<Self, TranslateError> {
        let mut warnings = Warnings::default();
        let request = match client {
            Dialect::Chat => chat::decode_request(body, &mut warnings),
            Dialect::Resp => resp::decode_request(body, &mut warnings),
            Dialect::Anth => anth::decode_request(body, &mut warnings),
            Dialect::Gem => gem::decode_request(body, &mut warnings),
        }?;
        limits::check(&request)?;
        Ok(Self { client, request, warnings })
    }

    /// The request, for what stands outside of the body: model and action of a path, the effort of a
    /// model's suffix.
    pub fn request_mut(&mut self) -> &mut ir::Request {
        &mut self.request
    }

    /// The request as it was read.
    pub fn request(&self) -> &ir::Request {
        &self.request
    }

    /// Repairs and adapts a copy for one attempt.
    ///
    /// # Errors
    /// When this target, or any, cannot take the request.
    pub fn prepare(&self, target: &Target, cx: &PrepareCx<'_>) -> Result<Prepared, TranslateError> {
        self.prepare_with(target, cx, |_| {})
    }

    /// The same; `asks` first changes the copy to what this attempt asks otherwise: whether to stream, how much
    /// to reason.
    ///
    /// # Errors
    /// Those of [`RequestTranslator::prepare`].
    pub fn prepare_with(
        &self,
        target: &Target,
        cx: &PrepareCx<'_>,
        asks: impl FnOnce(&mut ir::Request),
    ) -> Result<Prepared, TranslateError> {
        let mut request = self.request.clone();
        asks(&mut request);
        reject::check(&request, target)?;
        let mut warnings = self.warnings.clone();
        let mut plan = ReplyPlan::new(self.client, &request, cx.now);
        plan.estimated_input = cx.estimated_input;
        plan.answer_id = target.ids.request.clone().unwrap_or_default();
        if self.client == Dialect::Resp {
            plan.echo = resp::echo(&request);
        }

        pairing::repair(&mut request, target, &mut warnings)?;
        // Before turns are arranged: reasoning that goes may leave turns without anything in them, and
        // notes between turns are not yet words of the user.
        thinking::carry(&mut request, self.client, target, cx.signatures, &mut warnings)?;
        gem3::sign_calls(&mut request, target, cx.signatures);
        cloud_code::fit_history(&mut request, target, &mut warnings);
        turns::arrange(&mut request, target, &mut warnings)?;
        parameters::fit(&mut request, target, &mut warnings)?;
        cloud_code::fit_parameters(&mut request, target, &mut warnings);
        plan.sound = request.audio.as_ref().and_then(|audio| audio.format.clone());
        copilot::adapt(&mut request, target, &mut warnings);
        if target.dialect == Dialect::Resp {
            resp::request::adapt(&mut request, self.client);
        }
        tools::adapt(&mut request, target, &mut plan, &mut warnings);
        builtins::map(&mut request, target, &mut plan, &mut warnings);
        // A schema that goes in words goes as the client wrote it; only what stays is put into form.
        output_format::fit(&mut request, target, &mut warnings);
        schema::fit(&mut request, target, &mut plan);
        media::fit(&mut request, target, &mut warnings);
        cache_marks::place(&mut request, self.client, target, &mut warnings)?;
        // Last: what became an instruction on the way is one, too.
        codex::adapt(&mut request, self.client, target);
        plan.think_tags = kiro::thinks_in_tags(&request, target);
        Ok(Prepared { request, plan, warnings, target: target.clone() })
    }
}

/// A request that fits its target.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The request.
    pub request: ir::Request,
    /// How its answer is told to the client.
    pub plan: ReplyPlan,
    /// What was lost or changed so far.
    pub warnings: Warnings,
    target: Target,
}

/// A request as it goes upstream, and what the way back needs.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The JSON body.
    pub body: Vec<u8>,
    /// Tokens that the body needs in `anthropic-beta`.
    pub betas: Vec<&'static str>,
    /// How the answer is told to the client.
    pub plan: ReplyPlan,
    /// What was lost or changed.
    pub warnings: Vec<Warning>,
}

impl Prepared {
    /// Addresses of media that the target needs as bytes. Fetching them is for the caller (§2.9).
    pub fn wanted_media(&self) -> Vec<media::Wanted> {
        media::wanted(&self.request, &self.target)
    }

    /// Puts fetched bytes in the place of their address.
    pub fn provide_media(&mut self, url: &str, mime: &str, base64: &Str) {
        media::provide(&mut self.request, url, mime, base64);
    }

    /// Writes the request in the target's dialect.
    ///
    /// # Errors
    /// When the target's dialect cannot say it.
    pub fn encode(self) -> Result<Encoded, TranslateError> {
        let Self { request, plan, mut warnings, target } = self;
        let EncodedRequest { mut body, mut betas } = match target.dialect {
            _ if target.envelope == Envelope::Kiro => {
                kiro::encode_request(&request, &target, &mut warnings)
            }
            _ if target.envelope == Envelope::Ollama => {
                ollama::encode_request(&request, &target, &mut warnings)
            }
            Dialect::Chat => chat::encode_request(&request, &target, &mut warnings),
            Dialect::Resp => resp::encode_request(&request, &target, &mut warnings),
            Dialect::Anth => anth::encode_request(&request, &target, &mut warnings),
            Dialect::Gem => gem::encode_request(&request, &target, &mut warnings),
        }?;
        match target.envelope {
            Envelope::Codex => {
                let codex = codex::CodexRequest::of(&target);
                body = codex::fit_request(&body, &codex, &mut warnings)?;
            }
            Envelope::CloudCode | Envelope::Antigravity => {
                body = cloud_code::wrap(&body.into(), &target)?.parts.concat();
            }
            Envelope::Vertex if target.dialect == Dialect::Anth => {
                body = hosted::vertex_messages(body.into())?;
            }
            Envelope::Bedrock => {
                body = hosted::bedrock_messages(body.into(), &std::mem::take(&mut betas))?;
            }
            Envelope::Plain
            | Envelope::Vertex
            | Envelope::Kiro
            | Envelope::Copilot
            | Envelope::Ollama => {}
        }
        Ok(Encoded { body, betas, plan, warnings: warnings.as_slice().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::translate::NoSignatures;

    const CX: PrepareCx<'_> = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };

    /// A request of a client, as it reaches an upstream of which nothing is known.
    fn sent(client: Dialect, upstream: Dialect, body: &Value) -> Value {
        let translator = RequestTranslator::decode(client, body.to_string().as_bytes()).unwrap();
        let target = Target::new(upstream, "up");
        let encoded = translator.prepare(&target, &CX).unwrap().encode().unwrap();
        serde_json::from_slice(&encoded.body).unwrap()
    }

    #[test]
    fn t016_t021_t036_a_chat_history_fits_anthropic() {
        let body = json!({"model": "m", "messages": [
            {"role": "system", "content": "A"},
            {"role": "developer", "content": "B"},
            {"role": "user", "content": "q"},
            {"role": "user", "content": "r"},
            {"role": "assistant", "tool_calls": [
                {"id": "functions.read:0", "type": "function", "function": {"name": "f", "arguments": ""}},
            ]},
            {"role": "system", "content": "N"},
            {"role": "user", "content": "wait"},
            {"role": "tool", "tool_call_id": "functions.read:0", "content": "out"},
        ], "tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": false});
        let got = sent(Dialect::Chat, Dialect::Anth, &body);
        let text = |text: &str| json!({"type": "text", "text": text});
        assert_eq!(got["model"], "up");
        assert_eq!(got["system"], json!([text("A"), text("B")]));
        assert_eq!(
            got["messages"],
            json!([
                {"role": "user", "content": [text("q"), text("r")]},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "functions_read_0", "name": "f", "input": {}}
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "functions_read_0", "content": [text("out")]},
                    text("<system-reminder>\nN\n</system-reminder>"),
                    text("wait"),
                ]},
            ])
        );
        assert_eq!(got["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    }

    #[test]
    fn t040_t043_results_of_anthropic_fit_chat() {
        let body = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]},
            {"role": "user", "content": [
                {"type": "text", "text": "more"},
                {"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": "boom"},
            ]},
        ], "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
        let got = sent(Dialect::Anth, Dialect::Chat, &body);
        let messages = got["messages"].as_array().unwrap();
        assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], "{\"x\":1}");
        assert_eq!(messages[2]["tool_call_id"], "a");
        assert_eq!(messages[2]["content"], "Error: boom");
        assert_eq!(
            (messages[3]["role"].as_str(), &messages[3]["content"]),
            (Some("user"), &json!("more"))
        );
    }

    #[test]
    fn what_a_target_cannot_be_told_is_refused_or_put_into_its_form() {
        let decode = |client, body: &Value| {
            RequestTranslator::decode(client, body.to_string().as_bytes()).unwrap()
        };
        let said = |content: Value| json!({"model": "m", "messages": [{"role": "user", "content": content}]});
        let mut body = said(json!("q"));
        body["n"] = json!(2);
        let two = decode(Dialect::Chat, &body);
        assert!(two.prepare(&Target::new(Dialect::Anth, "a"), &CX).is_err(), "two answers");
        assert!(two.prepare(&Target::new(Dialect::Gem, "g"), &CX).is_ok());

        let mut body = said(json!("q"));
        body["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {
            "type": "object", "additionalProperties": false, "properties": {"a": {"type": "string"}},
        }}}]);
        let got = sent(Dialect::Chat, Dialect::Gem, &body);
        let parameters = &got["tools"][0]["functionDeclarations"][0]["parameters"];
        assert!(parameters["properties"]["a"].is_object(), "{got}");
        assert!(parameters["additionalProperties"].is_null(), "{got}");

        let url = "https://example.org/a.png";
        let image = json!([{"type": "image_url", "image_url": {"url": url}}]);
        let mut prepared = decode(Dialect::Chat, &said(image))
            .prepare(&Target::new(Dialect::Gem, "g"), &CX)
            .unwrap();
        assert_eq!(
            prepared.wanted_media().iter().map(|wanted| &*wanted.url).collect::<Vec<_>>(),
            [url]
        );
        prepared.provide_media(url, "image/png", &"AAAA".into());
        assert!(prepared.wanted_media().is_empty());
        let got: Value = serde_json::from_slice(&prepared.encode().unwrap().body).unwrap();
        let data = json!({"mimeType": "image/png", "data": "AAAA"});
        assert_eq!(got["contents"][0]["parts"][0]["inlineData"], data, "{got}");
    }

    #[test]
    fn attempts_do_not_see_each_other() {
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": "q"}, {"role": "assistant", "content": "Sure: "},
        ]});
        let translator =
            RequestTranslator::decode(Dialect::Chat, body.to_string().as_bytes()).unwrap();
        let gem = translator.prepare(&Target::new(Dialect::Gem, "g"), &CX).unwrap();
        assert_eq!(gem.request.turns.len(), 3);
        let anth = translator.prepare(&Target::new(Dialect::Anth, "a"), &CX).unwrap();
        assert_eq!(anth.request.turns.len(), 2);
        assert_eq!((anth.plan.client, &*anth.plan.model), (Dialect::Chat, "m"));
        assert!(anth.warnings.as_slice().is_empty() && !gem.warnings.as_slice().is_empty());
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for client in [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem] {
            assert!(RequestTranslator::decode(client, b"[]").is_err(), "{client:?}");
        }
    }
}
