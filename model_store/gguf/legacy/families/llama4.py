"""Llama 4 in its legacy layout: images in the same file, other names of the experts' widths.

Facts, from the reference's converter and published files of Scout and Maverick: the width of an
expert is `intermediate_size_moe`, that of a layer without experts `intermediate_size`, whatever
`feed_forward_length` says. The encoder's tensors have other names, and its position embedding no
suffix. An image's rows are halved as often as `pixel_shuffle_ratio` says.
"""

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import (
    HALVES,
    Family,
    clip,
    copies,
    has_tensor,
    only_without,
    put,
    rename,
)
from model_store.gguf.legacy.values import u32

_WIDTH, _EXPERT_WIDTH = "llama4.feed_forward_length", "llama4.expert_feed_forward_length"
_SCALE = 2


def _is_legacy(header: GGUFHeader) -> bool:
    return has_tensor(header, r"(v|mm)\.") or header.has("llama4.intermediate_size_moe")


def _measure_layers(draft: Draft) -> None:
    """Set both widths to those of the tensors."""
    for name, tensor in draft.tensors.items():
        if name.endswith(".ffn_gate.weight"):
            draft.put(_WIDTH, u32(tensor.shape[-1]))
            break


def _measure_experts(draft: Draft) -> None:
    for name, tensor in draft.tensors.items():
        if name.endswith(".ffn_down_exps.weight"):
            draft.put(_EXPERT_WIDTH, u32(tensor.shape[0]))
            break


def _scale_factor(draft: Draft) -> None:
    ratio = draft.source.header.metadata.get("llama4.vision.pixel_shuffle_ratio")
    scale = round(1 / ratio) if isinstance(ratio, float) and 0 < ratio <= 1 else _SCALE
    draft.put("clip.vision.projector.scale_factor", u32(scale))


FAMILY = Family(
    architectures=("llama4",),
    is_legacy=_is_legacy,
    text=(_measure_layers, only_without(_EXPERT_WIDTH, _measure_experts)),
    projector=(
        clip("llama4", "llama4"),
        copies(
            ("llama4.vision.layer_norm_epsilon", "clip.vision.attention.layer_norm_epsilon"),
        ),
        _scale_factor,
        put("clip.vision.image_mean", HALVES),
        put("clip.vision.image_std", HALVES),
        rename(
            (r"^v\.vision_adapter\.mlp\.fc([12])\.", r"mm.model.mlp.\1."),
            (r"^mm\.linear_1\.", "mm.model.fc."),
            (r"^v\.positional_embedding_vlm$", "v.position_embd.weight"),
            (r"^v\.class_embedding$", "v.class_embd"),
            (r"^v\.layernorm_post\.", "v.post_ln."),
            (r"^v\.layernorm_pre\.", "v.pre_ln."),
            (r"^v\.patch_embedding\.", "v.patch_embd."),
            (r"\.attn_output\.", ".attn_out."),
            (r"\.attn_norm\.", ".ln1."),
            (r"\.ffn_norm\.", ".ln2."),
            (r"\.mlp\.fc1\.", ".ffn_up."),
            (r"\.mlp\.fc2\.", ".ffn_down."),
        ),
    ),
)
