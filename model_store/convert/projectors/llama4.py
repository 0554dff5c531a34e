"""Llama 4's projector: a vision transformer on tiles, with squares of patches joined to one token.

Facts from llama.cpp's converter and transformers (`modeling_llama4.py`): patches are unfolded and
multiplied by a matrix, so the first weights have two dimensions. `pixel_shuffle_ratio` is one
divided by the side of a square of patches. The last projection is a single matrix, `linear_1`.
"""

from collections.abc import Sequence
from typing import ClassVar

from gguf import GGUFWriter

from model_store.convert.projectors.base import PLAIN_LAYER, Projector, Rename

_ENCODER = r"vision_model\."
_LAYER = rf"{_ENCODER}model\.layers\.(\d+)\."
_END = r"\.(weight|bias)"


class Llama4Projector(Projector):
    """Scout and Maverick."""

    names: ClassVar[tuple[str, ...]] = ("Llama4ForConditionalGeneration",)
    kind: ClassVar[str] = "llama4"
    renames: ClassVar[Sequence[Rename]] = (
        (rf"{_ENCODER}class_embedding", "v.class_embd"),
        (rf"{_ENCODER}positional_embedding_vlm", "v.position_embd.weight"),
        (rf"{_ENCODER}patch_embedding\.linear\.weight", "v.patch_embd.weight"),
        (rf"{_ENCODER}layernorm_(pre|post){_END}", r"v.\1_ln.\2"),
        (rf"{_LAYER}input_layernorm{_END}", r"v.blk.\1.ln1.\2"),
        (rf"{_LAYER}post_attention_layernorm{_END}", r"v.blk.\1.ln2.\2"),
        (rf"{_LAYER}self_attn\.([qkv])_proj{_END}", r"v.blk.\1.attn_\2.\3"),
        (rf"{_LAYER}self_attn\.o_proj{_END}", r"v.blk.\1.attn_out.\2"),
        (rf"{_LAYER}mlp\.fc1{_END}", r"v.blk.\1.ffn_up.\2"),
        (rf"{_LAYER}mlp\.fc2{_END}", r"v.blk.\1.ffn_down.\2"),
        (rf"{_ENCODER}vision_adapter\.mlp\.fc([12])\.weight", r"mm.model.mlp.\1.weight"),
        (r"multi_modal_projector\.linear_1\.weight", "mm.model.fc.weight"),
    )
    required: ClassVar[tuple[str, ...]] = PLAIN_LAYER
    required_once: ClassVar[tuple[str, ...]] = (
        "v.class_embd", "v.patch_embd.weight", "v.position_embd.weight", "v.pre_ln.weight",
        "v.post_ln.weight", "mm.model.mlp.1.weight", "mm.model.mlp.2.weight", "mm.model.fc.weight",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the encoder's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_vision_use_gelu(value=True)
        writer.add_vision_attention_layernorm_eps(self.vision.number("norm_eps", default=1e-5))
        ratio = self.vision.number("pixel_shuffle_ratio", default=0.5)
        side = round(1 / ratio) if ratio > 0 else 0
        if side < 1 or self.image_size % (side * self.patch):
            # llama.cpp divides the rows and columns of patches by it.
            raise self.vision.wrong("pixel_shuffle_ratio", "one divided by a number of patches")
        writer.add_vision_projector_scale_factor(side)
