"""One scripted model behind a real socket, in all four dialects, with the mishaps that a run asks for."""

import dataclasses
import gzip
import http.server
import json
import random
import re
import socket
import struct
import threading

from . import anth, chat, gem, resp
from .story import Invalid, Story, Turn

MODULES = {"chat": chat, "resp": resp, "anth": anth, "gem": gem}
PATHS = (
    ("chat", re.compile(r"/chat/completions$")),
    ("resp", re.compile(r"/responses$")),
    ("anth", re.compile(r"/messages$")),
    ("gem", re.compile(r":(stream)?[gG]enerateContent$")),
)


@dataclasses.dataclass
class Mishaps:
    """What goes wrong in a run."""

    # Break the connection inside the arguments of the first call, once: None, "end" or "reset".
    cut_once: str | None = None
    # Answer 429 to the first account that asks, always.
    refuse_first_account: bool = False
    # Silence in seconds before the first byte (every odd answer) or between head and content (every even one).
    silence: float = 0.0


@dataclasses.dataclass
class Exchange:
    """One request as the upstream saw it."""

    dialect: str
    key: str
    status: int
    body: dict | None
    note: str = ""


class Upstream:
    """Serves until `close`. `exchanges` and `violations` grow as requests come."""

    def __init__(self, story: Story, mishaps: Mishaps, keys: list[str]):
        self.story, self.mishaps, self.keys = story, mishaps, keys
        self.lock = threading.Lock()
        self.exchanges: list[Exchange] = []
        self.violations: list[str] = []
        self.unexpected: list[str] = []
        self.was_cut = False
        self.refused_key = None
        self.answers = 0
        self.closed = threading.Event()
        self.server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"upstream": self}))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    def refuses(self, key):
        """Whether this account is the one that is over its limit."""
        with self.lock:
            if self.mishaps.refuse_first_account and self.refused_key is None:
                self.refused_key = key
            return key == self.refused_key

    def cuts(self, turn: Turn):
        """Whether this answer is the one that breaks."""
        with self.lock:
            due = bool(self.mishaps.cut_once and turn.calls and not self.was_cut)
            self.was_cut |= due
            return due


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *about):
        super().__init__(*about)
        # Connections that end without a farewell.
        self.abrupt = set()

    def shutdown_request(self, request):
        if request in self.abrupt:
            self.abrupt.discard(request)
            request.close()
        else:
            super().shutdown_request(request)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: Upstream

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_json(200, {})

    def do_GET(self):
        if self.path.split("?")[0].endswith("/models"):
            return self.send_json(200, {"object": "list", "data": [], "models": []})
        return self.send_json(404, {"error": {"message": f"no such path: {self.path}"}})

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("transfer-encoding"):
            raw = self.read_chunked()
        if self.headers.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        path = self.path.split("?")[0]
        dialect = next((d for d, pattern in PATHS if pattern.search(path)), None)
        if path.endswith("/count_tokens"):
            return self.send_json(200, {"input_tokens": 2000})
        if dialect is None:
            self.upstream.unexpected.append(self.path)
            return self.send_json(404, {"error": {"message": f"no such path: {self.path}"}})
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        return self.converse(dialect, path, body)

    def read_chunked(self):
        out = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            out += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return out

    def key(self, dialect):
        """The credential, in the place where the dialect has it."""
        if dialect == "anth" and self.headers.get("x-api-key"):
            return self.headers["x-api-key"]
        if dialect == "gem":
            return self.headers.get("x-goog-api-key", "")
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def converse(self, dialect, path, body):
        up, module, key = self.upstream, MODULES[dialect], self.key(dialect)
        exchange = Exchange(dialect, key, 200, body)
        with up.lock:
            up.exchanges.append(exchange)
        if up.refuses(key):
            exchange.status = 429
            return self.send_json(429, module.error(429, "Rate limit reached"), {"retry-after": "30"})
        try:
            if body is None:
                raise Invalid("body_not_json")
            if key not in up.keys:
                raise Invalid("wrong_credential", key[:12])
            seen = module.see(body, path, self.headers, up.story)
            turn = up.story.answer(seen, dialect)
        except Invalid as broken:
            exchange.status, exchange.note = 400, str(broken)
            up.violations.append(f"{dialect}: {broken}")
            return self.send_json(400, module.error(400, f"invalid request: {broken}"))
        with up.lock:
            up.answers += 1
            number = up.answers
        # A title or a summary is not what the silence is about.
        silence = up.mishaps.silence if seen.tools else 0.0
        if number % 2:
            up.closed.wait(silence)
            silence = 0.0
        about = (path, seen, number, up.story) if dialect == "gem" else (body, seen, number)
        if not seen.stream:
            return self.send_json(200, module.whole(turn, *about))
        return self.send_stream(list(module.stream(turn, *about)), up.cuts(turn), silence, exchange)

    def send_json(self, status, value, headers=()):
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"content-type": "application/json", "content-length": len(data), **dict(headers)}.items():
            self.send_header(name, str(text))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else data)

    def send_stream(self, frames, cut, silence, exchange):
        """The frames, in pieces that respect neither events nor characters."""
        data = b"".join(frames)
        if cut:
            data = data[: cut_at(frames)]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        self.upstream.closed.wait(silence)
        dice = random.Random(len(data))
        try:
            while data:
                size = dice.randint(1, 900)
                piece, data = data[:size], data[size:]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()
            if not cut:
                self.wfile.write(b"0\r\n\r\n")
                return
        except OSError:
            exchange.note = "the client left"
            self.close_connection = True
            return
        exchange.note = "cut"
        # The end of the connection, clean or not, in the place of the last chunk.
        if self.upstream.mishaps.cut_once == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.abrupt.add(self.connection)
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


def cut_at(frames):
    """A place inside the arguments of the first call: past the text, before the call is whole."""
    marks = (b'"tool_calls"', b"function_call_arguments.delta", b"custom_tool_call_input.delta", b"input_json_delta", b"functionCall")
    inside = [n for n, frame in enumerate(frames) if any(mark in frame for mark in marks)]
    middle = inside[len(inside) // 2] if len(inside) > 2 else inside[0]
    return sum(len(f) for f in frames[:middle]) + len(frames[middle]) // 2
