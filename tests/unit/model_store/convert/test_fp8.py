"""FP8 numbers are what their formats say."""

import numpy as np
import pytest

from model_store.convert.fp8 import numbers_of
from model_store.convert.tensors import SourceTensor

NUMBERS = {
    "F8_E4M3": {0x00: 0, 0x01: 2**-9, 0x08: 2**-6, 0x38: 1, 0x39: 1.125, 0x7E: 448, 0xB8: -1},
    "F8_E5M2": {0x00: 0, 0x01: 2**-16, 0x04: 2**-14, 0x3C: 1, 0x3D: 1.25, 0x7B: 57344, 0xBC: -1},
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_byte_is_the_number_of_its_format(name: str, tmp_path) -> None:
    source = SourceTensor("t", name, (1, len(NUMBERS[name])), tmp_path, 0)
    bits = np.array([list(NUMBERS[name])], np.uint8)

    found = numbers_of(bits, source, np.arange(1))

    assert found.tolist() == [list(NUMBERS[name].values())]
