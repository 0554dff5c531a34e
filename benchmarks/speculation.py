"""Speculative decoding: tokens per second with and without, for repeated and for free text.

With `--draft` also by a draft model of the same vocabulary.
"""

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


async def benchmark(options: argparse.Namespace) -> None:
    """Compare both kinds of text, one model after the other."""
    for model in published.chosen(options.model or [QWEN25_CODER_05B.name]):
        async with serving(bench=model.path) as server:
            if options.draft:
                (draft,) = published.chosen([options.draft])
                server.install("drafted", model.path, draft=draft.path)
            await _compare(model, server, options)


async def _compare(model: Published, server: Server, options: argparse.Namespace) -> None:
    lines = FILE.read_text().splitlines(keepends=True)[:N_LINES]
    repeat = CHAT.format(question=REPEAT.format(file="".join(lines))) + "```python\n"
    free = CHAT.format(question=FREE)

    async def rate(
        prompt: str, n_tokens: int, name: str = "bench", *, n_draft: int | None = None
    ) -> float:
        # A seed would switch speculation off.
        settings = {"temperature": 0, "seed": -1, "stop": ["```"]}
        if n_draft is not None:
            settings["draft_num_predict"] = n_draft
        return (await server.client.generate(name, prompt, n_tokens, options=settings)).rate

    for name in ("bench", "drafted") if options.draft else ("bench",):
        await rate(free, 64, name)
        await rate(repeat, 64, name)
    for title, prompt, n_tokens, rounds, target in (
        (f"{N_LINES} lines with one change", repeat, MOST_TOKENS, 1, 1.6),
        ("free text", free, options.tokens, options.rounds, 0.97),
    ):
        cases = {
            "without": lambda p=prompt, n=n_tokens: rate(p, n, n_draft=0),
            "with": lambda p=prompt, n=n_tokens: rate(p, n),
        }
        if options.draft:
            cases["draft model"] = lambda p=prompt, n=n_tokens: rate(p, n, "drafted")
        medians = await interleaved(rounds, cases)
        report(
            f"{model.name}, {title}: tokens per second of one stream",
            medians,
            base="without",
            targets={name: Target(least=target) for name in cases if name != "without"},
        )


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=3, tokens=128)
    published.add_argument(parser)
    parser.add_argument("--draft", help="the draft model, one of the same names")
    run(benchmark, parser)
