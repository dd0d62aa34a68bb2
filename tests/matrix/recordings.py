"""Recorded answers, and the golden transcripts of the format translation."""

import json
import pathlib
from dataclasses import dataclass

import oracle
from neutral import Failure

FORMATS = {"openai_chat": "chat", "openai_responses": "resp", "anthropic_messages": "anth", "gemini": "gem"}


@dataclass
class Recording:
    """One answer of a provider of `dialect`, as bytes."""

    name: str
    dialect: str
    model: str
    status: int
    stream: bool
    body: bytes
    #: An error that no word of the body tells: it ends too early.
    failure: Failure | None = None

    def answer(self):
        answer = oracle.read(self.dialect, self.status, self.body, self.stream)
        answer.failure = answer.failure or self.failure
        return answer


def recorded(folder):
    """Everything in a folder of recorded traffic; its README tells the layout."""
    for form, dialect in FORMATS.items():
        for path in sorted((pathlib.Path(folder) / form).iterdir()):
            meta = json.loads((path / "meta.json").read_text())
            stream = (path / "stream.sse").exists()
            body = (path / ("stream.sse" if stream else "response.json")).read_bytes()
            yield Recording(f"{form}/{path.name}", dialect, meta.get("model") or "m", meta["status"], stream, body)


def golden(folder):
    """The one story that all four dialects tell, streamed and whole."""
    for dialect in FORMATS.values():
        for kind in ("stream.sse", "whole.json"):
            path = pathlib.Path(folder) / f"{dialect}.{kind}"
            yield Recording(f"golden/{path.name}", dialect, "m1", 200, kind == "stream.sse", path.read_bytes())
