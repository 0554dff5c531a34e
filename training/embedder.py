"""Train the embedding model and write it: `python -m training.embedder`.

It learns by contrast: of a batch of texts, each must lie closest to the one that means the same.
"""

import argparse
import time
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from training.corpus.pairs import pairs
from training.export import write_embedder
from training.guide import SEED, guide_vocabulary
from training.model import Params, Shape, hidden, initial, is_map, leaves
from training.optimizer import Optimizer

_LENGTH = 24
"""Tokens of a text; what is longer is cut."""
_DROPPED = 0.2
"""Share of the tokens that are left out, anew each time, so that no single one decides."""
_SHARPNESS = 16.0
"""By how much a difference of two cosines counts."""


def main() -> None:
    """Read the options, train, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1100)
    parser.add_argument("--decay", type=int, default=800, help="last steps, ever smaller ones")
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument(
        "--output", type=Path, default=Path("model_store/bundled/paddock-embed.gguf")
    )
    options = parser.parse_args()
    vocabulary = guide_vocabulary()
    shape = Shape(len(vocabulary.tokens), n_embd=192, n_layers=1, n_heads=6, n_ff=512)
    params = _train(vocabulary.tokenizer(), shape, options.steps, options.decay, options.rate)
    write_embedder(options.output, vocabulary, shape, params)
    print(f"wrote {options.output}")


def _train(tokenizer: Tokenizer, shape: Shape, n_steps: int, n_decay: int, rate: float) -> Params:
    params = initial(shape, SEED)
    weights = [part[key].requires_grad_() for part, key in leaves(params)]
    maps = [is_map(part, key) for part, key in leaves(params)]
    optimizer = Optimizer(weights, maps, rate, n_steps, n_decay)
    random, dropping = Random(SEED), torch.Generator().manual_seed(SEED)
    started = time.monotonic()
    for number in range(n_steps):
        one, two = (_rows(tokenizer, texts, dropping) for texts in zip(*pairs(random), strict=True))
        value = _loss(params, shape, one, two)
        optimizer.step(torch.autograd.grad(value, weights))
        if (number + 1) % 50 == 0:
            seconds = time.monotonic() - started
            print(f"step {number + 1}  loss {value.item():.4f}  {seconds:.0f} s", flush=True)
    for weight in weights:
        weight.requires_grad_(False)
    return params


def _rows(tokenizer: Tokenizer, texts: tuple[str, ...], random: torch.Generator) -> Tensor:
    """Return one row of tokens per text; padding is negative."""
    rows = torch.full((len(texts), _LENGTH), -1)
    for row, text in zip(rows, tokenizer.encode_batch(texts), strict=True):
        kept = torch.rand(len(text.ids), generator=random) >= _DROPPED
        kept[0] |= not kept.any()
        ids = torch.tensor(text.ids)[kept][:_LENGTH]
        row[: len(ids)] = ids
    return rows


def _loss(params: Params, shape: Shape, ones: Tensor, twos: Tensor) -> Tensor:
    count = len(ones)
    vectors = _vectors(params, shape, torch.cat([ones, twos]))
    likeness = _SHARPNESS * vectors[:count] @ vectors[count:].T
    right = torch.arange(count)
    there = functional.cross_entropy(likeness, right)
    return (there + functional.cross_entropy(likeness.T, right)) / 2


def _vectors(params: Params, shape: Shape, tokens: Tensor) -> Tensor:
    """Return a vector of length 1 per text: the mean over its tokens."""
    present = tokens >= 0
    found = hidden(params, shape, tokens.clamp(min=0), present.int())
    total = (found * present[..., None]).sum(1)
    return total / total.norm(dim=-1, keepdim=True)


if __name__ == "__main__":
    main()
