"""Rounds, medians and ratios: how every benchmark measures and what it prints.

All cases of a comparison take turns within one run, in changing order, so that whatever else the
machine does meets them alike. Only ratios mean anything beyond the machine and the moment.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Case = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio should be: at least `least`, or at most `most`."""

    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        return f"at least {self.least}" if self.least is not None else f"at most {self.most}"


async def interleaved(rounds: int, cases: Mapping[str, Case]) -> dict[str, float]:
    """Run every case once per round; return each one's median."""
    return medians(await turns(rounds, cases))


async def turns(rounds: int, cases: Mapping[str, Case]) -> dict[str, list[float]]:
    """Run every case once per round; return what each gave."""
    values: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        order = list(cases.items())
        for name, case in order if number % 2 == 0 else reversed(order):
            values[name].append(await case())
    return values


def medians(samples: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each case."""
    return {name: median(values) for name, values in samples.items()}


def report(
    title: str,
    values: Mapping[str, float],
    *,
    base: str,
    targets: Mapping[str, Target] | None = None,
) -> None:
    """Print the values, each as a ratio to that of `base`."""
    print(f"\n{title}")
    width = max(map(len, values))
    for name, value in values.items():
        line = f"  {name:{width}}  {value:10.4g}"
        if name != base:
            line += f"   {value / values[base]:6.3f} of {base}"
        if targets and name in targets:
            line += f"   (target: {targets[name]})"
        print(line)


def arguments(
    about: str | None, *, rounds: int, tokens: int | None = None
) -> argparse.ArgumentParser:
    """Return a parser with the options that benchmarks share."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    if tokens is not None:
        parser.add_argument("--tokens", type=int, default=tokens, help="to generate; %(default)s")
    return parser


def run(
    benchmark: Callable[[argparse.Namespace], Coroutine[None, None, None]],
    parser: argparse.ArgumentParser,
) -> None:
    """Run a benchmark with the arguments of the command line."""
    asyncio.run(benchmark(parser.parse_args()))
