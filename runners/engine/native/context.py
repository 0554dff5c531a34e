"""llama_context of a model: its KV cache, its batch and the calls of llama_decode."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.engine.native.hidden_states import HiddenRows, hidden_row, keep_hidden
from runners.engine.native.llama import (
    Floats,
    LoadError,
    NativeError,
    TokenIds,
    get_logits,
    is_set,
    lib,
    native_log,
)
from runners.engine.native.model import Model
from runners.protocol.adapters import Adapters
from runners.protocol.load_spec import CacheType, FlashAttention, LoadSpec

_CACHE_TYPES = {
    CacheType.F32: 0,
    CacheType.F16: 1,
    CacheType.Q4_0: 2,
    CacheType.Q4_1: 3,
    CacheType.Q5_0: 6,
    CacheType.Q5_1: 7,
    CacheType.Q8_0: 8,
    CacheType.IQ4_NL: 20,
    CacheType.BF16: 30,
}
# With other types llama.cpp aborts when a K-shift rotates keys: always for BF16, and for head
# sizes that are no multiple of 64 when the cache is quantised.
_SHIFTABLE = (CacheType.F32, CacheType.F16)
_FLASH = {FlashAttention.AUTO: -1, FlashAttention.OFF: 0, FlashAttention.ON: 1}
_POOLING_RANK = 4
_TEXT_OUTPUTS = 32
"""Output rows per batch of a generative model that embeds a text."""
_MAX_VIEWS = 1024
_KEEP_BUFFERS = False
_WHOLE, _PARTIAL = 0, 1  # llama_state_seq_flags
LAST_OUTPUT, NO_OUTPUT, ALL_OUTPUTS = slice(-1, None), slice(0, 0), slice(None)
"""Which of the rows that `Context.put` fills have logits."""

State = npt.NDArray[np.uint8]
"""A copy of the memory of one sequence, in llama.cpp's own format."""


class Context:
    """One llama_context with its KV cache and its batch; for one thread, except `abort`.

    Fill rows 0 to n - 1 of the batch with `put`, then call `decode(n)`. Logits and vectors are
    views that the next decode overwrites. Raises LoadError.
    """

    def __init__(
        self, model: Model, spec: LoadSpec, *, n_threads: int, keeps_all: bool = False
    ) -> None:
        """With `keeps_all`, `remove` can go back behind the sliding windows too."""
        self._flag = ctypes.create_string_buffer(2)
        self.n_outputs = spec.n_batch if model.pools else max(spec.n_seq, _TEXT_OUTPUTS)
        params = self._params(model, spec, n_threads)
        # Sliding-window layers keep only their window: a full-size cache would make long contexts
        # several times larger. The price is that such models cannot shift in place, and reuse a
        # prefix from a checkpoint when its window has been overwritten.
        params.swa_full = keeps_all
        native_log.begin_context()
        self.pointer = lib.llama_init_from_model(model.pointer, params)
        if not self.pointer:
            raise LoadError("the context of the model cannot be created")
        self.hidden_rows = HiddenRows.NONE
        """The rows whose hidden states are kept; see `keep_hidden`."""
        keep_hidden(self.pointer, self.hidden_rows)
        self._adapters: Adapters = ()
        self._loader = model.adapters
        self.use_adapters(model.default_adapters)
        self._memory = lib.llama_get_memory(self.pointer)
        self.has_memory = bool(self._memory)
        self.n_batch: int = min(lib.llama_n_batch(self.pointer), lib.llama_n_ubatch(self.pointer))
        self.n_cells: int = lib.llama_n_ctx(self.pointer)
        self.n_seq = spec.n_seq
        self.max_draft = self.n_batch
        """Most tokens of a draft, which `remove` must be able to drop.

        A recurrent state goes back to the rows of the last batch but the first, not to before it.
        """
        if model.is_recurrent:
            self.max_draft = int(lib.llama_n_rs_seq(self.pointer))
        self._n_threads = n_threads
        self.can_shift = bool(
            spec.cache_type in _SHIFTABLE
            and self._memory
            and lib.llama_memory_can_shift(self._memory)
        )
        """Whether `shift` may be called."""
        ranks = lib.llama_pooling_type(self.pointer) == _POOLING_RANK
        self.n_embd: int = lib.llama_model_n_cls_out(model.pointer) if ranks else model.n_embd
        self._n_vocab = model.vocab.size
        self._views: dict[int, Floats] = {}
        self._make_batch(self.n_batch)

    def _params(self, model: Model, spec: LoadSpec, n_threads: int) -> Any:
        params = lib.llama_context_default_params()
        params.n_ctx = spec.n_cells
        params.n_batch = params.n_ubatch = max(spec.n_batch, spec.n_seq)
        params.n_seq_max = spec.n_seq
        params.n_rs_seq = spec.n_rollback
        # Output buffers for every row would cost n_batch times the vocabulary; generation needs
        # one output per sequence.
        params.n_outputs_max = max(self.n_outputs, spec.n_seq)
        params.n_threads = params.n_threads_batch = n_threads
        params.type_k = params.type_v = _CACHE_TYPES[spec.cache_type]
        params.flash_attn_type = _FLASH[spec.flash_attention]
        params.kv_unified = True
        params.embeddings = model.pools
        params.abort_callback = is_set
        params.abort_callback_data = ctypes.addressof(self._flag)
        return params

    def _make_batch(self, rows: int) -> None:
        self._batch = self._init_batch(rows)
        as_array = np.ctypeslib.as_array
        self._tokens = as_array(self._batch.token, (rows,))
        self._positions = as_array(self._batch.pos, (rows,))
        self._outputs = as_array(self._batch.logits, (rows,))
        as_array(self._batch.n_seq_id, (rows,))[:] = 1
        # Each row points to a list of sequence ids; the rows of a sequence share one of length 1.
        self._ids = (ctypes.c_int32 * self.n_seq)(*range(self.n_seq))
        first = ctypes.addressof(self._ids)
        self._id_addresses = [first + 4 * seq for seq in range(self.n_seq)]
        pointers = ctypes.cast(self._batch.seq_id, ctypes.POINTER(ctypes.c_uint64))
        self._sequences = as_array(pointers, (rows,))
        self._range = np.arange(max(rows, self.n_cells) + rows, dtype=np.int32)

    def _init_batch(self, rows: int) -> Any:
        return lib.llama_batch_init(rows, 0, 1)

    def put_one(self, row: int, token: int, position: int, seq: int) -> None:
        """Set `row` to the next token of a sequence, with logits."""
        self._tokens[row] = token
        self._positions[row] = position
        self._sequences[row] = self._id_addresses[seq]
        self._outputs[row] = 1

    def put(
        self, row: int, tokens: Sequence[int] | TokenIds, position: int, seq: int, outputs: slice
    ) -> None:
        """Fill rows from `row` on with tokens of a sequence; those in `outputs` have logits."""
        end = row + len(tokens)
        self._tokens[row:end] = tokens
        self._positions[row:end] = self._range[position : position + len(tokens)]
        self._sequences[row:end] = self._id_addresses[seq]
        self._outputs[row:end] = 0
        self._outputs[row:end][outputs] = 1

    def decode(self, n_rows: int) -> int:
        """Compute the first `n_rows` rows of the batch; return llama_decode's status."""
        self._batch.n_tokens = n_rows
        status = int(lib.llama_decode(self.pointer, self._batch))
        lib.llama_synchronize(self.pointer)
        return status

    def decode_embeddings(
        self, rows: Floats, positions: TokenIds, seq: int, *, last_logits: bool, causal: bool
    ) -> int:
        """Compute rows of input embeddings instead of tokens; return llama_decode's status.

        `rows` has the shape (n, n_embd_input) and `positions` (sections, n), both contiguous.
        With `last_logits` the last row has logits. Without `causal` each row attends to all others.
        """
        n_rows = len(rows)
        outputs = np.zeros(n_rows, np.int8)
        outputs[-1] = last_logits
        counts = np.ones(n_rows, np.int32)
        sequences = np.full(n_rows, self._id_addresses[seq], np.uint64)
        batch = lib.llama_batch(
            n_tokens=n_rows,
            embd=_pointer(rows, ctypes.c_float),
            pos=_pointer(positions, ctypes.c_int32),
            n_seq_id=_pointer(counts, ctypes.c_int32),
            seq_id=_pointer(sequences, ctypes.POINTER(ctypes.c_int32)),
            logits=_pointer(outputs, ctypes.c_int8),
        )
        if not causal:
            lib.llama_set_causal_attn(self.pointer, causal)
        status = int(lib.llama_decode(self.pointer, batch))
        lib.llama_synchronize(self.pointer)
        if not causal:
            lib.llama_set_causal_attn(self.pointer, not causal)
        return status

    def logits(self, row: int) -> Floats:
        """Return the logits of a row that was an output, shape (n_vocab,)."""
        address = get_logits(self.pointer, row)
        view = self._views.get(address)
        if view is None:
            if not address:
                raise NativeError(native_log.take_error())
            if len(self._views) >= _MAX_VIEWS:
                self._views.clear()
            buffer = (ctypes.c_float * self._n_vocab).from_address(address)
            view = self._views[address] = np.ctypeslib.as_array(buffer)
        return view

    def token_vector(self, row: int) -> Floats:
        """Return the last layer's vector of a row, shape (n_embd,)."""
        return self._vector(lib.llama_get_embeddings_ith(self.pointer, row))

    def text_vector(self, seq: int) -> Floats:
        """Return the pooled vector of a sequence, shape (n_embd,)."""
        return self._vector(lib.llama_get_embeddings_seq(self.pointer, seq))

    def _vector(self, pointer: Any) -> Floats:
        if not pointer:
            raise NativeError(native_log.take_error())
        return np.ctypeslib.as_array(pointer, (self.n_embd,))

    def keep_hidden(self, rows: HiddenRows) -> None:
        """Keep the hidden states of these rows from the next decode on."""
        if rows is not self.hidden_rows:
            keep_hidden(self.pointer, rows)
            self.hidden_rows = rows

    def hidden(self, row: int) -> Floats:
        """Return the hidden state of a row that kept it, shape (n_embd,)."""
        return self._vector(hidden_row(self.pointer, row))

    def set_embeddings(self, *, enabled: bool) -> None:
        """Return embeddings besides logits from the next decode on, when all rows are outputs."""
        lib.llama_set_embeddings(self.pointer, enabled)

    def set_threads(self, n_threads: int) -> None:
        """Use `n_threads` from the next decode on."""
        if n_threads != self._n_threads:
            # llama.cpp logs a line on each call.
            lib.llama_set_n_threads(self.pointer, n_threads, n_threads)
            self._n_threads = n_threads

    def use_adapters(self, adapters: Adapters) -> None:
        """Compute with these LoRA adapters from the next decode on; raises LoadError."""
        if adapters != self._adapters:
            self._loader.use(self.pointer, adapters)
            self._adapters = adapters

    def abort(self) -> None:
        """Make the running or next decode return `ABORTED` (CPU only); for any thread."""
        self._flag[0] = b"\1"

    def clear_abort(self) -> None:
        """Undo `abort`."""
        self._flag[0] = b"\0"

    def remove(self, seq: int, start: int, end: int = -1) -> bool:
        """Remove positions [start, end) of a sequence; False when this kind of memory cannot."""
        return bool(lib.llama_memory_seq_rm(self._memory, seq, start, end))

    def copy(self, source: int, target: int, end: int) -> None:
        """Let `target` share the first `end` positions of `source`."""
        lib.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def shift(self, seq: int, start: int, delta: int) -> None:
        """Move the positions of a sequence from `start` on by `delta`."""
        lib.llama_memory_seq_add(self._memory, seq, start, -1, delta)

    def last_position(self, seq: int) -> int:
        """Return the highest position of a sequence in memory; -1 when it is empty."""
        return int(lib.llama_memory_seq_pos_max(self._memory, seq))

    def first_position(self, seq: int) -> int:
        """Return the lowest position of a sequence in memory; -1 when it is empty."""
        return int(lib.llama_memory_seq_pos_min(self._memory, seq))

    def state_size(self, seq: int, *, partial: bool) -> int:
        """Return the bytes of `state`."""
        flags = _PARTIAL if partial else _WHOLE
        return int(lib.llama_state_seq_get_size_ext(self.pointer, seq, flags))

    def state(self, seq: int, *, partial: bool, buffer: State | None = None) -> State | None:
        """Return a copy of a sequence's memory; None when llama.cpp cannot make one.

        A `partial` one has what `remove` cannot go back in, sliding windows and recurrent states.
        It is written to `buffer`, if there is one, which has `state_size` bytes.
        """
        flags = _PARTIAL if partial else _WHOLE
        data = buffer
        if data is None:
            data = np.empty(self.state_size(seq, partial=partial), np.uint8)
        pointer = _pointer(data, ctypes.c_uint8)
        size = lib.llama_state_seq_get_data_ext(self.pointer, pointer, data.nbytes, seq, flags)
        return data if size == data.nbytes else None

    def restore(self, seq: int, state: State, *, partial: bool) -> bool:
        """Replace a sequence's memory, or the partial kind of it, by a copy from `state`.

        False when there is no room for it: remove the sequence then. The copy must be one of
        `state` of the same kind of context, since llama.cpp does not check everything.
        """
        flags = _PARTIAL if partial else _WHOLE
        pointer = _pointer(state, ctypes.c_uint8)
        size = lib.llama_state_seq_set_data_ext(self.pointer, pointer, state.nbytes, seq, flags)
        return bool(size == state.nbytes)

    def clear(self) -> None:
        """Empty the memory."""
        if self._memory:
            lib.llama_memory_clear(self._memory, _KEEP_BUFFERS)


def _pointer(array: Any, kind: Any) -> Any:
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.POINTER(kind))
