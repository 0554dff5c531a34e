"""`python -m tests.conformance --server URL --models DIR`: replay all cases, print what differs.

The server must have an empty store, and DIR the model files that the answers were recorded with.
"""

import argparse
import sys
from pathlib import Path

import httpx

from tests.conformance.replay import Replay, recorded_cases


def main() -> int:
    """Print a line for each difference and the totals; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--server", required=True, help="its URL")
    parser.add_argument("--models", required=True, type=Path, help="the directory of the files")
    arguments = parser.parse_args()
    n_failed = 0
    cases = recorded_cases()
    with httpx.Client(base_url=arguments.server, timeout=60) as http:
        replay = Replay(http, arguments.models)
        for case in cases:
            if lines := replay.play(case):
                n_failed += 1
                print(f"FAIL {case.id}", *lines[:4], sep="\n    ")
    print(f"{len(cases) - n_failed} passed, {n_failed} failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
