"""The scripted upstreams accept what their dialect allows and name the rule that anything else breaks.

    python3 -m unittest discover tests/clis
"""

import copy
import unittest

from lab import anth, chat, gem, resp
from lab.story import Invalid, Scenario, Story

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}
ARGUMENTS = {"path": "a", "content": "b"}
CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
}  # fmt: skip
ANTH = {
    "model": "m",
    "max_tokens": 9000,
    "messages": [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "r"}, {"type": "text", "text": "t"}]},
    ],
    "tools": [{"name": "f", "description": "", "input_schema": SCHEMA}],
}
RESP = {
    "model": "m",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "u"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "r"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
}
GEM = {
    "contents": [
        {"role": "user", "parts": [{"text": "u"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "f", "response": {"result": "r"}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": SCHEMA}]}],
}
REQUESTS = {"chat": (chat, CHAT), "anth": (anth, ANTH), "resp": (resp, RESP), "gem": (gem, GEM)}
PATH = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"

# (dialect, where, what stands there instead; None takes it away, rule that is broken).
BROKEN = [
    ("chat", ["top_k"], 5, "unknown_field"),
    ("chat", ["messages"], [], "messages_empty"),
    ("chat", ["messages", 3, "tool_call_id"], "c2", "result_without_call"),
    ("chat", ["messages", 3], {"role": "user", "content": "u"}, "call_without_result"),
    ("chat", ["messages", 1, "role"], "model", "value_not_allowed"),
    ("chat", ["messages", 1, "content"], [{"type": "text", "text": "t", "cache_control": {}}], "unknown_field"),
    ("chat", ["messages", 2, "tool_calls", 0, "function", "arguments"], "[1]", "arguments_not_an_object"),
    ("chat", ["messages", 2, "tool_calls", 0, "function", "name"], "a.b", "tool_name_invalid"),
    ("chat", ["tools"], None, None),
    ("chat", ["stream_options"], {"include_usage": True}, "stream_options_without_stream"),
    ("chat", ["tools", 0, "function", "parameters"], {"type": "STRING"}, "schema_type_unknown"),
    ("anth", ["max_tokens"], None, "required_field"),
    ("anth", ["context_management"], {}, "field_without_its_beta"),
    ("anth", ["messages", 2, "content", 0, "tool_use_id"], "c2", "results_do_not_match_calls"),
    ("anth", ["messages", 2, "content", 1, "text"], " ", "text_block_blank"),
    ("anth", ["messages", 0], {"role": "system", "content": "s"}, "system_message_without_its_beta"),
    ("anth", ["messages", 1, "content", 0], {"type": "thinking", "thinking": "t", "signature": "x"}, "thinking_signature_invalid"),
    ("anth", ["thinking"], {"type": "enabled", "budget_tokens": 9000}, "thinking_budget_out_of_range"),
    ("anth", ["temperature"], 1.5, "temperature_out_of_range"),
    ("anth", ["tools", 0, "input_schema", "anyOf"], [{}], "tool_schema_root_is_a_union"),
    ("anth", ["tools", 0, "parameters"], {}, "unknown_field"),
    ("resp", ["messages"], [], "unknown_field"),
    ("resp", ["input", 1, "call_id"], "c2", "result_without_call"),
    ("resp", ["input", 2], {"role": "user", "content": "u"}, "call_without_result"),
    ("resp", ["input", 0, "content", 0, "type"], "output_text", "value_not_allowed"),
    ("resp", ["input", 0, "id"], "x_1", "item_id_prefix"),
    ("resp", ["input", 0], {"type": "reasoning", "summary": [], "encrypted_content": "x"}, "encrypted_content_not_verified"),
    ("gem", ["contents", 0, "role"], "assistant", "value_not_allowed"),
    ("gem", ["contents", 1, "parts", 0, "thoughtSignature"], "eHl6", "thought_signature_not_valid"),
    ("gem", ["contents", 2, "parts", 0, "functionResponse", "name"], "g", "response_does_not_match_its_call"),
    ("gem", ["contents", 2, "parts"], [{"text": "t"}], "responses_do_not_match_calls"),
    ("gem", ["contents", 0, "parts", 0, "text"], "", "text_part_empty"),
    ("gem", ["tools", 0, "functionDeclarations", 0, "parameters", "additionalProperties"], False, "gemini_schema_unknown_name"),
    ("gem", ["tools", 0, "functionDeclarations", 0, "parametersJsonSchema"], SCHEMA, "two_kinds_of_parameters"),
    ("gem", ["generationConfig"], {"thinkingConfig": {"thinkingLevel": "LOW"}}, "thinking_level_before_gemini_3"),
    ("gem", ["messages"], [], "unknown_field"),
]  # fmt: skip


def see(dialect, body, path=PATH, story=None):
    headers = {"anthropic-version": "2023-06-01"}
    return REQUESTS[dialect][0].see(body, path, headers, story or Story(Scenario({}, "")))


class Upstreams(unittest.TestCase):
    def test_a_proper_request_is_understood(self):
        for dialect, (_, body) in REQUESTS.items():
            with self.subTest(dialect):
                seen = see(dialect, body)
                self.assertEqual([tool.name for tool in seen.tools], ["f"])
                self.assertEqual([call for call, _ in seen.results], ["c1"])

    def test_each_broken_rule_is_named(self):
        for dialect, where, value, rule in BROKEN:
            with self.subTest(f"{dialect} {where}"):
                body = copy.deepcopy(REQUESTS[dialect][1])
                place = body
                for step in where[:-1]:
                    place = place[step]
                if value is None:
                    del place[where[-1]]
                else:
                    place[where[-1]] = value
                if rule is None:
                    see(dialect, body)
                    continue
                with self.assertRaises(Invalid) as broken:
                    see(dialect, body)
                self.assertEqual(broken.exception.rule, rule)

    def test_gemini_3_wants_the_signature_of_the_first_call(self):
        story = Story(Scenario({"a": "b"}, "", demand_signatures=True))
        first = {**GEM, "contents": GEM["contents"][:1]}
        path = PATH.replace("2.5-flash", "3-pro")
        turn = story.answer(see("gem", first, path, story), "gem")
        self.assertEqual(turn.calls[0].arguments, ARGUMENTS)
        part = GEM["contents"][1]["parts"][0] | {"functionCall": {"id": "c1", "name": "f", "args": ARGUMENTS}}
        for signature, rule in (
            (turn.signature, None),
            (None, "thought_signature_missing"),
            (gem.BYPASS, "signature_not_given_back"),
        ):
            with self.subTest(rule):
                signed = part | ({"thoughtSignature": signature} if signature else {})
                again = copy.deepcopy(GEM)
                again["contents"][1]["parts"] = [signed]
                if rule is None:
                    see("gem", again, path, story)
                    continue
                with self.assertRaises(Invalid) as broken:
                    see("gem", again, path, story)
                self.assertEqual(broken.exception.rule, rule)

    def test_claude_wants_its_thoughts_before_the_call_they_led_to(self):
        story = Story(Scenario({"a": "b"}, ""))
        body = {**ANTH, "thinking": {"type": "enabled", "budget_tokens": 2000}}
        turn = story.answer(see("anth", {**body, "messages": body["messages"][:1]}, story=story), "anth")
        thought = {"type": "thinking", "thinking": turn.thought, "signature": turn.signature}
        call = {"type": "tool_use", "id": turn.calls[0].id, "name": "f", "input": ARGUMENTS}
        result = {"type": "tool_result", "tool_use_id": turn.calls[0].id, "content": "r"}
        for blocks, rule in (
            ([thought, call], None),
            ([call], "thinking_missing_before_call"),
            ([thought | {"thinking": "else"}, call], "thinking_altered"),
        ):
            with self.subTest(rule):
                messages = [ANTH["messages"][0], {"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
                if rule is None:
                    see("anth", body | {"messages": messages}, story=story)
                    continue
                with self.assertRaises(Invalid) as broken:
                    see("anth", body | {"messages": messages}, story=story)
                self.assertEqual(broken.exception.rule, rule)


if __name__ == "__main__":
    unittest.main()
