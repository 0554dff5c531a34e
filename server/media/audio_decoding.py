"""Decode an untrusted audio file to samples with libsndfile; run in a worker process only.

No other part of the server, and nothing native in a runner, reads such a file. libsndfile, which
is fuzzed for hostile input, gets only the formats below.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from runners.protocol.media import FULL_SCALE, MIN_AUDIO_SECONDS, DecodedAudio
from server.media.errors import MediaError
from server.media.file_types import is_audio

MAX_SECONDS: Final = 30 * 60
"""What models for long recordings take, and 55 MiB of samples; all others need far less."""
_MAX_CHANNELS: Final = 8
_SAMPLE_RATES: Final = range(4_000, 384_001)
"""Of a file, in Hz: from telephones to studios."""
_BLOCK: Final = 1 << 16
_FORMATS: Final = {
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
    "WAVEX": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
    "MP3": ("MPEG_LAYER_III",),
    "FLAC": ("PCM_S8", "PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
}
"""The formats of libsndfile, and the encodings within them, that are decoded."""
_NOT_AUDIO: Final = "is not a WAV, MP3, FLAC or Ogg file, or is damaged"

Samples = npt.NDArray[np.float32]


def decode_audio(data: bytes | memoryview, sample_rate: int) -> DecodedAudio:
    """Return the recording in `data`, mixed to one channel, with `sample_rate` samples per second.

    Raises:
        MediaError: it cannot be used.
    """
    if not data:
        raise MediaError("is empty")
    if not is_audio(bytes(data[:16])):
        raise MediaError(_NOT_AUDIO)
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            _check(file)
            samples = b"".join(_resampled(file, sample_rate))
    except (MediaError, MemoryError):
        raise
    except Exception as e:
        raise MediaError(_NOT_AUDIO) from e
    if len(samples) // 2 < MIN_AUDIO_SECONDS * sample_rate:
        raise MediaError(f"is shorter than {MIN_AUDIO_SECONDS} seconds")
    return DecodedAudio(samples)


def _check(file: soundfile.SoundFile) -> None:
    if file.subtype not in _FORMATS.get(file.format, ()):
        raise MediaError(f"has an encoding that is not supported: {file.subtype_info}")
    if file.channels > _MAX_CHANNELS:
        raise MediaError(f"has {file.channels} channels: at most {_MAX_CHANNELS} are allowed")
    if file.samplerate not in _SAMPLE_RATES:
        raise MediaError(
            f"has {file.samplerate} samples per second: between {_SAMPLE_RATES[0]} and "
            f"{_SAMPLE_RATES[-1]} are allowed"
        )


def _resampled(file: soundfile.SoundFile, sample_rate: int) -> Iterator[bytes]:
    """Yield the samples in blocks, so that a file which unpacks to far more is not unpacked."""
    stream = soxr.ResampleStream(file.samplerate, sample_rate, num_channels=1, dtype="float32")
    left = MAX_SECONDS * file.samplerate
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        left -= len(block)
        if left < 0:
            raise MediaError(f"is longer than {MAX_SECONDS // 60} minutes")
        yield _as_integers(stream.resample_chunk(_mixed(block)))
    yield _as_integers(stream.resample_chunk(np.empty(0, np.float32), last=True))


def _mixed(block: Samples) -> Samples:
    """Mix channels, shape (samples, channels); NaN and infinities become silence."""
    if not np.isfinite(block).all():
        block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
    n_channels = block.shape[1]
    mixed: Samples = block.clip(-1.0, 1.0) @ np.full(n_channels, 1 / n_channels, np.float32)
    return mixed


def _as_integers(samples: Samples) -> bytes:
    scaled = np.rint(samples * np.float32(FULL_SCALE))
    integers: npt.NDArray[np.int16] = scaled.clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2")
    return integers.tobytes()
