"""Drives one official SDK against a base URL and prints what it understood, as JSON.

usage: drive.py openai-chat|openai-responses|anthropic|google BASE MODEL KEY
"""

import json
import sys

PLAIN = "Say hello, please."
TOOLED = "Use the tool for the weather."
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


def openai_chat(base, model, key):
    from openai import OpenAI

    client = OpenAI(base_url=base + "/v1", api_key=key, max_retries=0)
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
    out = []
    for text, tools in ((PLAIN, None), (TOOLED, [tool])):
        extra = {"tools": tools} if tools else {}
        messages = [{"role": "user", "content": text}]
        whole = client.chat.completions.create(model=model, messages=messages, **extra)
        choice = whole.choices[0]
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or []]
        usage = whole.usage
        out.append(seen(choice.message.content, calls, choice.finish_reason, usage.prompt_tokens,
                        usage.prompt_tokens_details.cached_tokens, usage.completion_tokens))
        with client.chat.completions.stream(
            model=model, messages=messages, stream_options={"include_usage": True}, **extra
        ) as stream:
            for _ in stream:
                pass
            final = stream.get_final_completion()
        choice = final.choices[0]
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or []]
        usage = final.usage
        out.append(seen(choice.message.content, calls, choice.finish_reason, usage.prompt_tokens,
                        usage.prompt_tokens_details.cached_tokens, usage.completion_tokens))
        # Without usage asked for, none may appear, and no chunk may lack a choice.
        chunks = list(client.chat.completions.create(model=model, messages=messages, stream=True, **extra))
        assert all(c.usage is None and c.choices for c in chunks), chunks
    return out


def openai_responses(base, model, key):
    from openai import OpenAI

    client = OpenAI(base_url=base + "/v1", api_key=key, max_retries=0)
    tool = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}
    out = []
    for text, tools in ((PLAIN, None), (TOOLED, [tool])):
        extra = {"tools": tools} if tools else {}
        whole = client.responses.create(model=model, input=text, **extra)
        with client.responses.stream(model=model, input=text, **extra) as stream:
            deltas = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
            streamed = stream.get_final_response()
        assert deltas == streamed.output_text, (deltas, streamed.output_text)
        for reply in (whole, streamed):
            calls = [(i.name, json.loads(i.arguments)) for i in reply.output if i.type == "function_call"]
            usage = reply.usage
            out.append(seen(reply.output_text, calls, reply.status, usage.input_tokens,
                            usage.input_tokens_details.cached_tokens, usage.output_tokens))
    return out


def anthropic(base, model, key):
    from anthropic import Anthropic

    client = Anthropic(base_url=base, api_key=key, max_retries=0)
    tool = {"name": "get_weather", "description": "d", "input_schema": SCHEMA}
    out = []
    for text, tools in ((PLAIN, None), (TOOLED, [tool])):
        extra = {"tools": tools} if tools else {}
        call = dict(model=model, max_tokens=64, messages=[{"role": "user", "content": text}], **extra)
        whole = client.messages.create(**call)
        with client.messages.stream(**call) as stream:
            deltas = "".join(stream.text_stream)
            streamed = stream.get_final_message()
        for reply in (whole, streamed):
            words = "".join(b.text for b in reply.content if b.type == "text")
            calls = [(b.name, b.input) for b in reply.content if b.type == "tool_use"]
            usage = reply.usage
            out.append(seen(words, calls, reply.stop_reason, usage.input_tokens,
                            usage.cache_read_input_tokens, usage.output_tokens))
        assert deltas == words, (deltas, words)
    return out


def google(base, model, key):
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=base)
    client = genai.Client(api_key=key, http_options=options)
    tool = types.Tool(function_declarations=[
        types.FunctionDeclaration(name="get_weather", parameters_json_schema=SCHEMA)])
    out = []
    for text, tools in ((PLAIN, None), (TOOLED, [tool])):
        config = types.GenerateContentConfig(
            tools=tools, automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
        whole = client.models.generate_content(model=model, contents=text, config=config)
        chunks = list(client.models.generate_content_stream(model=model, contents=text, config=config))
        for replies in ([whole], chunks):
            parts = [p for r in replies for p in r.candidates[0].content.parts]
            words = "".join(p.text or "" for p in parts)
            calls = [(p.function_call.name, p.function_call.args) for p in parts if p.function_call]
            usage = replies[-1].usage_metadata
            finish = replies[-1].candidates[0].finish_reason
            out.append(seen(words, calls, finish.value, usage.prompt_token_count,
                            usage.cached_content_token_count, usage.candidates_token_count))
    return out


def seen(text, calls, finish, tokens_in, cached, tokens_out):
    return {"text": text, "calls": calls, "finish": finish, "in": tokens_in, "cached": cached, "out": tokens_out}


def main():
    name, base, model, key = sys.argv[1:]
    drivers = {"openai-chat": openai_chat, "openai-responses": openai_responses,
               "anthropic": anthropic, "google": google}
    print(json.dumps(drivers[name](base, model, key)))


main()
