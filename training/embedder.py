"""Train the embedding model and write it: `python -m training.embedder`.

It learns by contrast: of a batch of texts, each must lie closest to the one that means the same.
"""

import argparse
import time
from pathlib import Path
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from tokenizers import Tokenizer

from training.corpus.pairs import pairs
from training.export import write_embedder
from training.guide import SEED, guide_vocabulary
from training.model import Params, Shape, hidden, initial
from training.optimizer import optimizer

_LENGTH = 24
"""Tokens of a text; what is longer is cut."""
_DROPPED = 0.2
"""Share of the tokens that are left out, anew each time, so that no single one decides."""
_SHARPNESS = 16.0
"""By how much a difference of two cosines counts."""

Tokens = npt.NDArray[np.int32]


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
    shape = Shape(len(vocabulary.tokens), n_embd=192, n_layers=1, n_heads=6, n_kv_heads=6, n_ff=512)
    params = _train(vocabulary.tokenizer(), shape, options.steps, options.decay, options.rate)
    write_embedder(options.output, vocabulary, shape, jax.device_get(params))
    print(f"wrote {options.output}")


def _train(tokenizer: Tokenizer, shape: Shape, n_steps: int, n_decay: int, rate: float) -> Params:
    params = initial(shape, SEED)
    rule = optimizer(rate, n_steps, n_decay)
    state = rule.init(params)
    random, dropping = Random(SEED), np.random.default_rng(SEED)

    @jax.jit
    def step(
        params: Params, state: optax.OptState, one: jax.Array, two: jax.Array
    ) -> tuple[Params, optax.OptState, jax.Array]:
        value, gradients = jax.value_and_grad(_loss)(params, shape, one, two)
        updates, state = rule.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    started = time.monotonic()
    for number in range(n_steps):
        one, two = (_rows(tokenizer, texts, dropping) for texts in zip(*pairs(random), strict=True))
        params, state, value = step(params, state, one, two)
        if (number + 1) % 50 == 0:
            seconds = time.monotonic() - started
            print(f"step {number + 1}  loss {float(value):.4f}  {seconds:.0f} s", flush=True)
    return params


def _rows(tokenizer: Tokenizer, texts: tuple[str, ...], random: np.random.Generator) -> Tokens:
    """Return one row of tokens per text; padding is negative."""
    rows = np.full((len(texts), _LENGTH), -1, np.int32)
    for row, text in zip(rows, tokenizer.encode_batch(texts), strict=True):
        kept = random.random(len(text.ids)) >= _DROPPED
        kept[0] |= not kept.any()
        ids = np.array(text.ids)[kept][:_LENGTH]
        row[: len(ids)] = ids
    return rows


def _loss(params: Params, shape: Shape, ones: jax.Array, twos: jax.Array) -> jax.Array:
    count = len(ones)
    vectors = _vectors(params, shape, jnp.concatenate([ones, twos]))
    likeness = _SHARPNESS * vectors[:count] @ vectors[count:].T
    right = jnp.arange(count)
    there = optax.softmax_cross_entropy_with_integer_labels(likeness, right)
    back = optax.softmax_cross_entropy_with_integer_labels(likeness.T, right)
    return (there.mean() + back.mean()) / 2


def _vectors(params: Params, shape: Shape, tokens: jax.Array) -> jax.Array:
    """Return a vector of length 1 per text: the mean over its tokens."""
    present = tokens >= 0
    found = hidden(params, shape, jnp.maximum(tokens, 0), present.astype(jnp.int32))
    total = jnp.sum(found * present[..., None], axis=1)
    return total / jnp.linalg.norm(total, axis=-1, keepdims=True)


if __name__ == "__main__":
    main()
