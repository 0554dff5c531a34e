"""A server beside bare loops of the same model: rates over several starts of all processes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import median

from benchmarks.bare import SETTINGS, BareLoop, bare_loops
from benchmarks.measure import Case, Target, report, turns
from benchmarks.server import Server

Samples = Mapping[str, Sequence[float]]
BEST = "bare, best setting"


async def compare(
    title: str,
    server: Server,
    weights: Path,
    prompt: str,
    *,
    bare: Callable[[BareLoop], Awaitable[float]],
    cases: Mapping[str, Case],
    targets: Mapping[str, Target],
    n_starts: int,
    n_rounds: int,
) -> None:
    """Report medians of `cases`, and of `bare` with each setting, of which the best is the base.

    The model `bench` of the server is loaded again for each start. Bare loops choose their threads
    with `prompt`.
    """
    starts: list[Samples] = []
    for _ in range(n_starts):
        await server.unload("bench")
        async with bare_loops(weights, prompt) as loops:
            start: dict[str, Case] = {
                name: lambda loop=loop: bare(loop) for name, loop in loops.items()
            }
            start |= cases
            await turns(1, start)
            starts.append(await turns(n_rounds, start))
    rates = {name: _median(starts, name) for name in starts[0]}
    rates[BEST] = median(_best(starts))
    report(title, rates, base=BEST, targets=targets)


def _median(starts: Sequence[Samples], name: str) -> float:
    return median(chain.from_iterable(start[name] for start in starts))


def _best(starts: Sequence[Samples]) -> list[float]:
    """Return the samples of the best setting; in each start the one that was best in the others.

    The best of all starts would be the luckiest one too, as settings differ by less than starts.
    """
    best: list[float] = []
    for index, start in enumerate(starts):
        others = [*starts[:index], *starts[index + 1 :]] or starts
        best += start[max(SETTINGS, key=lambda name: _median(others, name))]
    return best
