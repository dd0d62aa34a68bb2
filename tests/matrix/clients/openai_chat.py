"""The OpenAI SDK, Chat Completions."""

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from neutral import Usage, View, merged, parsed
from oracle import chat as oracle

SCHEMA = {"type": "object", "properties": {}}


def connect(base):
    return openai.OpenAI(base_url=base + "/v1", api_key="sk-any-key-at-all", max_retries=0)


def request(model, tools):
    """The request; `tools` are names, with True where the tool takes free text."""
    declared = [{"type": "custom", "custom": {"name": n}} if free else
                {"type": "function", "function": {"name": n, "parameters": SCHEMA}} for n, free in tools]
    extra = {"tools": declared} if declared else {}
    return dict(model=model, messages=[{"role": "user", "content": "Go on."}], **extra)


def whole(client, model, tools):
    return client.chat.completions.create(**request(model, tools))


def stream(client, model, tools, seen):
    """Follows the stream with the SDK's own accumulation, and returns what that made of it."""
    asked = request(model, tools)
    with client.chat.completions.stream(stream_options={"include_usage": True}, **asked) as events:
        for event in events:
            if event.type == "chunk":
                seen.append(event.chunk)
        # `get_final_completion` raises for answers that were cut or filtered, and for calls of custom tools.
        return ChatCompletion.model_validate(events.current_completion_snapshot.to_dict(mode="json", warnings=False))


def raw_stream(client, model, tools, seen):
    """Follows the stream event by event; for what a vendor sends, which is not always the standard."""
    asked = request(model, tools)
    for chunk in client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **asked):
        seen.append(chunk)


def answer(replies, streamed):
    """The neutral form of objects that were forwarded unchanged."""
    bodies = [r.to_dict(mode="json") for r in replies]
    return oracle.read_events(bodies) if streamed else oracle.read_whole(bodies[0])


def failure_in(replies):
    """An error object that came in place of an answer."""
    return next((e for e in (getattr(r, "error", None) for r in replies) if e), None)


def usage_of(usage):
    if usage is None:
        return None
    of_prompt, of_output = usage.prompt_tokens_details, usage.completion_tokens_details
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage
    return Usage(usage.prompt_tokens, of_prompt.cached_tokens, of_prompt.cache_write_tokens or 0,
                 usage.completion_tokens, of_output.reasoning_tokens)


def view(completion, own=False):
    """What the client sees of one whole completion; what is `own` holds words of the upstream."""
    if not own:
        ChatCompletion.model_validate(completion.to_dict(mode="json"))
    choice = completion.choices[0]
    message, extra = choice.message, choice.message.model_extra or {}
    calls = []
    for call in message.tool_calls or []:
        assert call.id, "a call without id"
        if call.type == "custom":
            calls.append((call.custom.name, call.custom.input))
        else:
            calls.append((call.function.name, parsed(call.function.arguments)))
    assert message.tool_calls is None or message.tool_calls, "an empty list of calls"
    reasoning = extra.get("reasoning_content")
    return View(
        text=message.content or "", reasoning=[reasoning] if reasoning else [], refusal=message.refusal or "",
        calls=calls, images=[i["image_url"]["url"].partition("base64,")[2] for i in extra.get("images") or []],
        finish=choice.finish_reason, usage=usage_of(completion.usage))


def view_stream(chunks, final, own=False):
    """What it sees of a stream; the chunks must keep the protocol, and agree with the accumulation."""
    for chunk in chunks:
        if not own:
            ChatCompletionChunk.model_validate(typed(chunk.to_dict(mode="json", warnings=False)))
        assert chunk.id == chunks[0].id, "the id changes"
    spoken = [c.choices[0] for c in chunks if c.choices]
    assert spoken[0].delta.role == "assistant", "no role in the first chunk"
    assert sum(c.finish_reason is not None for c in spoken) == 1, "not exactly one finish_reason"
    assert spoken[-1].finish_reason, "content after finish_reason"
    assert not chunks[-1].choices and chunks[-1].usage, "usage is not last"
    assert all(c.usage is None for c in chunks[:-1]), "usage came early"
    starts = [t for c in spoken for t in c.delta.tool_calls or [] if t.id]
    assert [t.index for t in starts] == list(range(len(starts))), "call indices"
    got = view(final, own)
    reasoning = "".join((c.delta.model_extra or {}).get("reasoning_content") or "" for c in spoken)
    assert "".join(c.delta.content or "" for c in spoken) == got.text, "deltas and text differ"
    assert reasoning == "".join(got.reasoning), "deltas and reasoning differ"
    images = [i for c in spoken for i in (c.delta.model_extra or {}).get("images") or []]
    got.images = [i["image_url"]["url"].partition("base64,")[2] for i in images]
    got.order = merged([k for c in spoken for k in kinds(c.delta)])
    return got


def typed(chunk):
    """A chunk without what the SDK's types do not know: calls of custom tools, which only whole answers have there."""
    for choice in chunk["choices"]:
        if calls := choice["delta"].get("tool_calls"):
            choice["delta"]["tool_calls"] = [c for c in calls if c.get("type") != "custom"]
    return chunk


def kinds(delta):
    if (delta.model_extra or {}).get("reasoning_content"):
        yield "thinking"
    if delta.content:
        yield "text"
    if delta.refusal:
        yield "refusal"
    if (delta.model_extra or {}).get("images"):
        yield "image"
    yield from ("call" for t in delta.tool_calls or [] if t.id)
