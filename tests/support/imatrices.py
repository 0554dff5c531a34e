"""Importance matrices in the formats in which they are published."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from tests.support.tiny_models import write_file

_N_INPUTS = 8


def write_gguf_imatrix(path: Path, columns: Mapping[str, np.ndarray]) -> Path:
    """Write mean squares of inputs as sums and counts in a GGUF file; return `path`."""
    writer = GGUFWriter(None, "imatrix")
    writer.add_type("imatrix")
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", _N_INPUTS)
    writer.add_array("imatrix.datasets", ["text"])
    for name, values in columns.items():
        sums = (values * _N_INPUTS).astype(np.float32)
        writer.add_tensor(f"{name}.in_sum2", sums.reshape(1, -1))
        writer.add_tensor(f"{name}.counts", np.full((1, 1), _N_INPUTS, np.float32))
    return write_file(writer, path)


def write_legacy_imatrix(path: Path, columns: Mapping[str, np.ndarray]) -> Path:
    """Write the same in llama.cpp's older format; return `path`."""
    data = struct.pack("<i", len(columns))
    for name, values in columns.items():
        sums = (values * _N_INPUTS).astype("<f4")
        data += struct.pack("<i", len(name)) + name.encode()
        data += struct.pack("<ii", _N_INPUTS, len(sums)) + sums.tobytes()
    path.write_bytes(data + struct.pack("<ii", 1, 4) + b"text")
    return path
