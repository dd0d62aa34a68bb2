//! Requests as Copilot takes them.

use crate::effort::Effort;
use crate::ir::Request;
use crate::profile::Think;
use crate::translate::{Envelope, Target, WarningKind, Warnings};
use crate::{BodyEdit, Dialect};

/// The edits of a body of the endpoint's own dialect.
pub fn edits(dialect: Dialect, model: &str) -> Vec<BodyEdit> {
    match dialect {
        Dialect::Chat => {
            let mut edits = vec![
                BodyEdit::Remove { key: "thinking".into() },
                BodyEdit::RemoveIf { key: "reasoning_effort".into(), json: "\"none\"".to_owned() },
            ];
            if counts_reasoning(model) {
                edits.push(BodyEdit::Rename {
                    from: "max_tokens".into(),
                    to: "max_completion_tokens".into(),
                });
            }
            edits
        }
        Dialect::Resp => vec![BodyEdit::Remove { key: "service_tier".into() }],
        Dialect::Anth | Dialect::Gem => Vec::new(),
    }
}

/// Models whose cap counts reasoning, and goes by another name for it.
fn counts_reasoning(model: &str) -> bool {
    let model = model.to_ascii_lowercase();
    let is_o_series =
        model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_gpt_5 = model.strip_prefix("gpt-").is_some_and(|version| {
        let number: String = version.chars().take_while(char::is_ascii_digit).collect();
        number.parse::<u32>().is_ok_and(|major| major >= 5)
    });
    is_o_series || is_gpt_5
}

/// Fits a request that goes to Copilot by way of the neutral form.
pub fn adapt(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    if target.envelope != Envelope::Copilot {
        return;
    }
    match target.dialect {
        Dialect::Chat => {
            // The only word for it there; and models that do not list it refuse it.
            let takes = matches!(target.caps.think, None | Some(Think::OpenaiEffort));
            let off = request.reasoning.effort == Some(Effort::Off);
            if request.reasoning.effort.is_some() && (off || !takes) {
                request.reasoning.effort = None;
                warnings.push(WarningKind::Dropped, "reasoning", "the upstream refuses it");
            }
        }
        Dialect::Resp => {
            if request.service_tier.take().is_some() {
                warnings.push(WarningKind::Dropped, "service_tier", "the upstream refuses it");
            }
        }
        Dialect::Anth | Dialect::Gem => {}
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::apply_edits;
    use crate::translate::{NoSignatures, PrepareCx, RequestTranslator, TranslateError};

    fn edited(dialect: Dialect, model: &str, body: &Value) -> Value {
        let body = Bytes::from(body.to_string());
        let edited = apply_edits(&body, &edits(dialect, model)).unwrap();
        serde_json::from_slice(&edited.parts.concat()).unwrap()
    }

    #[test]
    fn bodies_of_the_same_dialect_lose_what_is_refused() {
        let body =
            json!({"model": "m", "thinking": {}, "reasoning_effort": "none", "max_tokens": 5});
        for (model, want) in [
            ("gpt-4.1", json!({"model": "m", "max_tokens": 5})),
            ("gpt-5-mini", json!({"model": "m", "max_completion_tokens": 5})),
            ("gpt-10", json!({"model": "m", "max_completion_tokens": 5})),
            ("o3-mini", json!({"model": "m", "max_completion_tokens": 5})),
            ("oswe-vscode-prime", json!({"model": "m", "max_tokens": 5})),
        ] {
            assert_eq!(edited(Dialect::Chat, model, &body), want, "{model}");
        }
        let high = json!({"model": "m", "reasoning_effort": "high"});
        assert_eq!(edited(Dialect::Chat, "m", &high), high);
        let tier = json!({"model": "m", "service_tier": "flex", "store": true});
        assert_eq!(edited(Dialect::Resp, "m", &tier), json!({"model": "m", "store": true}));
        assert_eq!(edited(Dialect::Anth, "m", &tier), tier);
    }

    fn sent(dialect: Dialect, think: Option<Think>, body: &Value) -> Result<Value, TranslateError> {
        let mut target = Target { envelope: Envelope::Copilot, ..Target::new(dialect, "up") };
        target.caps.think = think;
        let cx = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
        let translator = RequestTranslator::decode(Dialect::Anth, body.to_string().as_bytes())?;
        let encoded = translator.prepare(&target, &cx)?.encode()?;
        Ok(serde_json::from_slice(&encoded.body).unwrap())
    }

    #[test]
    fn requests_of_other_dialects_say_only_what_is_taken() {
        let body = |thinking: Value, content: Value| {
            json!({"model": "m", "max_tokens": 9000, "thinking": thinking, "service_tier": "auto",
                "messages": [{"role": "user", "content": content}]})
        };
        let on = json!({"type": "enabled", "budget_tokens": 2000});
        let off = json!({"type": "disabled"});
        for (think, thinking, want) in [
            (Some(Think::OpenaiEffort), &on, json!("medium")),
            (None, &on, json!("medium")),
            (Some(Think::ClaudeBudget), &on, Value::Null),
            (Some(Think::OpenaiEffort), &off, Value::Null),
        ] {
            let got = sent(Dialect::Chat, think, &body(thinking.clone(), json!("q"))).unwrap();
            assert_eq!(got["reasoning_effort"], want, "{think:?}");
            assert_eq!(got["thinking"], Value::Null);
        }
        let got = sent(Dialect::Resp, None, &body(on.clone(), json!("q"))).unwrap();
        assert_eq!(got["service_tier"], Value::Null);
        let pdf = json!([{"type": "document", "source": {"type": "base64",
            "media_type": "application/pdf", "data": "JVBERi0="}}]);
        let refused = sent(Dialect::Chat, None, &body(off.clone(), pdf.clone())).unwrap_err();
        assert!(refused.is_target_specific(), "{refused}");
        assert!(sent(Dialect::Resp, None, &body(off.clone(), pdf)).is_ok());
        let text = json!([{"type": "document", "source": {"type": "text",
            "media_type": "text/plain", "data": "T"}}]);
        assert!(sent(Dialect::Chat, None, &body(off, text)).is_ok());
    }
}
