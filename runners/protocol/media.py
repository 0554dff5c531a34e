"""What a model is shown and what it hears."""

from typing import Final

import msgspec

FULL_SCALE: Final = 1 << 15
"""What stands for 1.0 in the samples of a sound."""
LEAST_SECONDS: Final = 0.1
"""How long a sound must be for every projector to make something of it."""


class DecodedImage(msgspec.Struct, frozen=True, array_like=True, tag="picture"):
    """An image, decoded: 8 bits each of red, green and blue, row by row from the top left."""

    width: int
    height: int
    rgb: bytes


class DecodedAudio(msgspec.Struct, frozen=True, array_like=True, tag="sound"):
    """A recording, decoded: one channel at the model's rate, signed 16 bits, little endian."""

    samples: bytes


Medium = DecodedImage | DecodedAudio
