"""DecodedAudio files of every format that may be sent, made in memory."""

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

FORMATS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "wav8": {"format": "WAV", "subtype": "PCM_U8"},
    "wav24": {"format": "WAV", "subtype": "PCM_24"},
    "wav32": {"format": "WAV", "subtype": "PCM_32"},
    "float": {"format": "WAV", "subtype": "FLOAT"},
    "double": {"format": "WAV", "subtype": "DOUBLE"},
    "telephone": {"format": "WAV", "subtype": "ULAW"},
    "extensible": {"format": "WAVEX", "subtype": "PCM_16"},
    "mp3": {"format": "MP3"},
    "flac": {"format": "FLAC"},
    "vorbis": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}
"""What tells the library which file to write."""
Wave = npt.NDArray[np.floating[Any]]


def tone(seconds: float = 0.5, *, rate: int = 16_000, frequency: float = 440.0) -> Wave:
    """Return a sine of half the full loudness."""
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def recorded(wave: Wave, *, rate: int = 16_000, kind: str = "wav", **how: str) -> bytes:
    """Return the file of a recording, shape (samples,) or (samples, channels)."""
    buffer = BytesIO()
    soundfile.write(buffer, wave, rate, **(how or FORMATS[kind]))
    return buffer.getvalue()


def recording(seconds: float = 0.5) -> bytes:
    """Return a WAV file of a tone."""
    return recorded(tone(seconds))
