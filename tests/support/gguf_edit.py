"""Copies of a GGUF file with some keys and tensors replaced or left out."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, GGUFValueType, GGUFWriter

from tests.support.tiny_models import write_file

Edit = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def edit(
    source: Path,
    target: Path,
    *,
    keys: Mapping[str, object] | None = None,
    without: Collection[str] = (),
    tensors: Mapping[str, Edit] | None = None,
) -> Path:
    """Write `source` to `target` with changed `keys` and `tensors`; return `target`.

    `without` are names of keys and tensors that are left out. The type of a value follows from its
    Python type: integers become U32, floats F32, lists arrays.
    """
    keys, tensors = keys or {}, tensors or {}
    reader = GGUFReader(source)
    assert tensors.keys() <= {tensor.name for tensor in reader.tensors}
    named = reader.fields["general.architecture"].contents()
    writer = GGUFWriter(None, str(keys.get("general.architecture", named)))
    skipped = {*keys, *without, "general.architecture"}
    for field in reader.fields.values():
        if field.name not in skipped and not field.name.startswith("GGUF."):
            kind = field.types[0]
            inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for name, value in keys.items():
        if name != "general.architecture":
            writer.add_key_value(name, value, *_types(value))
    for tensor in reader.tensors:
        if tensor.name not in without:
            data = np.array(tensor.data)
            writer.add_tensor(tensor.name, tensors.get(tensor.name, np.asarray)(data))
    return write_file(writer, target)


def _types(value: object) -> tuple[GGUFValueType, GGUFValueType | None]:
    if isinstance(value, list):
        return GGUFValueType.ARRAY, _types(value[0])[0]
    if isinstance(value, bool):
        return GGUFValueType.BOOL, None
    if isinstance(value, int):
        return GGUFValueType.UINT32, None
    return (GGUFValueType.FLOAT32 if isinstance(value, float) else GGUFValueType.STRING), None
