"""Context of a model's MTP layers (multi-token prediction), which predict one token further.

Each of its rows is a token with the hidden state of the token before. It has a KV cache of its own,
for the few layers that predict.
"""

import ctypes
from typing import Any

import msgspec
import numpy as np

from runners.engine.native.context import Context
from runners.engine.native.hidden_states import HiddenRows, are_available
from runners.engine.native.llama import Floats, LoadError, lib
from runners.engine.native.model import Model
from runners.protocol.load_spec import LoadSpec
from runners.protocol.prediction import PREDICTING

_BATCH = 64


class PredictionContext(Context):
    """The context of the MTP layers of `model`, which follow those of `target`; see `Context`.

    `put` and `put_one` set the tokens of rows, `put_hidden` their hidden states. Raises LoadError.
    """

    def __init__(self, model: Model, spec: LoadSpec, target: Context, *, n_threads: int) -> None:
        if not can_predict(model):
            raise LoadError("models of its kind do not predict")
        self._target = target
        own = msgspec.structs.replace(spec, n_batch=max(_BATCH, spec.n_seq), n_rollback=0)
        super().__init__(model, own, n_threads=n_threads)
        self.keep_hidden(HiddenRows.OUTPUTS)

    def _params(self, model: Model, spec: LoadSpec, n_threads: int) -> Any:
        params = super()._params(model, spec, n_threads)
        params.ctx_type = lib.LLAMA_CONTEXT_TYPE_MTP
        params.ctx_other = self._target.pointer
        return params

    def _init_batch(self, rows: int) -> Any:
        n_embd = self._target.n_embd
        batch = lib.llama_batch_init(rows, n_embd, 1)
        self._states = np.ctypeslib.as_array(batch.embd, (rows, n_embd))
        self._row_tokens = (ctypes.c_int32 * rows)()
        batch.token = ctypes.cast(self._row_tokens, ctypes.POINTER(ctypes.c_int32))
        return batch

    def put_hidden(self, row: int, states: Floats) -> None:
        """Set the hidden states of rows from `row` on, shape (n, n_embd)."""
        self._states[row : row + len(states)] = states


def can_predict(model: Model) -> bool:
    """Whether a model was loaded with layers that predict, of a kind that is supported."""
    return (
        are_available
        and model.architecture in PREDICTING
        and int(lib.llama_model_n_layer_nextn(model.pointer)) == 1
    )
