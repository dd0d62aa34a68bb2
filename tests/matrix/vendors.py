"""Answers that are hard to read, each written by hand after what providers and their imitators are
known to send: a story of a few events for each trap."""

import json

from neutral import Failure
from recordings import Recording

CUT = Failure("truncated")
#: A whole answer without anything in it is taken for a fault of the upstream's (accounts §6).
EMPTY = Failure("truncated")
TEXT = "Grüße, \U0001f642 世界"


def sse(events, named=False, end=b""):
    """Server-sent events; `named` also writes the type into an `event` line."""
    out = b""
    for event in events:
        if named:
            out += f"event: {event['type']}\n".encode()
        out += b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"
    return out + end


def chat(name, deltas, finish="stop", usage=None, end=b"data: [DONE]\n\n", **more):
    chunks = [{"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
               "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    if finish is not None:
        chunks.append({**chunks[0], "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        chunks.append({**chunks[0], "choices": [], "usage": usage})
    return story(name, "chat", sse(chunks, end=end), **more)


def chat_whole(name, message, finish="stop", usage=None, **more):
    message = {"role": "assistant", "content": None, **message}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return story(name, "chat", json.dumps({**body, **({"usage": usage} if usage else {})}).encode(), False, **more)


def story(name, dialect, body, stream=True, status=200, failure=None):
    return Recording(f"vendors/{dialect}-{name}", dialect, "m", status, stream, body, failure)


def tool(index=0, id=None, name=None, arguments=None):
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    call = {"index": index, "type": "function", "function": function}
    return {"tool_calls": [{**call, "id": id} if id is not None else call]}


def chats():
    two = [tool(0, "a", "f", ""), tool(1, "b", "g", "")]
    yield chat("calls-all-at-index-0", [tool(0, "a", "f", '{"x":1}'), tool(0, "b", "g", '{"y":2}')], "tool_calls")
    yield chat("calls-interleaved", two + [tool(0, arguments='{"x"'), tool(1, arguments='{"y":'), tool(0, arguments=":1}"),
                                           tool(1, arguments="2}")], "tool_calls")
    yield chat("name-comes-late", [tool(0, "a", "", ""), tool(0, None, "f", None), tool(0, arguments="{}")], "tool_calls")
    yield chat("id-and-name-repeat", [tool(0, "a", "f", '{"x":'), tool(0, "a", "f", "1}")], "tool_calls")
    yield chat("arguments-are-an-object", [tool(0, "a", "f", {"x": [1, {"y": None}]})], "tool_calls")
    yield chat("no-arguments-at-all", [{"content": "Now."}, tool(0, "a", "f")], "tool_calls")
    yield chat("stop-beside-a-call", [tool(0, "a", "f", "{}")], "stop")
    yield chat("text-after-a-call", [tool(0, "a", "f", "{}"), {"content": TEXT}], "tool_calls")
    yield chat("cut-arguments", [tool(0, "a", "f", '{"path":"a.t')], "length")
    yield chat("filtered", [{"content": "Half a"}], "content_filter")
    yield chat("refusal", [{"refusal": "I can"}, {"refusal": "not."}])
    yield chat("reasoning-thrice", [{"reasoning_content": "Hm. ", "reasoning": "Hm. ", "reasoning_details": [
        {"type": "reasoning.text", "text": "Hm. "}]}, {"reasoning": "So."}, {"content": TEXT}])
    yield chat("cache-of-deepseek", [{"content": "a"}], usage={
        "prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23, "prompt_cache_hit_tokens": 8,
        "prompt_cache_miss_tokens": 12})
    yield chat("cache-of-kimi", [{"content": "a"}], usage={
        "prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23, "cached_tokens": 8})
    yield chat("no-done", [{"content": "a"}], end=b"")
    yield chat("cut-in-the-text", [{"content": "Half"}, {"content": " a"}], None, end=b"", failure=CUT)
    yield chat("error-inside", [{"content": "Half"}], None, end=sse([
        {"error": {"message": "The server had an error", "type": "server_error", "code": 502}}]))
    yield story("error-first", "chat", sse([{"error": {"message": "Slow down", "type": "rate_limit_error"}}]))
    yield chat_whole("function-call-of-old", {"function_call": {"name": "f", "arguments": '{"x":1}'}}, "function_call")
    yield chat_whole("arguments-are-no-json", {"tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "x=1"}}]}, "tool_calls")
    yield chat_whole("big-numbers", {"tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"id":9007199254740993}'}}]}, "tool_calls")
    yield chat_whole("nothing-said", {"content": ""}, usage={"prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4}, failure=EMPTY)
    yield chat_whole("parts", {"content": [{"type": "text", "text": "Grü"}, {"type": "text", "text": "ße"}]})


def item(kind, **more):
    return {"id": f"{kind}_1", "type": kind, "status": "completed", **more}


def text_item(text, **more):
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return item("message", role="assistant", content=[part], **more)


def response(status="completed", output=(), usage=True, **more):
    counts = {"input_tokens": 20, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 12,
              "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 32}
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "output": list(output),
            "usage": counts if usage else None, "error": None, "incomplete_details": None, "parallel_tool_calls": True,
            "tool_choice": "auto", "tools": [], **more}


def resp(name, events, terminal=None, **more):
    begin = [{"type": "response.created", "response": response("in_progress", usage=False)}]
    end = [{"type": "response." + terminal["status"], "response": terminal}] if terminal else []
    numbered = [{**e, "sequence_number": n} for n, e in enumerate(begin + events + end)]
    return story(name, "resp", sse(numbered, named=True), **more)


def resp_whole(name, body):
    return story(name, "resp", json.dumps(body).encode(), False)


def added(index, it):
    empty = {k: ([] if isinstance(v, list) else "" if k in ("arguments", "input") else v) for k, v in it.items()}
    return {"type": "response.output_item.added", "output_index": index, "item": {**empty, "status": "in_progress"}}


def done(index, it):
    return {"type": "response.output_item.done", "output_index": index, "item": it}


def told(kind, index, delta, **more):
    return {"type": f"response.{kind}.delta", "output_index": index, "item_id": "i", "delta": delta, **more}


def resps():
    refusal = item("message", role="assistant", content=[{"type": "refusal", "refusal": "I cannot."}])
    yield resp("refusal", [added(0, refusal), told("refusal", 0, "I can", content_index=0),
                           told("refusal", 0, "not.", content_index=0), done(0, refusal)], response(output=[refusal]))
    yield resp_whole("refusal-whole", response(output=[refusal]))
    half = text_item("Half a")
    for reason in ("max_output_tokens", "content_filter"):
        cut = response("incomplete", [half], incomplete_details={"reason": reason})
        yield resp("incomplete-" + reason, [added(0, half), told("output_text", 0, "Half a", content_index=0), done(0, half)], cut)
        yield resp_whole(f"incomplete-{reason}-whole", cut)
    yield resp("terminal-alone", [], response(output=[text_item(TEXT)]))
    hello = text_item("Hello")
    yield resp("item-ids-rotate", [
        {**added(0, {**hello, "id": "x1"})}, {**told("output_text", 0, "Hel", content_index=0), "item_id": "x2"},
        {**told("output_text", 0, "lo", content_index=0), "item_id": "x3"}, done(0, {**hello, "id": "x4"})],
        response(output=[{**hello, "id": "x5"}]))
    yield resp("done-says-more", [added(0, hello), told("output_text", 0, "Hel", content_index=0), done(0, hello)],
               response(output=[hello]))
    thought = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": t} for t in ("One.", "Two.")]}
    yield resp("two-summaries", [added(0, thought)] + [e for n, t in enumerate(("One.", "Two.")) for e in (
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": n, "item_id": "rs_1",
         "part": {"type": "summary_text", "text": ""}},
        told("reasoning_summary_text", 0, t, summary_index=n))] + [done(0, thought), added(1, hello), done(1, hello)],
        response(output=[thought, hello]))
    yield resp_whole("two-summaries-whole", response(output=[thought, hello]))
    free = item("custom_tool_call", call_id="a", name="patch", input="*** Begin\n+x\"y\n")
    yield resp("free-text-call", [added(0, free), told("custom_tool_call_input", 0, free["input"]), done(0, free)],
               response(output=[free]))
    calls = [item("function_call", call_id=c, name="f", arguments=f'{{"n":{n}}}') | {"id": f"fc_{n}"}
             for n, c in enumerate("ab")]
    yield resp("calls-interleaved", [added(0, calls[0]), added(1, calls[1]), told("function_call_arguments", 1, '{"n":'),
                                     told("function_call_arguments", 0, '{"n":0}'), told("function_call_arguments", 1, "1}"),
                                     done(1, calls[1]), done(0, calls[0])], response(output=calls))
    yield resp_whole("text-call-text", response(output=[text_item("Before.") | {"id": "m1"}, calls[0],
                                                        text_item("After.") | {"id": "m2"}]))
    mcp = item("mcp_call", name="search", server_label="s", arguments="{}", output="found")
    yield resp_whole("server-call", response(output=[mcp, hello]))
    yield resp("fails-inside", [added(0, hello), told("output_text", 0, "Hel", content_index=0)],
               response("failed", error={"code": "server_error", "message": "broken"}, usage=False))
    yield resp("cut", [added(0, hello), told("output_text", 0, "Hel", content_index=0)], failure=CUT)


def anth(name, blocks, stop="end_turn", usage=None, end=(), finished=True, **more):
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
             "stop_sequence": None, "usage": {"input_tokens": 12, "cache_read_input_tokens": 8,
                                              "cache_creation_input_tokens": 5, "output_tokens": 1}}
    events = [{"type": "message_start", "message": start}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        if finished or index + 1 < len(blocks):
            events.append({"type": "content_block_stop", "index": index})
    if finished:
        stop_sequence = "END" if stop == "stop_sequence" else None
        events += [{"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": stop_sequence},
                    "usage": {"output_tokens": 9, **(usage or {})}}, {"type": "message_stop"}]
    return story(name, "anth", sse(events + list(end), named=True), **more)


def words(*texts):
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": t} for t in texts]


def thoughts(text):
    deltas = [{"type": "thinking_delta", "thinking": text}, {"type": "signature_delta", "signature": "U0lH"}]
    return {"type": "thinking", "thinking": "", "signature": ""}, deltas


def use(name, *pieces, kind="tool_use", **more):
    block = {"type": kind, "id": "toolu_1", "name": name, "input": {}, **more}
    return block, [{"type": "input_json_delta", "partial_json": p} for p in pieces]


def anths():
    for stop in ("max_tokens", "stop_sequence", "pause_turn", "refusal", "model_context_window_exceeded"):
        yield anth(stop, [words("Half", " a")], stop)
    yield anth("thinks-between", [thoughts("One."), words(TEXT), use("f", '{"x"', ":1}"), thoughts("Two."), words("So.")],
               "tool_use")
    yield anth("input-at-start", [use("f", input={"x": 1})], "tool_use")
    yield anth("server-tools", [use("web_search", '{"query":"q"}', kind="server_tool_use"),
                                ({"type": "web_search_tool_result", "tool_use_id": "toolu_1", "content": []}, []),
                                words("Found.")], usage={"server_tool_use": {"web_search_requests": 1}})
    yield anth("cut-input", [use("f", '{"path":"a.t')], "max_tokens")
    yield anth("nothing-said", [])
    yield anth("counts-thinking", [thoughts("Hm."), words("a")], usage={"output_tokens_details": {"thinking_tokens": 5}})
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    yield anth("overloaded-inside", [words("Half")], end=[overloaded], finished=False)
    yield story("overloaded-first", "anth", sse([overloaded], named=True))
    yield anth("cut", [words("Half")], finished=False, failure=CUT)


def gem(name, chunks, usage=True, **more):
    counts = {"promptTokenCount": 20, "cachedContentTokenCount": 8, "candidatesTokenCount": 8, "thoughtsTokenCount": 4,
              "totalTokenCount": 32}
    bodies = [{"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0,
                               **({"finishReason": finish} if finish else {})}],
               "modelVersion": "m", "responseId": "r", **({"usageMetadata": counts} if usage else {})}
              for parts, finish in chunks]
    return story(name, "gem", sse(bodies).replace(b"\n\n", b"\r\n\r\n"), **more)


def call(name, **args):
    return {"functionCall": {"name": name, "args": args}}


def gems():
    for reason in ("MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "MALFORMED_FUNCTION_CALL"):
        yield gem(reason.lower(), [([{"text": "Half"}], None), ([{"text": " a"}], reason)])
    yield gem("calls-without-ids", [([call("f", x=1), call("f", x=2)], None), ([call("g")], "STOP")])
    yield gem("calls-then-text", [([{"text": "Hm.", "thought": True}, {"text": "First."}, call("f", x="ü")], None),
                                  ([{"text": "Then."}], "STOP")])
    yield gem("signed-empty-text", [([{"text": TEXT}], None), ([{"text": "", "thoughtSignature": "U0lH"}], "STOP")])
    yield gem("one-chunk", [([{"text": "Hm.", "thought": True}, {"text": TEXT}], "STOP")])
    yield gem("no-counts", [([{"text": "a"}], "STOP")], usage=False)
    yield gem("cut", [([{"text": "Half"}], None)], failure=CUT)
    yield story("blocked-prompt", "gem", sse([{"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r", "modelVersion": "m",
                                               "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}]))
    broken = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    first = gem("x", [([{"text": "Half"}], None)]).body
    yield story("error-inside", "gem", first + sse([broken]))
    yield story("error-first", "gem", sse([broken]))


def errors():
    """HTTP errors of each dialect."""
    def error(name, dialect, status, body):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return story(f"http-{status}-{name}", dialect, body, False, status)

    for status, kind, code in ((400, "invalid_request_error", "context_length_exceeded"), (401, "invalid_request_error", "invalid_api_key"),
                               (403, "permission_error", None), (413, "invalid_request_error", "request_too_large"),
                               (422, "invalid_request_error", None), (429, "insufficient_quota", "insufficient_quota"),
                               (429, "rate_limit_error", "rate_limit_exceeded"), (500, "server_error", None), (503, "server_error", None)):
        for dialect in ("chat", "resp"):
            yield error(code or kind, dialect, status, {"error": {"message": "It went wrong.", "type": kind, "param": None, "code": code}})
    for status, kind in ((400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"),
                         (413, "request_too_large"), (429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error")):
        yield error(kind, "anth", status, {"type": "error", "error": {"type": kind, "message": "It went wrong."}})
    for status, word in ((400, "INVALID_ARGUMENT"), (403, "PERMISSION_DENIED"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL"),
                         (503, "UNAVAILABLE")):
        body = {"error": {"code": status, "message": "It went wrong.", "status": word}}
        yield error(word.lower(), "gem", status, [body] if status == 400 else body)
    for dialect in ("chat", "resp", "anth", "gem"):
        yield error("html", dialect, 502, b"<html><head><title>Bad gateway</title></head></html>")


def stories():
    for group in (chats, resps, anths, gems, errors):
        yield from group()
