"""The Google Gen AI SDK."""

import base64

from google import genai
from google.genai import types

from neutral import Usage, View, merged
from oracle import gemini as oracle


def connect(base):
    return genai.Client(api_key="sk-any-key-at-all", http_options=types.HttpOptions(base_url=base))


def request(model, tools):
    declared = [types.FunctionDeclaration(name=n, parameters_json_schema={"type": "object"}) for n, _ in tools]
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=declared)] if declared else None,
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
    return dict(model=model, contents="Go on.", config=config)


def whole(client, model, tools):
    return client.models.generate_content(**request(model, tools))


def stream(client, model, tools, seen):
    for chunk in client.models.generate_content_stream(**request(model, tools)):
        seen.append(chunk)


raw_stream = stream


def answer(replies, streamed):
    bodies = [r.model_dump(mode="json", by_alias=True, exclude_none=True) for r in replies]
    return oracle.read_events(bodies)


def failure_in(replies):
    """An error event inside a stream has no place in the SDK's types; it raises for it itself."""
    return None


def usage_of(usage):
    if usage is None or usage.prompt_token_count is None:
        return None
    prompt = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
    thoughts, spoken = usage.thoughts_token_count or 0, usage.candidates_token_count or 0
    assert usage.total_token_count == prompt + thoughts + spoken, usage
    return Usage(prompt, usage.cached_content_token_count or 0, 0, spoken + thoughts, thoughts)


def view(response, own=False):
    return view_stream([response], None, own)


def view_stream(chunks, _final, _own=False):
    got, order = View(), []
    candidates = [c.candidates[0] for c in chunks if c.candidates]
    for candidate in candidates:
        for part in (candidate.content and candidate.content.parts) or []:
            if part.function_call:
                assert part.function_call.id, "a call without id"
                got.calls.append((part.function_call.name, part.function_call.args or {}))
                order.append("call")
            elif part.inline_data:
                got.images.append(base64.b64encode(part.inline_data.data).decode())
                order.append("image")
            elif part.text and part.thought:
                if order[-1:] != ["thinking"]:
                    got.reasoning.append("")
                got.reasoning[-1] += part.text
                order.append("thinking")
            elif part.text:
                got.text += part.text
                order.append("text")
    got.order = merged(order)
    ends = [c.finish_reason.value for c in candidates if c.finish_reason]
    if not candidates and any(c.prompt_feedback and c.prompt_feedback.block_reason for c in chunks):
        ends = ["SAFETY"]  # the prompt was blocked, so there is no candidate
    assert len(ends) == 1, f"finish reasons {ends}"
    assert not candidates or candidates[-1].finish_reason, "content after the finish reason"
    got.finish = ends[0]
    got.usage = usage_of(chunks[-1].usage_metadata)
    return got
