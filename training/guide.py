"""Train the guide and write it: `python -m training.guide`."""

import argparse
import time
from pathlib import Path
from random import Random

from training import tokenizer
from training.copying import lay_out_copying
from training.corpus import values
from training.corpus.corpus import fact_sample, samples
from training.export import write_guide
from training.model import Shape, initial
from training.packing import Encoded, Rows, encoded, pack
from training.run import Run, train

SEED = 20260101
_N_SAMPLES = 200_000
_WORTH = 300
"""How often the vocabulary is shown each value, beside the corpus."""
_SHORT, _LONG = 128, 320
"""Tokens of the rows for short texts and for those with tools; longer texts are left out."""
_FILLING = 6
"""Of so many short texts one fills what long ones leave free of their rows."""
_BATCH = (6, 4)
"""Short and long rows in a batch: more long ones than the corpus has, for tools are the hardest.

Each worker takes half of them.
"""


def main() -> None:
    """Read the options, train, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--decay", type=int, default=9000, help="last steps, ever smaller ones")
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--output", type=Path, default=Path("model_store/bundled/paddock.gguf"))
    options = parser.parse_args()
    started = time.monotonic()
    vocabulary = guide_vocabulary()
    shape = Shape(
        len(vocabulary.tokens),
        n_embd=128,
        n_layers=6,
        n_heads=4,
        n_ff=384,
        rope_base=1e6,
    )
    texts = encoded(vocabulary.tokenizer(), samples(SEED + 1, _N_SAMPLES))
    short, long = _rows(texts)
    print(
        f"{sum(len(text.ids) for text in texts)} tokens in {len(short)} short and {len(long)} long "
        f"rows, {time.monotonic() - started:.0f} s",
        flush=True,
    )
    params = initial(shape, SEED)
    lay_out_copying(params, shape, SEED)

    def write() -> None:
        write_guide(options.output, vocabulary, shape, params)

    # What is there so far is written each minute, to be examined on the way.
    run = Run(options.steps, options.decay, options.rate)
    train(run, shape, params, list(zip((short, long), _BATCH, strict=True)), each_minute=write)
    write()
    print(f"wrote {options.output} after {time.monotonic() - started:.0f} s")


def guide_vocabulary() -> tokenizer.Vocabulary:
    """Return the vocabulary, learned from the corpus; questions and answers are its prose."""
    random = Random(SEED)
    asked = [fact_sample(random) for _ in range(5000)]
    prose = [text for sample in asked for text in (sample.prompt, sample.answer)]
    texts = [sample.prompt + sample.answer for sample in samples(SEED, 20_000)]
    # Words are copied by one token each; what is made up shall not crowd them out.
    return tokenizer.learn([*texts, *values.KNOWN * _WORTH], prose)


def _rows(texts: list[Encoded]) -> tuple[Rows, Rows]:
    short: list[Encoded] = []
    long: list[Encoded] = []
    for number, text in enumerate(texts):
        is_long = len(text.ids) > _SHORT or number % _FILLING == 0
        (long if is_long else short).append(text)
    return pack(short, _SHORT), pack(long, _LONG)


if __name__ == "__main__":
    main()
