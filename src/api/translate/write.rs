//! One request in the target's dialect, and which of its members leave no trace there.

use ninerouter_dialect::Dialect;
use ninerouter_dialect::effort::Effort;
use ninerouter_dialect::translate::{
    Encoded, NoSignatures, PrepareCx, RequestTranslator, Target, TranslateError,
};
use serde_json::{Map, Value};

use super::Note;

/// Larger bodies are not looked through member by member: each costs a translation.
const SEARCHED: usize = 256 * 1024;
/// The same for bodies with more members.
const MEMBERS: usize = 64;

/// What a request is written for, and what it asks beside its body.
pub(super) struct Writer {
    pub(super) from: Dialect,
    pub(super) target: Target,
    /// The model as it was asked for.
    pub(super) asked: String,
    pub(super) stream: bool,
    /// Effort that the model's id asks for.
    pub(super) effort: Option<Effort>,
    /// Unix seconds.
    pub(super) now: u64,
    pub(super) estimated_input: u64,
}

impl Writer {
    /// The request as it goes out, and whether media would be fetched for it.
    pub(super) fn write(&self, body: &[u8]) -> Result<(Encoded, bool), TranslateError> {
        let mut translator = RequestTranslator::decode(self.from, body)?;
        translator.request_mut().model = self.asked.clone().into();
        let cx = PrepareCx {
            signatures: &NoSignatures,
            now: self.now,
            estimated_input: self.estimated_input,
        };
        let prepared = translator.prepare_with(&self.target, &cx, |request| {
            request.stream = self.stream;
            request.reasoning.effort = self.effort.or(request.reasoning.effort);
        })?;
        let fetches = !prepared.wanted_media().is_empty();
        Ok((prepared.encode()?, fetches))
    }

    /// Notes on the members without which the same request goes out: the target has nothing for them.
    pub(super) fn unsaid(&self, body: &[u8], written: &Encoded) -> Vec<Note> {
        let Ok(Value::Object(whole)) = serde_json::from_slice(body) else { return Vec::new() };
        if body.len() > SEARCHED {
            return Vec::new();
        }
        let told = |path: &str| {
            let begins = |field: &str| {
                let rest = field.strip_prefix(path);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            written.warnings.iter().any(|warning| begins(&warning.field))
        };
        let leaves_no_trace = |without: Map<String, Value>| {
            let without = Value::Object(without).to_string();
            self.write(without.as_bytes()).is_ok_and(|(other, _)| other.body == written.body)
        };
        let mut notes = Vec::new();
        for (path, without) in variants(&whole, self.from).into_iter().take(MEMBERS) {
            if !told(&path) && leaves_no_trace(without) {
                let text = "the request is the same without it: the target has nothing for it";
                notes.push(Note { kind: "dropped", field: path, text: text.to_owned() });
            }
        }
        notes
    }
}

/// The body without one of its members, for each that may say something.
fn variants(whole: &Map<String, Value>, from: Dialect) -> Vec<(String, Map<String, Value>)> {
    const CONFIG: &str = "generationConfig";
    let says = |name: &str, value: &Value| match name {
        // These say where it goes and how, which is told otherwise.
        "model" | "stream" | CONFIG => false,
        "n" | "candidateCount" => *value != 1,
        name => name != from.turns_key() && !value.is_null(),
    };
    let mut variants = Vec::new();
    for (name, _) in whole.iter().filter(|(name, value)| says(name, value)) {
        let mut without = whole.clone();
        without.remove(name);
        variants.push((name.clone(), without));
    }
    let inner = whole.get(CONFIG).and_then(Value::as_object).into_iter().flatten();
    for (name, _) in inner.filter(|(name, value)| says(name, value)) {
        let mut without = whole.clone();
        if let Some(config) = without.get_mut(CONFIG).and_then(Value::as_object_mut) {
            config.remove(name);
        }
        variants.push((format!("{CONFIG}.{name}"), without));
    }
    variants
}
