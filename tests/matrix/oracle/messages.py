"""Messages answers: content blocks, whole or built up by index."""

from neutral import Answer, Call, Usage, count, parsed

from .failures import failure_of

FINISH = {
    "end_turn": "stop", "stop_sequence": "stop_sequence", "max_tokens": "length", "tool_use": "tool_use",
    "pause_turn": "pause", "refusal": "refusal", "model_context_window_exceeded": "context_length",
}


def usage_of(usage):
    """`input_tokens` leaves out what came from or went into the cache."""
    if not usage:
        return None
    written, cached = count(usage.get("cache_creation_input_tokens")), count(usage.get("cache_read_input_tokens"))
    reasoning = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    found = Usage(count(usage.get("input_tokens")) + written + cached, cached, written,
                  count(usage.get("output_tokens")), count(reasoning))
    return found if found.input or found.output else None


def add_block(answer, block):
    kind = block.get("type")
    if kind == "text":
        if block["text"]:
            answer.add("text", block["text"])
    elif kind == "thinking":
        if block["thinking"]:
            answer.add("thinking", block["thinking"])
    elif kind == "tool_use":
        answer.add("call", Call(block["name"], parsed(block.get("input"))))
    elif kind == "redacted_thinking":
        pass
    else:
        answer.add("server", kind)


def finish_of(word, answer):
    if word in FINISH:
        return FINISH[word]
    if word is None:
        return "tool_use" if answer.of("call") else "stop"
    return "other"


def read_whole(message):
    answer = Answer()
    for block in message.get("content") or []:
        add_block(answer, block)
    answer.finish = finish_of(message.get("stop_reason"), answer)
    answer.usage = usage_of(message.get("usage"))
    return answer


def read_events(stream):
    answer, blocks, arguments, usage, word = Answer(), {}, {}, {}, None
    for event in stream:
        kind = event.get("type")
        if kind == "message_start":
            merge(usage, event["message"].get("usage") or {})
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            if delta["type"] == "text_delta":
                block["text"] += delta["text"]
            elif delta["type"] == "thinking_delta":
                block["thinking"] += delta["thinking"]
            elif delta["type"] == "input_json_delta":
                arguments[event["index"]] = arguments.get(event["index"], "") + delta["partial_json"]
        elif kind == "message_delta":
            word = (event.get("delta") or {}).get("stop_reason") or word
            merge(usage, event.get("usage") or {})
        elif kind == "error":
            answer.failure = failure_of(event, 0)
            break
    for index in sorted(blocks):
        if arguments.get(index):
            blocks[index]["input"] = parsed(arguments[index])
        add_block(answer, blocks[index])
    answer.finish = finish_of(word, answer)
    answer.usage = usage_of(usage)
    return answer


def merge(usage, later):
    """Counts are running totals: what a later event says of a count replaces it."""
    for name, value in later.items():
        if value is not None:
            usage[name] = value
