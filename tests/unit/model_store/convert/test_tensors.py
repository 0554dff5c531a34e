"""Nothing in a safetensors file is believed."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_store.convert.tensors import read_index
from model_store.errors import CreateError
from tests.support.hf_folders import safetensors

GOOD = safetensors({"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.ones(4, "f4")})


def file(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape: object, start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def hostile() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "cut length", b"\1\2"
    yield "huge length", file({}, length=2**63)
    yield "length beyond the end", file({}, length=90_000_000)
    yield "no JSON", file(b"hello")
    yield "nested without end", file(b'{"a":' * 100_000)
    yield "overlap", file({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12))
    yield "gap", file({"a": entry([2], 4, 12)}, bytes(12))
    yield "beyond the end", file({"a": entry([2], 0, 8)}, bytes(4))
    yield "bytes behind the end", file({"a": entry([2], 0, 8)}, bytes(40))
    yield "shape that overflows", file({"a": entry([2**62, 2**10], 0, 8)}, bytes(8))
    yield "shape that is not its size", file({"a": entry([1000], 0, 8)}, bytes(8))
    yield "NaN in the shape", file(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}')
    yield "negative shape", file({"a": entry([-2], 0, 8)}, bytes(8))
    yield "six dimensions", file({"a": entry([1] * 6, 0, 4)}, bytes(4))
    yield "unknown type", file({"a": entry([2], 0, 8, "F99")}, bytes(8))


@pytest.mark.parametrize("case", dict(hostile()))
def test_hostile_file_is_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "blob"
    path.write_bytes(dict(hostile())[case])

    with pytest.raises(CreateError) as caught:
        read_index("model.safetensors", path)

    assert str(tmp_path) not in str(caught.value)


def test_numbers_are_where_the_index_says(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(GOOD)

    found = {tensor.name: tensor.open() for tensor in read_index("x", path)}

    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].tolist() == [1, 1, 1, 1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_file_is_read_within_its_bounds_or_refused(
    tmp_path: Path, at: int, byte: int, cut: bool
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(GOOD[:at] if cut else GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])

    try:
        for tensor in read_index("x", path):
            tensor.open().sum()
    except CreateError:
        pass
