"""Runs recorded answers of every dialect through the router to the official SDK of every dialect,
and prints which came out as they were recorded.

usage: python tests/matrix --router target/debug/ninerouter [--recordings FOLDER] [--seed N]
                           [--only TEXT] [--direct] [-v]
"""

import argparse
import os
import random
import sys
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(name, None)
# Recorded models are deprecated at times, and recorded answers carry more than the SDK's types know.
warnings.simplefilter("ignore")

import recordings  # noqa: E402
import replay  # noqa: E402
import vendors  # noqa: E402
from ask import Asker  # noqa: E402
from expect import IMPOSSIBLE, features, impossible  # noqa: E402
from router import Router  # noqa: E402

DIALECTS = ("chat", "resp", "anth", "gem")
NAMES = {"chat": "Chat", "resp": "Responses", "anth": "Messages", "gem": "Gemini"}
GOLDEN = Path(__file__).resolve().parents[2] / "dialect" / "tests" / "golden"


@dataclass
class Case:
    """One recording for one client, streamed to it or not."""

    name: str
    recording: object
    client: str
    streamed: bool
    found: list = field(default_factory=list)

    def title(self):
        how = "stream" if self.streamed else "whole"
        return f"{self.recording.name} → {self.client} {how}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--router", help="the binary to test")
    parser.add_argument("--recordings", default=os.environ.get("NINEROUTER_FIXTURES"), help="folder of recorded traffic")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="where streams are cut")
    parser.add_argument("--only", default="", help="cases whose title has this text")
    parser.add_argument("--direct", action="store_true", help="judge the judge: same dialect, without the router")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each case")
    return parser.parse_args()


def cases(options):
    known = [*recordings.golden(GOLDEN), *vendors.stories()]
    if options.recordings:
        known += recordings.recorded(options.recordings)
    out = []
    for recording in known:
        for client in DIALECTS:
            for streamed in (True, False):
                if options.direct and (client, streamed) != (recording.dialect, recording.stream):
                    continue
                case = Case(f"c{len(out)}", recording, client, streamed)
                if options.only in case.title():
                    out.append(case)
    return out


def main():
    options = arguments()
    todo = cases(options)
    print(f"seed {options.seed}, {len(todo)} cases")
    server = replay.Server(options.seed)
    server.recordings = {case.name: case.recording for case in todo}
    upstream = server.start()
    nodes = [(case.name, case.recording.dialect) for case in todo]
    with nullcontext() if options.direct else Router(options.router, nodes, upstream) as router:
        asker = Asker(None if options.direct else router.base, upstream)
        with ThreadPoolExecutor(8) as pool:
            for case, found in zip(todo, pool.map(asker.judge, todo)):
                case.found = found
                if options.verbose or found:
                    print(("FAIL " if found else "ok   ") + case.title(), *found, sep="\n       ")
    print_matrix(todo)
    sys.exit(any(case.found for case in todo))


def print_matrix(done):
    """Rows: who answered; columns: who asked, and how."""
    right, total, left_out = Counter(), Counter(), Counter()
    for case in done:
        cell = (case.recording.dialect, case.recording.stream, case.client, case.streamed)
        total[cell] += 1
        right[cell] += not case.found
        for feature in features(case.recording.answer()):
            if case.client != case.recording.dialect and impossible(feature, case.client):
                left_out[feature, case.recording.dialect, case.client] += 1
    ways = [(client, streamed) for client in DIALECTS for streamed in (True, False)]
    print("\n" + "upstream \\ client".ljust(20) + "".join(f"{NAMES[c]:>20}" for c in DIALECTS))
    print(" " * 20 + "".join(f"{'stream' if s else 'whole':>10}" for _, s in ways))
    for dialect in DIALECTS:
        for stream in (True, False):
            row = f"{NAMES[dialect]} {'stream' if stream else 'whole'}".ljust(20)
            for way in ways:
                cell = (dialect, stream, *way)
                row += f"{f'{right[cell]}/{total[cell]}' if total[cell] else '–':>10}"
            print(row)
    print(f"\n{sum(right.values())} of {sum(total.values())} as recorded")
    if left_out:
        print("\nimpossible, and left out of the comparison:")
        for feature, clients, why in IMPOSSIBLE:
            for client in clients:
                pairs = [f"{n} from {NAMES[d]}" for (f, d, c), n in left_out.items() if (f, c) == (feature, client)]
                if pairs:
                    print(f"  {feature} → {NAMES[client]}: {why} ({', '.join(pairs)})")


if __name__ == "__main__":
    main()
