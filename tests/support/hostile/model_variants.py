"""Corrupt and hostile variants of a model file, drawn by hypothesis."""

import struct
from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

from model_store.gguf.parser import FileOffsets

Variant = Callable[[bytes, FileOffsets], bytes]
_U32: Final = 4
_NUMBERS: Final = (0, 1, 2, 3, 7, 63, 255, 65_536, 2**31 - 1, 2**31, 2**32 - 1)
_FLOATS: Final = (0.0, -1.0, 1e-30, 1e30, float("inf"), float("nan"))


def _truncated(share: float) -> Variant:
    return lambda data, _: data[: int(share * len(data))]


def _with_number(choice: int, number: int) -> Variant:
    """Replace an integer among the hyperparameters."""
    return lambda data, offsets: _replaced(data, offsets, "I", choice, number)


def _with_float(choice: int, number: float) -> Variant:
    """Replace a float among the hyperparameters."""
    return lambda data, offsets: _replaced(data, offsets, "f", choice, number)


def _replaced(data: bytes, offsets: FileOffsets, form: str, choice: int, value: float) -> bytes:
    kind = 4 if form == "I" else 6  # UINT32 or FLOAT32
    places = []
    for key, (start, end) in offsets.keys.items():
        value_start = start + 8 + len(key.encode()) + _U32
        (found,) = struct.unpack_from("<I", data, value_start - _U32)
        if found == kind and end - value_start == _U32:
            places.append(value_start)
    place = places[choice % len(places)]
    return data[:place] + struct.pack(f"<{form}", value) + data[place + _U32 :]


def _with_header_bytes(changes: list[tuple[float, int]]) -> Variant:
    """Replace bytes anywhere in the header: lengths, types, names, shapes, offsets."""

    def change(data: bytes, offsets: FileOffsets) -> bytes:
        changed = bytearray(data)
        for place, byte in changes:
            changed[int(place * (offsets.data - 1))] = byte
        return bytes(changed)

    return change


def _with_garbage(seed: int) -> Variant:
    """Replace the weights by bytes that are NaN, infinite or huge as floats."""

    def change(data: bytes, offsets: FileOffsets) -> bytes:
        pattern = struct.pack("<I", (0x7FC00000, 0x7F800000, 0x7F7FFFFF, 0xFF800000)[seed % 4])
        size = len(data) - offsets.data
        return data[: offsets.data] + (pattern * (size // 4 + 1))[:size]

    return change


_SHARE = st.floats(0, 1, exclude_max=True)
_BYTES = st.lists(st.tuples(_SHARE, st.integers(0, 255)), min_size=1, max_size=4)


def variants() -> st.SearchStrategy[Variant]:
    """Return the strategy of changes to a model file."""
    choice = st.integers(0, 40)
    return st.one_of(
        st.builds(_truncated, _SHARE),
        st.builds(_with_number, choice, st.sampled_from(_NUMBERS)),
        st.builds(_with_float, choice, st.sampled_from(_FLOATS)),
        st.builds(_with_header_bytes, _BYTES),
        st.builds(_with_garbage, st.integers(0, 3)),
    )
