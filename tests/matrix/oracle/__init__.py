"""Reads recorded answers into the neutral form, from the wire formats' own documentation.

This is the judge of the translation, so it shares nothing with it.
"""

import json

from neutral import Answer, Failure, events

from . import chat, gemini, messages, responses
from .failures import failure_of

READERS = {"chat": chat, "resp": responses, "anth": messages, "gem": gemini}


def read(dialect, status, body, stream):
    """The answer that `body` holds: the bytes of an SSE stream, or of a JSON body."""
    reader = READERS[dialect]
    if status >= 400:
        return Answer(failure=failure_of(body, status))
    if stream:
        return reader.read_events(events(body))
    whole = json.loads(body)
    if isinstance(whole, dict) and whole.get("error"):
        return Answer(failure=failure_of(body, 0))
    return reader.read_whole(whole)


__all__ = ["Answer", "Failure", "READERS", "failure_of", "read"]
