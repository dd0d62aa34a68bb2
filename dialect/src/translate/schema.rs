//! JSON schemas of tools and answers, in the form that each target takes (translation §2.5).
//!
//! Keywords are told apart from data by position: a property may itself be called `type` or `title`.

mod anthropic;
mod cache;
mod gemini;
mod pointer;
mod walk;

use serde_json::{Value, json};

use super::{ClientTool, Envelope, PLACEHOLDER, ReplyPlan, Target};
use crate::Dialect;
use crate::ir::{FunctionTool, OutputFormat, RawJson, Request, Tool, ToolKind};

pub use gemini::GeminiSubset;

/// The form that a schema is put into; one cleaning is remembered for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SchemaForm {
    /// Plain JSON Schema, as OpenAI takes it.
    Plain,
    /// Plain JSON Schema whose root names its properties, as Responses wants it.
    WithProperties,
    /// An object at the root, as Claude wants it.
    ObjectRoot,
    /// An object at the root that names its properties, open everywhere, as Kiro wants it.
    Kiro,
    /// Plain JSON Schema without what Gemini's `parametersJsonSchema` refuses.
    GeminiJson,
    /// Google's subset of OpenAPI (`parameters`).
    Gemini(GeminiSubset),
}

impl SchemaForm {
    /// The form of arguments for a target.
    pub fn of(target: &Target) -> Self {
        match target.dialect {
            Dialect::Chat => Self::Plain,
            Dialect::Resp => Self::WithProperties,
            Dialect::Anth if target.envelope == Envelope::Kiro => Self::Kiro,
            Dialect::Anth => Self::ObjectRoot,
            Dialect::Gem if target.takes_json_schema() => Self::GeminiJson,
            Dialect::Gem => Self::Gemini(GeminiSubset {
                any_of: target.takes_any_of(),
                reduced: target.envelope.is_code_assist(),
                placeholder: wants_a_property(target),
            }),
        }
    }

    /// The form of a schema for the answer: its root may be anything.
    fn of_answer(target: &Target) -> Self {
        match Self::of(target) {
            Self::WithProperties | Self::ObjectRoot | Self::Kiro => Self::Plain,
            Self::Gemini(subset) => Self::Gemini(GeminiSubset { placeholder: false, ..subset }),
            form => form,
        }
    }
}

/// Claude behind Code Assist checks arguments, and refuses objects without properties.
fn wants_a_property(target: &Target) -> bool {
    target.is_code_assist_claude()
}

/// Puts all schemas of a request into the target's form.
pub fn fit(request: &mut Request, target: &Target, plan: &mut ReplyPlan) {
    let form = SchemaForm::of(target);
    for tool in &mut request.tools {
        let Tool::Function(function) = tool else { continue };
        let had_placeholder = names_placeholder(function);
        function.schema = match function.schema.take() {
            Some(schema) => Some(clean(&schema, form)),
            None if target.dialect == Dialect::Gem && !wants_a_property(target) => None,
            None => Some(clean(&RawJson::from(json!({"type": "object", "properties": {}})), form)),
        };
        if wants_a_property(target) && !had_placeholder && names_placeholder(function) {
            strip_placeholder(function, plan);
        }
    }
    if let OutputFormat::JsonSchema { schema, .. } = &mut request.output {
        *schema = clean(schema, SchemaForm::of_answer(target));
    }
}

fn names_placeholder(function: &FunctionTool) -> bool {
    function.schema.as_ref().is_some_and(|schema| schema.get().contains(PLACEHOLDER))
}

/// Notes that the model may fill in a property which the client did not declare.
fn strip_placeholder(function: &FunctionTool, plan: &mut ReplyPlan) {
    let known = plan.tools.get(&function.name).cloned();
    let tool = known.unwrap_or_else(|| ClientTool {
        name: function.name.clone(),
        namespace: None,
        kind: ToolKind::Function,
        unwrap_input: false,
        strip_placeholder: true,
    });
    plan.tools.insert(function.name.clone(), ClientTool { strip_placeholder: true, ..tool });
}

/// One schema in one form. Agents send the same tools with each turn, hence the memory.
pub fn clean(schema: &RawJson, form: SchemaForm) -> RawJson {
    cache::remembered(schema, form, || {
        let Ok(mut value) = schema.to_value() else { return schema.clone() };
        let before = value.clone();
        match form {
            SchemaForm::Plain => walk::lower_case_types(&mut value),
            SchemaForm::WithProperties => {
                walk::lower_case_types(&mut value);
                with_properties(&mut value);
            }
            SchemaForm::ObjectRoot => {
                walk::lower_case_types(&mut value);
                value = anthropic::object_root(value);
            }
            SchemaForm::Kiro => {
                walk::lower_case_types(&mut value);
                value = anthropic::object_root(value);
                with_properties(&mut value);
                walk::open_objects(&mut value);
            }
            SchemaForm::GeminiJson => {
                walk::lower_case_types(&mut value);
                walk::drop_foreign_keywords(&mut value);
            }
            SchemaForm::Gemini(subset) => value = gemini::clean(value, subset),
        }
        // What needs no change keeps its spelling.
        if value == before { schema.clone() } else { RawJson::from(value) }
    })
}

fn with_properties(schema: &mut Value) {
    if let Value::Object(root) = schema
        && root.get("type").is_some_and(|kind| kind == "object")
        && !root.contains_key("properties")
    {
        root.insert("properties".into(), json!({}));
    }
}

#[cfg(test)]
mod tests;
