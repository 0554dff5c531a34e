"""Measure an importance matrix (imatrix): how large the inputs of each weight matrix are.

llama.cpp shows each operation to a callback before and after it is computed. Of a product with a
weight matrix the squares of the inputs are summed, by columns; with experts, for each of them.
"""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from runners.engine.native.cores import usable_cores
from runners.engine.native.llama import OK, LoadError, NativeError, ggml_function, lib, native_log
from runners.engine.native.model import Model
from runners.protocol.load_spec import LoadSpec

CHUNK: Final = 512
"""Tokens that are computed at once, with nothing before them."""
_F32: Final = 0
_PRODUCT, _EXPERT_PRODUCT = b"MUL_MAT", b"MUL_MAT_ID"
_MIN_ROWS: Final = 16
"""Products with fewer rows are not those of a text."""
Sums = npt.NDArray[np.float64]


class _Tensor(ctypes.Structure):
    """`ggml_tensor`."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * 10),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * 64),
    )


_op_name = ggml_function("ggml_op_name", ctypes.c_char_p, ctypes.c_int)
_n_bytes = ggml_function("ggml_nbytes", ctypes.c_size_t, ctypes.c_void_p)
_read = ggml_function(
    "ggml_backend_tensor_get",
    None,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_size_t,
)


class Importance:
    """What was measured: sums of squares and how many rows, by the name of the tensor."""

    def __init__(self) -> None:
        self.sums: dict[str, Sums] = {}
        self.counts: dict[str, Sums] = {}
        self.error: Exception | None = None

    def see(self, address: int, ask: bool, _user_data: object) -> bool:  # noqa: FBT001 - C calls it
        """Say whether an operation is of interest, or take its inputs; errors are kept."""
        try:
            tensor = _Tensor.from_address(address)
            kind = _op_name(tensor.op)
            if kind not in (_PRODUCT, _EXPERT_PRODUCT):
                return not ask
            weights, inputs = (_Tensor.from_address(tensor.src[i]) for i in (0, 1))
            is_wanted = inputs.type == _F32 and _is_measured(weights.name)
            if not ask and is_wanted:
                self._take(tensor, weights, has_experts=kind == _EXPERT_PRODUCT)
            return is_wanted if ask else True
        except Exception as e:  # noqa: BLE001 - a callback of C cannot raise
            self.error = e
            return False

    def _take(self, tensor: _Tensor, weights: _Tensor, *, has_experts: bool) -> None:
        name = weights.name.decode()
        rows = _array(tensor.src[1], np.float32)
        if has_experts:
            chosen = _array(tensor.src[2], np.int32)[0, 0]
            n_matrices = weights.ne[2]
            sums, counts = np.zeros((n_matrices, rows.shape[-1])), np.zeros(n_matrices)
            squares = np.broadcast_to(rows[0] ** 2, (*chosen.shape, rows.shape[-1]))
            np.add.at(sums, chosen, squares)
            np.add.at(counts, chosen, 1)
        elif rows.shape[0] * rows.shape[1] == 1 and rows.shape[2] >= _MIN_ROWS:
            sums = np.square(rows[0, 0], dtype=np.float64).sum(axis=0, keepdims=True)
            counts = np.array([float(rows.shape[2])])
        else:
            return
        self.sums[name] = self.sums.get(name, 0) + sums
        self.counts[name] = self.counts.get(name, 0) + counts


def measure(spec: LoadSpec, text: str, on_progress: Callable[[int, int], None]) -> Importance:
    """Compute a text in chunks; `on_progress` gets how many are done, and how many there are.

    Raises:
        LoadError: the model cannot be loaded.
        NativeError: the text is shorter than a chunk, or cannot be computed.
    """
    model = Model(spec, lambda _: None)
    tokens = model.vocab.tokenize(text, add_special=False)
    body = CHUNK - model.vocab.adds_bos
    chunks = [tokens[i : i + body] for i in range(0, len(tokens) - body + 1, body)]
    if not chunks:
        raise NativeError(f"the text has {len(tokens)} tokens, and at least {body} are needed")
    measured = Importance()
    callback = lib.ggml_backend_sched_eval_callback(measured.see)
    context = _context(model, callback)
    try:
        start = [model.vocab.bos] if model.vocab.adds_bos else []
        for done, chunk in enumerate(chunks):
            on_progress(done, len(chunks))
            _compute(context, [*start, *chunk.tolist()])
            if measured.error is not None:
                raise measured.error
        on_progress(len(chunks), len(chunks))
    finally:
        lib.llama_free(context)
        lib.llama_model_free(model.pointer)
    return measured


def write_imatrix(path: Path, measured: Importance, *, dataset: str, n_chunks: int) -> None:
    """Write what was measured as llama.cpp's tools do."""
    from gguf import GGUFWriter  # noqa: PLC0415 - takes a tenth of a second

    writer = GGUFWriter(None, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [dataset])
    writer.add_uint32("imatrix.chunk_count", n_chunks)
    writer.add_uint32("imatrix.chunk_size", CHUNK)
    for name, sums in sorted(measured.sums.items()):
        counts = measured.counts[name].astype(np.float32)
        writer.add_tensor(f"{name}.in_sum2", sums.astype(np.float32))
        writer.add_tensor(f"{name}.counts", counts.reshape(-1, 1))
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _is_measured(name: bytes) -> bool:
    return name.endswith(b".weight") and name.startswith((b"blk.", b"output."))


def _array(address: int, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Return a copy of a tensor, slowest dimension first, from wherever it is."""
    tensor = _Tensor.from_address(address)
    size = _n_bytes(address)
    data = ctypes.create_string_buffer(size)
    _read(address, data, 0, size)
    flat = np.frombuffer(data.raw, np.uint8)
    shape, strides = tuple(reversed(tensor.ne)), tuple(reversed(tensor.nb))
    viewed = np.lib.stride_tricks.as_strided(flat.view(kind), shape, strides)
    return np.array(viewed)


def _context(model: Model, callback: Any) -> Any:
    params = lib.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = CHUNK
    params.n_threads = params.n_threads_batch = usable_cores()
    params.cb_eval = callback
    context = lib.llama_init_from_model(model.pointer, params)
    if not context:
        raise LoadError("the context cannot be made")
    return context


def _compute(context: Any, tokens: Sequence[int]) -> None:
    lib.llama_memory_clear(lib.llama_get_memory(context), True)  # noqa: FBT003 - of C
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for row, token in enumerate(tokens):
        # Of rows without output the last layer computes nothing but keys and values.
        batch.token[row], batch.pos[row], batch.logits[row] = token, row, True
        batch.n_seq_id[row], batch.seq_id[row][0] = 1, 0
    status = lib.llama_decode(context, batch)
    lib.llama_batch_free(batch)
    if status != OK:
        raise NativeError(native_log.error() or "the text cannot be computed")
