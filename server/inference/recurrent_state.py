"""Read from a GGUF header how large the recurrent state of one sequence is, layer by layer.

The keys are those of llama.cpp's `llama_hparams`; it keeps states in float32.
"""

from collections.abc import Sequence

from model_store.gguf import GGUFHeader

TENSORS = ("ssm_", "shortconv.", "time_mix_")
"""What the names of the tensors of a recurrent layer begin with."""
_FLOAT_BYTES = 4


def state_bytes(header: GGUFHeader, is_recurrent: Sequence[bool]) -> tuple[int, ...]:
    """Return the bytes of each layer's state, () when no layer has one."""
    if not any(is_recurrent):
        return ()
    size = _FLOAT_BYTES * (_n_convolved(header) + _n_state(header))
    return tuple(size * each for each in is_recurrent)


def _number(header: GGUFHeader, key: str) -> int:
    return header.integer(f"{header.architecture}.{key}") or 0


def _n_heads(header: GGUFHeader) -> int:
    return max((0, *header.integers(f"{header.architecture}.attention.head_count")))


def _n_convolved(header: GGUFHeader) -> int:
    """Return how many numbers a layer keeps of its last tokens, for its convolution."""
    width = _number(header, "embedding_length")
    if n_shifted := _number(header, "token_shift_count"):
        return n_shifted * width
    if n_kept := _number(header, "shortconv.l_cache"):
        return (n_kept - 1) * width
    n_kept = max(0, _number(header, "ssm.conv_kernel") - 1)
    if head := _number(header, "kda.head_dim"):
        return 3 * n_kept * head * _n_heads(header)
    grouped = 2 * _number(header, "ssm.group_count") * _number(header, "ssm.state_size")
    return n_kept * (_number(header, "ssm.inner_size") + grouped)


def _n_state(header: GGUFHeader) -> int:
    """Return how many numbers the recurrence of a layer has."""
    if head := _number(header, "wkv.head_size"):
        return _number(header, "embedding_length") * head
    if head := _number(header, "kda.head_dim"):
        return head * head * _n_heads(header)
    return _number(header, "ssm.state_size") * _number(header, "ssm.inner_size")
