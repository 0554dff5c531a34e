"""Gemma 3 in its legacy layout: images in the same file, rotary keys of other names.

Facts, from the reference's converter and from published files of 1B to 27B:

- The norm's epsilon and the bases of the rotary embedding are missing, or the bases are `global`
  and `local`. Files for 128k tokens do not say that positions are scaled by 8, as Gemma's own
  configuration does; those of 32k tokens (270M, 1B) are not scaled.
- The vocabulary has more tokens than the embedding has rows, because it counts those of images.
- The encoder's tensors have names of Hugging Face's SigLIP. Norms have the 1 added already.
"""

from model_store.gguf.header import Array, GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import (
    HALVES,
    TOKENS,
    Family,
    as_f32,
    clip,
    copies,
    default,
    has_tensor,
    put,
    rename,
    vocabulary_of_rows,
)
from model_store.gguf.legacy.values import f32, text

_SCALED_CONTEXT = 131072


def _is_legacy(header: GGUFHeader) -> bool:
    return (
        has_tensor(header, r"(v|mm)\.")
        or header.has("gemma3.rope.global.freq_base")
        or header.has("gemma3.rope.local.freq_base")
        or not header.has("gemma3.attention.layer_norm_rms_epsilon")
        or _has_more_tokens_than_rows(header)
    )


def _has_more_tokens_than_rows(header: GGUFHeader) -> bool:
    tokens = header.metadata.get(TOKENS)
    rows = [t.shape[-1] for t in header.tensors if t.name == "token_embd.weight" and t.shape]
    return isinstance(tokens, Array) and bool(rows) and tokens.length > rows[0]


def _scale_positions(draft: Draft) -> None:
    if draft.source.need_integer("gemma3.context_length") >= _SCALED_CONTEXT:
        draft.default("gemma3.rope.scaling.type", text("linear"))
        draft.default("gemma3.rope.scaling.factor", f32(8.0))


FAMILY = Family(
    architectures=("gemma3",),
    is_legacy=_is_legacy,
    text=(
        copies(
            ("gemma3.rope.global.freq_base", "gemma3.rope.freq_base"),
            ("gemma3.rope.local.freq_base", "gemma3.rope.freq_base_swa"),
        ),
        default("gemma3.attention.layer_norm_rms_epsilon", f32(1e-6)),
        default("gemma3.rope.freq_base", f32(1_000_000.0)),
        default("gemma3.rope.freq_base_swa", f32(10_000.0)),
        _scale_positions,
        vocabulary_of_rows("token_embd.weight"),
    ),
    projector=(
        clip("gemma3", "gemma3", "attention.layer_norm_epsilon"),
        put("clip.vision.image_mean", HALVES),
        put("clip.vision.image_std", HALVES),
        rename(
            (r"^v\.patch_embedding\.", "v.patch_embd."),
            (r"^v\.position_embedding\.", "v.position_embd."),
            (r"^v\.post_layernorm\.", "v.post_ln."),
            (r"\.layer_norm([12])\.", r".ln\1."),
            (r"\.attn_output\.", ".attn_out."),
            (r"\.mlp\.fc1\.", ".ffn_up."),
            (r"\.mlp\.fc2\.", ".ffn_down."),
            (r"^mm\.mm_input_projection\.", "mm.input_projection."),
            (r"^mm\.mm_soft_emb_norm\.", "mm.soft_emb_norm."),
        ),
        as_f32(r"v\.(patch|position)_embd\.weight$"),
    ),
)
