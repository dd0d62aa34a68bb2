"""Starts programs in a home of their own and ends them with all their children."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

# `type` and `api_type` of the node of each dialect, and the path that its base URL ends in.
NODES = {
    "chat": ("openai-compatible", "chat", "/v1"),
    "resp": ("openai-compatible", "responses", "/v1"),
    "anth": ("anthropic-compatible", None, "/v1"),
    "gem": ("gemini-compatible", None, "/v1beta"),
}


def start(command, home: pathlib.Path, work: pathlib.Path, env, **pipes):
    """A process in a group of its own, with nothing of our environment but where programs are found: beside it first."""
    closed = "http://127.0.0.1:9"
    base = {
        "PATH": f"{pathlib.Path(command[0]).parent}:{os.environ['PATH']}", "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", "TERM": "dumb", "NO_COLOR": "1",
        "XDG_CONFIG_HOME": str(home / ".config"), "XDG_DATA_HOME": str(home / ".local/share"), "DO_NOT_TRACK": "1",
        # Whoever calls home finds nobody there.
        "HTTPS_PROXY": closed, "https_proxy": closed, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
    }  # fmt: skip
    return subprocess.Popen(
        command, cwd=work, env={**base, **env}, stdin=subprocess.DEVNULL, start_new_session=True, **pipes
    )


def end(process):
    """Ends the process's whole group, at once."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run(command, home, work, env, limit):
    """(exit status or None when the time was up, standard output, standard error)."""
    with open(home / "stdout", "w+b") as out, open(home / "stderr", "w+b") as err:
        process = start(command, home, work, env, stdout=out, stderr=err)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            end(process)
        out.seek(0)
        err.seek(0)
        return status, out.read().decode(errors="replace"), err.read().decode(errors="replace")


class Router:
    """The real binary with one node per dialect, all at the same upstream, ready to serve."""

    def __init__(self, binary, folder: pathlib.Path, upstream_url, keys):
        env = {"DATA_DIR": str(folder / "data"), "NINEROUTER_CONFIG": str(folder / "config.toml")}
        lines = []
        for dialect, (kind, api, path) in NODES.items():
            lines += ["[[nodes]]", f'name = "{dialect}"', f'prefix = "{dialect}"', f'type = "{kind}"']
            lines += [f'api_type = "{api}"'] if api else []
            lines += [f'base_url = "{upstream_url}{path}"', 'network = "loopback"']
            for number, key in enumerate(keys):
                env[f"LAB_KEY_{number}"] = key
                lines += ["[[accounts]]", f'provider = "{dialect}"', f'label = "{dialect}-{number}"']
                lines += [f'api_key = "env:LAB_KEY_{number}"']
        env["LAB_CLIENT_KEY"] = "sk-lab-client-0123456789abcdef"
        lines += ["[[keys]]", 'name = "lab"', 'key = "env:LAB_CLIENT_KEY"']
        self.client_key = env["LAB_CLIENT_KEY"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text("\n".join(lines) + "\n")
        command = [str(binary), "serve", "--port", "0", "--no-background"]
        self.process = start(command, folder, folder, env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = ""
        self.url = None
        self.found = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()
        if not self.found.wait(30) or self.url is None:
            end(self.process)
            raise RuntimeError(f"the router did not start:\n{self.output}")
        self.await_ready()

    def listen(self):
        for line in self.process.stdout:
            self.output += line.decode(errors="replace")
            if self.url is None and (port := re.search(r":(\d+)/v1", self.output)):
                self.url = f"http://127.0.0.1:{port[1]}"
                self.found.set()
        self.found.set()

    def await_ready(self):
        until = time.monotonic() + 30
        while True:
            try:
                return urllib.request.urlopen(f"{self.url}/readyz", timeout=5).close()
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError(f"the router is not ready:\n{self.output}") from None
                time.sleep(0.05)

    def close(self):
        end(self.process)
