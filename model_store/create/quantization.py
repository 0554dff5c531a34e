"""Quantize the model layer of a create request."""

from collections.abc import Generator
from pathlib import Path

from model_store.create.scratch import Scratch
from model_store.create.sources import Source
from model_store.create.spec import CreateProgress, CreateSpec
from model_store.create.tools import Tools, ended
from model_store.errors import CreateError
from model_store.gguf import GGUFHeader

_UNQUANTIZED = ("F16", "BF16", "F32")
_DIGEST = "0" * 19
"""What the reference gives clients to tell this step's bar from others."""
_WIDEST = 4

_F16, _Q8_0 = 1, 8
_SENSITIVE = ("attn_k_b", "attn_q_a", "attn_q_b", "attn_v_b", "attn_kv_a_mqa")
_EXCEPTIONS: dict[str, tuple[tuple[str, int], ...]] = {
    "qwen35": ((r"^blk\.[0-9]+\.nextn\.eh_proj\.weight$", _Q8_0),),
    "qwen35moe": ((r"^blk\.[0-9]+\.nextn\.eh_proj\.weight$", _Q8_0),),
    "gemma3n": ((r"^per_layer_token_embd\.weight$", _F16),),
    "deepseek2": tuple((rf"{name}\.weight$", _Q8_0) for name in _SENSITIVE),
    "glmocr": ((r"^token_embd\.weight$", _F16), (r"^output\.weight$", _F16)),
    "glm4": ((r"^token_embd\.weight$", _F16), (r"^output\.weight$", _F16)),
}
"""Tensors of some architectures that lose too much, and the types they get instead."""
_SMALL = ("Q4_K_S", "Q4_K_M")
"""Types for which that matters."""


def type_of(header: GGUFHeader) -> str:
    """Return the name of a model's file type.

    The reference takes the number 0, which means F32, for a type that it does not know.
    """
    return "F32" if header.integer("general.file_type") == 0 else header.file_type


def needs_quantizing(source: Source, target: str) -> bool:
    """Tell whether a model must be quantized to be of the file type `target`.

    Raises:
        CreateError: it is quantized already, to another type.
    """
    if not target or source.kind != "model" or source.header is None:
        return False
    source_type = type_of(source.header)
    if source_type == target:
        return False
    if source_type not in _UNQUANTIZED:
        raise CreateError("quantization is only supported for F16, BF16 and F32 models")
    return True


def quantized(
    source: Source, spec: CreateSpec, scratch: Scratch, tools: Tools, imatrix: Path | None
) -> Generator[CreateProgress, None, Source]:
    """Quantize a model, by an importance matrix if there is one; return the new file as a source.

    Raises:
        CreateError: there is no engine that can do it.
        NoSpace: the disk has no room for it.
    """
    if tools.engine is None:
        raise CreateError("models cannot be quantized: the engine is not available")
    assert source.header is not None
    size = source.path.stat().st_size
    file_type = spec.quantization
    max_size = source.header.parameter_count * _WIDEST if file_type == "F32" else 0
    target = scratch.new(size=max(size, max_size))
    status = f"quantizing {type_of(source.header)} model to {file_type}"
    exceptions = _EXCEPTIONS.get(source.header.architecture, ()) if file_type in _SMALL else ()
    number = spec.quantization_number
    work = tools.engine.quantize(source.path, target, number, exceptions, imatrix)
    with ended(work):
        for done, total in work:
            completed = size * done // total if total else 0
            yield CreateProgress(status, digest=_DIGEST, total=size, completed=completed)
    return Source.new(target, kind="model")
