"""The real binary on a free port, with a configuration of its own."""

import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time
import urllib.request

NODES = {
    "chat": 'type = "openai-compatible"\napi_type = "chat"',
    "resp": 'type = "openai-compatible"\napi_type = "responses"',
    "anth": 'type = "anthropic-compatible"',
    "gem": 'type = "gemini-compatible"',
}


def base_path(dialect):
    return "/v1beta" if dialect == "gem" else "/v1"


class Router:
    """Runs while the `with` block runs; `cases` are pairs of a name and an upstream's dialect."""

    def __init__(self, binary, cases, upstream):
        self.folder = tempfile.TemporaryDirectory()
        home = pathlib.Path(self.folder.name)
        config = "[settings]\n"
        for name, dialect in cases:
            config += (f'[[nodes]]\nname = "{name}"\nprefix = "{name}"\n{NODES[dialect]}\n'
                       f'base_url = "{upstream}/{name}{base_path(dialect)}"\nnetwork = "loopback"\n'
                       f'[[accounts]]\nprovider = "{name}"\nlabel = "{name}"\napi_key = "env:MATRIX_KEY"\n')
        (home / "config.toml").write_text(config)
        self.environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(home), "DATA_DIR": str(home / "data"),
            "NINEROUTER_CONFIG": str(home / "config.toml"), "MATRIX_KEY": "key-of-the-upstream",
        }
        self.binary = str(pathlib.Path(binary).resolve())
        self.output = []

    def __enter__(self):
        self.process = subprocess.Popen(
            [self.binary, "serve", "--port", "0", "--no-background"], cwd=self.folder.name, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        found = threading.Event()

        def collect():
            for line in self.process.stdout:
                self.output.append(line)
                if match := re.search(r":(\d+)/v1\b", line):
                    self.base = f"http://localhost:{match[1]}"
                    found.set()
            found.set()

        threading.Thread(target=collect, daemon=True).start()
        found.wait(60)
        if not hasattr(self, "base"):
            self.__exit__()
            raise RuntimeError("the router did not start:\n" + "".join(self.output[-40:]))
        self.wait_until_ready()
        return self

    def wait_until_ready(self):
        limit = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(self.base + "/readyz") as reply:
                    if reply.status == 200:
                        return
            except OSError:
                pass
            if time.monotonic() > limit:
                raise RuntimeError("the router is not ready:\n" + "".join(self.output[-40:]))
            threading.Event().wait(0.02)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()
