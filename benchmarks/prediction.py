"""MTP layers: tokens per second with and without, where they are always right and always wrong.

The model is a hybrid of 8 layers made here, whose weights are those of no trained model, so this
tells the price and the most that can be won, not how often the layers of a real one are right.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.server import serving
from tests.support.families.hyperparameters import Keys
from tests.support.predicting_models import write_predicting

HYBRID: Keys = {
    "context_length": 4096,
    "embedding_length": 512,
    "block_count": 8,
    "feed_forward_length": 1024,
    "attention.head_count": 8,
    "attention.key_length": 64,
    "attention.value_length": 64,
    "rope.dimension_count": 64,
    "rope.dimension_sections": [16, 8, 8, 0],
    "ssm.inner_size": 1024,
    "ssm.state_size": 64,
    "ssm.time_step_rank": 16,
    "ssm.group_count": 8,
}


async def benchmark(options: argparse.Namespace) -> None:
    """Compare one model after the other."""
    with tempfile.TemporaryDirectory() as folder:
        for title, is_right, least in (("right", True, 1.3), ("wrong", False, 0.97)):
            path = Path(folder) / f"{title}.gguf"
            write_predicting(path, "qwen35", keys=HYBRID, is_right=is_right)
            await _compare(title, path, least, options)


async def _compare(title: str, path: Path, least: float, options: argparse.Namespace) -> None:
    async with serving(bench=path) as server:

        async def rate(n_draft: int | None) -> float:
            settings: dict[str, object] = {"temperature": 0, "seed": -1, "ignore_eos": True}
            if n_draft is not None:
                settings["draft_num_predict"] = n_draft
            answer = await server.client.generate("bench", "Once", options.tokens, options=settings)
            return answer.rate

        cases = {"without": lambda: rate(0), "with": lambda: rate(None)}
        await interleaved(1, cases)
        report(
            f"layers that are {title}: tokens per second of one stream",
            await interleaved(options.rounds, cases),
            base="without",
            targets={"with": Target(least=least)},
        )


if __name__ == "__main__":
    run(benchmark, arguments(__doc__, rounds=5, tokens=300))
