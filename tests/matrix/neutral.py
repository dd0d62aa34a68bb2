"""The neutral form of an answer: what every wire format can say, and what a client saw of it."""

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Usage:
    """Token counts. `input` includes cached and written tokens, `output` includes reasoning."""

    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Failure:
    """An error: its kind (a row of the error table) and the HTTP status it came with, if any."""

    kind: str
    message: str = ""


@dataclass
class Call:
    """A tool call that the client is to run. `arguments` is parsed JSON, or the text itself when
    it is none; `free` marks the free text of a custom tool."""

    name: str
    arguments: object
    free: bool = False

    def pair(self):
        return (self.name, self.arguments)


@dataclass
class Answer:
    """An answer as its provider gave it: blocks in order, each `(kind, value)`.

    Kinds: `text`, `thinking`, `refusal` (strings), `call` (a Call), `image` (base64),
    `server` (a string: something the provider ran itself).
    """

    blocks: list = field(default_factory=list)
    finish: str = "stop"
    usage: Usage | None = None
    failure: Failure | None = None
    #: Answers beyond the first, when the client asked for several.
    others: list = field(default_factory=list)

    def add(self, kind, value):
        """Appends a block of its own."""
        self.blocks.append((kind, value))

    def extend(self, kind, text):
        """Appends text, continuing the last block when that is of the same kind."""
        if not text:
            return
        if self.blocks and self.blocks[-1][0] == kind:
            self.blocks[-1] = (kind, self.blocks[-1][1] + text)
        else:
            self.add(kind, text)

    def of(self, kind):
        return [value for found, value in self.blocks if found == kind]


@dataclass
class View:
    """What a client's SDK understood."""

    text: str = ""
    reasoning: list = field(default_factory=list)
    refusal: str = ""
    calls: list = field(default_factory=list)
    images: list = field(default_factory=list)
    #: Kinds of the blocks in order, neighbours of one kind merged; None where the format has none.
    order: list | None = None
    finish: str | None = None
    usage: Usage | None = None
    failure: Failure | None = None
    #: Status of an error that came instead of an answer.
    status: int | None = None


def parsed(arguments):
    """Arguments as JSON; no text is `{}`, and what is no JSON stays text."""
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    if not arguments.strip():
        return {}
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def merged(kinds):
    """Kinds without repetition of neighbours; calls and images are counted one by one."""
    out = []
    for kind in kinds:
        if not out or out[-1] != kind or kind in ("call", "image"):
            out.append(kind)
    return out


def count(value):
    """A token count as vendors send it: absent, null, a float or a string; never below zero."""
    try:
        return max(0, int(float(value)))
    except (TypeError, ValueError):
        return 0


def events(body):
    """The JSON of each event of an SSE body, `[DONE]` and everything after it left out."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    lines, out = [], []
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            data = "\n".join(lines).strip()
            lines = []
            if data == "[DONE]":
                break
            if data and data != "null":
                out.append(json.loads(data))
    return out
