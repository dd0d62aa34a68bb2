"""What a client must see of an answer, and what its format cannot show it.

The words and the arithmetic are those of the format translation's tables; what a format has no
place for is listed in `IMPOSSIBLE` and printed beneath the matrix.
"""

import base64
import binascii

from neutral import View, merged
from oracle.failures import CLIENT_STATUS

#: Finish → the words that say it to a client of each dialect.
FINISH = {
    "stop": {"chat": {"stop"}, "resp": {"completed"}, "anth": {"end_turn"}, "gem": {"STOP"}},
    "stop_sequence": {"chat": {"stop"}, "resp": {"completed"}, "anth": {"stop_sequence"}, "gem": {"STOP"}},
    "length": {"chat": {"length"}, "resp": {"incomplete/max_output_tokens"}, "anth": {"max_tokens"},
               "gem": {"MAX_TOKENS"}},
    "context_length": {"chat": {"length"}, "resp": {"incomplete/max_output_tokens"},
                       "anth": {"model_context_window_exceeded"}, "gem": {"MAX_TOKENS"}},
    "tool_use": {"chat": {"tool_calls"}, "resp": {"completed"}, "anth": {"tool_use"}, "gem": {"STOP"}},
    "content_filter": {"chat": {"content_filter"}, "resp": {"incomplete/content_filter"}, "anth": {"refusal"},
                       "gem": {"SAFETY"}},
    # A refusal with words of its own is a message; one without can only be a filter's.
    "refusal": {"chat": {"content_filter"}, "resp": {"completed"}, "anth": {"refusal"}, "gem": {"SAFETY"}},
    "spoken_refusal": {"chat": {"stop"}, "resp": {"completed"}, "anth": {"refusal"}, "gem": {"SAFETY"}},
    "pause": {"chat": {"stop"}, "resp": {"completed"}, "anth": {"pause_turn"}, "gem": {"STOP"}},
    "malformed": {"chat": {"stop"}, "resp": {"completed"}, "anth": {"end_turn"}, "gem": {"MALFORMED_FUNCTION_CALL"}},
    "other": {"chat": {"stop"}, "resp": {"completed"}, "anth": {"end_turn"}, "gem": {"OTHER"}},
}

#: (feature, clients, why): left out of the comparison wherever the recording has the feature.
IMPOSSIBLE = [
    ("choices", ("anth", "resp"), "the format has one answer; the first choice is given"),
    ("cut images", ("gem",), "the recording's image was cut and is no base64, which this SDK does not parse at all"),
    ("images", ("anth",), "Messages has no image among the blocks of an answer"),
    ("reasoning count", ("anth",), "usage of Messages counts all output as one (translation §3.3)"),
    ("written", ("gem",), "usageMetadata has no count of tokens written to the cache"),
]


def impossible(feature, client):
    return next((why for name, clients, why in IMPOSSIBLE if name == feature and client in clients), None)


def features(answer):
    """What of the answer some format might be unable to show."""
    if answer.others:
        yield "choices"
    if answer.of("image"):
        yield "images"
    if not all(is_base64(image) for image in answer.of("image")):
        yield "cut images"
    if answer.usage and answer.usage.reasoning:
        yield "reasoning count"
    if answer.usage and answer.usage.written:
        yield "written"


def unreadable(answer, client):
    """Whether the SDK can make nothing at all of the answer."""
    return "cut images" in features(answer) and bool(impossible("cut images", client))


def is_base64(data):
    try:
        return bool(base64.b64decode(plain(data) + "==", validate=True))
    except binascii.Error:
        return False


def project(answer, client):
    """The answer as a client of the dialect sees it, where it can see all."""
    spoken = client in ("chat", "resp")
    text = "".join(v for k, v in answer.blocks if k == "text" or (k == "refusal" and not spoken))
    kinds = [{"refusal": "refusal" if spoken else "text"}.get(k, k) for k, _ in answer.blocks if k != "server"]
    if impossible("images", client):
        kinds = [k for k in kinds if k != "image"]
    return View(
        text=text, reasoning=answer.of("thinking"), refusal="".join(answer.of("refusal")) if spoken else "",
        calls=[arguments_for(c, client, answer.finish == "length") for c in answer.of("call")],
        images=[] if impossible("images", client) else answer.of("image"),
        order=merged(kinds), finish=answer.finish, usage=answer.usage, failure=answer.failure)


def arguments_for(call, client, cut):
    """Where arguments must be an object, what is none is wrapped; free text has a member of its own."""
    if cut and client == "anth" and isinstance(call.arguments, str) and not call.free:
        return (call.name, {})  # the SDK reads nothing out of a member that has no end
    if client == "resp" or (client == "chat" and not call.free):
        return (call.name, call.arguments)
    if call.free:
        return (call.name, {"input": call.arguments} if client != "chat" else call.arguments)
    if isinstance(call.arguments, dict):
        return (call.name, call.arguments)
    return (call.name, {"_raw" if isinstance(call.arguments, str) else "value": call.arguments})


def finishes(answer, client):
    if answer.finish == "refusal" and answer.of("refusal"):
        return FINISH["spoken_refusal"][client]
    return FINISH[answer.finish][client]


def differences(answer, client, got, streamed, foreign):
    """Sentences on what the client saw that the recording does not hold, or the reverse."""
    want = project(answer, client)
    if answer.failure or got.failure or got.status:
        return list(failure_differences(answer, got, client))
    out = []

    def claim(name, wanted, seen):
        if wanted != seen:
            out.append(f"{name}: want {brief(wanted)}, got {brief(seen)}")

    claim("text", want.text, got.text)
    claim("reasoning", joined(want.reasoning, client), joined(got.reasoning, client))
    claim("refusal", want.refusal, got.refusal)
    claim("calls", want.calls, got.calls)
    claim("images", [plain(i) for i in want.images], [plain(i) for i in got.images])
    if got.order is not None:
        claim("order", want.order, got.order)
    if foreign:
        if got.finish not in finishes(answer, client):
            out.append(f"finish: want {finishes(answer, client)}, got {got.finish}")
    else:
        claim("finish", want.finish, got.finish)
    out += usage_differences(want.usage, got.usage, client, streamed, foreign)
    return out


def usage_differences(want, got, client, streamed, foreign):
    if want is None:
        # Nothing was counted, so nothing may be told; where the format demands numbers, zeros.
        # A chat stream that was asked for usage carries the router's estimate.
        estimate = foreign and client == "chat" and streamed
        invented = got is not None and (got.input or got.output) and not estimate
        return [f"usage: invented {got}"] if invented else []
    if got is None:
        return [f"usage: want {want}, got none"]
    names = ["input", "cached", "output"]
    if not (foreign and impossible("reasoning count", client)):
        names.append("reasoning")
    if not (foreign and impossible("written", client)):
        names.append("written")
    return [f"usage {n}: want {getattr(want, n)}, got {getattr(got, n)}" for n in names
            if getattr(want, n) != getattr(got, n)]


def failure_differences(answer, got, client):
    if answer.failure is None:
        yield f"failed: {got.status or 'in the stream'} {got.failure and got.failure.message}"
    elif got.failure is None and got.status is None:
        yield f"error is lost: want {answer.failure}"
    elif got.status is not None and got.status not in CLIENT_STATUS[answer.failure.kind]:
        yield f"status of {answer.failure.kind}: want {CLIENT_STATUS[answer.failure.kind]}, got {got.status}"


def joined(parts, client):
    """Reasoning as one text. A Gemini client cannot tell where one thought part ends and the next begins."""
    text = "\n\n".join(p for p in parts if p)
    return text.replace("\n\n", "") if client == "gem" else text


def plain(data):
    return data.replace("-", "+").replace("_", "/").rstrip("=")


def brief(value):
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:180]} … {text[-100:]} ({len(text)})"
