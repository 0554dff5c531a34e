"""Projectors of Qwen2-VL, 2.5-VL and 3-VL, whose first convolution takes two frames of a video.

Facts from llama.cpp's converter: the convolution becomes two, one for each frame. Queries, keys and
values are split for Qwen2-VL and Qwen2.5-VL. Qwen2-VL calls its own width `embed_dim`, and that of
the text `hidden_size`. Qwen2.5-VL's configuration lists the layers that attend to the whole image,
llama.cpp takes the distance between them. Qwen3-VL hands the output of some layers to the first
layers of the text (deepstack).
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
from gguf import GGUFWriter

from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.convert.output import OutputTensor
from model_store.convert.projectors.base import PLAIN_LAYER, Projector, Rename, frames, square_root
from model_store.convert.tensors import SourceTensor, shown
from model_store.errors import CreateError

_LAYER = r"visual\.blocks\.(\d+)\."
_END = r"\.(weight|bias)"
_PATCHES = "visual.patch_embed.proj.weight"
_IMAGE_SIZE = 560
_POSITIONS = 2304


class _QwenProjector(Projector):
    depth: ClassVar[str] = "depth"
    heads: ClassVar[str] = "num_heads"

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the encoder's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        merged = self.vision.integer("spatial_merge_size", default=2)
        writer.add_vision_spatial_merge_size(merged)
        text = self.text if self.text.has("rms_norm_eps") else self.config
        writer.add_vision_attention_layernorm_eps(text.number("rms_norm_eps", default=1e-6))

    def _converted(self, name: str, source: SourceTensor) -> Iterator[OutputTensor]:
        if name == _PATCHES:
            yield from frames(source)
        else:
            yield from super()._converted(name, source)


class _SplitProjector(_QwenProjector):
    """Queries, keys and values are separate; positions are not learned."""

    mean: ClassVar[tuple[float, ...]] = (0.48145466, 0.4578275, 0.40821073)
    deviation: ClassVar[tuple[float, ...]] = (0.26862954, 0.26130258, 0.27577711)
    required_once: ClassVar[tuple[str, ...]] = (
        "v.patch_embd.weight", "v.patch_embd.weight.1", "v.post_ln.weight", "mm.0.weight",
        "mm.2.weight",
    )  # fmt: skip

    @property
    def image_size(self) -> int:
        """Width and height of an image in pixels; images of other sizes are encoded too."""
        return self.vision.integer("image_size", default=_IMAGE_SIZE)

    def _converted(self, name: str, source: SourceTensor) -> Iterator[OutputTensor]:
        if ".attn.qkv." not in name:
            yield from super()._converted(name, source)
            return
        n_rows = source.shape[0] if source.shape else 0
        if n_rows % 3:
            raise CreateError(f'"{shown(source.name)}" does not hold queries, keys and values')
        for part, rows in zip("qkv", np.split(np.arange(n_rows), 3), strict=True):
            target = self._gguf_name(name).replace("attn_qkv", f"attn_{part}")
            yield self.output(target, source, order=rows)


class Qwen2VLProjector(_SplitProjector):
    """Norms with bias, and feed-forward layers without a gate."""

    names: ClassVar[tuple[str, ...]] = ("Qwen2VLForConditionalGeneration",)
    kind: ClassVar[str] = "qwen2vl_merger"
    renames: ClassVar[Sequence[Rename]] = (
        (rf"{_LAYER}norm([12]){_END}", r"v.blk.\1.ln\2.\3"),
        (rf"{_LAYER}attn\.qkv{_END}", r"v.blk.\1.attn_qkv.\2"),
        (rf"{_LAYER}attn\.proj{_END}", r"v.blk.\1.attn_out.\2"),
        (rf"{_LAYER}mlp\.fc1{_END}", r"v.blk.\1.ffn_up.\2"),
        (rf"{_LAYER}mlp\.fc2{_END}", r"v.blk.\1.ffn_down.\2"),
        (rf"visual\.merger\.ln_q{_END}", r"v.post_ln.\1"),
        (rf"visual\.merger\.mlp\.([02]){_END}", r"mm.\1.\2"),
    )
    required: ClassVar[tuple[str, ...]] = PLAIN_LAYER

    @property
    def width(self) -> int:
        """Numbers that stand for a patch between the layers."""
        return self.vision.integer("embed_dim")

    @property
    def n_ff(self) -> int:
        """Width of the feed-forward layers."""
        return int(self.width * self.vision.number("mlp_ratio", default=4))


class Qwen25VLProjector(_SplitProjector):
    """Norms without bias, gated feed-forward layers, windows in most layers."""

    names: ClassVar[tuple[str, ...]] = ("Qwen2_5_VLForConditionalGeneration",)
    kind: ClassVar[str] = "qwen2.5vl_merger"
    renames: ClassVar[Sequence[Rename]] = (
        (rf"{_LAYER}norm([12])\.weight", r"v.blk.\1.ln\2.weight"),
        (rf"{_LAYER}attn\.qkv{_END}", r"v.blk.\1.attn_qkv.\2"),
        (rf"{_LAYER}attn\.proj{_END}", r"v.blk.\1.attn_out.\2"),
        (rf"{_LAYER}mlp\.(gate|up|down)_proj{_END}", r"v.blk.\1.ffn_\2.\3"),
        (r"visual\.merger\.ln_q\.weight", "v.post_ln.weight"),
        (rf"visual\.merger\.mlp\.([02]){_END}", r"mm.\1.\2"),
    )
    required: ClassVar[tuple[str, ...]] = (
        "ln1.weight", "ln2.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight",
        "attn_out.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the encoder's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_vision_use_silu(value=True)
        writer.add_vision_n_wa_pattern(self._distance())
        if self.vision.has("window_size"):
            writer.add_vision_window_size(self.vision.integer("window_size"))

    def _distance(self) -> int:
        """Return how far layers that attend to the whole image are apart; raises CreateError."""
        layers = [int(layer) for layer in self.vision.numbers("fullatt_block_indexes")]
        distance = layers[0] + 1 if layers else 0
        if distance < 1 or layers != [(n + 1) * distance - 1 for n in range(len(layers))]:
            raise self.vision.wrong("fullatt_block_indexes", "layers at equal distances")
        return distance


class Qwen3VLProjector(_QwenProjector):
    """Norms with bias, learned positions, and the output of some layers beside that of the last."""

    names: ClassVar[tuple[str, ...]] = (
        "Qwen3VLForConditionalGeneration",
        "Qwen3VLMoeForConditionalGeneration",
    )
    kind: ClassVar[str] = "qwen3vl_merger"
    renames: ClassVar[Sequence[Rename]] = (
        (r"visual\.patch_embed\.proj\.bias", "v.patch_embd.bias"),
        (r"visual\.pos_embed\.weight", "v.position_embd.weight"),
        (rf"{_LAYER}norm([12]){_END}", r"v.blk.\1.ln\2.\3"),
        (rf"{_LAYER}attn\.qkv{_END}", r"v.blk.\1.attn_qkv.\2"),
        (rf"{_LAYER}attn\.proj{_END}", r"v.blk.\1.attn_out.\2"),
        (rf"{_LAYER}mlp\.linear_fc1{_END}", r"v.blk.\1.ffn_up.\2"),
        (rf"{_LAYER}mlp\.linear_fc2{_END}", r"v.blk.\1.ffn_down.\2"),
        (rf"visual\.merger\.norm{_END}", r"v.post_ln.\1"),
        (rf"visual\.merger\.linear_fc1{_END}", r"mm.0.\1"),
        (rf"visual\.merger\.linear_fc2{_END}", r"mm.2.\1"),
        (rf"deepstack\.(\d+)\.(?:linear_)?(norm|fc1|fc2){_END}", r"v.deepstack.\1.\2.\3"),
    )
    required: ClassVar[tuple[str, ...]] = (
        "ln1.weight", "ln2.weight", "attn_qkv.weight", "attn_out.weight", "ffn_up.weight",
        "ffn_down.weight",
    )  # fmt: skip
    required_once: ClassVar[tuple[str, ...]] = (
        "v.patch_embd.weight", "v.patch_embd.weight.1", "v.position_embd.weight",
        "v.post_ln.weight", "mm.0.weight", "mm.2.weight",
    )  # fmt: skip

    def __init__(self, config: Fields, folder: Folder) -> None:
        super().__init__(config, folder)
        self._deepstack = [int(n) for n in self.vision.numbers("deepstack_visual_indexes")]
        if not all(0 <= layer < self.n_layers for layer in self._deepstack):
            raise self.vision.wrong("deepstack_visual_indexes", "a list of layers")

    @property
    def image_size(self) -> int:
        """Width and height of the image whose patches have learned positions, in pixels."""
        count = self.vision.integer("num_position_embeddings", default=_POSITIONS)
        wrong = self.vision.wrong("num_position_embeddings", "a square number")
        return square_root(count, wrong) * self.patch

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the encoder's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_vision_use_gelu(value=True)
        layers = range(self.n_layers)
        writer.add_vision_is_deepstack_layers([layer in self._deepstack for layer in layers])

    def _gguf_name(self, name: str) -> str:
        prefix = "visual.deepstack_merger_list."
        if name.startswith(prefix):
            number, _, rest = name.removeprefix(prefix).partition(".")
            if not number.isdecimal() or int(number[:4]) >= len(self._deepstack):
                raise CreateError(f'"{shown(name)}" belongs to no layer in config.json')
            name = f"deepstack.{self._deepstack[int(number[:4])]}.{rest}"
        return super()._gguf_name(name)
