"""Hostile requests: what each does to the other clients of a server, and to its memory."""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
from gguf import PoolingType

from tests.support.hostile import bodies, connections
from tests.support.hostile.connections import MAX_CONNECTIONS
from tests.support.hostile.measurement import (
    MAX_WAIT_SECONDS,
    Attack,
    Measurement,
    Scene,
    scene,
)
from tests.support.live_server import live_server
from tests.support.tiny_models import write_llama

_COLUMNS = "{:56} {:>10} {:>8} {:>10} {:>10} {:>8}"


def main() -> int:
    """Run the attacks; return how many of them break the rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="run the attacks whose names contain one of these")
    parser.add_argument("--each", action="store_true", help="print every attack, not one per kind")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="paddock-hostile-") as folder,
        live_server(Path(folder), PADDOCK_MAX_CONNECTIONS=str(MAX_CONNECTIONS)) as server,
        scene(server) as under_attack,
    ):
        server.create(bodies.MODEL, write_llama(Path(folder) / "model.gguf"))
        embedder = write_llama(Path(folder) / "embedder.gguf", pooling=PoolingType.MEAN)
        server.create(bodies.EMBEDDER, embedder)
        openapi = httpx.get(f"{server.url}/openapi.json").json()
        measured = []
        print(_COLUMNS.format("attack", "outcome", "seconds", "wait (ms)", "control", "MB"))
        for each in _run(under_attack, openapi, arguments.only):
            measured.append(each)
            if arguments.each:
                _print(each)
    if not arguments.each:
        for each in _worst(measured):
            _print(each)
    faults = [m for m in measured if _breaks_rule(m)]
    print(f"{len(measured)} attacks, {len(faults)} break the rule")
    return len(faults)


def _run(under_attack: Scene, openapi: dict[str, object], only: list[str]) -> Iterator[Measurement]:
    for attack in _attacks(openapi):
        if not only or any(text in attack.name for text in only):
            yield under_attack.measure(attack)


def _attacks(openapi: dict[str, object]) -> Iterator[Attack]:
    for route in bodies.routes(openapi):
        yield from bodies.attacks(route, is_thorough=True)
    yield from connections.attacks()


def _worst(measured: list[Measurement]) -> list[Measurement]:
    """Return the longest wait of each route and kind."""
    by_kind: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    for each in measured:
        by_kind[each.name.partition(" ")[0], each.name.rpartition(": ")[2]].append(each)
    return [max(group, key=lambda m: m.longest_wait) for group in by_kind.values()]


def _breaks_rule(measured: Measurement) -> bool:
    is_slow = measured.longest_wait > MAX_WAIT_SECONDS
    return is_slow or measured.memory > measured.max_memory or measured.n_failed > 0


def _print(m: Measurement) -> None:
    wait, control = f"{m.longest_wait * 1000:.0f}", f"{m.control_wait * 1000:.0f}"
    line = (m.name[:56], m.outcome, f"{m.seconds:.2f}", wait, control, m.memory >> 20)
    print(_COLUMNS.format(*line) + ("  !" if _breaks_rule(m) else ""), flush=True)


if __name__ == "__main__":
    raise SystemExit(min(main(), 1))
