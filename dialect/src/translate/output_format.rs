//! The form of the answer, where targets take it in another way or not at all (translation §2.11).

use serde_json::{Map, Value};

use super::{Target, WarningKind, Warnings};
use crate::Dialect;
use crate::gem::is_gemini_3;
use crate::ir::{Ext, OutputFormat, Part, RawJson, Request, SystemOrigin, SystemPart, Tool};

const JSON_ONLY: &str = "Respond with a single JSON object only.";

/// Fits the form of the answer: what the target cannot be told in a field, it is told in words.
pub fn fit(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => json_object(request, target, warnings),
        OutputFormat::JsonSchema { schema, .. } => {
            let schema = schema.clone();
            json_schema(request, target, &schema, warnings);
        }
    }
}

fn json_object(request: &mut Request, target: &Target, warnings: &mut Warnings) {
    match target.dialect {
        Dialect::Anth => {
            request.output = OutputFormat::Text;
            say(request, JSON_ONLY.to_owned());
            warnings.push(WarningKind::Changed, "output_config", "told in words");
        }
        // OpenAI refuses the format when nothing in the conversation speaks of JSON.
        Dialect::Chat | Dialect::Resp => {
            if !speaks_of_json(request) {
                say(request, JSON_ONLY.to_owned());
                warnings.push(WarningKind::Added, "system", "the form of the answer, in words");
            }
        }
        Dialect::Gem => {}
    }
}

fn json_schema(request: &mut Request, target: &Target, schema: &RawJson, warnings: &mut Warnings) {
    let functions = request.tools.iter().any(|tool| matches!(tool, Tool::Function(_)));
    match target.dialect {
        Dialect::Chat if target.profile.no_response_schema => {
            request.output = OutputFormat::JsonObject;
            say_schema(request, schema);
            warnings.push(WarningKind::Changed, "response_format", "the schema is told in words");
        }
        Dialect::Anth if target.is_messages() && target.caps.structured_output == Some(true) => {
            if let (Ok(mut value), OutputFormat::JsonSchema { schema, .. }) =
                (schema.to_value(), &mut request.output)
            {
                close(&mut value);
                *schema = value.into();
            }
        }
        // Refused together with functions; these are what the client needs to go on.
        Dialect::Gem if functions && !is_gemini_3(&target.model) => {
            request.output = OutputFormat::Text;
            say_schema(request, schema);
            warnings.push(WarningKind::Changed, "responseSchema", "told in words beside functions");
        }
        Dialect::Anth => {
            request.output = OutputFormat::Text;
            say_schema(request, schema);
            warnings.push(WarningKind::Changed, "output_config", "the schema is told in words");
        }
        Dialect::Chat | Dialect::Resp | Dialect::Gem => {}
    }
}

fn say(request: &mut Request, text: String) {
    request.system.push(SystemPart {
        text: text.into(),
        cache: None,
        origin: SystemOrigin::Top,
        ext: Ext::default(),
    });
}

fn say_schema(request: &mut Request, schema: &RawJson) {
    let schema = schema.get();
    say(request, format!("{JSON_ONLY} It must be valid against this JSON schema:\n{schema}"));
}

fn speaks_of_json(request: &Request) -> bool {
    let says =
        |text: &str| text.as_bytes().windows(4).any(|window| window.eq_ignore_ascii_case(b"json"));
    request.system.iter().any(|part| says(&part.text))
        || request.turns.iter().flat_map(|turn| &turn.parts).any(|part| match part {
            Part::Text(text) => says(&text.text),
            Part::SystemNote { text, .. } => says(text),
            _ => false,
        })
}

/// Bounds that Claude's schemas cannot have; they are told in the description.
const BOUNDS: [&str; 12] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// Makes a schema as Claude takes it: every object is closed, no bounds.
fn close(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    let is_object = members.get("type").is_some_and(|kind| {
        kind == "object" || kind.as_array().is_some_and(|kinds| kinds.contains(&"object".into()))
    });
    if is_object || members.contains_key("properties") {
        members.insert("additionalProperties".into(), false.into());
    }
    describe_bounds(members);
    for (key, value) in members.iter_mut() {
        match key.as_str() {
            // Maps from names to schemas: the names are data.
            "properties" | "$defs" | "definitions" | "patternProperties" => {
                value.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(close);
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                value.as_array_mut().into_iter().flatten().for_each(close);
            }
            "items" => match value {
                Value::Array(items) => items.iter_mut().for_each(close),
                item => close(item),
            },
            _ => {}
        }
    }
}

fn describe_bounds(members: &mut Map<String, Value>) {
    let mut hints = Vec::new();
    for bound in BOUNDS {
        // At least one element is a bound that it can have.
        let is_kept = bound == "minItems"
            && members.get(bound).and_then(Value::as_u64).is_some_and(|least| least <= 1);
        if !is_kept && let Some(value) = members.shift_remove(bound) {
            hints.push(format!("{bound}: {value}"));
        }
    }
    if hints.is_empty() {
        return;
    }
    let hint = hints.join(", ");
    let description = match members.get("description").and_then(Value::as_str) {
        Some(text) if !text.is_empty() => format!("{text} ({hint})"),
        _ => hint,
    };
    members.insert("description".into(), description.into());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ir::{FunctionTool, Role, Turn};

    fn asking(output: OutputFormat) -> Request {
        let turns = vec![Turn::new(Role::User, vec![Part::text("q")])];
        Request { output, turns, ..Request::default() }
    }

    fn schema() -> OutputFormat {
        let schema = json!({"type": "object", "properties": {
            "minimum": {"type": "integer", "minimum": 1, "description": "d"},
            "list": {"type": "array", "minItems": 1, "items": {"type": "object"}}}});
        OutputFormat::JsonSchema {
            name: None,
            description: None,
            schema: schema.into(),
            strict: None,
        }
    }

    fn fitted(request: &mut Request, target: &Target) -> (String, usize) {
        let mut warnings = Warnings::default();
        fit(request, target, &mut warnings);
        let said: Vec<&str> = request.system.iter().map(|part| &*part.text).collect();
        (said.join("\n"), warnings.as_slice().len())
    }

    #[test]
    fn t098_targets_with_schemas_get_the_schema() {
        for dialect in [Dialect::Chat, Dialect::Resp, Dialect::Gem] {
            let mut request = asking(schema());
            let before = request.clone();
            assert_eq!(fitted(&mut request, &Target::new(dialect, "m")), (String::new(), 0));
            assert_eq!(request, before);
        }
        let mut claude = Target::new(Dialect::Anth, "m");
        claude.caps.structured_output = Some(true);
        let mut request = asking(schema());
        fitted(&mut request, &claude);
        let OutputFormat::JsonSchema { schema, .. } = &request.output else {
            panic!("{request:?}")
        };
        assert_eq!(
            schema.to_value().unwrap(),
            json!({"type": "object", "additionalProperties": false, "properties": {
                "minimum": {"type": "integer", "description": "d (minimum: 1)"},
                "list": {"type": "array", "minItems": 1,
                    "items": {"type": "object", "additionalProperties": false}}}})
        );
    }

    #[test]
    fn t098_others_are_told_the_schema_in_words() {
        let mut modest = Target::new(Dialect::Chat, "m");
        modest.profile.no_response_schema = true;
        let gemini = Target::new(Dialect::Gem, "gemini-2.5-pro");
        for (target, with_tool, output) in [
            (modest, false, OutputFormat::JsonObject),
            (Target::new(Dialect::Anth, "m"), false, OutputFormat::Text),
            (gemini, true, OutputFormat::Text),
        ] {
            let mut request = asking(schema());
            if with_tool {
                request.tools.push(Tool::Function(FunctionTool::default()));
            }
            let (said, warned) = fitted(&mut request, &target);
            assert!(said.contains("\"minItems\":1") && said.starts_with(JSON_ONLY), "{said}");
            assert_eq!((warned, request.output), (1, output));
        }
    }

    #[test]
    fn an_object_without_a_schema_is_asked_for_in_each_targets_way() {
        for (dialect, text, said, output) in [
            (Dialect::Anth, "q", JSON_ONLY, OutputFormat::Text),
            (Dialect::Gem, "q", "", OutputFormat::JsonObject),
            (Dialect::Chat, "as Json", "", OutputFormat::JsonObject),
            (Dialect::Resp, "q", JSON_ONLY, OutputFormat::JsonObject),
        ] {
            let mut request = asking(OutputFormat::JsonObject);
            request.turns = vec![Turn::new(Role::User, vec![Part::text(text)])];
            assert_eq!(fitted(&mut request, &Target::new(dialect, "m")).0, said, "{dialect:?}");
            assert_eq!(request.output, output);
        }
    }
}
