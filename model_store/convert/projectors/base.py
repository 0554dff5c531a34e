"""Base class of projectors: names of the tensors, and the metadata that llama.cpp's clip reads."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Encoding
from gguf import GGUFWriter

from model_store.convert.families.base import MOST_LAYERS
from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.convert.output import OutputTensor, encoding_of, require_tensors
from model_store.convert.tensors import SourceTensor, shown
from model_store.errors import CreateError

Rename = tuple[str, str]
"""A regular expression that matches a whole name, and what it becomes."""
_IMAGE_PART: Final = re.compile(
    r"(?:model\.)?(?P<part>vision_tower|vision_model|multi_modal_projector|visual)\.(?P<name>.+)\Z"
)
_PRECISE: Final = re.compile(r"v\.(?:patch|position)_embd\.weight")
"""llama.cpp adds these to numbers in single precision, or convolves with them."""
_HALF: Final = re.compile(r"mm\.input_projection\.weight\Z")
"""llama.cpp transposes this one, which it cannot do with bfloat16."""
_MOST_DIMENSIONS: Final = 4
PLAIN_LAYER: Final = (
    "ln1.weight", "ln2.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight",
    "attn_out.weight", "ffn_up.weight", "ffn_down.weight",
)  # fmt: skip
"""Tensors of a layer whose queries, keys and values are separate, without a gate."""


class Projector:
    """The part of one model that encodes images.

    `names` are the architecture's names in config.json, `kind` the name of the projector in GGUF
    files. `renames` say what becomes of names, the first that matches; other tensors are refused.
    `required` are tensors of every layer, `required_once` those beside the layers.
    """

    names: ClassVar[tuple[str, ...]]
    kind: ClassVar[str]
    renames: ClassVar[Sequence[Rename]]
    required: ClassVar[tuple[str, ...]]
    required_once: ClassVar[tuple[str, ...]]
    depth: ClassVar[str] = "num_hidden_layers"
    heads: ClassVar[str] = "num_attention_heads"
    mean: ClassVar[tuple[float, ...]] = (0.5, 0.5, 0.5)
    deviation: ClassVar[tuple[float, ...]] = (0.5, 0.5, 0.5)

    def __init__(self, config: Fields, folder: Folder) -> None:
        self.config, self.vision = config, config.inner("vision_config")
        self.text = config.inner("text_config")
        self.images = folder.fields("preprocessor_config.json")
        self.n_layers = self.vision.integer(self.depth)
        if self.n_layers > MOST_LAYERS:
            raise self.vision.wrong(self.depth, f"at most {MOST_LAYERS}")
        self.patch = self.vision.integer("patch_size")

    @property
    def image_size(self) -> int:
        """Width and height of an image in pixels."""
        return self.vision.integer("image_size")

    @property
    def width(self) -> int:
        """Numbers that stand for a patch between the layers."""
        return self.vision.integer("hidden_size")

    @property
    def n_ff(self) -> int:
        """Width of the feed-forward layers."""
        return self.vision.integer("intermediate_size")

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the encoder's size and shape are; raises CreateError."""
        writer.add_type("mmproj")
        writer.add_clip_has_vision_encoder(value=True)
        writer.add_clip_projector_type(self.kind)
        text = self.text if self.text.has("hidden_size") else self.config
        writer.add_vision_projection_dim(text.integer("hidden_size"))
        writer.add_vision_image_size(self.image_size)
        writer.add_vision_patch_size(self.patch)
        writer.add_vision_embedding_length(self.width)
        writer.add_vision_feed_forward_length(self.n_ff)
        writer.add_vision_block_count(self.n_layers)
        writer.add_vision_head_count(self.vision.integer(self.heads))
        writer.add_vision_image_mean(self._colours("image_mean", self.mean))
        writer.add_vision_image_std(self._colours("image_std", self.deviation))

    def _colours(self, name: str, usual: tuple[float, ...]) -> Sequence[float]:
        values = self.images.numbers(name) or usual
        if len(values) != len(usual):
            raise self.images.wrong(name, "a list of three numbers")
        return values

    def outputs(self, tensors: Mapping[str, SourceTensor]) -> list[OutputTensor]:
        """Return what becomes of the tensors that have to do with images.

        Raises:
            CreateError: a tensor is missing, or not known to the projector.
        """
        outputs: list[OutputTensor] = []
        for source in tensors.values():
            match = _IMAGE_PART.match(source.name)
            if match is not None:
                outputs += self._converted(f"{match['part']}.{match['name']}", source)
        layered = (f"v.blk.{n}.{name}" for n in range(self.n_layers) for name in self.required)
        require_tensors(outputs, (*self.required_once, *layered))
        return outputs

    def _converted(self, name: str, source: SourceTensor) -> Iterator[OutputTensor]:
        """Yield what becomes of a tensor, called `name` as every folder of the family calls it."""
        yield self.output(self._gguf_name(name), source)

    def _gguf_name(self, name: str) -> str:
        for pattern, replacement in self.renames:
            match = re.fullmatch(pattern, name)
            if match is not None:
                return match.expand(replacement)
        raise CreateError(f'unsupported tensor "{shown(name)}" for the projector "{self.kind}"')

    def output(
        self,
        name: str,
        source: SourceTensor,
        *,
        order: npt.NDArray[np.intp] | None = None,
        shift: float = 0.0,
    ) -> OutputTensor:
        """Return a tensor with the rows `order` of its source; raises CreateError."""
        shape = source.shape or (1,)
        if len(shape) > _MOST_DIMENSIONS:
            raise CreateError(f'the tensor "{shown(source.name)}" has more than 4 dimensions')
        if order is not None:
            shape = (len(order), *shape[1:])
        encoding = encoding_of(name, (source,), precise=bool(_PRECISE.search(name)))
        if _HALF.search(name):
            encoding = Encoding.F16
        return OutputTensor(name, shape, encoding, (source,), order, shift)


def frames(source: SourceTensor) -> Iterator[OutputTensor]:
    """Yield a convolution over two frames as two over images; raises CreateError."""
    match source.shape:
        case (n_out, n_in, 2, height, width):
            shape = (n_out, n_in, height, width)
        case _:
            raise CreateError(f'the tensor "{shown(source.name)}" is no convolution of two frames')
    numbers = OutputTensor(source.name, source.shape, Encoding.F32, (source,)).numbers()
    for frame, suffix in enumerate(("", ".1")):
        data = np.ascontiguousarray(numbers[:, :, frame])
        yield OutputTensor(f"v.patch_embd.weight{suffix}", shape, Encoding.F32, (data,))


def square_root(count: int, error: CreateError) -> int:
    """Return the whole square root of `count`; raises `error` when there is none."""
    root = math.isqrt(count)
    if root * root != count:
        raise error
    return root
