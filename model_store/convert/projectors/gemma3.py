"""Gemma 3's projector: SigLIP, pooled to one token for each square of patches.

Facts from llama.cpp's converter: the norm before the projection is stored minus 1, as those of the
text are; the norms of the encoder are not. The pooled square has four patches a side, unless the
processor says of how many tokens an image is.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from gguf import GGUFWriter

from model_store.convert.output import OutputTensor
from model_store.convert.projectors.base import PLAIN_LAYER, Projector, Rename, square_root
from model_store.convert.tensors import SourceTensor

_ENCODER = r"vision_tower\.vision_model\."
_LAYER = rf"{_ENCODER}encoder\.layers\.(\d+)\."
_END = r"\.(weight|bias)"
_IMAGE_TOKENS = 256
_POOLED = 4


class Gemma3Projector(Projector):
    """Gemma 3 from 4B on."""

    names: ClassVar[tuple[str, ...]] = ("Gemma3ForConditionalGeneration",)
    kind: ClassVar[str] = "gemma3"
    renames: ClassVar[Sequence[Rename]] = (
        (rf"{_ENCODER}embeddings\.patch_embedding{_END}", r"v.patch_embd.\1"),
        (rf"{_ENCODER}embeddings\.position_embedding\.weight", "v.position_embd.weight"),
        (rf"{_ENCODER}post_layernorm{_END}", r"v.post_ln.\1"),
        (rf"{_LAYER}layer_norm([12]){_END}", r"v.blk.\1.ln\2.\3"),
        (rf"{_LAYER}self_attn\.([qkv])_proj{_END}", r"v.blk.\1.attn_\2.\3"),
        (rf"{_LAYER}self_attn\.out_proj{_END}", r"v.blk.\1.attn_out.\2"),
        (rf"{_LAYER}mlp\.fc1{_END}", r"v.blk.\1.ffn_up.\2"),
        (rf"{_LAYER}mlp\.fc2{_END}", r"v.blk.\1.ffn_down.\2"),
        (r"multi_modal_projector\.mm_input_projection_weight", "mm.input_projection.weight"),
        (r"multi_modal_projector\.mm_soft_emb_norm\.weight", "mm.soft_emb_norm.weight"),
    )
    required: ClassVar[tuple[str, ...]] = PLAIN_LAYER
    required_once: ClassVar[tuple[str, ...]] = (
        "v.patch_embd.weight", "v.position_embd.weight", "v.post_ln.weight",
        "mm.input_projection.weight", "mm.soft_emb_norm.weight",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the encoder's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_vision_use_gelu(value=True)
        writer.add_vision_attention_layernorm_eps(
            self.vision.number("layer_norm_eps", default=1e-6)
        )
        tokens = self.images.integer("image_seq_length", default=self._tokens)
        side = square_root(tokens, self.images.wrong("image_seq_length", "a square number"))
        pooled = self.image_size // self.patch // side
        if pooled not in (0, _POOLED):
            writer.add_vision_projector_scale_factor(pooled)

    @property
    def _tokens(self) -> int:
        return self.config.integer("mm_tokens_per_image", default=_IMAGE_TOKENS)

    def _converted(self, name: str, source: SourceTensor) -> Iterator[OutputTensor]:
        if ".vision_model.head." in name:  # classifies images, and has no part in encoding them
            return
        target = self._gguf_name(name)
        yield self.output(target, source, shift=1.0 if target.startswith("mm.soft_emb") else 0.0)
