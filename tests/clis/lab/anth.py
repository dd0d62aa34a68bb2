"""The model as an Anthropic Messages server: what it accepts, and how it answers."""

import json
import re

from . import schema
from .chat import cuts
from .rules import distinct, filled, need, one_of, only
from .story import Invalid, Seen, Tool

FIELDS = {
    "model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "tools",
    "tool_choice", "thinking", "metadata", "service_tier", "output_config", "context_management", "container", "mcp_servers",
    "speed", "cache_control", "inference_geo",
}  # fmt: skip
# Fields that are refused as unknown unless the beta that brings them is named.
BETAS = {
    "context_management": "context-management-2025-06-27",
    "mcp_servers": "mcp-client-2025",
    "speed": "fast-mode-2026-02-01",
}
BLOCKS = {
    "text": {"type", "text", "cache_control", "citations"},
    "image": {"type", "source", "cache_control"},
    "document": {"type", "source", "cache_control", "title", "context", "citations"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
    "tool_use": {"type", "id", "name", "input", "cache_control", "caller"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
}
OF_USER = {"text", "image", "document", "tool_result"}
OF_ASSISTANT = {"text", "thinking", "redacted_thinking", "tool_use"}
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
ID = re.compile(r"[a-zA-Z0-9_-]+")


def see(body, _path, headers, story):
    """The request as the story needs it; `Invalid` when the dialect forbids it."""
    betas = {b.strip() for b in headers.get("anthropic-beta", "").split(",")}
    if not headers.get("anthropic-version"):
        raise Invalid("anthropic_version_missing")
    only(body, FIELDS, "body")
    filled(body, "model", "body")
    limit = need(body, "max_tokens", int, "body")
    if limit < 1:
        raise Invalid("max_tokens_not_positive", str(limit))
    for field, beta in BETAS.items():
        if field in body and not any(b.startswith(beta) for b in betas):
            raise Invalid("field_without_its_beta", f"{field} needs {beta}")
    thinking = checked_thinking(body, limit)
    checked_system(body.get("system"))
    tools = [t for n, tool in enumerate(body.get("tools") or []) if (t := declared(tool, f"tools[{n}]", betas))]
    distinct((t.name for t in tools), "tool_declared_twice")
    checked_choice(body, tools, thinking)
    output = body.get("output_config") or {}
    only(output, {"effort", "format", "task_budget"}, "output_config")
    if "effort" in output:
        one_of(output["effort"], {"low", "medium", "high", "xhigh", "max"}, "output_config.effort")
    if "metadata" in body:
        only(body["metadata"], {"user_id"}, "metadata")
    if json.dumps(body).count('"cache_control": {') > 4:
        raise Invalid("more_than_four_cache_marks")
    results = conversation(need(body, "messages", list, "body"), betas, story, thinking)
    return Seen(tools, results, bool(body.get("stream")), thinking is not None, (output.get("format") or {}).get("schema"))


def checked_thinking(body, limit):
    """The kind of thinking that is on, or None."""
    thinking = body.get("thinking")
    if thinking is None:
        return check_sampling(body, None)
    kind = thinking.get("type")
    one_of(kind, {"enabled", "adaptive", "disabled"}, "thinking.type")
    only(thinking, {"type", "budget_tokens", "display"}, "thinking")
    if kind == "enabled":
        budget = need(thinking, "budget_tokens", int, "thinking")
        if not 1024 <= budget < limit:
            raise Invalid("thinking_budget_out_of_range", f"{budget} of max_tokens {limit}")
    elif "budget_tokens" in thinking:
        raise Invalid("unknown_field", "thinking.budget_tokens")
    return check_sampling(body, None if kind == "disabled" else kind)


def check_sampling(body, thinking):
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        raise Invalid("temperature_out_of_range", str(temperature))
    if thinking and (temperature not in (None, 1) or "top_k" in body or body.get("top_p", 1) < 0.95):
        raise Invalid("sampling_with_thinking")
    if any(not s.strip() for s in body.get("stop_sequences") or []):
        raise Invalid("blank_stop_sequence")
    return thinking


def checked_system(system):
    if system is None or isinstance(system, str):
        return
    for number, block in enumerate(system):
        one_of(block.get("type"), {"text"}, f"system[{number}].type")
        checked_block(block, f"system[{number}]")


def declared(tool, at, betas):
    """A tool of the client; None for those that the server runs."""
    if tool.get("type", "custom") != "custom":
        filled(tool, "name", at)
        return None
    advanced = {"defer_loading", "input_examples", "allowed_callers"}
    only(tool, {"type", "name", "description", "input_schema", "cache_control", "strict", "eager_input_streaming"} | advanced, at)
    if advanced & set(tool) and not any(b.startswith("advanced-tool-use") for b in betas):
        raise Invalid("field_without_its_beta", f"{at}.{advanced & set(tool)}")
    if not NAME.fullmatch(filled(tool, "name", at)):
        raise Invalid("tool_name_invalid", f"{at}: {tool['name']!r}")
    parameters = need(tool, "input_schema", dict, at)
    schema.check_root(parameters, f"{at}({tool['name']})")
    if {"anyOf", "oneOf", "allOf"} & set(parameters):
        raise Invalid("tool_schema_root_is_a_union", at)
    return Tool(tool["name"], parameters)


def checked_choice(body, tools, thinking):
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not body.get("tools"):
        raise Invalid("tool_choice_without_tools")
    one_of(choice.get("type"), {"auto", "any", "tool", "none"}, "tool_choice.type")
    if choice["type"] == "tool":
        one_of(choice.get("name"), {t.name for t in tools}, "tool_choice.name")
    if thinking and choice["type"] in ("any", "tool"):
        raise Invalid("forced_tool_with_thinking")


def conversation(messages, betas, story, thinking):
    """Results since the last thing the user said. Results stand first in the very next message."""
    if not messages:
        raise Invalid("messages_empty")
    calls, results, before = [], [], None
    for number, message in enumerate(messages):
        at = f"messages[{number}]"
        role = message.get("role")
        one_of(role, {"user", "assistant", "system"}, f"{at}.role")
        only(message, {"role", "content", "output_config"}, at)
        if "output_config" in message and not any(b.startswith("per-turn-control") for b in betas):
            raise Invalid("field_without_its_beta", f"{at}.output_config")
        blocks = message.get("content")
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        if not isinstance(blocks, list) or not blocks:
            raise Invalid("content_empty", at)
        if role == "system":
            if not any(b.startswith("mid-conversation") for b in betas):
                raise Invalid("system_message_without_its_beta", at)
            continue
        for block in blocks:
            one_of(block.get("type"), OF_USER if role == "user" else OF_ASSISTANT, f"{at}.content.type")
            checked_block(block, at)
        if role == "assistant":
            if calls:
                raise Invalid("call_without_result", f"{at} before the results of {calls}")
            calls = [b["id"] for b in blocks if b["type"] == "tool_use"]
            distinct(calls, "call_id_twice")
            checked_thoughts(blocks, at, story, thinking, current=not later_prompt(messages, number))
        else:
            given = [b for b in blocks if b["type"] == "tool_result"]
            if calls and blocks[: len(given)] != given:
                raise Invalid("results_after_other_content", at)
            if sorted(b["tool_use_id"] for b in given) != sorted(calls):
                raise Invalid("results_do_not_match_calls", f"{at}: {[b['tool_use_id'] for b in given]} for {calls}")
            if is_prompt(message):
                results = []
            results += [(b["tool_use_id"], str(b.get("content"))) for b in given]
            calls = []
        before = role
    if calls:
        raise Invalid("call_without_result", f"at the end: {calls}")
    if before == "assistant" and text_at_end(messages[-1]) != text_at_end(messages[-1]).rstrip():
        raise Invalid("begun_answer_ends_in_white_space")
    return results


def text_at_end(message):
    """What an answer that the client has begun ends with."""
    content = message["content"]
    return content if isinstance(content, str) else content[-1].get("text", "")


def is_prompt(message):
    """Whether the user says something of their own: no result, and more than reminders."""
    blocks = message["content"]
    if isinstance(blocks, str):
        return not blocks.lstrip().startswith("<system-reminder>")
    if any(b["type"] == "tool_result" for b in blocks):
        return False
    return any(not b.get("text", "").lstrip().startswith("<system-reminder>") for b in blocks)


def later_prompt(messages, number):
    return any(m["role"] == "user" and is_prompt(m) for m in messages[number + 1 :])


def checked_block(block, at):
    kind = block["type"]
    only(block, BLOCKS.get(kind, block.keys()), f"{at}.{kind}")
    if kind == "text" and not (isinstance(block.get("text"), str) and block["text"].strip()):
        raise Invalid("text_block_blank", at)
    if kind == "tool_use":
        if not isinstance(block.get("input"), dict):
            raise Invalid("tool_input_not_an_object", at)
        if not ID.fullmatch(filled(block, "id", at)) or not NAME.fullmatch(filled(block, "name", at)):
            raise Invalid("tool_use_name_or_id_invalid", f"{at}: {block['id']} {block['name']}")
    if kind == "tool_result":
        filled(block, "tool_use_id", at)
        content = block.get("content")
        for part in content if isinstance(content, list) else []:
            one_of(part.get("type"), {"text", "image", "document", "search_result", "tool_reference"}, f"{at}.tool_result.type")
            if part["type"] == "text":
                checked_block(part, f"{at}.tool_result")


def checked_thoughts(blocks, at, story, thinking, current):
    """Thoughts come back as they were given: unchanged, signed, and before the calls they led to."""
    for block in blocks:
        if block["type"] == "thinking":
            signature = block.get("signature")
            if signature not in story.signed:
                raise Invalid("thinking_signature_invalid", f"{at}: {str(signature)[:24]!r}")
            if block["thinking"] not in (story.signed[signature], ""):
                raise Invalid("thinking_altered", at)
    calls = [b for b in blocks if b["type"] == "tool_use"]
    owed = story.signature_of.get(calls[0]["id"]) if calls else None
    if not (thinking and current and owed):
        return
    # The real server looks at the last calls only; a history that loses more loses its prompt cache.
    if thinking == "enabled" and blocks[0]["type"] not in ("thinking", "redacted_thinking"):
        raise Invalid("thinking_missing_before_call", at)
    if story.scenario.demand_signatures and not any(b.get("signature") == owed for b in blocks):
        raise Invalid("signature_not_given_back", f"{at} ({thinking})")


def usage(turn):
    counts = {"input_tokens": 800, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 1200}
    return {**counts, "output_tokens": 20 + len(turn.text) // 4}


def stream(turn, body, seen, number):
    """The answer as SSE frames."""

    def event(kind, **more):
        data = json.dumps({"type": kind, **more}, ensure_ascii=False)
        return f"event: {kind}\ndata: {data}\n\n".encode()

    index = -1

    def block(start, deltas):
        nonlocal index
        index += 1
        yield event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)

    message = {
        "id": f"msg_01{number}", "type": "message", "role": "assistant", "model": body["model"], "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {**usage(turn), "output_tokens": 1},
    }  # fmt: skip
    yield event("message_start", message=message)
    if seen.thinking and turn.thought:
        hidden = (body.get("thinking") or {}).get("display") == "omitted"
        deltas = [] if hidden else [{"type": "thinking_delta", "thinking": p} for p in cuts(turn.thought, 9)]
        deltas.append({"type": "signature_delta", "signature": turn.signature})
        yield from block({"type": "thinking", "thinking": "", "signature": ""}, deltas)
    if turn.text:
        yield from block({"type": "text", "text": ""}, [{"type": "text_delta", "text": p} for p in cuts(turn.text, 7)])
    yield event("ping")
    for call in turn.calls:
        pieces = cuts(json.dumps(call.arguments, ensure_ascii=False), 11)
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces]
        yield from block({"type": "tool_use", "id": call.id, "name": call.tool.name, "input": {}}, deltas)
    stop = {"stop_reason": "tool_use" if turn.calls else "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=stop, usage=usage(turn))
    yield event("message_stop")


def whole(turn, body, seen, number):
    """The answer as one object."""
    content = []
    if seen.thinking and turn.thought:
        content.append({"type": "thinking", "thinking": turn.thought, "signature": turn.signature})
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    content += [{"type": "tool_use", "id": c.id, "name": c.tool.name, "input": c.arguments} for c in turn.calls]
    return {
        "id": f"msg_01{number}", "type": "message", "role": "assistant", "model": body["model"], "content": content,
        "stop_reason": "tool_use" if turn.calls else "end_turn", "stop_sequence": None, "usage": usage(turn),
    }  # fmt: skip


def error(status, text):
    kind = {429: "rate_limit_error", 401: "authentication_error"}.get(status, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_011CZclis"}
