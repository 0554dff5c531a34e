"""Speculative decoding: tokens per second with and without, for repeated and for free text."""

import argparse
from pathlib import Path

from benchmarks import published
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.published import QWEN25_CODER_05B, Published
from benchmarks.server import Server, serving

N_LINES = 150
MOST_TOKENS = 2_000
FILE = Path(__file__).parents[1] / "runners/host/policy.py"
REPEAT = (
    "Rename `Decision` to `Verdict` in this file. Reply with the whole file and "
    "nothing else.\n```python\n{file}```"
)
FREE = "Explain to a beginner how a hash table works, and when a sorted list is better."
CHAT = "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
OFF = {"draft_num_predict": 0}


async def benchmark(options: argparse.Namespace) -> None:
    """Compare both kinds of text, one model after the other."""
    for model in published.chosen(options.model or [QWEN25_CODER_05B.name]):
        async with serving(bench=model.path) as server:
            await _compare(model, server, options)


async def _compare(model: Published, server: Server, options: argparse.Namespace) -> None:
    lines = FILE.read_text().splitlines(keepends=True)[:N_LINES]
    repeat = CHAT.format(question=REPEAT.format(file="".join(lines))) + "```python\n"
    free = CHAT.format(question=FREE)

    async def rate(prompt: str, n_tokens: int, **more: int) -> float:
        # A seed would switch speculation off.
        settings = {"temperature": 0, "seed": -1, "stop": ["```"], **more}
        return (await server.client.generate("bench", prompt, n_tokens, options=settings)).rate

    await rate(free, 64)
    await rate(repeat, 64)
    for title, prompt, n_tokens, rounds, target in (
        (f"{N_LINES} lines with one change", repeat, MOST_TOKENS, 1, 1.6),
        ("free text", free, options.tokens, options.rounds, 0.97),
    ):
        medians = await interleaved(
            rounds,
            {
                "without": lambda p=prompt, n=n_tokens: rate(p, n, **OFF),
                "with": lambda p=prompt, n=n_tokens: rate(p, n),
            },
        )
        report(
            f"{model.name}, {title}: tokens per second of one stream",
            medians,
            base="without",
            targets={"with": Target(least=target)},
        )


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=3, tokens=128)
    published.add_argument(parser)
    run(benchmark, parser)
