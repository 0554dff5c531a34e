"""Placement of models on many machines: the policy beside least-loaded and random placement.

A simulation with a fake clock: 100 machines, 300 models whose popularity follows Zipf's law, 5,000
requests a minute, and a machine that fails every minute. It prints waits for the first token,
loads, bytes copied between machines, memory, and how many decisions a core makes in a second.
"""

import argparse
from collections.abc import Callable

from tests.support.placement_simulation import (
    AtRandom,
    Pinned,
    Result,
    Simulation,
    Workload,
    least_loaded,
)

PLACEMENTS: dict[str, Pinned | None] = {
    "paddock": None,
    "least loaded": least_loaded,
    "random": AtRandom(),
}


COLUMNS: tuple[tuple[str, int, Callable[[Result], float]], ...] = (
    ("requests", 9, lambda result: result.n_requests),
    ("wait p50", 10, lambda result: result.wait(0.5)),
    ("p95", 10, lambda result: result.wait(0.95)),
    ("p99", 10, lambda result: result.wait(0.99)),
    ("unserved", 10, lambda r: r.n_requests - len(r.waits) - r.n_given_up),
    ("loads", 8, lambda result: result.n_loads),
    ("copied GB", 12, lambda result: result.bytes_copied // 10**9),
    ("evicted", 9, lambda result: result.n_evictions),
    ("replicas", 10, lambda result: result.n_replicas),
    ("lost", 6, lambda result: result.n_lost),
    ("again", 7, lambda result: result.n_placed_again),
    ("prefix", 8, lambda result: result.n_known_prefix / len(result.waits)),
    ("memory", 8, lambda result: result.most_memory),
    ("busiest", 9, lambda result: result.imbalance),
    ("decisions/s", 13, lambda result: result.n_decisions // result.decision_seconds),
)
"""Titles, widths and values; waits in seconds, `busiest` in multiples of the mean."""


def main() -> None:
    """Print a row for each placement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--requests", type=float, default=5000.0, help="per minute")
    parser.add_argument("--failures", type=float, default=1.0, help="per minute")
    parser.add_argument("--only", choices=PLACEMENTS, help="one placement")
    options = parser.parse_args()
    workload = Workload(
        n_machines=options.machines,
        n_models=options.models,
        requests_per_minute=options.requests,
        seconds=options.minutes * 60,
        failures_per_minute=options.failures,
    )
    print(f"{'placement':<14}" + "".join(f"{title:>{width}}" for title, width, _ in COLUMNS))
    for name, placement in PLACEMENTS.items():
        if options.only in (None, name):
            _print(name, Simulation(workload, placement).run())


def _print(name: str, result: Result) -> None:
    cells = (f"{value(result):>{width},.2f}".removesuffix(".00").rjust(width)
             for _, width, value in COLUMNS)  # fmt: skip
    print(f"{name:<14}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
