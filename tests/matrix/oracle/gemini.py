"""Gemini answers: one response, or fragments of it in order."""

import re

from neutral import Answer, Call, Usage, count

from .failures import failure_of

BLOCKED = {
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR",
}
MALFORMED = {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"}


def usage_of(usage):
    """`candidatesTokenCount` leaves thoughts out."""
    if not usage or usage.get("promptTokenCount") is None:
        return None
    prompt = count(usage["promptTokenCount"]) + count(usage.get("toolUsePromptTokenCount"))
    thoughts = count(usage.get("thoughtsTokenCount"))
    if usage.get("candidatesTokenCount") is not None:
        spoken = count(usage["candidatesTokenCount"])
    else:
        spoken = max(0, count(usage.get("totalTokenCount")) - prompt - thoughts)
    return Usage(prompt, count(usage.get("cachedContentTokenCount")), 0, spoken + thoughts, thoughts)


def finish_of(word, answer):
    if word == "MAX_TOKENS":
        return "length"
    if word in BLOCKED:
        return "content_filter"
    if word in MALFORMED:
        return "malformed"
    if word in (None, "STOP"):
        return "tool_use" if answer.of("call") else "stop"
    return "other"


def read_whole(body):
    return read_events([body])


def read_events(fragments):
    """Text continues, calls are whole, except where Vertex streams a call's arguments."""
    answers, words, usage, blocked = {}, {}, None, False
    open_call = {}
    for fragment in fragments:
        fragment = fragment.get("response", fragment)
        if fragment.get("error"):
            answers.setdefault(0, Answer()).failure = failure_of(fragment, 0)
            break
        usage = usage_of(fragment.get("usageMetadata")) or usage
        blocked = blocked or bool((fragment.get("promptFeedback") or {}).get("blockReason"))
        for candidate in fragment.get("candidates") or []:
            number = candidate.get("index") or 0
            answer = answers.setdefault(number, Answer())
            for part in (candidate.get("content") or {}).get("parts") or []:
                add_part(answer, open_call, number, part)
            if candidate.get("finishReason") and number not in words:
                words[number] = candidate["finishReason"]
    for number, answer in answers.items():
        answer.finish = finish_of(words.get(number), answer)
    ordered = [answers[n] for n in sorted(answers)] or [Answer()]
    if blocked and not words:
        ordered[0].finish = "content_filter"
    ordered[0].others = ordered[1:]
    ordered[0].usage = usage
    return ordered[0]


def add_part(answer, open_call, number, part):
    if "functionCall" in part:
        add_call(answer, open_call, number, part["functionCall"])
    elif isinstance(part.get("text"), str):
        answer.extend("thinking" if part.get("thought") else "text", part["text"])
    elif "inlineData" in part:
        answer.add("image", part["inlineData"]["data"])
    elif "executableCode" in part:
        answer.add("server", fenced(part["executableCode"].get("language"), part["executableCode"].get("code")))
    elif "codeExecutionResult" in part:
        answer.add("server", fenced(None, part["codeExecutionResult"].get("output")))
    else:
        answer.add("server", "")


def fenced(language, text):
    """Text of code that the provider ran, as a foreign client may be shown it."""
    return (text or "").strip()


def add_call(answer, open_call, number, piece):
    running = open_call.get(number)
    if piece.get("name"):
        call = Call(piece["name"], dict(piece.get("args") or {}))
        answer.add("call", call)
        running = call
    if running is None:
        return
    for partial in piece.get("partialArgs") or []:
        value = next((partial[n] for n in ("stringValue", "numberValue", "boolValue") if n in partial), None)
        put(running.arguments, partial["jsonPath"], value)
    if piece.get("willContinue"):
        open_call[number] = running
    else:
        open_call.pop(number, None)


def put(root, path, value):
    """Sets the member that a JSONPath like `$.a.b[0]` names; strings continue."""
    steps = [int(i) if i else name for name, i in re.findall(r"\.?([^.\[\]$]+)|\[(\d+)\]", path)]
    steps = [s if isinstance(s, int) or not (s.startswith(("'", '"'))) else s[1:-1] for s in steps]
    here = root
    for step, following in zip(steps, steps[1:]):
        here = child(here, step, [] if isinstance(following, int) else {})
    last = steps[-1]
    known = here[last] if (isinstance(here, dict) and last in here) or (isinstance(here, list) and last < len(here)) else None
    if isinstance(known, str) and isinstance(value, str):
        value = known + value
    if isinstance(here, list):
        while len(here) <= last:
            here.append(None)
    here[last] = value


def child(here, step, empty):
    if isinstance(here, list):
        while len(here) <= step:
            here.append(None)
        if here[step] is None:
            here[step] = empty
    else:
        here.setdefault(step, empty)
    return here[step]
