"""Hostile requests: what each does to the other clients of a server, and to its memory.

The table has a row for each kind of attack, with the worst route. With `--load 8`, as many clients
stream answers meanwhile, and the table tells what share of their tokens per second they keep. The
attacker takes its part of the machine too, so the control is the same attack on a server that only
reads.
"""

import argparse
import contextlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx
from gguf import PoolingType

from benchmarks import models, sink
from benchmarks.streaming_load import StreamingLoad, streaming
from tests.support.hostile import bodies, connections, media, paths, templates
from tests.support.hostile.connections import MAX_CONNECTIONS
from tests.support.hostile.measurement import (
    MAX_WAIT_SECONDS,
    Attack,
    Measurement,
    Scene,
    Target,
    scene,
)
from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_models import write_llama

_COLUMNS = "{:56} {:>10} {:>8} {:>10} {:>10} {:>8}"
_LOAD_MODEL = "load"
_MIN_SHARE = 0.9
_MIN_TOKENS = 50
"""Fewer tell nothing of the rate."""
_REST_SECONDS = 0.5
"""After an attack, so that what it left behind is not counted to the next one, and the tokens that
came meanwhile have been told."""


@dataclass(slots=True)
class Rates:
    """Tokens of the load and seconds, while the server and while the control is attacked."""

    n_attacked: int = 0
    n_control: int = 0
    attacked_seconds: float = 0.0
    control_seconds: float = 0.0

    @property
    def control(self) -> float:
        """Tokens per second while the control is attacked."""
        return self.n_control / max(self.control_seconds, 1e-9)

    @property
    def share(self) -> float:
        """The rate while the server is attacked by that while the control is."""
        return self.n_attacked / max(self.attacked_seconds, 1e-9) / max(self.control, 1e-9)


def main() -> int:
    """Run the attacks; return how many of them break the rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="run the attacks whose names contain one of these")
    parser.add_argument("--each", action="store_true", help="print every attack as it ends")
    parser.add_argument("--every", type=int, default=1, help="run one of so many attacks")
    parser.add_argument("--load", type=int, default=0, help="clients that stream answers meanwhile")
    arguments = parser.parse_args()
    measured: list[Measurement] = []
    rates: dict[str, Rates] = defaultdict(Rates)
    with tempfile.TemporaryDirectory(prefix="paddock-hostile-") as folder:
        directory = Path(folder)
        with (
            live_server(directory, PADDOCK_MAX_CONNECTIONS=str(MAX_CONNECTIONS)) as server,
            _loaded(server, arguments.load) as load,
            scene(server) as under_attack,
            sink.serving() as control,
        ):
            _install(server, directory)
            if arguments.each:
                print(_COLUMNS.format("attack", "outcome", "seconds", "wait (ms)", "control", "MB"))
            for attack in islice(_attacks(server, directory), 0, None, arguments.every):
                if arguments.only and not any(text in attack.name for text in arguments.only):
                    continue
                if load is not None and not attack.name.startswith("/"):
                    continue  # what ends them is the server, so the control would not
                kind = rates[_kind(attack.name)]
                measured.append(_measure(under_attack, attack, load, kind, control))
                if arguments.each:
                    _print(measured[-1])
    _print_table(measured, rates if arguments.load else {})
    return _print_faults(measured)


def _install(server: LiveServer, directory: Path) -> None:
    server.create(bodies.MODEL, write_llama(directory / "model.gguf"))
    embedder = write_llama(directory / "embedder.gguf", pooling=PoolingType.MEAN)
    server.create(bodies.EMBEDDER, embedder)
    media.model(server, directory)
    templates.models(server, directory)


@contextlib.contextmanager
def _loaded(server: LiveServer, n_clients: int) -> Iterator[StreamingLoad | None]:
    """Stream answers of a model of a realistic size to so many clients."""
    if not n_clients:
        yield None
        return
    server.create(_LOAD_MODEL, models.generative())
    with streaming(server.url, _LOAD_MODEL, n_clients) as load:
        yield load


def _attacks(server: LiveServer, directory: Path) -> Iterator[Attack]:
    openapi = httpx.get(f"{server.url}/openapi.json").json()
    server.load(bodies.MODEL)
    server.load(bodies.EMBEDDER, "/api/embed")
    for route in bodies.routes(openapi):
        yield from bodies.attacks(route, is_thorough=True)
    yield from paths.attacks(openapi)
    yield from connections.attacks()
    media.load(server)
    yield from media.attacks()
    yield from templates.attacks(server, directory)


def _measure(
    under_attack: Scene, attack: Attack, load: StreamingLoad | None, rates: Rates, control: Target
) -> Measurement:
    if load is not None:
        time.sleep(_REST_SECONDS)
        begin = time.monotonic()
        attack.run(control)
        end = time.monotonic()
        time.sleep(_REST_SECONDS)
        rates.n_control += load.n_tokens(begin, end)
        rates.control_seconds += end - begin
    begin = time.monotonic()
    result = under_attack.measure(attack)
    if load is not None:
        time.sleep(_REST_SECONDS)
        end = begin + result.seconds
        rates.n_attacked += load.n_tokens(begin, end)
        rates.attacked_seconds += result.seconds
    return result


def _kind(name: str) -> str:
    """Return what an attack sends, without the route and the place in the body."""
    first, _, rest = name.partition(" ")
    if not first.startswith("/"):
        return name
    return rest.rpartition(": ")[2]


def _print_table(measured: list[Measurement], rates: dict[str, Rates]) -> None:
    """Print a row for each kind: how often, and the worst in each respect with its route."""
    by_kind: dict[str, list[Measurement]] = defaultdict(list)
    for each in measured:
        by_kind[_kind(each.name)].append(each)
    share = " tokens/s kept |" if rates else ""
    print(f"\n| kind | attacks | longest wait (ms) | of control | MB | seconds | worst |{share}")
    print("| --- " * (7 + bool(rates)) + "|")
    for kind, group in sorted(by_kind.items(), key=lambda item: -_longest(item[1]).longest_wait):
        worst = _longest(group)
        place = worst.name.partition(":")[0] if worst.name.startswith("/") else ""
        memory, seconds = max(m.memory for m in group) >> 20, max(m.seconds for m in group)
        row = [
            kind, str(len(group)), f"{worst.longest_wait * 1000:.0f}",
            f"{worst.control_wait * 1000:.0f}", str(memory), f"{seconds:.1f}", place,
        ]  # fmt: skip
        if rates:
            row.append(f"{rates[kind].share:.2f}" if rates[kind].n_control >= _MIN_TOKENS else "")
        print("| " + " | ".join(row) + " |")
    if rates:
        total = Rates(
            n_attacked=sum(each.n_attacked for each in rates.values()),
            n_control=sum(each.n_control for each in rates.values()),
            attacked_seconds=sum(each.attacked_seconds for each in rates.values()),
            control_seconds=sum(each.control_seconds for each in rates.values()),
        )
        print(f"\ntokens/s of the load: {total.control:.1f} while the control is attacked,")
        print(f"{total.share:.3f} of that while the server is (target: at least {_MIN_SHARE})")


def _longest(group: list[Measurement]) -> Measurement:
    return max(group, key=lambda m: m.longest_wait)


def _print_faults(measured: list[Measurement]) -> int:
    """Print the attacks that break the rule, and return how many they are."""
    faults = [m for m in measured if _breaks_rule(m)]
    if faults:
        print("\n" + _COLUMNS.format("attack", "outcome", "seconds", "wait (ms)", "control", "MB"))
    for each in faults:
        _print(each)
    print(f"\n{len(measured)} attacks, {len(faults)} break the rule")
    return len(faults)


def _breaks_rule(measured: Measurement) -> bool:
    is_slow = measured.longest_wait > MAX_WAIT_SECONDS
    return is_slow or measured.memory > measured.max_memory or measured.n_failed > 0


def _print(m: Measurement) -> None:
    wait, control = f"{m.longest_wait * 1000:.0f}", f"{m.control_wait * 1000:.0f}"
    line = (m.name[:56], m.outcome, f"{m.seconds:.2f}", wait, control, m.memory >> 20)
    print(_COLUMNS.format(*line) + ("  !" if _breaks_rule(m) else ""), flush=True)


if __name__ == "__main__":
    raise SystemExit(min(main(), 1))
