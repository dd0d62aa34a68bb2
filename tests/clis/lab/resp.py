"""The model as an OpenAI Responses server: what it accepts, and how it answers."""

import json

from . import schema
from .chat import arguments_of, cuts
from .rules import distinct, filled, need, one_of, only, openai_name
from .story import Invalid, Seen, Tool

FIELDS = {
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options", "store",
    "include", "reasoning", "text", "max_output_tokens", "max_tool_calls", "temperature", "top_p", "top_logprobs", "truncation",
    "user", "safety_identifier", "metadata", "service_tier", "prompt_cache_key", "prompt_cache_retention", "previous_response_id",
    "conversation", "background", "prompt", "client_metadata", "context_management",
}  # fmt: skip
CONTENT = {
    "user": {"input_text", "input_image", "input_file"},
    "system": {"input_text", "input_image", "input_file"},
    "developer": {"input_text", "input_image", "input_file"},
    "assistant": {"output_text", "refusal"},
}
# Prefix that the id of an item of this type has.
PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
HOSTED = {
    "web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "mcp", "local_shell", "shell",
    "apply_patch", "computer_use_preview", "tool_search",
}  # fmt: skip
EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}


def see(body, _path, _headers, story):
    """The request as the story needs it; `Invalid` when the dialect forbids it."""
    only(body, FIELDS, "body")
    filled(body, "model", "body")
    tools = []
    for number, tool in enumerate(body.get("tools") or []):
        tools += declared(tool, f"tools[{number}]", None)
    distinct(((t.namespace, t.name) for t in tools), "tool_declared_twice")
    choice = body.get("tool_choice")
    if choice is not None and not body.get("tools"):
        raise Invalid("tool_choice_without_tools")
    if isinstance(choice, str):
        one_of(choice, {"auto", "none", "required"}, "tool_choice")
    elif choice and choice.get("type") == "function":
        one_of(choice.get("name"), {t.name for t in tools}, "tool_choice.name")
    reasoning = body.get("reasoning") or {}
    only(reasoning, {"effort", "summary", "generate_summary", "context", "mode"}, "reasoning")
    if reasoning.get("effort") is not None:
        one_of(reasoning["effort"], EFFORTS, "reasoning.effort")
    text = body.get("text") or {}
    only(text, {"format", "verbosity"}, "text")
    items = body.get("input")
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items:
        raise Invalid("input_missing")
    return Seen(tools, conversation(items, story), bool(body.get("stream")), True, (text.get("format") or {}).get("schema"))


def declared(tool, at, namespace):
    """The tools that a declaration brings: none for hosted ones, several for a namespace."""
    kind = tool.get("type")
    if kind == "namespace":
        openai_name(tool.get("name"), at)
        members = need(tool, "tools", list, at)
        return [t for n, m in enumerate(members) for t in declared(m, f"{at}.tools[{n}]", tool["name"])]
    if kind in HOSTED:
        return []
    one_of(kind, {"function", "custom"}, f"{at}.type")
    openai_name(tool.get("name"), at)
    if kind == "custom":
        only(tool, {"type", "name", "description", "format", "defer_loading"}, at)
        return [Tool(tool["name"], None, namespace)]
    only(tool, {"type", "name", "description", "parameters", "strict", "defer_loading", "output_schema"}, at)
    parameters = tool.get("parameters")
    if parameters is not None:
        schema.check_root(parameters, f"{at}({tool['name']})")
        if "properties" not in parameters:
            raise Invalid("tool_schema_without_properties", f"{at}({tool['name']})")
    return [Tool(tool["name"], parameters or {}, namespace)]


def conversation(items, story):
    """Results since the last thing the user said. Each call needs its output, each output its call."""
    calls, outputs, results = {}, set(), []
    for number, item in enumerate(items):
        at = f"input[{number}]"
        kind = item.get("type", "message")
        if item.get("id") is not None and not str(item["id"]).startswith(PREFIXES.get(kind, "")):
            raise Invalid("item_id_prefix", f"{at} ({kind}): {item['id']}")
        if kind == "message":
            text = checked_message(item, at)
            if item["role"] == "user" and not text.lstrip().startswith(("<system-reminder>", "<environment_context>")):
                results = []
        elif kind == "reasoning":
            checked_reasoning(item, at, story)
        elif kind in ("function_call", "custom_tool_call"):
            call = checked_call(item, kind, at)
            if call in calls:
                raise Invalid("call_id_twice", f"{at}: {call}")
            calls[call] = kind
        elif kind in ("function_call_output", "custom_tool_call_output"):
            call = filled(item, "call_id", at)
            if calls.get(call) != kind.removesuffix("_output"):
                raise Invalid("result_without_call", f"{at}: {call}")
            if call in outputs:
                raise Invalid("result_twice", f"{at}: {call}")
            outputs.add(call)
            results.append((call, output_of(item, at)))
        else:
            raise Invalid("item_type_unknown", f"{at}: {kind}")
    if set(calls) - outputs:
        raise Invalid("call_without_result", str(set(calls) - outputs))
    return results


def checked_message(item, at):
    only(item, {"type", "role", "content", "id", "status", "phase"}, at)
    one_of(item.get("role"), set(CONTENT), f"{at}.role")
    content = item.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise Invalid("content_missing", at)
    for part in content:
        one_of(part.get("type"), CONTENT[item["role"]], f"{at}.content.type")
        if part["type"].endswith("_text"):
            only(part, {"type", "text", "annotations", "logprobs"}, f"{at}.content")
            need(part, "text", str, f"{at}.content")
    return "".join(p.get("text", "") for p in content)


def checked_reasoning(item, at, story):
    only(item, {"type", "id", "summary", "content", "encrypted_content", "status"}, at)
    need(item, "summary", list, at)
    sealed = item.get("encrypted_content")
    if sealed is not None and sealed not in story.signed:
        raise Invalid("encrypted_content_not_verified", f"{at}: {str(sealed)[:24]!r}")
    if sealed is None and item.get("id") is None:
        raise Invalid("reasoning_item_unknown", at)


def checked_call(item, kind, at):
    fields = {"type", "id", "call_id", "name", "status", "namespace", "arguments" if kind == "function_call" else "input"}
    only(item, fields, at)
    openai_name(item.get("name"), at)
    call = filled(item, "call_id", at)
    if len(call) > 64:
        raise Invalid("call_id_too_long", f"{at}: {call}")
    need(item, "arguments" if kind == "function_call" else "input", str, at)
    return call


def output_of(item, at):
    only(item, {"type", "id", "call_id", "output", "status"}, at)
    output = item.get("output")
    if isinstance(output, list):
        for part in output:
            one_of(part.get("type"), {"input_text", "input_image", "input_file"}, f"{at}.output.type")
        return "".join(p.get("text", "") for p in output)
    return need(item, "output", str, at)


def items_of(turn, body, number):
    """The output items, complete, in order."""
    sealed = "reasoning.encrypted_content" in (body.get("include") or [])
    out = []
    if turn.thought:
        shown = (body.get("reasoning") or {}).get("summary")
        summary = [{"type": "summary_text", "text": turn.thought}] if shown else []
        item = {"id": f"rs_{number}", "type": "reasoning", "summary": summary}
        out.append({**item, "encrypted_content": turn.signature} if sealed else item)
    if turn.text:
        part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        out.append({"id": f"msg_{number}", "type": "message", "status": "completed", "role": "assistant", "content": [part]})
    for index, call in enumerate(turn.calls):
        common = {"status": "completed", "call_id": call.id, "name": call.tool.name}
        if call.tool.namespace:
            common["namespace"] = call.tool.namespace
        if call.tool.schema is None:
            out.append({"id": f"ctc_{number}{index}", "type": "custom_tool_call", **common, "input": call.arguments})
        else:
            out.append({"id": f"fc_{number}{index}", "type": "function_call", **common, "arguments": arguments_of(call)})
    return out


def whole(turn, body, _seen, number, status="completed"):
    """The response object."""
    out = 20 + len(turn.text) // 4
    usage = {
        "input_tokens": 2000, "input_tokens_details": {"cached_tokens": 1200}, "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": 7}, "total_tokens": 2000 + out,
    }  # fmt: skip
    done = status == "completed"
    return {
        "id": f"resp_{number}", "object": "response", "created_at": 1764400000, "status": status, "error": None,
        "incomplete_details": None, "instructions": body.get("instructions"), "max_output_tokens": None, "model": body["model"],
        "output": items_of(turn, body, number) if done else [], "parallel_tool_calls": True, "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "store": False, "temperature": 1.0, "text": {"format": {"type": "text"}},
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage if done else None,
        "user": None, "metadata": {},
    }  # fmt: skip


def stream(turn, body, seen, number):
    """The answer as SSE frames."""
    sequence = -1

    def event(kind, **more):
        nonlocal sequence
        sequence += 1
        data = json.dumps({"type": kind, "sequence_number": sequence, **more}, ensure_ascii=False)
        return f"event: {kind}\ndata: {data}\n\n".encode()

    yield event("response.created", response=whole(turn, body, seen, number, "in_progress"))
    yield event("response.in_progress", response=whole(turn, body, seen, number, "in_progress"))
    for index, item in enumerate(items_of(turn, body, number)):
        at = {"item_id": item["id"], "output_index": index}
        kind = item["type"]
        hollow = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""}}
        opened = {**item, **hollow.get(kind, {"input": ""})}
        if "status" in item:
            opened["status"] = "in_progress"
        yield event("response.output_item.added", output_index=index, item=opened)
        if kind == "message":
            part = item["content"][0]
            yield event("response.content_part.added", **at, content_index=0, part={**part, "text": ""})
            for piece in cuts(part["text"], 7):
                yield event("response.output_text.delta", **at, content_index=0, delta=piece, logprobs=[])
            yield event("response.output_text.done", **at, content_index=0, text=part["text"], logprobs=[])
            yield event("response.content_part.done", **at, content_index=0, part=part)
        elif kind == "reasoning":
            for part in item["summary"]:
                yield event("response.reasoning_summary_part.added", **at, summary_index=0, part={**part, "text": ""})
                for piece in cuts(part["text"], 9):
                    yield event("response.reasoning_summary_text.delta", **at, summary_index=0, delta=piece)
                yield event("response.reasoning_summary_text.done", **at, summary_index=0, text=part["text"])
                yield event("response.reasoning_summary_part.done", **at, summary_index=0, part=part)
        else:
            custom = kind == "custom_tool_call"
            name, field = ("custom_tool_call_input", "input") if custom else ("function_call_arguments", "arguments")
            for piece in cuts(item[field], 11):
                yield event(f"response.{name}.delta", **at, delta=piece)
            yield event(f"response.{name}.done", **at, name=item["name"], **{field: item[field]})
        yield event("response.output_item.done", output_index=index, item=item)
    yield event("response.completed", response=whole(turn, body, seen, number))


def error(status, text):
    kind = {429: "rate_limit_exceeded"}.get(status, "invalid_request_error")
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}
