"""Soak test: a mixed load with random faults for minutes; no model is lost, no request hangs.

Runners are killed and stopped, connections are cut, the disk is full, and open files run out. At
the end every model whose creation was confirmed must answer, and memory and open files must be
where they were in the first quarter.
"""

import argparse
import asyncio
import contextlib
import random
import re
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import httpx
import psutil
from gguf import PoolingType

from benchmarks import registry
from benchmarks.measure import arguments, run
from benchmarks.soak_faults import FAULTS, Faults, full_disk
from model_store.store import Store
from tests.support import gguf_bytes
from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_models import write_llama

CHAT, EMBED = "chat", "embedder"
HANG_SECONDS = 120.0
"""A request that has not ended by then hangs: stopped runners are noticed within 15 seconds."""
PULL_BYTES = 24 << 20
MOST_MODELS = 12
OPEN_FILES = 1024
"""Of the server: fewer than the connections that it takes, so that opening files fails."""
_SAMPLE_SECONDS = 0.5
_FILE_KINDS = ("files", "pipes", "sockets", "anon_inodes")
_UNEXPECTED, _SHOWN_LINES, _SHOWN_TEXT = "unexpected error", 60, 160
_INTERNAL = "internal server error"


@dataclass(slots=True)
class Tally:
    """How the requests ended, by the work and the outcome, and samples of the server's resources.

    `expected` are the models whose creation was confirmed and whose deletion was not begun.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    expected: set[str] = field(default_factory=set)
    samples: list["Sample"] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """Return how many requests of all kinds ended so."""
        return sum(n for (_, each), n in self.outcomes.items() if each == outcome)


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory of the server and of its other processes, in MB, and its open files by kind.

    How many runners there are depends on the faults before, so theirs is that of one on average.
    """

    server_mb: float
    other_mb: float
    files: Counter[str]


_texts: Counter[str] = Counter()

Work = Callable[[httpx.AsyncClient, Tally, int], Awaitable[str]]
"""One request or a few that belong together; returns the outcome of the last one."""


async def _post(http: httpx.AsyncClient, path: str, **body: Any) -> tuple[str, Any]:
    """Send a request; return "ok" or how it failed, and the answer."""
    answer = await http.post(path, json={"stream": False, **body})
    if answer.is_success:
        return "ok", answer.json() if answer.content else None
    return _failure(answer.text, answer.status_code), None


def _failure(text: str, status: int) -> str:
    """Return the outcome of a request that was refused; every text is counted, without digits."""
    _texts[f"{status} " + re.sub("[0-9a-f]*[0-9][0-9a-f]*", "#", text.strip())[:_SHOWN_TEXT]] += 1
    return "internal" if _INTERNAL in text else f"error {status}"


async def _chat(http: httpx.AsyncClient, _tally: Tally, number: int) -> str:
    """Read an answer while it is written; some clients leave in the middle."""
    body = {
        "model": CHAT,
        "messages": [{"role": "user", "content": f"Tell me about {number}."}],
        "options": {"num_predict": random.randint(5, 60)},
    }
    async with http.stream("POST", "/api/chat", json=body) as answer:
        if not answer.is_success:
            return _failure((await answer.aread()).decode(), answer.status_code)
        last = ""
        async for line in answer.aiter_lines():
            last = line
            if random.random() < 0.01:
                return "left"
    if '"error"' in last:
        return "internal" if _INTERNAL in last else "error line"
    return "ok" if '"done":true' in last else "cut"


async def _embed(http: httpx.AsyncClient, _tally: Tally, number: int) -> str:
    outcome, _ = await _post(http, "/api/embed", model=EMBED, input=[f"text {number}"] * 8)
    return outcome


async def _pull(http: httpx.AsyncClient, tally: Tally, _number: int, *, host: str) -> str:
    """Pull a model and delete it again."""
    name = f"{host}/library/bench"
    outcome, _ = await _post(http, "/api/pull", model=name, insecure=True)
    if outcome != "ok":
        return outcome
    tally.expected.add(name)
    if random.random() < 0.3:
        return "ok"
    return await _delete(http, tally, name)


async def _make(http: httpx.AsyncClient, tally: Tally, number: int) -> str:
    """Create a model from another, copy it, and delete others when there are enough."""
    made, copied = f"made-{number}", f"copied-{number}"
    system = f"You are number {number}." * random.randint(1, 2000)
    outcome, _ = await _post(http, "/api/create", model=made, system=system, **{"from": CHAT})
    if outcome != "ok":
        return outcome
    tally.expected.add(made)
    outcome, _ = await _post(http, "/api/copy", source=made, destination=copied)
    if outcome == "ok":
        tally.expected.add(copied)
    ours = [each for each in tally.expected if each.startswith(("made-", "copied-"))]
    random.shuffle(ours)
    for name in ours[MOST_MODELS:]:
        outcome = await _delete(http, tally, name)
    return outcome


async def _delete(http: httpx.AsyncClient, tally: Tally, name: str) -> str:
    # If it fails, it is unknown whether the model is there.
    tally.expected.discard(name)
    answer = await http.request("DELETE", "/api/delete", json={"model": name})
    return "ok" if answer.is_success else _failure(answer.text, answer.status_code)


async def _list(http: httpx.AsyncClient, _tally: Tally, _number: int) -> str:
    for path in ("/api/version", "/api/ps", "/api/tags"):
        answer = await http.get(path)
        if not answer.is_success:
            return _failure(answer.text, answer.status_code)
    outcome, _ = await _post(http, "/api/show", model=CHAT)
    return outcome


async def _repeat(name: str, work: Work, url: str, tally: Tally, until: float) -> None:
    """Do `work` again and again, and count how it ends."""
    number = random.randrange(1 << 20) << 10
    async with httpx.AsyncClient(base_url=url, timeout=HANG_SECONDS) as http:
        while time.monotonic() < until:
            number += 1
            try:
                async with asyncio.timeout(HANG_SECONDS):
                    outcome = await work(http, tally, number)
            except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout):
                outcome = "hanging"
            except httpx.TransportError:
                outcome = "cut"
            tally.outcomes[name, outcome] += 1
            await asyncio.sleep(random.uniform(0.0, 0.1) if outcome == "ok" else 0.3)


async def _cause(faults: Faults, names: list[str], tally: Tally, until: float) -> None:
    """Cause one fault after another, each in turn in random order."""
    while time.monotonic() < until:
        for name in random.sample(names, len(names)):
            await asyncio.sleep(random.uniform(1.0, 4.0))
            if time.monotonic() > until:
                return
            await FAULTS[name](faults)
            tally.faults[name] += 1


async def _watch(process: psutil.Process, tally: Tally, until: float) -> None:
    while time.monotonic() < until:
        others = []
        for each in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                others.append(each.memory_info().rss / 1e6)
        own = process.memory_info().rss / 1e6
        mean = fmean(others) if others else 0.0
        tally.samples.append(Sample(own, mean, _open_files(process.pid)))
        await asyncio.sleep(_SAMPLE_SECONDS)


async def benchmark(options: argparse.Namespace) -> None:
    """Let the clients work while faults happen, then look what is left."""
    random.seed(options.seed)
    _raise_own_limit()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="paddock-soak-") as folder:
        files = Path(folder)
        weights = files / "weights"
        weights.write_bytes(gguf_bytes.model() + random.randbytes(PULL_BYTES))
        with (
            registry.serving(weights) as source,
            full_disk(files / "server" / "models") as disk,
            live_server(files / "server", OLLAMA_MAX_LOADED_MODELS="4") as server,
            _limited(server),
        ):
            _install(server, files, tally)
            until = time.monotonic() + options.minutes * 60
            names = [name for name in FAULTS if not options.only or name in options.only]
            async with asyncio.TaskGroup() as tasks:
                for name, work in _works(source.host):
                    tasks.create_task(_repeat(name, work, server.url, tally, until))
                tasks.create_task(_cause(Faults(server, disk), names, tally, until))
                tasks.create_task(_watch(server.process, tally, until))
            lost = await _lost(server, tally)
            damaged = Store(server.store).verify([], lambda _size: None)
            log = server.log.read_text()
    _report(options.minutes, tally, lost, [each.name.short for each in damaged])
    for text, count in _texts.most_common():
        print(f"  {count:5} {text}")
    if _UNEXPECTED in log:
        print("\n".join(log[log.index(_UNEXPECTED) :].splitlines()[:_SHOWN_LINES]))


def _raise_own_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def _limited(server: LiveServer) -> Iterator[None]:
    """Allow the server fewer open files than it takes connections, on Linux."""
    if hasattr(server.process, "rlimit"):
        server.process.rlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    yield


def _install(server: LiveServer, files: Path, tally: Tally) -> None:
    server.create(CHAT, write_llama(files / "chat.gguf", n_ctx=2048, ends=False))
    server.create(EMBED, write_llama(files / "embed.gguf", pooling=PoolingType.MEAN, seed=1))
    tally.expected |= {CHAT, EMBED}


def _works(host: str) -> list[tuple[str, Work]]:
    """Return what each client does; `host` is that of the registry."""

    async def pull(http: httpx.AsyncClient, tally: Tally, number: int) -> str:
        return await _pull(http, tally, number, host=host)

    return [
        ("chat", _chat), ("chat", _chat), ("chat", _chat), ("embed", _embed), ("pull", pull),
        ("make", _make), ("list", _list),
    ]  # fmt: skip


async def _lost(server: LiveServer, tally: Tally) -> list[str]:
    """Return the expected models that are not there or do not answer."""
    lost = []
    async with httpx.AsyncClient(base_url=server.url, timeout=HANG_SECONDS) as http:
        for name in sorted(tally.expected):
            shown, _ = await _post(http, "/api/show", model=name)
            if name.startswith(("made-", "copied-", CHAT)) and shown == "ok":
                options = {"num_predict": 1}
                shown, _ = await _post(
                    http, "/api/generate", model=name, prompt="a", options=options
                )
            if shown != "ok":
                lost.append(f"{name} ({shown})")
    return lost


def _open_files(pid: int) -> Counter[str]:
    """Return how many open files of each kind a process has."""
    kinds: Counter[str] = Counter()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            target = str(path.readlink())
            kinds["files" if target.startswith("/") else target.partition(":")[0] + "s"] += 1
    return kinds


def _report(minutes: float, tally: Tally, lost: list[str], damaged: list[str]) -> None:
    total = sum(tally.outcomes.values())
    print(f"\n{minutes:g} minutes, {total} requests, {sum(tally.faults.values())} faults")
    print("  faults: " + ", ".join(f"{name} {n}" for name, n in sorted(tally.faults.items())))
    for work in dict.fromkeys(name for name, _ in tally.outcomes):
        ends = {end: n for (name, end), n in tally.outcomes.items() if name == work}
        shown = ", ".join(f"{end} {n}" for end, n in sorted(ends.items(), key=lambda e: -e[1]))
        print(f"  {work:6} {shown}")
    print(f"  models            {len(tally.expected):10}")
    print(f"  models lost       {len(lost):10}   (target: 0) {', '.join(lost)}")
    print(f"  models damaged    {len(damaged):10}   (target: 0) {', '.join(damaged)}")
    print(f"  hanging requests  {tally.count('hanging'):10}   (target: 0)")
    print(f"  internal errors   {tally.count('internal'):10}   (target: 0)")
    for title, values in (
        ("memory of the server, MB", [s.server_mb for s in tally.samples]),
        ("memory of another process, MB", [s.other_mb for s in tally.samples]),
        ("open files of the server", [float(s.files.total()) for s in tally.samples]),
    ):
        _print_curve(title, values)
    for kind in _FILE_KINDS:
        parts = _parts([float(s.files[kind]) for s in tally.samples])
        print(f"    {kind}: {_curve(parts)}")


def _print_curve(title: str, values: list[float]) -> None:
    """Print the medians of eight parts of the time, and that of the last quarter by the first."""
    parts = _parts(values)
    if not all(parts):
        return
    first, last = median(parts[0] + parts[1]), median(parts[6] + parts[7])
    ratio = f"last quarter / first: {last / first:.2f} (target: at most 1.1)"
    print(f"  {title}: {_curve(parts)}; {ratio}")


def _parts(values: list[float]) -> list[list[float]]:
    return [values[i * len(values) // 8 : (i + 1) * len(values) // 8] for i in range(8)]


def _curve(parts: list[list[float]]) -> str:
    return " ".join(f"{median(part):.0f}" for part in parts if part)


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--minutes", type=float, default=20, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the faults; default: %(default)s")
    parser.add_argument("only", nargs="*", help=f"faults to cause, of: {', '.join(FAULTS)}")
    run(benchmark, parser)
