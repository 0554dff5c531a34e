"""Tell audio files from image files by their first bytes."""

from typing import Final

_ID3, _OGG, _FLAC = b"ID3", b"OggS", b"fLaC"
_MPEG_VERSION_RESERVED: Final = 1
_MPEG_LAYER_RESERVED: Final = 0


def is_audio(data: bytes) -> bool:
    """Tell by its first bytes whether a file claims to be WAV, MP3, FLAC or Ogg."""
    if data[:4] == b"RIFF":
        return data[8:12] == b"WAVE"
    return data.startswith((_ID3, _OGG, _FLAC)) or _is_mpeg_frame(data[:2])


def _is_mpeg_frame(head: bytes) -> bool:
    """Tell whether eleven bits are set, and a version and a layer that exist follow."""
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != _MPEG_VERSION_RESERVED and layer != _MPEG_LAYER_RESERVED
