"""How weights are updated: Muon for matrices, Adam for the rest, and a long decay."""

import jax
import optax
from optax.contrib import MuonDimensionNumbers, muon

from training.model import Params

_WARM_UP = 60


def optimizer(peak: float, n_steps: int, n_decay: int) -> optax.GradientTransformation:
    """Return the optimizer of a run of `n_steps`, the last `n_decay` of them ever smaller."""

    def dimensions(params: Params) -> Params:
        # The embedding is a table, not a map of vectors.
        return jax.tree.map_with_path(
            lambda path, leaf: (
                MuonDimensionNumbers()
                if leaf.ndim == 2 and "embd" not in jax.tree_util.keystr(path)
                else None
            ),
            params,
        )

    return optax.chain(
        optax.clip_by_global_norm(1.0),
        muon(
            _schedule(peak, n_steps, n_decay),
            weight_decay=0.02,
            adam_b2=0.98,
            adam_weight_decay=0.0,
            consistent_rms=0.2,
            muon_weight_dimension_numbers=dimensions,
        ),
    )


def _schedule(peak: float, n_steps: int, n_decay: int) -> optax.Schedule:
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, peak, _WARM_UP),
            optax.constant_schedule(peak),
            optax.linear_schedule(peak, 0.0, n_decay),
        ],
        [_WARM_UP, n_steps - n_decay],
    )
