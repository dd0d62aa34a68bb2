//! Requests: declarations of tools, their names, choices and schemas (T053–T084).

use ninerouter_dialect::Dialect::{self, Anth, Chat, Gem, Resp};
use ninerouter_dialect::translate::{Envelope, Target};
use serde_json::{Value, json};

use crate::pipeline::{DIALECTS, answered, asking, call, encoded, model, plain, sent, turns};

/// A declaration in a client's dialect.
fn tool(dialect: Dialect, name: &str, schema: Value) -> Value {
    match dialect {
        Chat => json!({"type": "function", "function": {"name": name, "parameters": schema}}),
        Resp => json!({"type": "function", "name": name, "parameters": schema}),
        Anth => json!({"name": name, "input_schema": schema}),
        Gem => json!({"functionDeclarations": [{"name": name, "parameters": schema}]}),
    }
}

fn object() -> Value {
    json!({"type": "object", "properties": {"a": {"type": "string"}}})
}

fn declaring(dialect: Dialect, names: &[&str]) -> Value {
    let tools: Vec<Value> = names.iter().map(|name| tool(dialect, name, object())).collect();
    asking(dialect, json!({"tools": tools}))
}

/// The names that a target is told, in its own form.
fn names(dialect: Dialect, body: &Value) -> Vec<&str> {
    let tools = match dialect {
        Gem => &body["tools"][0]["functionDeclarations"],
        _ => &body["tools"],
    };
    let tools = tools.as_array().unwrap().iter();
    tools
        .map(|tool| if dialect == Chat { &tool["function"] } else { tool })
        .map(|tool| tool["name"].as_str().unwrap())
        .collect()
}

/// A chat answer that calls these tools.
fn calling(names: &[&str]) -> Value {
    let calls: Vec<Value> = names.iter().map(|name| call(name, name, "{\"a\":\"b\"}")).collect();
    json!({"id": "c", "model": "m", "choices": [{"index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": null, "tool_calls": calls}}]})
}

#[test]
fn t053_t056_names_are_fitted_and_told_back() {
    let (sent, plan) = encoded(Chat, &plain(Gem), &declaring(Chat, &["my tool!", "1st"]));
    assert_eq!(names(Gem, &sent), ["my_tool_", "_1st"]);
    let answer = json!({"candidates": [{"content": {"role": "model", "parts": [
        {"functionCall": {"name": "my_tool_", "args": {}}}, {"functionCall": {"name": "_1st", "args": {}}},
    ]}, "finishReason": "STOP"}]});
    let got = answered(Gem, &plan, &answer);
    let told = &got["choices"][0]["message"]["tool_calls"];
    assert_eq!(told[0]["function"]["name"], "my tool!");
    assert_eq!(told[1]["function"]["name"], "1st");
    let (sent, _) = encoded(Anth, &plain(Chat), &declaring(Anth, &["1st"]));
    assert_eq!(names(Chat, &sent), ["1st"]);
}

#[test]
fn t054_t055_no_two_names_become_one() {
    let (one, two) = (format!("{}1", "n".repeat(79)), format!("{}2", "n".repeat(79)));
    for target in [Chat, Resp, Gem] {
        let (sent, plan) = encoded(Anth, &plain(target), &declaring(Anth, &[&one, &two]));
        let told = names(target, &sent);
        assert!(told.iter().all(|name| name.len() <= 64) && told[0] != told[1], "{told:?}");
        if target == Chat {
            let got = answered(Chat, &plan, &calling(&told));
            assert_eq!(got["content"][0]["name"], one);
            assert_eq!(got["content"][1]["name"], two);
        }
    }
    for order in [["a.b", "a_b"], ["a_b", "a.b"]] {
        let (sent, plan) = encoded(Gem, &plain(Chat), &declaring(Gem, &order));
        let told = names(Chat, &sent);
        let dotted = order.iter().position(|name| *name == "a.b").unwrap();
        assert_eq!(told[1 - dotted], "a_b", "a valid name is never displaced");
        assert!(told[dotted].starts_with("a_b_") && told[dotted].len() == 12, "{told:?}");
        let got = answered(Chat, &plan, &calling(&told));
        let parts = &got["candidates"][0]["content"]["parts"];
        assert_eq!(parts[dotted]["functionCall"]["name"], "a.b");
    }
}

#[test]
fn renamed_tools_are_renamed_wherever_they_are_named() {
    let mut body = turns(
        Chat,
        json!([
            {"role": "user", "content": "q"},
            {"role": "assistant", "tool_calls": [call("a", "my tool!", "{}")]},
            {"role": "tool", "tool_call_id": "a", "content": "o"},
        ]),
    );
    body["tools"] = json!([tool(Chat, "my tool!", object())]);
    body["tool_choice"] = json!({"type": "function", "function": {"name": "my tool!"}});
    let got = sent(Chat, &plain(Gem), &body);
    let config = &got["toolConfig"]["functionCallingConfig"];
    assert_eq!(*config, json!({"mode": "ANY", "allowedFunctionNames": ["my_tool_"]}));
    assert_eq!(got["contents"][1]["parts"][0]["functionCall"]["name"], "my_tool_");
    assert_eq!(got["contents"][2]["parts"][0]["functionResponse"]["name"], "my_tool_");
}

#[test]
fn t057_tools_without_parameters() {
    for bare in [
        json!({"type": "function", "function": {"name": "f"}}),
        json!({"type": "function", "function": {"name": "f", "parameters": null}}),
    ] {
        let body = asking(Chat, json!({"tools": [bare]}));
        let nothing = json!({"type": "object", "properties": {}});
        let got = sent(Chat, &plain(Anth), &body);
        assert_eq!(got["tools"][0]["input_schema"], nothing);
        assert_eq!(sent(Chat, &plain(Resp), &body)["tools"][0]["parameters"], nothing);
        let got = sent(Chat, &plain(Gem), &body);
        let declared = &got["tools"][0]["functionDeclarations"][0];
        assert_eq!(declared["name"], "f");
        assert!(declared.get("parameters").is_none(), "{declared}");
    }
}

#[test]
fn t058_choices_in_each_dialect() {
    let config = |mode: &str| json!({"functionCallingConfig": {"mode": mode}});
    let named = json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}});
    // Columns as in §2.5: chat, resp, anth, gem.
    let table = [
        [json!("auto"), json!("auto"), json!({"type": "auto"}), config("AUTO")],
        [json!("none"), json!("none"), json!({"type": "none"}), config("NONE")],
        [json!("required"), json!("required"), json!({"type": "any"}), config("ANY")],
        [
            json!({"type": "function", "function": {"name": "f"}}),
            json!({"type": "function", "name": "f"}),
            json!({"type": "tool", "name": "f"}),
            named,
        ],
    ];
    for row in &table {
        for (from, choice) in DIALECTS.into_iter().zip(row) {
            let mut body = declaring(from, &["f", "g"]);
            let key = |dialect| if dialect == Gem { "toolConfig" } else { "tool_choice" };
            body[key(from)] = choice.clone();
            for (to, want) in DIALECTS.into_iter().zip(row) {
                let got = sent(from, &plain(to), &body);
                assert_eq!(got[key(to)], *want, "{from:?} to {to:?}");
            }
        }
    }
}

#[test]
fn t059_one_call_at_a_time() {
    let mut body = declaring(Chat, &["f"]);
    body["parallel_tool_calls"] = false.into();
    let got = sent(Chat, &plain(Anth), &body);
    assert_eq!(got["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert_eq!(sent(Chat, &plain(Resp), &body)["parallel_tool_calls"], false);
    let mut body = declaring(Anth, &["f"]);
    body["tool_choice"] = json!({"type": "any", "disable_parallel_tool_use": true});
    let got = sent(Anth, &plain(Chat), &body);
    assert_eq!(
        (&got["parallel_tool_calls"], &got["tool_choice"]),
        (&json!(false), &json!("required"))
    );
    body["tool_choice"] = json!({"type": "auto"});
    assert!(sent(Anth, &plain(Chat), &body).get("parallel_tool_calls").is_none());
}

#[test]
fn t060_t061_a_choice_needs_tools() {
    let choices = [
        (Chat, json!({"tools": [], "tool_choice": "required", "parallel_tool_calls": true})),
        (Resp, json!({"tools": [], "tool_choice": "required", "parallel_tool_calls": true})),
        (
            Anth,
            json!({"tools": [], "tool_choice": {"type": "any", "disable_parallel_tool_use": true}}),
        ),
        (Gem, json!({"tools": [], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}})),
    ];
    for (from, members) in choices {
        for to in DIALECTS {
            let got = sent(from, &plain(to), &asking(from, members.clone()));
            for key in ["tools", "tool_choice", "toolConfig", "parallel_tool_calls"] {
                assert!(got.get(key).is_none(), "{from:?} to {to:?}: {got}");
            }
        }
    }
    let mut body = declaring(Chat, &["f"]);
    body["tool_choice"] = json!({"type": "function", "function": {"name": "gone"}});
    assert_eq!(sent(Chat, &plain(Anth), &body)["tool_choice"], json!({"type": "auto"}));
    assert_eq!(sent(Chat, &plain(Resp), &body)["tool_choice"], "auto");
    let config = &sent(Chat, &plain(Gem), &body)["toolConfig"];
    assert_eq!(*config, json!({"functionCallingConfig": {"mode": "AUTO"}}));
}

#[test]
fn t062_free_text_tools_are_functions_elsewhere() {
    let body = asking(Resp, json!({"tools": [{"type": "custom", "name": "apply"}]}));
    for target in [Chat, Anth, Gem] {
        let (sent, plan) = encoded(Resp, &plain(target), &body);
        assert_eq!(names(target, &sent), ["apply"]);
        if target == Chat {
            let parameters = &sent["tools"][0]["function"]["parameters"];
            assert_eq!(parameters["properties"]["input"]["type"], "string");
            assert_eq!(parameters["required"], json!(["input"]));
            let answer = |arguments: &str| {
                json!({"id": "c", "model": "m", "choices": [{"index": 0, "message": {
                    "role": "assistant", "tool_calls": [call("k", "apply", arguments)]}}]})
            };
            let item = &answered(Chat, &plan, &answer(r#"{"input":"x\ny"}"#))["output"][0];
            assert_eq!(item["type"], "custom_tool_call");
            assert_eq!((&item["input"], &item["call_id"]), (&json!("x\ny"), &json!("k")));
            let item = &answered(Chat, &plan, &answer(r#"{"text":1}"#))["output"][0];
            assert_eq!(item["input"], r#"{"text":1}"#, "what cannot be unwrapped goes as it is");
        }
    }
}

#[test]
fn t063_web_search_across_dialects() {
    for kind in ["web_search_preview", "web_search", "web_search_preview_2025_03_11"] {
        let body = asking(Resp, json!({"tools": [{"type": kind}]}));
        let tools = &sent(Resp, &plain(Anth), &body)["tools"];
        assert_eq!(*tools, json!([{"type": "web_search_20250305", "name": "web_search"}]));
        assert_eq!(sent(Resp, &plain(Gem), &body)["tools"], json!([{"googleSearch": {}}]));
        assert!(sent(Resp, &plain(Chat), &body).get("tools").is_none());
    }
}

#[test]
fn t064_tools_that_the_client_runs() {
    let bash = json!({"type": "bash_20250124", "name": "bash"});
    let body = asking(Anth, json!({"tools": [bash]}));
    let got = sent(Anth, &plain(Chat), &body);
    assert_eq!(names(Chat, &got), ["bash"]);
    let parameters = &got["tools"][0]["function"]["parameters"];
    assert_eq!(parameters["properties"]["command"]["type"], "string");
    assert_eq!(parameters["properties"]["restart"]["type"], "boolean");
    assert_eq!(sent(Anth, &plain(Anth), &body)["tools"], json!([bash]));
}

#[test]
fn t065_namespaces_become_prefixes() {
    let member = json!({"type": "function", "name": "f", "parameters": object()});
    let space = json!({"type": "namespace", "name": "n", "tools": [member]});
    let (got, plan) = encoded(Resp, &plain(Chat), &asking(Resp, json!({"tools": [space]})));
    assert_eq!(names(Chat, &got), ["n__f"]);
    let item = &answered(Chat, &plan, &calling(&["n__f"]))["output"][0];
    assert_eq!(
        (&item["type"], &item["name"], &item["namespace"]),
        (&json!("function_call"), &json!("f"), &json!("n"))
    );
    let (got, _) = encoded(Resp, &plain(Resp), &asking(Resp, json!({"tools": [space]})));
    assert_eq!(got["tools"][0]["name"], "n");
}

/// The parameters that Gemini is told.
fn gemini(target: &Target, schema: &Value) -> Value {
    let body = asking(Chat, json!({"tools": [tool(Chat, "f", schema.clone())]}));
    let mut got = sent(Chat, target, &body);
    let request = if target.envelope == Envelope::Plain { &mut got } else { &mut got["request"] };
    request["tools"][0]["functionDeclarations"][0]["parameters"].take()
}

/// What stands at one property of a schema that is cleaned.
fn property(property: Value) -> Value {
    let schema = json!({"type": "object", "properties": {"p": property}});
    gemini(&plain(Gem), &schema)["properties"]["p"].take()
}

#[test]
fn t066_to_t080_schemas_are_cleaned_in_declarations() {
    let point = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
    let got = gemini(
        &plain(Gem),
        &json!({"type": "object", "$defs": {"P": point}, "properties": {"p": {"$ref": "#/$defs/P"}}}),
    );
    assert_eq!(got, json!({"type": "object", "properties": {"p": point}}), "T066");
    let got = gemini(
        &plain(Gem),
        &json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/Node"}},
            "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}}}),
    );
    let inner = &got["properties"]["n"]["properties"]["next"];
    assert_eq!(*inner, json!({"type": "object", "description": "See: Node"}), "T067");

    for (number, given, want) in [
        ("T068", json!({"type": ["string", "null"]}), json!({"type": "string", "nullable": true})),
        (
            "T069",
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            json!({"type": "string", "nullable": true}),
        ),
        (
            "T070",
            json!({"oneOf": [{"const": "a"}, {"const": "b"}]}),
            json!({"type": "string", "enum": ["a", "b"]}),
        ),
        ("T072", json!({"const": "x"}), json!({"type": "string", "enum": ["x"]})),
        (
            "T072",
            json!({"type": "integer", "enum": [1, 2]}),
            json!({"type": "integer", "description": "Allowed: 1, 2"}),
        ),
        (
            "T075",
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-foo": 1,
                "additionalProperties": false, "$schema": "s", "patternProperties": {}, "examples": []}),
            object(),
        ),
        (
            "T076",
            json!({"type": "string", "format": "date-time"}),
            json!({"type": "string", "format": "date-time"}),
        ),
        (
            "T076",
            json!({"type": "integer", "format": "int64"}),
            json!({"type": "integer", "format": "int64"}),
        ),
        ("T077", json!({"type": "array"}), json!({"type": "array", "items": {"type": "string"}})),
        (
            "T077",
            json!({"type": "array", "prefixItems": [{"type": "integer"}]}),
            json!({"type": "array", "items": {"type": "integer"}}),
        ),
        (
            "T078",
            json!({"allOf": [{"properties": {"a": {"type": "string"}}},
                {"properties": {"b": {"type": "string"}}, "required": ["b"]}]}),
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                "required": ["b"]}),
        ),
        (
            "T079",
            json!({"enum": ["", null, "x"]}),
            json!({"type": "string", "enum": ["x"], "nullable": true}),
        ),
    ] {
        assert_eq!(property(given), want, "{number}");
    }
    let uri = property(json!({"type": "string", "format": "uri"}));
    assert!(uri.get("format").is_none(), "T076 {uri}");

    let either =
        json!({"anyOf": [{"type": "string"}, {"type": "object", "properties": {"a": {}}}]});
    let got = property(either.clone());
    assert_eq!(got["type"], "object", "T071");
    assert!(got["description"].as_str().unwrap().contains("Accepts: string | object"), "T071");
    let mut target = model(Gem, "gemini-2.0-flash");
    target.profile.gem_anyof = true;
    let got = gemini(&target, &json!({"type": "object", "properties": {"p": either}}));
    assert_eq!(got["properties"]["p"]["anyOf"].as_array().unwrap().len(), 2, "T071");

    let words = ["title", "format", "default", "properties", "$ref", "type", "const"];
    let properties: serde_json::Map<String, Value> =
        words.iter().map(|word| ((*word).to_owned(), json!({"type": "string"}))).collect();
    let schema = json!({"type": "object", "properties": properties});
    assert_eq!(gemini(&plain(Gem), &schema), schema, "T073");

    let with_required = |required: Value| {
        let mut schema = object();
        schema["required"] = required;
        gemini(&plain(Gem), &schema)["required"].take()
    };
    assert_eq!(with_required(json!(["a", "zz"])), json!(["a"]), "T074");
    assert_eq!(with_required(json!(["zz"])), Value::Null, "T074");
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string", "required": true}}});
    let mut want = object();
    want["required"] = json!(["a"]);
    assert_eq!(gemini(&plain(Gem), &schema), want, "T080");
}

#[test]
fn plain_schemas_go_where_the_api_and_the_model_take_them() {
    let schema = json!({"$schema": "s", "type": "object", "$defs": {"P": {"type": "integer", "minimum": 1}},
        "properties": {"p": {"$ref": "#/$defs/P"}}, "additionalProperties": false});
    let mut body = asking(Chat, json!({"tools": [tool(Chat, "f", schema.clone())]}));
    let mut target = model(Gem, "gemini-3-pro");
    (target.profile.gem_json_schema, target.profile.gem_anyof) = (true, true);
    let got = sent(Chat, &target, &body);
    let declared = &got["tools"][0]["functionDeclarations"][0];
    let mut want = schema.clone();
    want.as_object_mut().unwrap().remove("$schema");
    assert_eq!(declared["parametersJsonSchema"], want);
    assert!(declared.get("parameters").is_none());
    body["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let config = &sent(Chat, &target, &body)["generationConfig"];
    assert_eq!(config["responseJsonSchema"], want);
    assert!(config.get("responseSchema").is_none());
    target.model = "gemini-2.0-flash".into();
    let got = sent(Chat, &target, &body);
    let declared = &got["tools"][0]["functionDeclarations"][0];
    let cleaned = json!({"type": "object", "properties": {"p": {"type": "integer", "minimum": 1}}});
    assert_eq!(declared["parameters"], cleaned);
}

#[test]
fn t082_t083_schemas_of_gemini_clients_and_for_claude() {
    let schema =
        json!({"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}});
    let body = asking(Gem, json!({"tools": [tool(Gem, "f", schema)]}));
    let want = json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}});
    assert_eq!(sent(Gem, &plain(Anth), &body)["tools"][0]["input_schema"], want);
    assert_eq!(sent(Gem, &plain(Chat), &body)["tools"][0]["function"]["parameters"], want);
    assert_eq!(sent(Gem, &plain(Resp), &body)["tools"][0]["parameters"], want);

    let nested = json!({"anyOf": [{"type": "string"}, {"type": "integer"}]});
    let branch =
        |name: &str| json!({"type": "object", "properties": {name: nested}, "required": [name]});
    let schema = json!({"anyOf": [branch("a"), branch("b")]});
    let body = asking(Chat, json!({"tools": [tool(Chat, "f", schema)]}));
    let got = &sent(Chat, &plain(Anth), &body)["tools"][0]["input_schema"];
    assert_eq!(got["type"], "object");
    assert!(got.get("anyOf").is_none(), "{got}");
    assert_eq!(got["properties"], json!({"a": nested, "b": nested}));
    assert!(got["required"].as_array().is_none_or(Vec::is_empty), "{got}");
}

#[test]
fn t084_cleaning_twice_changes_nothing() {
    let schema = json!({"type": "object", "$defs": {"P": {"type": ["integer", "null"], "minimum": 1}},
        "properties": {
            "p": {"$ref": "#/$defs/P"}, "e": {"enum": ["", null, "x"]}, "n": {"type": "integer", "enum": [1]},
            "o": {"anyOf": [{"type": "string", "minLength": 3}, {"type": "object", "properties": {"a": {}}}]},
            "t": {"type": "array", "prefixItems": [{"type": "string", "format": "uri"}]}},
        "required": ["p", "zz"]});
    for envelope in [Envelope::Plain, Envelope::CloudCode] {
        let target = Target { envelope, ..plain(Gem) };
        let once = gemini(&target, &schema);
        assert_eq!(gemini(&target, &once), once, "{envelope:?}");
    }
}
