//! `GET /api/openapi.json`: the management API as an OpenAPI 3.1 document, made from the table of routes and from
//! `assets/openapi.toml`, which says in short what each route takes and gives.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::routes::{Class, ROUTES, Route};

const SOURCE: &str = include_str!("../../assets/openapi.toml");

/// The member that names the schema which another one builds on.
const BASE: &str = "...";

/// Made when somebody asks for the first time.
static DOCUMENT: LazyLock<Result<Value, String>> =
    LazyLock::new(|| Source::read().map(|source| source.document()));

pub(super) async fn show(_api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    match &*DOCUMENT {
        Ok(document) => Ok(Reply::ok(document.clone())),
        Err(why) => {
            tracing::error!(error = why, "the OpenAPI document cannot be made");
            Err(ApiError::new(500, "internal", "the document cannot be made; see the server's log"))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    groups: BTreeMap<String, Fields>,
    operations: BTreeMap<String, Operation>,
    schemas: BTreeMap<String, Fields>,
}

/// Members with their types.
type Fields = BTreeMap<String, String>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    summary: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    query: Fields,
    body: Option<Sent>,
    reply: String,
    /// Statuses of refusals beside those that follow from its method, its class and its path.
    #[serde(default)]
    refusals: Vec<String>,
}

impl Operation {
    /// One that is still to come: it refuses, with its path and under its class.
    fn later(feature: &str) -> Self {
        let summary = format!("Not in this version: {feature}");
        let refusal = "501".to_owned();
        Self { summary, reply: refusal.clone(), refusals: vec![refusal], ..Self::default() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sent {
    Type(String),
    Fields(Fields),
}

impl Source {
    fn read() -> Result<Self, String> {
        toml::from_str(SOURCE).map_err(|why| why.to_string())
    }

    fn document(&self) -> Value {
        let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for route in ROUTES {
            let path = route.path.replace("...}", "}");
            let method = route.method.to_ascii_lowercase();
            paths.entry(path).or_default().insert(method, self.operation(route));
        }
        let schemas: Map<String, Value> = self
            .schemas
            .iter()
            .map(|(name, fields)| (name.clone(), object(&self.whole(fields))))
            .collect();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "NineRouter management API",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Needs a session of the dashboard, or the admin socket; API keys open none of it. \
                    Instants are Unix ms UTC, money is micro-USD.",
            },
            "servers": [{"url": "/"}],
            "security": [{"session": []}],
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "session": {"type": "apiKey", "in": "cookie", "name": "auth_token",
                        "description": "`__Host-auth_token` over https. Unsafe methods also send the `csrf_token` \
                            of `GET /api/auth/session` as `X-CSRF-Token`."},
                },
                "schemas": Value::Object(schemas),
                "responses": {"Error": error()},
            },
        })
    }

    /// Members with those of the schema that they build on; of the same name their own count.
    fn whole(&self, fields: &Fields) -> Fields {
        let base = fields.get(BASE).and_then(|kind| self.schemas.get(kind.trim_start_matches('#')));
        let mut whole = base.map(|base| self.whole(base)).unwrap_or_default();
        whole.extend(
            fields.iter().filter(|(name, _)| *name != BASE).map(|(n, k)| (n.clone(), k.clone())),
        );
        whole
    }

    fn operation(&self, route: &Route) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
        put("operationId", operation_id(route).into());
        put("tags", json!([tag(route)]));
        let class = match route.class {
            Class::Admin => "Admin",
            Class::Sudo => "Sudo",
        };
        put("x-class", class.into());
        put("x-max-body-bytes", route.body.into());
        let later = route.later.map(Operation::later);
        let Some(operation) = later.as_ref().or_else(|| self.operations.get(&key(route))) else {
            return shown.into();
        };
        put("summary", operation.summary.clone().into());
        let parameters = self.parameters(route, operation);
        if !parameters.is_empty() {
            put("parameters", parameters.into());
        }
        if let Some(sent) = &operation.body {
            let schema = match sent {
                Sent::Type(text) => schema(text),
                Sent::Fields(fields) => object(fields),
            };
            put("requestBody", json!({"content": {"application/json": {"schema": schema}}}));
        }
        put("responses", responses(route, operation));
        shown.into()
    }

    fn parameters(&self, route: &Route, operation: &Operation) -> Vec<Value> {
        let in_path = route.path.split('/').filter_map(|part| {
            let name = part.strip_prefix('{')?.strip_suffix('}')?;
            let note = name.ends_with("...").then_some("May hold `/`.");
            Some(json!({"name": name.trim_end_matches("..."), "in": "path", "required": true,
                "schema": {"type": "string"}, "description": note.unwrap_or_default()}))
        });
        let groups = operation.groups.iter().filter_map(|name| self.groups.get(name)).flatten();
        let in_query = groups.chain(&operation.query).map(|(name, kind)| {
            json!({"name": name, "in": "query", "required": kind.ends_with('!'), "schema": schema(kind)})
        });
        let token = (route.method != "GET").then(|| {
            json!({"name": "X-CSRF-Token", "in": "header", "required": true,
                "schema": {"type": "string"}, "description": "Not through the admin socket."})
        });
        in_path.chain(in_query).chain(token).collect()
    }
}

fn key(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/api/").split(['/', '.', '-', '{', '}', '_']);
    let mut id = route.method.to_ascii_lowercase();
    for word in words.filter(|word| !word.is_empty()) {
        let mut letters = word.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id
}

fn tag(route: &Route) -> &'static str {
    route.path.trim_start_matches("/api/").split('/').next().unwrap_or_default()
}

/// What a route answers: its good replies, and the refusals it may have.
fn responses(route: &Route, operation: &Operation) -> Value {
    let as_csv = operation.query.get("format").is_some_and(|words| words.contains("csv"));
    let replies = operation.reply.split("; ").map(|reply| response(reply, as_csv));
    let mut all: Map<String, Value> = replies.collect();
    let refused = || json!({"$ref": "#/components/responses/Error"});
    let mut statuses = vec!["400", "401", "403", "422", "429", "503"];
    if route.path.contains('{') || operation.query.contains_key("provider") {
        statuses.push("404");
    }
    if route.method != "GET" {
        statuses.extend(["409", "413", "415"]);
    }
    if route.class == Class::Sudo {
        statuses.push("428");
    }
    statuses.extend(operation.refusals.iter().map(String::as_str));
    all.extend(statuses.into_iter().map(|status| (status.to_owned(), refused())));
    all.into()
}

/// `[status] type`, `list type`, `file media`, `stream media`, or a status alone; as a table too, if that can be asked for.
fn response(reply: &str, as_csv: bool) -> (String, Value) {
    let (status, rest) = match reply.split_once(' ') {
        Some((status, rest)) if status.parse::<u16>().is_ok() => (status, rest),
        None if reply.parse::<u16>().is_ok() => (reply, ""),
        _ => ("200", reply),
    };
    let (media, schema) = match rest.split_once(' ') {
        Some(("list", item)) => ("application/json", page(item)),
        Some(("file" | "stream", media)) => (media, json!({"type": "string", "format": "binary"})),
        _ => ("application/json", schema(rest)),
    };
    let mut good = json!({"description": "Done"});
    if let (Value::Object(good), false) = (&mut good, rest.is_empty()) {
        let mut content = Map::new();
        content.insert(media.to_owned(), json!({ "schema": schema }));
        if as_csv {
            content.insert("text/csv".to_owned(), json!({"schema": {"type": "string"}}));
        }
        good.insert("content".to_owned(), content.into());
    }
    (status.to_owned(), good)
}

fn page(item: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "data": {"type": "array", "items": schema(item)},
            "next": {"type": ["string", "null"], "description": "`cursor` of the next page"},
            "total": {"type": "integer"},
        },
        "required": ["data", "next"],
    })
}

fn object(fields: &Fields) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, kind)| (name.clone(), schema(kind))).collect();
    let required: Vec<&String> =
        fields.iter().filter(|(_, kind)| kind.ends_with('!')).map(|(name, _)| name).collect();
    let mut object =
        json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let (Value::Object(object), false) = (&mut object, required.is_empty()) {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

/// The schema of a type as the source writes it.
fn schema(kind: &str) -> Value {
    let kind = kind.trim_end_matches('!');
    if let Some(kind) = kind.strip_suffix('?') {
        return or_null(schema(kind));
    }
    if let Some(item) = kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return json!({"type": "array", "items": schema(item)});
    }
    if let Some(name) = kind.strip_prefix('#') {
        return json!({"$ref": format!("#/components/schemas/{name}")});
    }
    match kind {
        "text" => json!({"type": "string"}),
        "int" => json!({"type": "integer"}),
        "number" => json!({"type": "number"}),
        "bool" => json!({"type": "boolean"}),
        "uuid" => json!({"type": "string", "format": "uuid"}),
        "ms" => json!({"type": "integer", "format": "int64", "description": "Unix ms, UTC"}),
        "umicro" => json!({"type": "integer", "format": "int64", "description": "micro-USD"}),
        "json" => json!({}),
        "map" => json!({"type": "object"}),
        words => json!({"type": "string", "enum": words.split('|').collect::<Vec<_>>()}),
    }
}

fn or_null(mut schema: Value) -> Value {
    let has_words = schema.get("enum").is_some();
    match schema.get("type").and_then(Value::as_str).map(str::to_owned) {
        Some(kind) if !has_words => {
            if let Value::Object(schema) = &mut schema {
                schema.insert("type".to_owned(), json!([kind, "null"]));
            }
            schema
        }
        // Anything may be null already.
        None if schema.get("$ref").is_none() => schema,
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

/// `api.md` §1.
fn error() -> Value {
    json!({
        "description": "Refused; nothing was changed",
        "content": {"application/json": {"schema": {
            "type": "object",
            "properties": {"error": {
                "type": "object",
                "properties": {
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "fields": {"type": "object", "additionalProperties": {"type": "string"}},
                    "current": {},
                    "request_id": {"type": "string"},
                },
                "required": ["code", "message", "request_id"],
            }},
            "required": ["error"],
        }}},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn source() -> Source {
        Source::read().unwrap()
    }

    /// A route that is not described, or a description of a route that is gone, fails here.
    #[test]
    fn the_document_and_the_routes_are_the_same() {
        let source = source();
        let routes: BTreeSet<String> =
            ROUTES.iter().filter(|route| route.later.is_none()).map(key).collect();
        let described: BTreeSet<String> = source.operations.keys().cloned().collect();
        let missing: Vec<_> = routes.difference(&described).collect();
        let gone: Vec<_> = described.difference(&routes).collect();
        assert!(missing.is_empty(), "assets/openapi.toml lacks {missing:#?}");
        assert!(gone.is_empty(), "assets/openapi.toml has more than there is: {gone:#?}");
        for (name, operation) in &source.operations {
            assert!(!operation.summary.is_empty(), "{name}");
            for group in &operation.groups {
                assert!(source.groups.contains_key(group), "{name}: {group}");
            }
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema_and_every_schema_is_used() {
        fn collect(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(members) => {
                    if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                        found.insert(target.to_owned());
                    }
                    members.values().for_each(|member| collect(member, found));
                }
                Value::Array(list) => list.iter().for_each(|item| collect(item, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let document = source().document();
        let mut found = BTreeSet::new();
        collect(&document, &mut found);
        for target in &found {
            assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
        }
        let bases: BTreeSet<String> = source()
            .schemas
            .values()
            .filter_map(|fields| {
                fields.get(BASE).map(|kind| kind.replace('#', "#/components/schemas/"))
            })
            .collect();
        for target in &bases {
            assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
        }
        for name in source().schemas.keys() {
            let target = format!("#/components/schemas/{name}");
            assert!(found.contains(&target) || bases.contains(&target), "{name} is not used");
        }
    }

    /// A reply without a schema tells a client nothing.
    #[test]
    fn replies_have_their_schema() {
        // This document is described by OpenAPI itself.
        const OPEN: &str = "GET /api/openapi.json";
        for (name, operation) in source().operations {
            let is_open = operation.reply.split(' ').any(|word| word == "json");
            assert_eq!(is_open, name == OPEN, "{name}: {}", operation.reply);
        }
    }

    #[test]
    fn an_operation_tells_parameters_body_replies_and_class() {
        let document = source().document();
        let change = &document["paths"]["/api/models/{provider}/{model}"]["patch"];
        assert_eq!(change["operationId"], "patchModelsProviderModel");
        let names: Vec<_> =
            change["parameters"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
        assert_eq!(names, ["provider", "model", "X-CSRF-Token"]);
        let keys = &document["paths"]["/api/keys"];
        assert_eq!(
            keys["post"]["responses"]["201"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/KeyMade"
        );
        assert!(
            keys["get"]["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "cursor")
        );
        let all = &document["paths"]["/api/auth/logout-all"]["post"];
        assert_eq!((&all["x-class"], all["responses"]["428"].is_object()), (&json!("Sudo"), true));
        assert!(all["responses"]["204"].get("content").is_none());
    }

    /// OpenAPI has no document whose paths have places that nobody describes.
    #[test]
    fn every_place_in_a_path_is_a_parameter() {
        let document = source().document();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let places: Vec<_> =
                path.split('/').filter_map(|part| part.strip_prefix('{')).collect();
            for (method, operation) in methods.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let told: Vec<_> =
                    parameters.filter(|p| p["in"] == "path").map(|p| p["name"].clone()).collect();
                assert_eq!(told.len(), places.len(), "{method} {path}: {told:?}");
                assert!(operation["responses"]["400"].is_object(), "{method} {path}");
            }
        }
        let later = &document["paths"]["/api/instances/{id}"]["delete"]["responses"];
        assert_eq!(later["501"]["$ref"], "#/components/responses/Error");
    }

    #[test]
    fn types_are_read_as_they_are_written() {
        assert_eq!(schema("text?"), json!({"type": ["string", "null"]}));
        assert_eq!(schema("[#Key]!")["items"]["$ref"], "#/components/schemas/Key");
        assert_eq!(schema("a|b?")["anyOf"][0]["enum"], json!(["a", "b"]));
        assert_eq!(schema("json?"), json!({}));
        assert_eq!(schema("[[int]]")["items"]["items"], json!({"type": "integer"}));
        let row = &source().document()["components"]["schemas"]["RequestDetail"]["properties"];
        assert_eq!(
            (&row["ts"]["type"], &row["attempts"]["type"]),
            (&json!("integer"), &json!("array"))
        );
        assert!(row.get(BASE).is_none());
    }
}
