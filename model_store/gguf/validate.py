"""Validate the metadata and tensor types of GGUF models, LoRA adapters and projectors.

llama.cpp believes what stands in a file: some values end its process by an assertion, some tensor
types make it read beyond a buffer. What was found to do so is refused here, by name, before a model
is made of the file. Bounds are those of llama.cpp (`LLAMA_MAX_LAYERS`, `LLAMA_MAX_EXPERTS`); which
tensors must be F32 is what its converter writes and its CPU operators take.
"""

import math
import re
from collections.abc import Iterable
from typing import TypeGuard

from model_store.errors import GGUFError
from model_store.gguf.header import Array, GGUFHeader, Tensor, Value

_ARCHITECTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_LAYERS = 512
_MAX_EXPERTS = 1024
_MAX_SIZE = 2**31 - 1
_MAX_TOKENS = 2**23
_POOLING_TYPES = range(5)
_ROPE_SCALING_TYPES = frozenset({"none", "linear", "yarn", "longrope"})
_NO_TOKENIZER = frozenset({"none", "no_vocab"})
_NOT_WEIGHTS = frozenset({"I8", "I16", "I32", "I64", "F64"})
_INTEGER_TENSORS = re.compile(r"tid2eid")
"""Tables of integers, which hash routing has in place of weights."""
_F32_TENSORS = re.compile(
    r"(^|\.)(token_types\.weight|ssm_a|(ssm_conv1d|shortconv\.conv)\.weight)$"
)
_ADAPTER_TENSOR = re.compile(r".+\.lora_[ab]$")
_POSITIVE_FLOATS = ("rope.freq_base", "rope.freq_base_swa", "rope.scaling.factor")
_LIMITED_FLOATS = (
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.group_norm_epsilon",
)
_FINITE_FLOATS = (
    "attention.scale",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attn_logit_softcapping",
    "embedding_scale",
    "expert_weights_scale",
    "final_logit_softcapping",
    "logit_scale",
    "residual_scale",
    "rope.scaling.attn_factor",
)


def check_model(header: GGUFHeader) -> None:
    """Refuse a model file that cannot be loaded, or that would end the runner.

    Raises:
        GGUFError: the text names the key or the tensor.
    """
    prefix = _architecture(header) + "."
    _positive(header, prefix + "block_count", _MAX_LAYERS)
    for key in ("context_length", "embedding_length"):
        _positive(header, prefix + key, _MAX_SIZE)
    _check_experts(header, prefix)
    _check_floats(header, prefix)
    _check_choices(header, prefix)
    _check_vocabulary(header)
    _check_tensors(header.tensors)


def check_adapter(header: GGUFHeader) -> None:
    """Refuse a LoRA adapter that cannot be loaded, or that would end the runner.

    Raises:
        GGUFError: the text names the key or the tensor.
    """
    _architecture(header)
    if header.text("adapter.type") not in (None, "lora"):
        raise GGUFError('GGUF key "adapter.type" must be "lora"')
    if not _is_number(header.metadata.get("adapter.lora.alpha", 1.0)):
        raise GGUFError('GGUF key "adapter.lora.alpha" must be a finite number')
    for tensor in header.tensors:
        if not _ADAPTER_TENSOR.match(tensor.name):
            raise GGUFError(f'tensor "{_shown(tensor.name)}" does not belong in an adapter')
    _check_tensors(header.tensors)


def check_projector(header: GGUFHeader) -> None:
    """Refuse a multimodal projector that would end the runner.

    Raises:
        GGUFError: the text names the key or the tensor.
    """
    _architecture(header)
    for key in ("clip.projector_type", "clip.vision.projector_type", "clip.audio.projector_type"):
        if header.has(key) and header.text(key) is None:
            raise GGUFError(f'GGUF key "{key}" must be a string')
    _check_finite(header, (key for key in header.metadata if key.startswith("clip.")))
    _check_tensors(header.tensors)


def _architecture(header: GGUFHeader) -> str:
    name = header.text("general.architecture")
    if name is None or not _ARCHITECTURE.fullmatch(name):
        raise GGUFError('GGUF key "general.architecture" must be the name of an architecture')
    return name


def _positive(header: GGUFHeader, key: str, limit: int) -> None:
    if not header.has(key):
        raise GGUFError(f'GGUF key "{key}" is missing')
    value = header.integer(key)
    if value is None or not 1 <= value <= limit:
        raise GGUFError(f'GGUF key "{key}" must be an integer from 1 to {limit}')


def _check_experts(header: GGUFHeader, prefix: str) -> None:
    # Layers may use different numbers of experts.
    total, used, groups, groups_used = (
        max(header.integers(prefix + key), default=0)
        for key in (
            "expert_count", "expert_used_count", "expert_group_count", "expert_group_used_count",
        )
    )  # fmt: skip
    if not 0 <= total <= _MAX_EXPERTS:
        raise GGUFError(f'GGUF key "{prefix}expert_count" must be at most {_MAX_EXPERTS}')
    if not (1 <= used <= total if total else used == 0):
        raise GGUFError(f'GGUF key "{prefix}expert_used_count" does not fit {total} experts')
    if groups < 0 or (groups and groups >= total) or (groups > 1 and total % groups):
        raise GGUFError(f'GGUF key "{prefix}expert_group_count" does not fit {total} experts')
    if groups > 1 and not 1 <= groups_used < groups:
        raise GGUFError(f'GGUF key "{prefix}expert_group_used_count" does not fit {groups} groups')


def _check_floats(header: GGUFHeader, prefix: str) -> None:
    for name in _POSITIVE_FLOATS:
        value = header.metadata.get(prefix + name)
        # A scaling factor of 0 is how some converters write that there is none.
        if value is not None and not (_is_number(value) and value >= 0):
            raise GGUFError(f'GGUF key "{prefix}{name}" must be a finite number, not negative')
    for name in _LIMITED_FLOATS:
        value = header.metadata.get(prefix + name)
        if value is not None and not (_is_number(value) and 0 <= value < 1):
            raise GGUFError(f'GGUF key "{prefix}{name}" must be a number from 0 to 1')
    _check_finite(header, (prefix + name for name in _FINITE_FLOATS))


def _check_finite(header: GGUFHeader, keys: Iterable[str]) -> None:
    for key in keys:
        value = header.metadata.get(key)
        if isinstance(value, float) and not math.isfinite(value):
            raise GGUFError(f'GGUF key "{_shown(key)}" must be a finite number')


def _check_choices(header: GGUFHeader, prefix: str) -> None:
    key = prefix + "pooling_type"
    if header.has(key) and header.integer(key) not in _POOLING_TYPES:
        raise GGUFError(f'GGUF key "{key}" must be an integer from 0 to {_POOLING_TYPES[-1]}')
    key = prefix + "rope.scaling.type"
    if header.has(key) and header.text(key) not in _ROPE_SCALING_TYPES:
        names = ", ".join(sorted(_ROPE_SCALING_TYPES))
        raise GGUFError(f'GGUF key "{key}" must be one of {names}')


def _check_vocabulary(header: GGUFHeader) -> None:
    key = "tokenizer.ggml.model"
    if not header.has(key):
        raise GGUFError(f'GGUF key "{key}" is missing')
    kind = header.text(key)
    if not kind or kind in _NO_TOKENIZER:
        raise GGUFError(f'GGUF key "{key}" must be the name of a tokenizer')
    key = "tokenizer.ggml.tokens"
    tokens = header.metadata.get(key)
    if tokens is None:
        raise GGUFError(f'GGUF key "{key}" is missing')
    if not isinstance(tokens, Array) or not 2 <= tokens.length <= _MAX_TOKENS:
        raise GGUFError(f'GGUF key "{key}" must be a list of 2 to {_MAX_TOKENS} tokens')
    for name in ("scores", "token_type"):
        key = f"tokenizer.ggml.{name}"
        values = header.metadata.get(key)
        if values is not None and not (
            isinstance(values, Array) and values.length == tokens.length
        ):
            raise GGUFError(f'GGUF key "{key}" must be a list with one entry for each token')


def _check_tensors(tensors: Iterable[Tensor]) -> None:
    for tensor in tensors:
        if tensor.type in _NOT_WEIGHTS and not _INTEGER_TENSORS.search(tensor.name):
            raise GGUFError(
                f'tensor "{_shown(tensor.name)}" is of type {tensor.type}, not one of weights'
            )
        if tensor.type != "F32" and _must_be_f32(tensor):
            raise GGUFError(
                f'tensor "{_shown(tensor.name)}" must be of type F32, not {tensor.type}'
            )


def _must_be_f32(tensor: Tensor) -> bool:
    return len(tensor.shape) < 2 or bool(_F32_TENSORS.search(tensor.name))


def _is_number(value: Value) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _shown(name: str) -> str:
    """Return a name of the file shortened, and without control characters."""
    return "".join(c if c.isprintable() else "?" for c in name[:64])
