"""Detect the kind of uploaded files: safetensors, or a GGUF model, projector or adapter."""

from collections.abc import Mapping
from pathlib import Path

from model_store.disk import open_regular
from model_store.errors import CreateError
from model_store.gguf import GGUFHeader

_MAGICS = (b"GGUF", b"FUGG")


def check_kind(files: Mapping[str, Path]) -> str:
    """Return "safetensors" or "gguf", whichever the files are; raises CreateError."""
    if any(name.endswith(".safetensors") for name in files):
        return "safetensors"
    if any(name.endswith(".gguf") for name in files) or any(map(is_gguf, files.values())):
        return "gguf"
    raise CreateError("unknown type")


def is_gguf(path: Path) -> bool:
    """Tell whether a file begins as GGUF files do; raises OSError."""
    with open_regular(path) as file:
        return file.read(4) in _MAGICS


def kind_of(header: GGUFHeader) -> str:
    """Return what a GGUF file is: a model, a projector or an adapter."""
    general, arch = header.text("general.type"), header.architecture
    if general == "adapter":
        return "adapter"
    if general in ("projector", "mmproj"):
        return "projector"
    if header.integer(f"{arch}.block_count"):
        return "model"
    is_encoder = arch == "clip" and (
        header.flag("clip.has_vision_encoder") or header.flag("clip.has_audio_encoder")
    )
    return "projector" if is_encoder or header.integer(f"{arch}.vision.block_count") else "model"
