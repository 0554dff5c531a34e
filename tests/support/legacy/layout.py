"""A model file in a legacy layout, beside the same weights in llama.cpp's form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.legacy.plain_file import PlainFile


@dataclass
class Layout:
    """A legacy file, and what llama.cpp would have instead; `projector` None without images."""

    file: PlainFile
    text: PlainFile
    projector: PlainFile | None = None


_SIZES = ("block_count", "embedding_length", "feed_forward_length")
_ATTENTION = ("attention.head_count", "attention.layer_norm_epsilon")


def vision_keys(encoder: PlainFile) -> dict[str, object]:
    """Return the keys of an encoder that all layouts have, without their prefix."""
    names = (*_SIZES, "image_size", "patch_size", *_ATTENTION)
    return {name: encoder.keys[f"clip.vision.{name}"] for name in names}


def audio_keys(encoder: PlainFile) -> dict[str, object]:
    """Return the keys of an encoder of audio that all layouts have, without their prefix."""
    return {name: encoder.keys[f"clip.audio.{name}"] for name in (*_SIZES, *_ATTENTION)}


def halved(tensor: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return what is left of a tensor in half precision."""
    return tensor.astype(np.float16).astype(np.float32)
