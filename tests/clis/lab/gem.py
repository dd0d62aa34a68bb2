"""The model as a Gemini server: what it accepts, and how it answers."""

import base64
import binascii
import json
import re

from . import schema
from .chat import cuts
from .rules import distinct, filled, one_of, only
from .story import Invalid, Seen, Tool, call_key

FIELDS = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent", "labels"}
GENERATION = {
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed", "presencePenalty",
    "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema",
    "responseModalities", "speechConfig", "imageConfig", "mediaResolution", "thinkingConfig", "enableEnhancedCivicAnswers",
}  # fmt: skip
# Exactly one of these is the matter of a part.
MATTER = {
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse",
}  # fmt: skip
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
BYPASS = "skip_thought_signature_validator"


def see(body, path, _headers, story):
    """The request as the story needs it; `Invalid` when the dialect forbids it."""
    model = path.split("/models/")[-1].rsplit(":", 1)[0]
    only(body, FIELDS, "body")
    config = body.get("generationConfig") or {}
    only(config, GENERATION, "generationConfig")
    thinking = config.get("thinkingConfig") or {}
    only(thinking, {"thinkingBudget", "thinkingLevel", "includeThoughts"}, "thinkingConfig")
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise Invalid("thinking_budget_and_level")
    if "thinkingLevel" in thinking:
        one_of(thinking["thinkingLevel"].upper(), {"MINIMAL", "LOW", "MEDIUM", "HIGH"}, "thinkingLevel")
        if "gemini-3" not in model:
            raise Invalid("thinking_level_before_gemini_3", model)
    if "systemInstruction" in body:
        only(body["systemInstruction"], {"role", "parts"}, "systemInstruction")
        for part in body["systemInstruction"].get("parts") or [{}]:
            filled(part, "text", "systemInstruction.parts")
    tools = [t for n, tool in enumerate(body.get("tools") or []) for t in declared(tool, f"tools[{n}]")]
    distinct((t.name for t in tools), "tool_declared_twice")
    checked_choice(body.get("toolConfig"), tools)
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise Invalid("contents_empty")
    results = conversation(contents)
    if "gemini-3" in model:
        signed_calls(contents, story)
    for content in contents:
        for part in content["parts"]:
            known_signature(part, story, model)
    stream = ":streamGenerateContent" in path
    wanted = config.get("responseJsonSchema") or config.get("responseSchema")
    return Seen(tools, results, stream, bool(thinking.get("includeThoughts")), wanted)


def declared(tool, at):
    server = {"googleSearch", "urlContext", "codeExecution", "fileSearch", "computerUse", "googleMaps"}
    only(tool, {"functionDeclarations"} | server, at)
    out = []
    for number, function in enumerate(tool.get("functionDeclarations") or []):
        here = f"{at}.functionDeclarations[{number}]"
        known = {"name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior"}
        only(function, known, here)
        if not NAME.fullmatch(filled(function, "name", here)):
            raise Invalid("tool_name_invalid", f"{here}: {function['name']!r}")
        here = f"{here}({function['name']})"
        if "parameters" in function and "parametersJsonSchema" in function:
            raise Invalid("two_kinds_of_parameters", here)
        if "parameters" in function:
            schema.check_gemini_schema(function["parameters"], here)
        if "parametersJsonSchema" in function:
            schema.check_root(function["parametersJsonSchema"], here)
        out.append(Tool(function["name"], function.get("parameters") or function.get("parametersJsonSchema") or {}))
    if out and server & set(tool):
        raise Invalid("search_together_with_functions", at)
    return out


def checked_choice(config, tools):
    if config is None:
        return
    only(config, {"functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"}, "toolConfig")
    calling = config.get("functionCallingConfig") or {}
    only(calling, {"mode", "allowedFunctionNames"}, "functionCallingConfig")
    one_of(calling.get("mode", "AUTO"), {"AUTO", "ANY", "NONE", "VALIDATED"}, "functionCallingConfig.mode")
    for name in calling.get("allowedFunctionNames") or []:
        one_of(name, {t.name for t in tools}, "allowedFunctionNames")
        if calling.get("mode") not in ("ANY", "VALIDATED"):
            raise Invalid("allowed_names_without_mode_any")


def conversation(contents):
    """Results since the last thing the user said. A turn of results answers the turn of calls before it, one by one."""
    results, calls = [], []
    for number, content in enumerate(contents):
        at = f"contents[{number}]"
        only(content, {"role", "parts"}, at)
        role = content.get("role", "user")
        one_of(role, {"user", "model"}, f"{at}.role")
        parts = content.get("parts")
        if not isinstance(parts, list) or not parts:
            raise Invalid("parts_empty", at)
        for part in parts:
            checked_part(part, role, at)
        if number == 0 and role == "model":
            raise Invalid("first_turn_is_the_models")
        given = [p["functionResponse"] for p in parts if "functionResponse" in p]
        if role == "user":
            if len(given) != len(calls):
                raise Invalid("responses_do_not_match_calls", f"{at}: {len(given)} responses for {len(calls)} calls")
            for call, result in zip(calls, given):
                if result["name"] != call["name"] or result.get("id") != call.get("id"):
                    raise Invalid("response_does_not_match_its_call", f"{at}: {result['name']} {result.get('id')} for {call}")
            if is_prompt(content):
                results = []
            results += [(r.get("id"), json.dumps(r["response"])) for r in given]
            calls = []
        else:
            if calls:
                raise Invalid("call_without_response", at)
            calls = [p["functionCall"] for p in parts if "functionCall" in p]
    if calls:
        raise Invalid("call_without_response", "at the end")
    if contents[-1].get("role", "user") == "model":
        raise Invalid("last_turn_is_the_models")
    return results


def is_prompt(content):
    """Whether the user says something here: text and no response of a function."""
    return content.get("role", "user") == "user" and not any("functionResponse" in p for p in content["parts"])


def checked_part(part, role, at):
    only(part, MATTER | {"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"}, f"{at}.parts")
    matter = MATTER & set(part)
    if len(matter) != 1:
        raise Invalid("part_without_one_matter", f"{at}: {sorted(part)}")
    if part.get("text") == "" and "thoughtSignature" not in part:
        raise Invalid("text_part_empty", at)
    if "functionCall" in part:
        if role != "model":
            raise Invalid("call_by_the_user", at)
        only(part["functionCall"], {"id", "name", "args"}, f"{at}.functionCall")
        filled(part["functionCall"], "name", at)
        if not isinstance(part["functionCall"].get("args", {}), dict):
            raise Invalid("args_not_an_object", at)
    if "functionResponse" in part:
        if role != "user":
            raise Invalid("response_by_the_model", at)
        only(part["functionResponse"], {"id", "name", "response", "parts", "scheduling", "willContinue"}, f"{at}.functionResponse")
        filled(part["functionResponse"], "name", at)
        if not isinstance(part["functionResponse"].get("response"), dict):
            raise Invalid("response_not_an_object", at)


def known_signature(part, story, model):
    signature = part.get("thoughtSignature")
    if signature is None or signature in story.signed:
        return
    if signature == BYPASS and "gemini-3" in model and "functionCall" in part:
        return
    try:
        base64.b64decode(signature.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, AttributeError):
        raise Invalid("thought_signature_not_base64", str(signature)[:40]) from None
    raise Invalid("thought_signature_not_valid", signature[:24])


def signed_calls(contents, story):
    """Gemini 3: in the current turn the first call of each step carries its signature."""
    current = max(n for n, c in enumerate(contents) if is_prompt(c) or n == 0)
    for number, content in enumerate(contents):
        calls = [p for p in content["parts"] if "functionCall" in p]
        if number < current or not calls:
            continue
        name, signature = calls[0]["functionCall"]["name"], calls[0].get("thoughtSignature")
        if signature is None:
            raise Invalid("thought_signature_missing", f"function call `{name}` in the {number + 1}. content block")
        if any("thoughtSignature" in p for p in calls[1:]):
            raise Invalid("thought_signature_on_a_sibling", f"contents[{number}]")
        owed = story.signature_of_call.get(call_key(name, calls[0]["functionCall"].get("args", {})))
        if story.scenario.demand_signatures and signature != owed:
            raise Invalid("signature_not_given_back", f"contents[{number}]: {signature[:40]!r}")


def chunk(parts, path, number, **more):
    """One `GenerateContentResponse`; `more` goes into the candidate or beside it."""
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    if "finishReason" in more:
        candidate["finishReason"] = more.pop("finishReason")
    model = path.split("/models/")[-1].rsplit(":", 1)[0]
    return {"candidates": [candidate], **more, "modelVersion": model, "responseId": f"r{number}"}


def parts_of(turn, seen, story):
    """The parts of the whole answer, thoughts and text in pieces."""
    if seen.thinking and turn.thought:
        yield from ({"text": p, "thought": True} for p in cuts(turn.thought, 9))
    yield from ({"text": p} for p in cuts(turn.text, 7))
    for index, call in enumerate(turn.calls):
        function = {"name": call.tool.name, "args": call.arguments}
        if story.scenario.gemini_ids:
            function["id"] = call.id
        yield {"functionCall": function, **({} if index else {"thoughtSignature": turn.signature})}


def usage(turn):
    out = 13 + len(turn.text) // 4
    return {
        "promptTokenCount": 2000, "cachedContentTokenCount": 1200, "candidatesTokenCount": out, "thoughtsTokenCount": 7,
        "totalTokenCount": 2007 + out,
    }  # fmt: skip


def stream(turn, path, seen, number, story):
    """The answer as SSE frames."""

    def frame(value):
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"

    for part in parts_of(turn, seen, story):
        yield frame(chunk([part], path, number))
    last = {"text": ""}
    if not turn.calls:
        last["thoughtSignature"] = turn.signature
    yield frame(chunk([last], path, number, finishReason="STOP", usageMetadata=usage(turn)))


def whole(turn, path, seen, number, story):
    """The answer as one object."""
    return chunk(list(parts_of(turn, seen, story)), path, number, finishReason="STOP", usageMetadata=usage(turn))


def error(status, text):
    word = {429: "RESOURCE_EXHAUSTED", 401: "UNAUTHENTICATED"}.get(status, "INVALID_ARGUMENT")
    return {"error": {"code": status, "message": text, "status": word}}
