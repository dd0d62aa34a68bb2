"""Judges tool schemas as the upstreams do: JSON Schema for three dialects, Gemini's subset for the fourth."""

from .story import Invalid

TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}

# Keywords whose value is one schema, a list of schemas, or a map of schemas.
ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedProperties")
MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")

# The message `Schema` of the Gemini API; proto JSON refuses every other name.
GEMINI = {
    "type", "format", "title", "description", "nullable", "enum", "items", "properties", "required", "minItems", "maxItems",
    "minProperties", "maxProperties", "minimum", "maximum", "minLength", "maxLength", "pattern", "example", "anyOf",
    "propertyOrdering", "default",
}  # fmt: skip
GEMINI_FORMATS = {
    "string": {"enum", "date-time"},
    "integer": {"int32", "int64"},
    "number": {"float", "double"},
}


def check_json_schema(schema, at):
    """Raises unless `schema` is a schema of JSON Schema 2020-12, as far as validators of upstreams look."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise Invalid("schema_not_an_object", at)
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind not in TYPES:
            raise Invalid("schema_type_unknown", f"{at}: {kind!r}")
    required = schema.get("required", [])
    if not isinstance(required, list) or len(set(map(str, required))) != len(required):
        raise Invalid("schema_required_not_a_set_of_names", f"{at}: {required!r}")
    if "enum" in schema and not (isinstance(schema["enum"], list) and schema["enum"]):
        raise Invalid("schema_enum_empty", at)
    for word in ("exclusiveMinimum", "exclusiveMaximum", "minimum", "maximum"):
        if isinstance(schema.get(word), (bool, str)):
            raise Invalid("schema_bound_not_a_number", f"{at}.{word}")
    for word in ONE:
        if word in schema:
            check_json_schema(schema[word], f"{at}.{word}")
    for word in MANY:
        branches = schema.get(word)
        if branches is not None and not (isinstance(branches, list) and branches):
            raise Invalid("schema_branches_empty", f"{at}.{word}")
        for number, branch in enumerate(branches or []):
            check_json_schema(branch, f"{at}.{word}[{number}]")
    for word in MAPS:
        members = schema.get(word, {})
        if not isinstance(members, dict):
            raise Invalid("schema_members_not_a_map", f"{at}.{word}")
        for name, member in members.items():
            check_json_schema(member, f"{at}.{word}.{name}")


def check_root(schema, at):
    """A tool's parameters: a JSON schema whose root is an object."""
    check_json_schema(schema, at)
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Invalid("tool_schema_root_not_an_object", at)


def check_gemini_schema(schema, at):
    """Raises unless `schema` is a valid `Schema` message of the Gemini API."""
    if not isinstance(schema, dict):
        raise Invalid("gemini_schema_not_an_object", at)
    for word in schema:
        if word not in GEMINI:
            raise Invalid("gemini_schema_unknown_name", f'"{word}" at {at}')
    kind = schema.get("type")
    if not isinstance(kind, str) or kind.lower() not in TYPES - {"null"}:
        if "anyOf" not in schema:
            raise Invalid("gemini_schema_type_invalid", f"{at}: {kind!r}")
    else:
        kind = kind.lower()
    if "format" in schema and schema["format"] not in GEMINI_FORMATS.get(kind, ()):
        raise Invalid("gemini_schema_format", f"{at}: {schema['format']} on {kind}")
    if "enum" in schema:
        if kind != "string" or not all(isinstance(v, str) and v for v in schema["enum"]):
            raise Invalid("gemini_schema_enum_of_strings_only", at)
    if kind == "array" and "items" not in schema:
        raise Invalid("gemini_schema_items_missing", at)
    if "anyOf" in schema and set(schema) - {"anyOf", "description", "nullable", "title"}:
        raise Invalid("gemini_schema_any_of_with_siblings", f"{at}: {sorted(schema)}")
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in properties:
            raise Invalid("gemini_schema_required_without_property", f"{at}: {name}")
    if kind == "object" and "properties" in schema and not properties:
        raise Invalid("gemini_schema_properties_empty", at)
    for name, member in properties.items():
        check_gemini_schema(member, f"{at}.properties.{name}")
    if "items" in schema:
        check_gemini_schema(schema["items"], f"{at}.items")
    for number, branch in enumerate(schema.get("anyOf", [])):
        check_gemini_schema(branch, f"{at}.anyOf[{number}]")
