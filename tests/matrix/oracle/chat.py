"""Chat Completions answers, with the dialects that its many providers speak."""

from neutral import Answer, Call, Usage, count, parsed

from .failures import failure_of


def text_of(content):
    """Pairs of kind and text of a `content`: a string, or an array of parts."""
    if isinstance(content, str):
        return [("text", content)]
    out = []
    for part in content or []:
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            out += [("thinking", t.get("text", "")) for t in inner] if isinstance(inner, list) else [("thinking", inner)]
        elif part.get("type") == "refusal":
            out.append(("refusal", part.get("refusal")))
        elif isinstance(part.get("text"), str):
            out.append(("text", part["text"]))
    return out


def reasoning_of(message):
    """Vendors spell one text up to three ways in one object; the first one that says anything counts."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str) and message[name]:
            return message[name]
    details = message.get("reasoning_details") or []
    return "".join(d.get("text") or d.get("summary") or "" for d in details if isinstance(d, dict))


def usage_of(usage):
    """Null unless it counts anything."""
    if not isinstance(usage, dict) or not any(count(v) for v in usage.values() if not isinstance(v, dict)):
        return None
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    of_prompt = usage.get("prompt_tokens_details") or {}
    of_output = usage.get("completion_tokens_details") or {}
    reasoning = count(of_output.get("reasoning_tokens"))
    if reasoning and count(usage.get("total_tokens")) == prompt + completion + reasoning:
        completion += reasoning  # xAI counts reasoning apart
    cached = next((v for v in (of_prompt.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"),
                               usage.get("cached_tokens")) if v is not None), 0)
    written = next((v for v in (of_prompt.get("cache_creation_tokens"), of_prompt.get("cache_write_tokens"))
                    if v is not None), 0)
    return Usage(prompt, count(cached), count(written), completion, reasoning)


def finish_of(word, answer):
    calls, refused = answer.of("call"), answer.of("refusal")
    if word == "length":
        return "length"
    if word in ("content_filter", "refusal", "sensitive"):
        return "content_filter"
    if calls:
        return "tool_use"
    return "refusal" if refused else "stop"


def read_whole(body):
    answers = []
    for choice in sorted(body.get("choices") or [], key=lambda c: c.get("index", 0)):
        answer, message = Answer(), choice.get("message") or {}
        answer.extend("thinking", reasoning_of(message))
        for kind, text in text_of(message.get("content")):
            answer.extend(kind, text)
        answer.extend("refusal", message.get("refusal"))
        for call in message.get("tool_calls") or []:
            answer.add("call", call_of(call))
        if message.get("function_call"):
            answer.add("call", Call(message["function_call"]["name"], parsed(message["function_call"]["arguments"])))
        add_images(answer, message)
        answer.finish = finish_of(choice.get("finish_reason"), answer)
        answers.append(answer)
    answer = answers[0] if answers else Answer()
    answer.others = answers[1:]
    answer.usage = usage_of(body.get("usage"))
    return answer


def call_of(call):
    if call.get("custom"):
        return Call(call["custom"]["name"], call["custom"]["input"], free=True)
    return Call(call["function"]["name"], parsed(call["function"].get("arguments")))


def add_images(answer, message):
    for image in message.get("images") or []:
        answer.add("image", image["image_url"]["url"].partition("base64,")[2])


def read_events(chunks):
    """Deltas of all choices; a call is where its first delta was."""
    answers, words, usage = {}, {}, None
    calls = {}  # (choice, index) -> [block number, id, name, arguments]
    for chunk in chunks:
        if chunk.get("error"):
            answer = answers.setdefault(0, Answer())
            answer.failure = failure_of(chunk, 0)
            break
        usage = usage_of(chunk.get("usage")) or usage
        for choice in chunk.get("choices") or []:
            number, delta = choice.get("index") or 0, choice.get("delta") or {}
            answer = answers.setdefault(number, Answer())
            answer.extend("thinking", reasoning_of(delta))
            for kind, text in text_of(delta.get("content")):
                answer.extend(kind, text)
            answer.extend("refusal", delta.get("refusal"))
            add_images(answer, delta)
            for at, piece in enumerate(delta.get("tool_calls") or []):
                feed_call(answer, calls, number, at, piece)
            if choice.get("finish_reason") is not None and number not in words:
                words[number] = choice["finish_reason"]
    for number, answer in answers.items():
        for at, (kind, value) in enumerate(answer.blocks):
            if kind == "call":
                answer.blocks[at] = ("call", Call(value["name"], parsed(value["arguments"])))
        answer.finish = finish_of(words.get(number), answer)
    ordered = [answers[n] for n in sorted(answers)] or [Answer()]
    ordered[0].others = ordered[1:]
    ordered[0].usage = usage
    return ordered[0]


def feed_call(answer, calls, number, at, piece):
    index = piece.get("index")
    key = (number, index if index is not None else piece.get("id") or at)
    known = calls.get(key)
    if known is None or (piece.get("id") and known["id"] and piece["id"] != known["id"]):
        known = calls[key] = {"id": piece.get("id"), "name": "", "arguments": ""}
        answer.add("call", known)
    function = piece.get("function") or {}
    known["id"] = known["id"] or piece.get("id")
    known["name"] = known["name"] or function.get("name") or ""
    more = function.get("arguments")
    if isinstance(more, str):
        known["arguments"] += more
    elif more is not None:
        known["arguments"] = more
