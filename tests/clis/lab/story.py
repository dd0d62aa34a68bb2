"""What the scripted model does: write the files of its scenario with the client's own tools, then say so.

The story is told by the request alone. Each request that offers tools is answered with the next call (or, when
the scenario says so, with all calls at once), until every call has its result; then comes the final text.
"""

import base64
import dataclasses
import hashlib
import json
import re
import shlex
import threading

# How tools of coding clients name the two things a file needs.
PATH_NAMES = ("file_path", "filePath", "path", "absolute_path", "filename")
TEXT_NAMES = ("content", "file_text", "contents", "text")
SHELL_NAMES = ("command", "cmd")


@dataclasses.dataclass
class Tool:
    """A tool as the request declares it. `schema` is None for tools that take free text."""

    name: str
    schema: dict | None
    namespace: str | None = None


@dataclasses.dataclass
class Call:
    """One call of the model. `arguments` is a string for tools that take free text."""

    id: str
    tool: Tool
    arguments: dict | str


@dataclasses.dataclass
class Turn:
    """One answer of the model. A signature without a thought belongs to the first call."""

    thought: str
    signature: str | None
    text: str
    calls: list[Call]


@dataclasses.dataclass
class Seen:
    """What the story must know of a request, whatever its dialect."""

    tools: list[Tool]
    # Results since the last thing the user said, in order: (call id, text).
    results: list[tuple[str | None, str]]
    stream: bool
    # Whether the client asked for thoughts, in dialects where they come only then.
    thinking: bool
    # JSON schema of the answer, when the client demands one.
    answer_schema: dict | None = None


@dataclasses.dataclass
class Scenario:
    """What one run of one tool is about."""

    files: dict[str, str]
    final: str
    parallel: bool = False
    # The upstream insists on the signatures that it gave, also where the real one would forgive.
    demand_signatures: bool = False
    # Results come back under ids only when the upstream gave some; Gemini before 3 gives none.
    gemini_ids: bool = False


class Invalid(Exception):
    """The request breaks a rule of its dialect. `rule` names it."""

    def __init__(self, rule, detail=""):
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.rule = rule


class Story:
    """One model, playing one scenario for one client. Safe for concurrent requests."""

    def __init__(self, scenario: Scenario):
        self.scenario = scenario
        self.lock = threading.Lock()
        self.turns = 0
        # Signature -> the thought that it signs.
        self.signed: dict[str, str] = {}
        # Call id -> signature of the answer that held the call.
        self.signature_of: dict[str, str] = {}
        # (tool name, arguments as JSON) -> signature, for dialects whose calls may have no id.
        self.signature_of_call: dict[tuple[str, str], str] = {}

    def answer(self, seen: Seen, dialect: str) -> Turn:
        """The next answer of the model."""
        if seen.answer_schema is not None:
            return Turn("", None, json.dumps(example(seen.answer_schema)), [])
        if not seen.tools:
            return Turn("", None, "Write the files", [])
        files = list(self.scenario.files.items())
        done = len(seen.results)
        with self.lock:
            self.turns += 1
            number = self.turns
        if done >= len(files):
            return self.sign(Turn("All files are there.", None, self.scenario.final, []), dialect, number)
        todo = files if self.scenario.parallel else files[done : done + 1]
        calls = [
            write_file(seen.tools, f"{PREFIXES[dialect]}{number}x{at}q7Ab", path, text)
            for at, (path, text) in enumerate(todo)
        ]
        said = "I'll write the files – one moment.\n" if done == 0 else ""
        return self.sign(Turn(f"Step {number}: a “file” is due.\nSo I write it.", None, said, calls), dialect, number)

    def sign(self, turn: Turn, dialect: str, number: int) -> Turn:
        """Gives the answer a signature of the kind that the dialect's vendor makes."""
        secret = hashlib.sha512(f"{dialect} {number} {turn.thought}".encode()).digest()
        if dialect == "anth":
            value = base64.b64encode(b"\x12\xa4\x01claude-sonnet-4-5" + secret).decode()
        elif dialect == "gem":
            value = base64.b64encode(b"\x0a\x23\x01" + secret + secret).decode()
        else:
            value = "gAAAAAB" + base64.urlsafe_b64encode(secret).decode()
        turn.signature = value
        with self.lock:
            self.signed[value] = turn.thought
            for call in turn.calls:
                self.signature_of[call.id] = value
            for call in turn.calls[:1]:
                self.signature_of_call[call_key(call.tool.name, call.arguments)] = value
        return turn


PREFIXES = {"chat": "call_", "resp": "call_", "anth": "toolu_01", "gem": "fc-"}


def call_key(name, arguments):
    return name, json.dumps(arguments, sort_keys=True)


def write_file(tools: list[Tool], call_id: str, path: str, text: str) -> Call:
    """A call that writes the file, with whatever tool the client has for that."""
    for tool in sorted(tools, key=lambda t: not re.search("write|create", t.name, re.IGNORECASE)):
        properties = (tool.schema or {}).get("properties") or {}
        path_name = next((n for n in PATH_NAMES if n in properties), None)
        text_name = next((n for n in TEXT_NAMES if n in properties), None)
        if path_name and text_name and tool.namespace is None:
            given = {path_name: path, text_name: text}
            return Call(call_id, tool, complete(tool.schema, given))
    for tool in tools:
        properties = (tool.schema or {}).get("properties") or {}
        shell_name = next((n for n in SHELL_NAMES if n in properties), None)
        if shell_name and tool.namespace is None:
            script = f"cat > {shlex.quote(path)} <<'END_OF_FILE'\n{text}END_OF_FILE"
            kind = properties[shell_name].get("type", "string")
            listed = str(kind).lower() == "array"
            given = {shell_name: ["bash", "-c", script] if listed else script}
            return Call(call_id, tool, complete(tool.schema, given))
    for tool in tools:
        if "apply_patch" in tool.name:
            lines = "".join(f"+{line}\n" for line in text.splitlines())
            patch = f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch"
            return Call(call_id, tool, patch if tool.schema is None else {"input": patch})
    raise Invalid("no_tool_that_writes_files", ", ".join(t.name for t in tools))


def complete(schema: dict, given: dict) -> dict:
    """The arguments with a value for everything else that the schema requires."""
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in given:
            given[name] = example(properties.get(name, {}))
    return given


def example(schema: dict):
    """Some value that the schema admits."""
    if schema.get("enum"):
        return "create" if "create" in schema["enum"] else schema["enum"][0]
    kind = schema.get("type")
    kind = (kind[0] if isinstance(kind, list) else kind or "string").lower()
    if kind == "object":
        return {n: example(schema.get("properties", {}).get(n, {})) for n in schema.get("required", [])}
    if kind == "array":
        return []
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return {"boolean": False, "null": None}.get(kind, "Write files")
