"""Decoded images and audio, as they are sent to a runner with a prompt."""

from typing import Final

import msgspec

FULL_SCALE: Final = 1 << 15
"""The sample value that stands for 1.0."""
MIN_AUDIO_SECONDS: Final = 0.1
"""Shortest audio that every projector can encode."""


class DecodedImage(msgspec.Struct, frozen=True, array_like=True, tag="image"):
    """An image as 8 bits each of red, green and blue, row by row from the top left."""

    width: int
    height: int
    rgb: bytes


class DecodedAudio(msgspec.Struct, frozen=True, array_like=True, tag="audio"):
    """One channel of PCM at the model's sample rate: signed 16 bits, little endian."""

    samples: bytes


Medium = DecodedImage | DecodedAudio
