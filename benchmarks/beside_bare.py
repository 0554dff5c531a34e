"""A server beside bare loops of the same model: rates over several starts of all processes."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from benchmarks.bare import SETTINGS, BareLoop, bare_loops
from benchmarks.measure import Case, Target, medians, report, turns
from benchmarks.server import Server


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
    samples: dict[str, list[float]] = defaultdict(list)
    for _ in range(n_starts):
        await server.unload("bench")
        async with bare_loops(weights, prompt) as loops:
            start: dict[str, Case] = {
                name: lambda loop=loop: bare(loop) for name, loop in loops.items()
            }
            start |= cases
            await turns(1, start)
            for name, values in (await turns(n_rounds, start)).items():
                samples[name] += values
    rates = medians(samples)
    report(title, rates, base=max(SETTINGS, key=rates.__getitem__), targets=targets)
