"""From the bytes of a recording that a stranger sent to the samples that a model may hear.

No other part of the server, and nothing native in a runner, reads such a file. libsndfile, which
is made and tested for hostile input, gets only the formats below.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from runners.protocol.media import FULL_SCALE, MIN_AUDIO_SECONDS, DecodedAudio

MOST_SECONDS: Final = 30 * 60
"""What models for long recordings take, and 55 MiB of samples; all others want far less."""
_MOST_CHANNELS: Final = 8
_RATES: Final = range(4_000, 384_001)
"""Of a file, in Hz: from telephones to studios."""
_BLOCK: Final = 1 << 16
_FORMATS: Final = {
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
    "WAVEX": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
    "MP3": ("MPEG_LAYER_III",),
    "FLAC": ("PCM_S8", "PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
}
"""Those of libsndfile and the encodings within them that are read; each further is a way in."""
_NO_SOUND: Final = "is no WAV, MP3, FLAC or Ogg file, or is damaged"
_ID3, _OGG, _FLAC = b"ID3", b"OggS", b"fLaC"

Samples = npt.NDArray[np.float32]


class UnusableAudio(Exception):
    """The bytes are no sound that a model can hear; the text goes on after "sound 1"."""


def is_audio(data: bytes) -> bool:
    """Tell by its first bytes whether a file is to be a recording."""
    if data[:4] == b"RIFF":
        return data[8:12] == b"WAVE"
    return data.startswith((_ID3, _OGG, _FLAC)) or _is_mpeg_frame(data[:2])


def _is_mpeg_frame(head: bytes) -> bool:
    """Eleven bits that are set, then a version and a layer that exist."""
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer != 0


def decode_audio(data: bytes, sample_rate: int) -> DecodedAudio:
    """Return the recording in `data`, its channels mixed, with `sample_rate` samples a second.

    Raises:
        UnusableAudio: it cannot be used.
    """
    if not data:
        raise UnusableAudio("is empty")
    if not is_audio(data):
        raise UnusableAudio(_NO_SOUND)
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            _check(file)
            samples = b"".join(_resampled(file, sample_rate))
    except UnusableAudio:
        raise
    except Exception as e:
        raise UnusableAudio(_NO_SOUND) from e
    if len(samples) // 2 < MIN_AUDIO_SECONDS * sample_rate:
        raise UnusableAudio(f"is shorter than {MIN_AUDIO_SECONDS} seconds")
    return DecodedAudio(samples)


def _check(file: soundfile.SoundFile) -> None:
    if file.subtype not in _FORMATS.get(file.format, ()):
        raise UnusableAudio(f"has an encoding that is not known here: {file.subtype_info}")
    if file.channels > _MOST_CHANNELS:
        raise UnusableAudio(f"has {file.channels} channels: at most {_MOST_CHANNELS} are allowed")
    if file.samplerate not in _RATES:
        raise UnusableAudio(
            f"has {file.samplerate} samples per second: between {_RATES[0]} and {_RATES[-1]} "
            "are allowed"
        )


def _resampled(file: soundfile.SoundFile, sample_rate: int) -> Iterator[bytes]:
    """Yield the samples in blocks, so that a file which unpacks to far more is not unpacked."""
    stream = soxr.ResampleStream(file.samplerate, sample_rate, num_channels=1, dtype="float32")
    left = MOST_SECONDS * file.samplerate
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        left -= len(block)
        if left < 0:
            raise UnusableAudio(f"is longer than {MOST_SECONDS // 60} minutes")
        yield _as_integers(stream.resample_chunk(_mixed(block)))
    yield _as_integers(stream.resample_chunk(np.empty(0, np.float32), last=True))


def _mixed(block: Samples) -> Samples:
    """Mix channels, shape (samples, channels); what is no number is silence."""
    usable = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0).clip(-1.0, 1.0)
    mixed: Samples = usable.mean(axis=1, dtype=np.float32)
    return mixed


def _as_integers(samples: Samples) -> bytes:
    scaled = np.rint(samples * np.float32(FULL_SCALE))
    integers: npt.NDArray[np.int16] = scaled.clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2")
    return integers.tobytes()
