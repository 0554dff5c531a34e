"""Merge the shards of a split GGUF model into one file, copying tensor data unread."""

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from model_store.disk import disk_errors, open_regular
from model_store.errors import CreateError
from model_store.gguf.header import Tensor
from model_store.gguf.parser import FileOffsets, read_offsets
from model_store.gguf.types import TENSOR_TYPES

_VERSION = 3
_ALIGNMENT = 32
_CHUNK = 2**24
_TYPES = {known.name: number for number, known in TENSOR_TYPES.items()}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


def merge_shards(paths: Sequence[Path], target: Path) -> Iterator[tuple[int, int]]:
    """Write the model whose parts lie at `paths`, in their order, to `target`.

    Yields the bytes of tensor data that are written, and the total.

    Raises:
        CreateError: the shards are big-endian or of version 1, or do not fit together.
        GGUFError: a part is damaged.
        StorageFailed: the result cannot be written.
    """
    shards = [read_offsets(path) for path in paths]
    for shard in shards:
        if shard.order != "<" or shard.header.version == 1:
            raise CreateError(
                "split GGUF files of version 1 or in big-endian byte order are not supported"
            )
    tensors = [tensor for shard in shards for tensor in shard.header.tensors]
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise CreateError("two parts of the split GGUF have a tensor of the same name")
    total, done = sum(tensor.size for tensor in tensors), 0
    with disk_errors(), target.open("wb") as merged:
        with open_regular(paths[0]) as first:
            _write_header(first, shards[0], tensors, merged)
        for path, shard in zip(paths, shards, strict=True):
            with open_regular(path) as part:
                for tensor in shard.header.tensors:
                    merged.write(bytes(-merged.tell() % _ALIGNMENT))
                    for count in _copied(part, shard.data + tensor.offset, tensor.size, merged):
                        done += count
                        yield done, total
        merged.write(bytes(-merged.tell() % _ALIGNMENT))


def _write_header(
    first: BinaryIO, offsets: FileOffsets, tensors: Sequence[Tensor], merged: BinaryIO
) -> None:
    """Write the metadata of the first shard without the keys about splitting."""
    architecture = offsets.header.architecture
    left_out = ("split.", f"{architecture}.split.", "general.alignment")
    spans = [span for key, span in offsets.keys.items() if not key.startswith(left_out)]
    merged.write(b"GGUF" + _U32.pack(_VERSION) + _U64.pack(len(tensors)) + _U64.pack(len(spans)))
    for start, end in spans:
        first.seek(start)
        merged.write(first.read(end - start))
    offset = 0
    for tensor in tensors:
        name = tensor.name.encode()
        merged.write(_U64.pack(len(name)) + name + _U32.pack(len(tensor.shape)))
        merged.write(b"".join(map(_U64.pack, tensor.shape)))
        merged.write(_U32.pack(_TYPES[tensor.type]) + _U64.pack(offset))
        offset += tensor.size + -tensor.size % _ALIGNMENT


def _copied(part: BinaryIO, start: int, size: int, merged: BinaryIO) -> Iterator[int]:
    """Copy `size` bytes from `start` on; yield the size of each step."""
    end = start + size
    while start < end:
        count = _copy(part, start, min(_CHUNK, end - start), merged)
        if not count:
            raise CreateError("a part of the split GGUF became shorter while it was read")
        start += count
        yield count


def _copy(part: BinaryIO, start: int, size: int, merged: BinaryIO) -> int:
    """Copy in the kernel where the system can, which shares the bytes where the disk can."""
    merged.flush()
    with contextlib.suppress(OSError, AttributeError):
        count = os.copy_file_range(part.fileno(), merged.fileno(), size, start)
        merged.seek(0, os.SEEK_END)
        return count
    part.seek(start)
    return merged.write(part.read(size))
