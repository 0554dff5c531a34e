"""GGUF files as dictionaries of keys and tensors, to write them whole or in pieces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

from tests.support.tiny_models import (
    Array,
    add_sentencepiece,
    llama_pieces,
    write_file,
)

Typed = tuple[GGUFValueType, Any]
"""A value of the metadata; a list is of one of the kinds."""
N_TOKENS = len(list(llama_pieces()))


@dataclass
class PlainFile:
    """A file to be; `keys` hold typed values, `tensors` arrays with the fastest dimension last."""

    keys: dict[str, Typed] = field(default_factory=dict)
    tensors: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    with_vocabulary: bool = True
    kinds: dict[str, GGMLQuantizationType] = field(default_factory=dict)
    """Types of the tensors that are not F32."""

    def set(self, **values: object) -> Self:
        """Set keys; `__` in a name stands for a dot."""
        for name, value in values.items():
            self.keys[name.replace("__", ".")] = typed(value)
        return self

    def update(self, values: Mapping[str, object], prefix: str = "") -> Self:
        """Set keys behind a prefix."""
        self.keys |= {prefix + name: typed(value) for name, value in values.items()}
        return self

    def copy(self) -> "PlainFile":
        """Return a copy that can be changed."""
        return PlainFile(
            dict(self.keys), dict(self.tensors), self.with_vocabulary, dict(self.kinds)
        )

    def renamed(self, *pairs: tuple[str, str]) -> Self:
        """Replace a part of the names of tensors, by the first pair whose part they have."""
        for name in list(self.tensors):
            for old, new in pairs:
                if old in name:
                    self.tensors[name.replace(old, new)] = self.tensors.pop(name)
                    break
        return self

    def write(self, path: Path) -> Path:
        """Write the file; return `path`."""
        keys = dict(self.keys)
        writer = GGUFWriter(None, keys.pop("general.architecture")[1])
        if self.with_vocabulary:
            add_sentencepiece(writer, list(llama_pieces()))
        for name, (kind, value) in keys.items():
            writer.kv_data[0].pop(name, None)
            if isinstance(value, list):
                writer.add_key_value(name, value, GGUFValueType.ARRAY, sub_type=kind)
            else:
                writer.add_key_value(name, value, kind)
        for name, tensor in self.tensors.items():
            _add(writer, name, tensor, self.kinds.get(name, GGMLQuantizationType.F32))
        return write_file(writer, path)


def _add(
    writer: GGUFWriter, name: str, tensor: npt.NDArray[Any], kind: GGMLQuantizationType
) -> None:
    if kind == GGMLQuantizationType.F16:
        writer.add_tensor(name, tensor.astype(np.float16))
    elif kind == GGMLQuantizationType.F32:
        writer.add_tensor(name, tensor)
    else:
        writer.add_tensor(name, quants.quantize(tensor, kind), raw_dtype=kind)


def typed(value: object) -> Typed:
    """Return a value with the type that follows from its Python type."""
    if isinstance(value, tuple):
        return value[0], value[1]
    if isinstance(value, list):
        return typed(value[0])[0], value
    if isinstance(value, bool):
        return GGUFValueType.BOOL, value
    if isinstance(value, int):
        return GGUFValueType.UINT32, value
    return (GGUFValueType.FLOAT32 if isinstance(value, float) else GGUFValueType.STRING), value


def i32s(*values: int) -> Typed:
    """Return a list of signed numbers."""
    return GGUFValueType.INT32, list(values)


def read(path: Path) -> PlainFile:
    """Read a file of F32 tensors whose vocabulary is that of `llama_pieces`, or without one."""
    reader = GGUFReader(path)
    result = PlainFile(with_vocabulary=False)
    for name, entry in reader.fields.items():
        if not name.startswith("GGUF."):
            result.keys[name] = entry.types[-1], entry.contents()
    result.tensors = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    return result


def ones(size: int) -> Array:
    """Return the weights of a norm that changes nothing, about."""
    return np.linspace(0.9, 1.1, size, dtype=np.float32)
