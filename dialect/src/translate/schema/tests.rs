use super::*;
use crate::ir::SigFamily;
use crate::translate::Envelope;

const SUBSET: GeminiSubset = GeminiSubset { any_of: false, reduced: false, placeholder: false };

fn put(schema: &Value, form: SchemaForm) -> Value {
    clean(&RawJson::from(schema), form).to_value().unwrap()
}

/// Cleans for Gemini, and checks that doing it again changes nothing (T084).
fn cleaned(schema: &Value, subset: GeminiSubset) -> Value {
    let once = put(schema, SchemaForm::Gemini(subset));
    assert_eq!(put(&once, SchemaForm::Gemini(subset)), once, "t084: {schema}");
    once
}

fn object(properties: &Value) -> Value {
    json!({"type": "object", "properties": properties})
}

#[test]
fn t066_to_t080_schemas_are_cleaned_for_gemini() {
    let xs = object(&json!({"x": {"type": "integer"}}));
    let node = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}});
    for (name, schema, want) in [
        (
            "t066",
            json!({"type": "object", "properties": {"p": {"$ref": "#/$defs/P"}}, "$defs": {"P": xs}}),
            object(&json!({"p": xs})),
        ),
        (
            "t066 pointer",
            json!({"properties": {"p": {"$ref": "#/definitions/a~1b%20c", "description": "d"}}, "definitions": {"a/b c": {"type": "string", "description": "e"}}}),
            object(&json!({"p": {"type": "string", "description": "d"}})),
        ),
        (
            "t067",
            json!({"$ref": "#/$defs/Node", "$defs": {"Node": node}}),
            object(&json!({"next": {"type": "object", "description": "See: Node"}})),
        ),
        (
            "t067 nowhere",
            json!({"properties": {"p": {"$ref": "https://x/y"}}}),
            object(&json!({"p": {"type": "object", "description": "See: y"}})),
        ),
        ("t068", json!({"type": ["string", "null"]}), json!({"type": "string", "nullable": true})),
        (
            "t068 several",
            json!({"type": ["string", "integer"]}),
            json!({"type": "string", "description": "Accepts: string | integer"}),
        ),
        (
            "t069",
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            json!({"type": "string", "nullable": true}),
        ),
        (
            "t070",
            json!({"oneOf": [{"const": "a"}, {"const": "b"}]}),
            json!({"type": "string", "enum": ["a", "b"]}),
        ),
        (
            "t070 kept",
            json!({"anyOf": [{"enum": ["a"], "type": "string"}, {"const": "b"}], "description": "d"}),
            json!({"type": "string", "description": "d", "enum": ["a", "b"]}),
        ),
        (
            "t071",
            json!({"anyOf": [{"type": "string"}, {"type": "object", "properties": {"a": {}}}]}),
            json!({"type": "object", "description": "Accepts: string | object", "properties": {"a": {"type": "string"}}}),
        ),
        (
            "demands only",
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            object(&json!({"a": {"type": "string"}})),
        ),
        ("t072", json!({"const": "x"}), json!({"type": "string", "enum": ["x"]})),
        (
            "t072 numbers",
            json!({"type": "integer", "enum": [1, 2]}),
            json!({"type": "integer", "description": "Allowed: 1, 2"}),
        ),
        ("t072 untyped", json!({"enum": [1, "a"]}), json!({"type": "string", "enum": ["1", "a"]})),
        (
            "t073",
            json!({"type": "object", "properties": {"title": {"type": "string"}, "format": {"type": "string"}, "default": {"type": "string"}, "properties": {"type": "string"}, "$ref": {"type": "string"}, "type": {"type": "string"}}, "required": ["$ref"]}),
            json!({"type": "object", "properties": {"title": {"type": "string"}, "format": {"type": "string"}, "default": {"type": "string"}, "properties": {"type": "string"}, "$ref": {"type": "string"}, "type": {"type": "string"}}, "required": ["$ref"]}),
        ),
        (
            "t074",
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "zz", "a"]}),
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
        ),
        (
            "t074 none",
            json!({"type": "object", "properties": {}, "required": ["zz"]}),
            json!({"type": "object"}),
        ),
        (
            "t075",
            json!({"type": "string", "additionalProperties": false, "$schema": "s", "x-foo": 1, "patternProperties": {}, "examples": ["a"]}),
            json!({"type": "string"}),
        ),
        (
            "t076",
            json!({"type": "string", "format": "uri"}),
            json!({"type": "string", "description": "format: uri"}),
        ),
        (
            "t076 date",
            json!({"type": "string", "format": "date-time"}),
            json!({"type": "string", "format": "date-time"}),
        ),
        (
            "t076 int64",
            json!({"type": "integer", "format": "int64"}),
            json!({"type": "integer", "format": "int64"}),
        ),
        ("t077", json!({"type": "array"}), json!({"type": "array", "items": {"type": "string"}})),
        (
            "t077 tuple",
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "object", "properties": {"a": {}}}]}),
            json!({"type": "array", "items": {"type": "object", "description": "Accepts: string | object", "properties": {"a": {"type": "string"}}}}),
        ),
        (
            "t078",
            json!({"allOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "string"}}, "required": ["b"]}]}),
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["b"]}),
        ),
        (
            "conditions",
            json!({"properties": {"a": {"type": "string"}}, "if": {}, "then": {"properties": {"b": {"type": "string"}}, "required": ["b"]}}),
            object(&json!({"a": {"type": "string"}, "b": {"type": "string"}})),
        ),
        (
            "t079",
            json!({"enum": ["", null, "x"]}),
            json!({"type": "string", "nullable": true, "enum": ["x"]}),
        ),
        (
            "t080",
            json!({"type": "object", "properties": {"a": {"type": "string", "required": true}, "b": {"type": "string", "required": false}}}),
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]}),
        ),
        (
            "bounds",
            json!({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10}),
            json!({"type": "integer", "minimum": 1, "maximum": 9}),
        ),
        (
            "bounds of numbers",
            json!({"type": "number", "exclusiveMinimum": 0}),
            json!({"type": "number"}),
        ),
        (
            "nullable and required",
            json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}),
            object(&json!({"a": {"type": "string", "nullable": true}})),
        ),
        (
            "booleans",
            json!({"type": "object", "properties": {"a": true, "b": false, "c": {}}}),
            object(&json!({"a": {"type": "string"}, "c": {"type": "string"}})),
        ),
        (
            "bare properties",
            json!({"city": {"type": "string"}}),
            object(&json!({"city": {"type": "string"}})),
        ),
        (
            "properties of the wrong type",
            json!({"type": "object", "properties": []}),
            json!({"type": "object"}),
        ),
        ("no object", json!(true), json!({"type": "string"})),
        (
            "upper case",
            json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}),
            object(&json!({"a": {"type": "string"}})),
        ),
    ] {
        assert_eq!(cleaned(&schema, SUBSET), want, "{name}");
    }
}

#[test]
fn alternatives_stay_where_they_are_taken() {
    let subset = GeminiSubset { any_of: true, ..SUBSET };
    let either = json!({"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}], "description": "d"});
    let want = json!({"anyOf": [{"type": "string", "nullable": true}, {"type": "integer"}]});
    assert_eq!(cleaned(&object(&json!({"a": either})), subset), object(&json!({"a": want})));
}

#[test]
fn code_assist_gets_less_and_constraints_in_words() {
    let subset = GeminiSubset { reduced: true, placeholder: true, ..SUBSET };
    let schema = object(
        &json!({"a": {"type": "string", "minLength": 3, "title": "T", "format": "uri", "default": "x"}}),
    );
    let want = object(
        &json!({"a": {"type": "string", "description": "format: uri minLength: 3, default: x"}}),
    );
    assert_eq!(cleaned(&schema, subset), want);
    let mut want = object(&json!({"_unused": {"type": "string", "description": "leave empty"}}));
    want["required"] = json!(["_unused"]);
    assert_eq!(cleaned(&json!({"type": "object", "properties": {}}), subset), want);
}

#[test]
fn t082_schemas_of_gemini_clients_become_json_schema() {
    let schema = json!({"type": "OBJECT", "properties": {
        "a": {"type": "STRING", "nullable": true},
        "b": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
        "type": {"type": "STRING", "enum": ["STRING"]},
    }, "propertyOrdering": ["a"]});
    let want = json!({"type": "object", "properties": {
        "a": {"type": ["string", "null"]},
        "b": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        "type": {"type": "string", "enum": ["STRING"]},
    }});
    for form in [SchemaForm::Plain, SchemaForm::ObjectRoot, SchemaForm::GeminiJson] {
        assert_eq!(put(&schema, form), want, "{form:?}");
    }
}

#[test]
fn t083_claude_gets_an_object_at_the_root() {
    let inner = json!({"anyOf": [{"type": "string"}, {"type": "integer"}]});
    let schema = json!({"anyOf": [
        {"type": "object", "properties": {"a": inner, "k": {"type": "string"}}, "required": ["a", "k"]},
        {"$ref": "#/$defs/B"},
        {"type": "string"},
    ], "$defs": {"B": {"type": "object", "properties": {"b": {}, "k": {"type": "integer"}}, "required": ["k"]}}});
    let want = json!({
        "$defs": {"B": {"type": "object", "properties": {"b": {}, "k": {"type": "integer"}}, "required": ["k"]}},
        "properties": {"a": inner, "k": {"type": "string"}, "b": {}},
        "required": ["k"],
        "type": "object",
    });
    assert_eq!(put(&schema, SchemaForm::ObjectRoot), want);
    assert_eq!(
        put(&json!({"properties": {}}), SchemaForm::ObjectRoot),
        json!({"properties": {}, "type": "object"})
    );
    let all = json!({"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]});
    let want = json!({"properties": {"a": {}, "b": {}}, "required": ["a", "b"], "type": "object"});
    assert_eq!(put(&all, SchemaForm::ObjectRoot), want);
    // What needs no change is not written anew.
    let plain = RawJson::parse(r#"{ "type":"object", "x":1.0 }"#).unwrap();
    assert_eq!(clean(&plain, SchemaForm::ObjectRoot), plain);
}

#[test]
fn each_target_gets_its_form() {
    let bare = || Request {
        tools: vec![Tool::Function(FunctionTool { name: "f".into(), ..FunctionTool::default() })],
        ..Request::default()
    };
    let empty = r#"{"type":"object","properties":{}}"#;
    for (dialect, want) in [
        (Dialect::Chat, Some(empty)),
        (Dialect::Resp, Some(empty)),
        (Dialect::Anth, Some(empty)),
        (Dialect::Gem, None),
    ] {
        let mut request = bare();
        let mut plan = ReplyPlan::new(Dialect::Chat, &request, 0);
        fit(&mut request, &Target::new(dialect, "m"), &mut plan);
        let Tool::Function(tool) = &request.tools[0] else { panic!("{request:?}") };
        assert_eq!(tool.schema.as_ref().map(RawJson::get), want, "t057 {dialect:?}");
    }
    let mut request = bare();
    let mut plan = ReplyPlan::new(Dialect::Chat, &request, 0);
    let mut target = Target::new(Dialect::Gem, "claude-sonnet-4-6");
    (target.envelope, target.family) = (Envelope::CloudCode, SigFamily::Claude);
    fit(&mut request, &target, &mut plan);
    assert!(plan.tools.get("f").unwrap().strip_placeholder);
    let only = json!({"type": "object", "$schema": "s", "x-a": 1, "properties": {"x-b": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$id": "i"}}});
    let want =
        json!({"type": "object", "properties": {"x-b": {"$ref": "#/$defs/A"}}, "$defs": {"A": {}}});
    assert_eq!(put(&only, SchemaForm::GeminiJson), want);
    assert_eq!(
        put(&json!({"type": "object"}), SchemaForm::WithProperties),
        json!({"type": "object", "properties": {}})
    );
}

#[test]
fn copies_of_references_are_bounded() {
    // Each level refers to the next one twice.
    let mut defs = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
        defs.insert(level.to_string(), object(&json!({"a": next, "b": next})));
    }
    defs.insert("40".into(), json!({"type": "string", "description": "x".repeat(100)}));
    let schema = json!({"$ref": "#/$defs/0", "$defs": defs});
    let cleaned = put(&schema, SchemaForm::Gemini(SUBSET)).to_string();
    assert!(cleaned.len() < 4 * 512 * 1024, "{}", cleaned.len());
    assert!(cleaned.contains("See: "));
}
