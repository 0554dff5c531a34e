"""One training run of a generative model: steps over batches, with checkpoints to go on from."""

import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from training.model import Params, Shape, hidden, logits
from training.optimizer import optimizer
from training.packing import Rows

_WORKERS = 2
"""Each computes its part of a batch on a core of its own; they meet once per step."""
_REPORT = 50
_SAVE = 200

jax.config.update("jax_num_cpu_devices", _WORKERS)
jax.tree_util.register_dataclass(Rows, ["tokens", "segments", "weights"], [])


@dataclass(frozen=True, slots=True)
class Run:
    """How long and how fast to train; without `checkpoints` nothing is saved on the way."""

    n_steps: int
    n_decay: int
    rate: float
    seed: int
    checkpoints: Path | None


def train(run: Run, shape: Shape, params: Params, parts: Sequence[tuple[Rows, int]]) -> Params:
    """Return `params` trained on `parts`: rows of a length, and how many of them a batch takes."""
    rule = optimizer(run.rate, run.n_steps, run.n_decay)
    first, params, state = _resumed(run, params, rule.init(params))

    @jax.jit
    def step(
        params: Params, state: optax.OptState, batch: list[Rows]
    ) -> tuple[Params, optax.OptState, jax.Array]:
        value, gradients = jax.value_and_grad(_loss)(params, shape, batch)
        updates, state = rule.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    whole, split = _placements()
    params, state = jax.device_put((params, state), whole)
    started, losses = time.monotonic(), []
    for number in range(first, run.n_steps):
        random = np.random.default_rng((run.seed, number))
        batch = [rows[random.integers(len(rows), size=count)] for rows, count in parts]
        params, state, value = step(params, state, jax.device_put(batch, split))
        losses.append(float(value))
        if (number + 1) % _REPORT == 0:
            seconds = time.monotonic() - started
            mean = sum(losses) / len(losses)
            print(f"step {number + 1}  loss {mean:.4f}  {seconds:.0f} s", flush=True)
            losses.clear()
        if run.checkpoints and (number + 1) % _SAVE == 0:
            _save(run.checkpoints, number + 1, params, state)
    return params


def _placements() -> tuple[NamedSharding, NamedSharding]:
    """Return how weights and how rows are spread over the workers."""
    mesh = Mesh(np.array(jax.devices()), ("rows",))
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("rows"))


def _loss(params: Params, shape: Shape, batch: list[Rows]) -> jax.Array:
    """Return the mean cross entropy of the next token, by the weight of each."""
    total, weight = jnp.zeros(()), jnp.zeros(())
    for rows in batch:
        vectors = hidden(params, shape, rows.tokens, rows.segments)
        found = optax.softmax_cross_entropy_with_integer_labels(
            logits(params, vectors[:, :-1]), rows.tokens[:, 1:]
        )
        total += jnp.sum(found * rows.weights[:, 1:])
        weight += jnp.sum(rows.weights[:, 1:])
    return total / weight


def _resumed(run: Run, params: Params, state: optax.OptState) -> tuple[int, Params, optax.OptState]:
    saved = sorted(run.checkpoints.glob("*.pickle")) if run.checkpoints else []
    if not saved:
        return 0, params, state
    with saved[-1].open("rb") as file:
        number, params, leaves = pickle.load(file)
    return number, params, jax.tree.unflatten(jax.tree.structure(state), leaves)


def _save(folder: Path, number: int, params: Params, state: optax.OptState) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{number:06}.pickle").open("wb") as file:
        pickle.dump((number, *jax.device_get((params, jax.tree.leaves(state)))), file)
