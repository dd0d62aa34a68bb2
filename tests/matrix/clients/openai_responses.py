"""The OpenAI SDK, Responses."""

import openai
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from neutral import Usage, View, merged, parsed
from oracle import responses as oracle

SCHEMA = {"type": "object", "properties": {}}
EVENT = TypeAdapter(ResponseStreamEvent)
TERMINAL = ("response.completed", "response.incomplete")


def connect(base):
    return openai.OpenAI(base_url=base + "/v1", api_key="sk-any-key-at-all", max_retries=0)


def request(model, tools):
    declared = [{"type": "custom", "name": n} if free else
                {"type": "function", "name": n, "parameters": SCHEMA, "strict": False} for n, free in tools]
    extra = {"tools": declared} if declared else {}
    return dict(model=model, input="Go on.", reasoning={"summary": "auto"}, **extra)


def whole(client, model, tools):
    return client.responses.create(**request(model, tools))


def stream(client, model, tools, seen):
    with client.responses.stream(**request(model, tools)) as events:
        for event in events:
            seen.append(event)
    return seen[-1].response if seen and seen[-1].type in TERMINAL else None


def raw_stream(client, model, tools, seen):
    for event in client.responses.create(stream=True, **request(model, tools)):
        seen.append(event)


def answer(replies, streamed):
    bodies = [r.to_dict(mode="json") for r in replies]
    return oracle.read_events(bodies) if streamed else oracle.read_whole(bodies[0])


def failure_in(replies):
    """The error of a response that failed, or of an error event."""
    for reply in replies:
        kind = getattr(reply, "type", None)
        if kind == "error":
            return reply
        if kind == "response.failed":
            return reply.response.error
        if getattr(reply, "status", None) == "failed":
            return reply.error
    return None


def usage_of(usage):
    if usage is None:
        return None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens, usage
    return Usage(usage.input_tokens, usage.input_tokens_details.cached_tokens,
                 getattr(usage.input_tokens_details, "cache_write_tokens", 0) or 0,
                 usage.output_tokens, usage.output_tokens_details.reasoning_tokens)


def view(response, own=False):
    got, order = View(order=[]), []
    ran = {i.call_id for i in response.output if i.type.endswith("_call_output")}
    for item in response.output:
        if item.type == "message":
            for part in item.content:
                if part.type == "output_text":
                    got.text += part.text
                    order.append("text")
                else:
                    got.refusal += part.refusal
                    order.append("refusal")
        elif item.type == "reasoning":
            told = "\n\n".join([p.text for p in item.summary] or [p.text for p in item.content or []])
            if told:
                got.reasoning.append(told)
                order.append("thinking")
        elif item.type == "function_call":
            assert item.call_id, "a call without id"
            got.calls.append((item.name, parsed(item.arguments)))
            order.append("call")
        elif item.type == "custom_tool_call":
            got.calls.append((item.name, item.input))
            order.append("call")
        elif item.type in oracle.BUILT_IN and item.call_id not in ran:
            name, member = oracle.BUILT_IN[item.type]
            got.calls.append((name, item.to_dict(mode="json")[member]))
            order.append("call")
        elif item.type == "image_generation_call":
            got.images.append(item.result)
            order.append("image")
    ids = [i.id for i in response.output]
    assert len(set(ids)) == len(ids), "item ids repeat"
    got.order = merged(order)
    got.finish = response.status
    if response.status == "incomplete":
        got.finish = "incomplete/" + response.incomplete_details.reason
    got.usage = usage_of(response.usage)
    if not own:
        valid(Response.model_validate, response)
    return got


def valid(check, reply):
    """Holds the object against the SDK's types."""
    body = reply.to_dict(mode="json", warnings=False)
    body.pop("snapshot", None)
    usage = (body.get("response") or body).get("usage")
    if usage:
        # The types demand what OpenAI itself left out of its answers for most of their history.
        usage["input_tokens_details"].setdefault("cache_write_tokens", 0)
    check(body)


def view_stream(events, final, own=False):
    assert final is not None, f"no terminal event, last is {events[-1].type if events else None}"
    numbers = [e.sequence_number for e in events]
    assert numbers == list(range(len(events))), f"sequence numbers {numbers[:40]}"
    assert [e.type for e in events[:2]] == ["response.created", "response.in_progress"], "the beginning"
    assert sum(e.type in TERMINAL for e in events) == 1, "more than one end"
    done = [e.item for e in events if e.type == "response.output_item.done"]
    added = [e.output_index for e in events if e.type == "response.output_item.added"]
    assert added == list(range(len(added))), f"output indices {added}"
    assert [i.id for i in done] == [i.id for i in final.output], "items done and output differ"
    got = view(final, own)
    told = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert told == got.text, "deltas and text differ"
    thought = "".join(e.delta for e in events if e.type in ("response.reasoning_summary_text.delta",
                                                            "response.reasoning_text.delta"))
    assert thought.replace("\n\n", "") == "".join(got.reasoning).replace("\n\n", ""), "deltas and reasoning differ"
    for call in (i for i in final.output if i.type == "function_call"):
        pieces = [e.delta for e in events if e.type == "response.function_call_arguments.delta" and e.item_id == call.id]
        assert "".join(pieces) == call.arguments, "deltas and arguments differ"
    for event in events:
        if not own and not event.type.startswith("response.output_text"):
            valid(EVENT.validate_python, event)
    return got
