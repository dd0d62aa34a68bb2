//! Gemini generateContent, as a simulated provider writes it.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::demo::answer::Answer;

pub(super) fn whole(answer: &Answer) -> Value {
    let mut parts = vec![json!({"text": answer.text()})];
    parts.extend(call_part(answer));
    chunk(answer, &parts, true)
}

pub(super) fn events(answer: &Answer) -> Vec<Bytes> {
    chunks(answer).iter().map(|c| Bytes::from(format!("data: {c}\r\n\r\n"))).collect()
}

pub(super) fn array(answer: &Answer) -> Vec<Bytes> {
    let mut out = Vec::new();
    let mut lead = "[";
    for chunk in chunks(answer) {
        out.push(Bytes::from(format!("{lead}{chunk}")));
        lead = ",\r\n";
    }
    out.push(Bytes::from_static(b"]"));
    out
}

fn chunks(answer: &Answer) -> Vec<Value> {
    let mut out: Vec<Value> =
        answer.pieces.iter().map(|p| chunk(answer, &[json!({"text": p})], false)).collect();
    out.extend(call_part(answer).map(|part| chunk(answer, &[part], false)));
    out.push(chunk(answer, &[json!({"text": ""})], true));
    out
}

fn chunk(answer: &Answer, parts: &[Value], last: bool) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    let mut chunk = json!({});
    if let Some(fields) = candidate.as_object_mut().filter(|_| last) {
        fields.insert("finishReason".into(), json!("STOP"));
    }
    if let Some(fields) = chunk.as_object_mut() {
        fields.insert("candidates".into(), json!([candidate]));
        if last {
            fields.insert("usageMetadata".into(), usage(answer));
        }
        fields.insert("modelVersion".into(), json!(answer.model));
        fields.insert("responseId".into(), json!(format!("sim{}", answer.number)));
    }
    chunk
}

fn call_part(answer: &Answer) -> Option<Value> {
    let call = answer.call.as_ref()?;
    Some(json!({"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}}))
}

fn usage(answer: &Answer) -> Value {
    let t = answer.usage;
    json!({
        "promptTokenCount": t.input, "cachedContentTokenCount": t.cached,
        "candidatesTokenCount": t.output, "totalTokenCount": t.input + t.output,
    })
}
