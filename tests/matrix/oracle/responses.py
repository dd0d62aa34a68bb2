"""Responses answers: items of an output, whole or announced one by one."""

from neutral import Answer, Call, Usage, count, parsed

from .failures import failure_of

#: Items that the client runs itself, and where their input is.
BUILT_IN = {"apply_patch_call": ("apply_patch", "operation"), "shell_call": ("shell", "action"),
            "local_shell_call": ("local_shell", "action")}


def usage_of(usage):
    if not isinstance(usage, dict):
        return None
    of_input, of_output = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    found = Usage(count(usage.get("input_tokens")), count(of_input.get("cached_tokens")),
                  count(of_input.get("cache_write_tokens")), count(usage.get("output_tokens")),
                  count(of_output.get("reasoning_tokens")))
    return found if found.input or found.output else None


def add_items(answer, items):
    ran = {item.get("call_id") for item in items if item.get("type", "").endswith("_call_output")}
    for item in items:
        kind = item.get("type")
        if kind == "message":
            for part in item.get("content") or []:
                if part["type"] == "output_text" and part["text"]:
                    answer.add("text", part["text"])
                elif part["type"] == "refusal":
                    answer.add("refusal", part["refusal"])
        elif kind == "reasoning":
            told = [p["text"] for p in item.get("summary") or []] or [p["text"] for p in item.get("content") or []]
            if any(told):
                answer.add("thinking", "\n\n".join(told))
        elif kind == "function_call":
            answer.add("call", Call(item["name"], parsed(item.get("arguments"))))
        elif kind == "custom_tool_call":
            answer.add("call", Call(item["name"], item.get("input") or "", free=True))
        elif kind in BUILT_IN and item.get("call_id") not in ran:
            name, member = BUILT_IN[kind]
            answer.add("call", Call(name, item.get(member) or {}))
        elif kind == "image_generation_call":
            if item.get("result"):
                answer.add("image", item["result"])
        else:
            answer.add("server", kind)


def finish_of(response, answer):
    if response.get("status") == "incomplete":
        reason = (response.get("incomplete_details") or {}).get("reason")
        return "content_filter" if reason == "content_filter" else "length"
    if answer.of("call"):
        return "tool_use"
    return "refusal" if answer.of("refusal") else "stop"


def read_whole(response):
    answer = Answer()
    if response.get("status") in ("failed", "cancelled") or response.get("error"):
        answer.failure = failure_of(response, 0)
    add_items(answer, response.get("output") or [])
    answer.finish = finish_of(response, answer)
    answer.usage = usage_of(response.get("usage"))
    return answer


#: Deltas: event → (type of the item, list of the item, number in that list, member).
DELTAS = {
    "response.output_text.delta": ("message", "content", "content_index", "output_text", "text"),
    "response.refusal.delta": ("message", "content", "content_index", "refusal", "refusal"),
    "response.reasoning_summary_text.delta": ("reasoning", "summary", "summary_index", "summary_text", "text"),
    "response.reasoning_text.delta": ("reasoning", "content", "content_index", "reasoning_text", "text"),
}


def read_events(stream):
    """Finished items count as they were finished, unfinished ones by their deltas."""
    answer, done, partial, terminal, failure = Answer(), {}, {}, None, None
    for event in stream:
        kind, index = event.get("type"), event.get("output_index")
        if kind == "response.output_item.added":
            partial[index] = dict(event["item"])
        elif kind == "response.output_item.done":
            done[index] = event["item"]
        elif kind in DELTAS:
            add_delta(partial, event, *DELTAS[kind])
        elif kind == "response.function_call_arguments.delta":
            item = partial.setdefault(index, {"type": "function_call", "name": ""})
            item["arguments"] = (item.get("arguments") or "") + event["delta"]
        elif kind == "response.custom_tool_call_input.delta":
            item = partial.setdefault(index, {"type": "custom_tool_call", "name": ""})
            item["input"] = (item.get("input") or "") + event["delta"]
        elif kind in ("response.completed", "response.incomplete", "response.done"):
            terminal = event["response"]
        elif kind in ("error", "response.failed", "response.cancelled") and failure is None:
            failure = failure_of(event.get("response") or event, 0)
    items = {**partial, **done}
    for index, item in enumerate((terminal or {}).get("output") or []):
        items.setdefault(index, item)
    add_items(answer, [items[i] for i in sorted(items)])
    answer.failure = failure
    answer.finish = finish_of(terminal or {}, answer)
    answer.usage = usage_of((terminal or {}).get("usage"))
    return answer


def add_delta(partial, event, item_type, member, number, part_type, text):
    item = partial.setdefault(event["output_index"], {"type": item_type})
    parts = item[member] = list(item.get(member) or [])
    while len(parts) <= event.get(number, 0):
        parts.append({"type": part_type, text: ""})
    parts[event.get(number, 0)][text] += event["delta"]
