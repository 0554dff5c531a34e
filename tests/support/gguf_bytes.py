"""GGUF files byte by byte, so that a test can make any number in one of them lie."""

import struct
from collections.abc import Iterable, Sequence

U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
_CODES = {0: "B", 1: "b", 2: "H", 3: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q"}
_CODES |= {11: "q", 12: "d"}

NEEDED_NUMBERS = {"block_count": 1, "context_length": 4096, "embedding_length": 8}
"""Numbers that every model's metadata has, behind the name of its architecture."""

Item = str | int | float | bool


def number(value: float, code: str = "Q", order: str = "<") -> bytes:
    """Return one number; `code` is its letter in the `struct` module."""
    return struct.pack(order + code, value)


def text(value: str, *, length: int | None = None, version: int = 3, order: str = "<") -> bytes:
    """Return a string behind its length, or behind the `length` that it claims to have."""
    data = value.encode()
    claimed = len(data) if length is None else length
    return number(claimed, "I" if version == 1 else "Q", order) + data


def key(name: str, kind: int, value: Item, *, version: int = 3, order: str = "<") -> bytes:
    """Return a key of the metadata with its value."""
    head = text(name, version=version, order=order) + number(kind, "I", order)
    if isinstance(value, str):
        return head + text(value, version=version, order=order)
    return head + number(value, _CODES[kind], order)


def array(
    name: str, kind: int, items: Sequence[Item], *, length: int | None = None, order: str = "<"
) -> bytes:
    """Return a key whose value is an array, or one that claims to have `length` elements."""
    claimed = len(items) if length is None else length
    head = text(name, order=order) + number(ARRAY, "I", order) + number(kind, "I", order)
    body = (
        text(item, order=order) if isinstance(item, str) else number(item, _CODES[kind], order)
        for item in items
    )
    return head + number(claimed, order=order) + b"".join(body)


def tensor(
    name: str,
    shape: Sequence[int],
    *,
    kind: int = 0,
    offset: int = 0,
    n_dimensions: int | None = None,
    order: str = "<",
) -> bytes:
    """Return what the header says of a tensor; `kind` 0 is F32."""
    claimed = len(shape) if n_dimensions is None else n_dimensions
    sizes = b"".join(number(size, order=order) for size in shape)
    return (
        text(name, order=order)
        + number(claimed, "I", order)
        + sizes
        + number(kind, "I", order)
        + number(offset, order=order)
    )


def gguf(
    keys: Iterable[bytes] = (),
    tensors: Iterable[bytes] = (),
    *,
    data: bytes = b"",
    version: int = 3,
    order: str = "<",
    magic: bytes = b"GGUF",
    n_keys: int | None = None,
    n_tensors: int | None = None,
) -> bytes:
    """Return a whole file; the tensor data begins at the next multiple of 32."""
    keys, tensors = list(keys), list(tensors)
    code = "I" if version == 1 else "Q"
    head = magic + number(version, "I", order)
    head += number(len(tensors) if n_tensors is None else n_tensors, code, order)
    head += number(len(keys) if n_keys is None else n_keys, code, order)
    head += b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data if data else head


def model(architecture: str = "llama", *more: bytes, file_type: int | None = None) -> bytes:
    """Return a small model file: the keys that every model needs, and one tensor of 64 numbers.

    A key in `more` stands in place of the one that every model needs.
    """
    needed = {
        "general.architecture": key("general.architecture", STRING, architecture),
        **{
            f"{architecture}.{name}": key(f"{architecture}.{name}", U32, value)
            for name, value in NEEDED_NUMBERS.items()
        },
        "tokenizer.ggml.model": key("tokenizer.ggml.model", STRING, "llama"),
        "tokenizer.ggml.tokens": array("tokenizer.ggml.tokens", STRING, ["a", "b"]),
    }
    replaced = {name for name in needed for other in more if other.startswith(text(name))}
    keys = [
        *(data for name, data in needed.items() if name not in replaced),
        *([key("general.file_type", U32, file_type)] if file_type is not None else []),
        *more,
    ]
    return gguf(keys, [tensor("token_embd.weight", [8, 8])], data=bytes(256))


def adapter(seed: int = 0) -> bytes:
    """Return a small LoRA file."""
    keys = [key("general.architecture", STRING, "llama"), key("general.type", STRING, "adapter")]
    return gguf(keys, [tensor("blk.0.attn_q.weight.lora_a", [8])], data=bytes([seed] * 32))


def projector() -> bytes:
    """Return a small vision projector."""
    keys = [
        key("general.architecture", STRING, "clip"),
        key("clip.has_vision_encoder", BOOL, value=True),
    ]
    return gguf(keys, [tensor("mm.0.weight", [8])], data=bytes(32))
