"""An upstream that answers with recordings, cut into pieces at random places.

The first segment of the path names the case; what it asked for does not matter.
"""

import random
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, seed):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seed = seed
        self.recordings = {}
        self.requests = {}

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # the router may hang up
            super().handle_error(request, client_address)

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without a look-up of the host's name


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self):
        case = self.path.split("/")[1]
        recording = self.server.recordings[case]
        self.server.requests.setdefault(case, []).append((self.path, self.read_body()))
        self.send_response(recording.status)
        if recording.stream:
            self.send_header("content-type", "text/event-stream; charset=utf-8")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in pieces(recording.body, random.Random(f"{self.server.seed}/{case}")):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("content-type", "application/json; charset=utf-8")
            self.send_header("content-length", str(len(recording.body)))
            self.end_headers()
            self.wfile.write(recording.body)

    def read_body(self):
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_):
        pass


def pieces(body, chance):
    """Cuts anywhere, also inside a code point; mostly small pieces, at times many events at once."""
    at, longest = 0, chance.choice([1, 7, 60, 900, 20_000])
    while at < len(body):
        end = at + chance.randint(1, longest)
        yield body[at:end]
        at = end
