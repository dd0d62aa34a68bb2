"""The Anthropic SDK."""

import anthropic
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from neutral import Usage, View, merged
from oracle import messages as oracle

SCHEMA = {"type": "object", "properties": {}}
EVENT = TypeAdapter(RawMessageStreamEvent)
RAW = ("message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta",
       "content_block_stop")


def connect(base):
    return anthropic.Anthropic(base_url=base, api_key="sk-any-key-at-all", max_retries=0)


def request(model, tools):
    declared = [{"name": n, "description": "d", "input_schema": SCHEMA} for n, _ in tools]
    extra = {"tools": declared} if declared else {}
    return dict(model=model, max_tokens=4096, thinking={"type": "enabled", "budget_tokens": 2048},
                messages=[{"role": "user", "content": "Go on."}], **extra)


def whole(client, model, tools):
    return client.messages.create(**request(model, tools))


def stream(client, model, tools, seen):
    with client.messages.stream(**request(model, tools)) as events:
        for event in events:
            if event.type in RAW:
                seen.append(event)
        return events.get_final_message()


def raw_stream(client, model, tools, seen):
    for event in client.messages.create(stream=True, **request(model, tools)):
        seen.append(event)


def answer(replies, streamed):
    bodies = [r.to_dict(mode="json") for r in replies]
    return oracle.read_events(bodies) if streamed else oracle.read_whole(bodies[0])


def failure_in(replies):
    return next((r for r in replies if r.type == "error"), None)


def usage_of(usage):
    written, cached = usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0
    details = usage.output_tokens_details
    return Usage(usage.input_tokens + written + cached, cached, written, usage.output_tokens,
                 details.thinking_tokens if details else 0)


def view(message, own=False):
    if not own:
        Message.model_validate(message.to_dict(mode="json", warnings=False))
    got, order = View(), []
    for block in message.content:
        if block.type == "text":
            got.text += block.text
            assert block.text, "an empty text block"
            order.append("text")
        elif block.type == "thinking":
            if block.thinking:
                got.reasoning.append(block.thinking)
                order.append("thinking")
        elif block.type == "tool_use":
            assert isinstance(block.input, dict), "input is no object"
            got.calls.append((block.name, block.input))
            order.append("call")
    got.order = merged(order)
    got.finish = message.stop_reason
    got.usage = usage_of(message.usage)
    return got


def view_stream(events, final, own=False):
    kinds = [e.type for e in events]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop", "beginning or end"
    assert kinds.count("message_start") == kinds.count("message_stop") == kinds.count("message_delta") == 1, kinds
    starts = [e.index for e in events if e.type == "content_block_start"]
    assert starts == list(range(len(starts))), f"block indices {starts}"
    stops = [e.index for e in events if e.type == "content_block_stop"]
    assert stops == starts, f"blocks {starts} stop as {stops}"
    for event in () if own else events:
        body = event.to_dict(mode="json", warnings=False)
        body.pop("message" if event.type == "message_stop" else "", None)
        body.pop("content_block" if event.type == "content_block_stop" else "", None)
        EVENT.validate_python(body)
    return view(final, own)
