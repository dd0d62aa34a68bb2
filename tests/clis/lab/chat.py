"""The model as an OpenAI Chat Completions server: what it accepts, and how it answers."""

import json

from . import schema
from .rules import distinct, filled, need, one_of, only, openai_name
from .story import Invalid, Seen, Tool

FIELDS = {
    "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options", "max_tokens",
    "max_completion_tokens", "temperature", "top_p", "stop", "n", "seed", "presence_penalty", "frequency_penalty", "logprobs",
    "top_logprobs", "logit_bias", "response_format", "reasoning_effort", "verbosity", "modalities", "audio", "user",
    "safety_identifier", "metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_retention", "prediction",
    "web_search_options", "functions", "function_call",
}  # fmt: skip
# Vendors' additions that are common enough among clients to come from the client itself.
VENDORS = {"enable_thinking", "thinking_budget", "vl_high_resolution_images", "extra_body", "snippy"}
MESSAGE = {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio", "annotations", "function_call"}
# Reasoning that servers of this dialect give and take back, under names of their own.
REASONING = {"reasoning_content", "reasoning", "reasoning_details", "reasoning_text", "reasoning_opaque"}
EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}
PARTS = {"text": {"type", "text"}, "image_url": {"type", "image_url"}, "input_audio": {"type", "input_audio"}}


def see(body, _path, _headers, _story):
    """The request as the story needs it; `Invalid` when the dialect forbids it."""
    only(body, FIELDS | VENDORS, "body")
    filled(body, "model", "body")
    messages = need(body, "messages", list, "body")
    if not messages:
        raise Invalid("messages_empty")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise Invalid("two_limits_of_tokens")
    if body.get("stream_options") and not body.get("stream"):
        raise Invalid("stream_options_without_stream")
    if body.get("reasoning_effort") is not None:
        one_of(body["reasoning_effort"], EFFORTS, "reasoning_effort")
    tools = [declared(t, f"tools[{n}]") for n, t in enumerate(body.get("tools") or [])]
    distinct((t.name for t in tools), "tool_declared_twice")
    if "tools" in body and not tools:
        raise Invalid("tools_empty")
    if not tools and ("tool_choice" in body or "parallel_tool_calls" in body):
        raise Invalid("tool_choice_without_tools")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        one_of(choice.get("function", {}).get("name"), {t.name for t in tools}, "tool_choice")
    elif isinstance(choice, str):
        one_of(choice, {"auto", "none", "required"}, "tool_choice")
    wanted = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    return Seen(tools, conversation(messages), bool(body.get("stream")), True, wanted)


def declared(tool, at):
    only(tool, {"type", "function", "copilot_cache_control"}, at)
    one_of(tool.get("type"), {"function"}, f"{at}.type")
    function = need(tool, "function", dict, at)
    only(function, {"name", "description", "parameters", "strict"}, f"{at}.function")
    openai_name(function.get("name"), at)
    parameters = function.get("parameters")
    if parameters is not None:
        schema.check_root(parameters, f"{at}({function['name']})")
    return Tool(function["name"], parameters or {})


def conversation(messages):
    """Results since the last thing the user said. Calls and results must pair without a gap."""
    open_calls, results, ids = [], [], set()
    for number, message in enumerate(messages):
        at = f"messages[{number}]"
        role = message.get("role")
        one_of(role, {"system", "developer", "user", "assistant", "tool"}, f"{at}.role")
        only(message, MESSAGE | REASONING if role == "assistant" else MESSAGE, at)
        if role == "tool":
            call = filled(message, "tool_call_id", at)
            if call not in open_calls:
                raise Invalid("result_without_call", f"{at}: {call}, open: {open_calls}")
            open_calls.remove(call)
            results.append((call, text_of(message, at, {"text"})))
            continue
        if open_calls:
            raise Invalid("call_without_result", f"{at} ({role}) before the results of {open_calls}")
        if role == "assistant":
            calls = message.get("tool_calls")
            if calls is not None and not (isinstance(calls, list) and calls):
                raise Invalid("tool_calls_empty", at)
            for call in calls or []:
                open_calls.append(checked_call(call, at))
            distinct(open_calls, "call_id_twice")
            if ids & set(open_calls):
                raise Invalid("call_id_twice", f"{at}: {ids & set(open_calls)}")
            ids |= set(open_calls)
            if message.get("content") is None and not calls:
                raise Invalid("assistant_says_nothing", at)
            if message.get("content") is not None:
                text_of(message, at, {"text", "refusal"})
        else:
            allowed = {"text"} if role in ("system", "developer") else set(PARTS) | {"file"}
            text = text_of(message, at, allowed)
            if role == "user" and not text.lstrip().startswith("<system-reminder>"):
                results = []
    if open_calls:
        raise Invalid("call_without_result", f"at the end: {open_calls}")
    return results


def checked_call(call, at):
    only(call, {"id", "type", "function", "index", "extra_content"}, f"{at}.tool_calls")
    if "extra_content" in call:
        raise Invalid("foreign_extra_content", at)
    one_of(call.get("type"), {"function"}, f"{at}.tool_calls.type")
    function = need(call, "function", dict, at)
    openai_name(function.get("name"), at)
    arguments = need(function, "arguments", str, at)
    try:
        valid = isinstance(json.loads(arguments), dict)
    except ValueError:
        valid = False
    if not valid:
        raise Invalid("arguments_not_an_object", f"{at}: {arguments[:80]!r}")
    return filled(call, "id", at)


def text_of(message, at, allowed):
    """Text of a message, whose content may be a string or parts of the allowed types."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise Invalid("content_missing", at)
    for part in content:
        one_of(part.get("type"), allowed, f"{at}.content.type")
        only(part, PARTS.get(part["type"], part.keys()), f"{at}.content")
    return "".join(p.get("text", "") for p in content)


def usage(turn):
    out = 20 + len(turn.text) // 4
    return {
        "prompt_tokens": 2000, "completion_tokens": out, "total_tokens": 2000 + out,
        "prompt_tokens_details": {"cached_tokens": 1200}, "completion_tokens_details": {"reasoning_tokens": 7},
    }  # fmt: skip


def arguments_of(call):
    return json.dumps(call.arguments, ensure_ascii=False)


def stream(turn, body, _seen, number):
    """The answer as SSE frames."""
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1764400000, "model": body["model"]}

    def chunk(delta, finish=None, **more):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + json.dumps({**head, "choices": [choice], **more}, ensure_ascii=False).encode() + b"\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for piece in cuts(turn.thought, 9):
        yield chunk({"reasoning_content": piece})
    for piece in cuts(turn.text, 7):
        yield chunk({"content": piece})
    for index, call in enumerate(turn.calls):
        start = {"index": index, "id": call.id, "type": "function", "function": {"name": call.tool.name, "arguments": ""}}
        yield chunk({"tool_calls": [start]})
        for piece in cuts(arguments_of(call), 11):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, "tool_calls" if turn.calls else "stop")
    if (body.get("stream_options") or {}).get("include_usage"):
        yield b"data: " + json.dumps({**head, "choices": [], "usage": usage(turn)}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def whole(turn, body, _seen, number):
    """The answer as one object."""
    message = {"role": "assistant", "content": turn.text or None, "refusal": None}
    if turn.calls:
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.tool.name, "arguments": arguments_of(c)}}
            for c in turn.calls
        ]
    finish = "tool_calls" if turn.calls else "stop"
    return {
        "id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1764400000, "model": body["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}], "usage": usage(turn),
    }  # fmt: skip


def error(status, text):
    kind = {429: "rate_limit_exceeded", 401: "invalid_request_error"}.get(status, "invalid_request_error")
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}


def cuts(text, size):
    return (text[at : at + size] for at in range(0, len(text), size))
