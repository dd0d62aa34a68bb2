"""Asks through an SDK and compares what it understood with what the recording holds."""

import threading
import traceback

import anthropic
import httpx
import httpx2
import openai
import pydantic
from google.genai import errors as google_errors

from clients import CLIENTS
from expect import differences, project, unreadable
from neutral import Failure, View
from router import base_path

#: How an SDK says that the connection broke.
BROKEN = (openai.APIConnectionError, anthropic.APIConnectionError, httpx.TransportError, httpx2.TransportError)


class Asker:
    """Sends the cases to the router at `base`, or straight to `upstream` when that is None."""

    def __init__(self, base, upstream):
        self.base, self.upstream = base, upstream
        self.local = threading.local()

    def connection(self, case):
        """SDK clients are kept per thread; without a router each case has an address of its own."""
        sdk = CLIENTS[case.client]
        if self.base is None:
            return sdk.connect(f"{self.upstream}/{case.name}")
        known = self.local.__dict__.setdefault("clients", {})
        if case.client not in known:
            known[case.client] = sdk.connect(self.base)
        return known[case.client]

    def judge(self, case):
        """Differences, as sentences; none when the client understood what was recorded."""
        answer = case.recording.answer()
        if unreadable(answer, case.client):
            return []
        foreign = case.client != case.recording.dialect or case.streamed != case.recording.stream
        try:
            got = self.ask(case, answer, foreign)
            if self.base is None and answer.failure and (got.status or case.recording.failure):
                return []  # the provider's own status, and an end that only the router finds wrong
            return differences(answer, case.client, got, case.streamed, foreign)
        except (AssertionError, pydantic.ValidationError) as problem:
            return [f"protocol: {problem}"[:600]]
        except Exception:
            return ["raised: " + traceback.format_exc(limit=-4)[-900:]]

    def ask(self, case, answer, foreign):
        sdk, client = CLIENTS[case.client], self.connection(case)
        model = case.recording.model if self.base is None else f"{case.name}/{case.recording.model}"
        tools = sorted({(c.name, c.free) for c in answer.of("call")})
        replies, final = [], None
        try:
            if not case.streamed:
                replies.append(sdk.whole(client, model, tools))
            else:
                follow = sdk.stream if foreign else sdk.raw_stream
                final = follow(client, model, tools, replies)
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            if not replies:
                return View(status=error.status_code, failure=Failure("", str(error)))
            return View(failure=Failure("", str(error)))
        except google_errors.APIError as error:
            if not replies:
                return View(status=error.code, failure=Failure("", str(error)))
            return View(failure=Failure("", str(error)))
        except (openai.APIError, anthropic.APIError, *BROKEN) as error:
            return View(failure=Failure("", f"{type(error).__name__}: {error}"))
        if error := sdk.failure_in(replies):
            return View(failure=Failure("", str(error)))
        if not foreign:
            return project(sdk.answer(replies, case.streamed), case.client)
        own = case.client == case.recording.dialect
        return sdk.view_stream(replies, final, own) if case.streamed else sdk.view(replies[0], own)
