"""Mistral 3 (Small 3.1 and later, Ministral 3) in its legacy layout: images in the same file.

Facts, from the reference's converter and published files:

- The keys of YaRN and of the attention's temperature have other names.
- The encoder is Pixtral. The rows of its queries and keys are in Hugging Face's order (the halves
  of a head behind each other), where llama.cpp takes pairs, as everywhere in the text model.
- llama.cpp wants the embedding of the token that ends a row of an image as a tensor of its own;
  it is a row of the token embedding.
"""

from model_store.errors import GGUFError
from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft, DraftTensor, permuted_rows, row_as_f32
from model_store.gguf.legacy.steps import (
    CLIP_DEVIATION,
    CLIP_MEAN,
    TOKENS,
    Family,
    as_f32,
    clip,
    copies,
    has_tensor,
    put,
    rename,
)
from model_store.gguf.legacy.values import f32, text

_PRE = "tokenizer.ggml.pre"
_BREAK, _BREAK_TENSOR = b"[IMG_BREAK]", "v.token_embd.img_break"
_MAX_SPECIAL = 1000
"""Control tokens come first in this vocabulary, and there are 1000 of them."""


def _is_legacy(header: GGUFHeader) -> bool:
    keys = ("rope.scaling.beta_fast", "rope.scaling.mscale_all_dim", "rope.scaling_beta")
    has_key = any(header.has(f"mistral3.{key}") for key in keys)
    return has_key or has_tensor(header, r"(v|mm)\.")


def _name_pre_tokenizer(draft: Draft) -> None:
    if draft.source.header.text(_PRE) in (None, "", "default"):
        draft.put(_PRE, text("tekken"))


def _pair_rows(draft: Draft) -> None:
    """Bring the rows of queries and keys into llama.cpp's order."""
    n_heads = draft.source.need_integer("mistral3.vision.attention.head_count")
    for name in list(draft.tensors):
        if name.startswith("v.blk.") and name.endswith((".attn_q.weight", ".attn_k.weight")):
            draft.map(name, lambda tensor: permuted_rows(tensor, n_heads))


def _add_break(draft: Draft) -> None:
    embedding = draft.source.need("token_embd.weight")
    tokens = draft.source.strings(TOKENS, _MAX_SPECIAL)
    if _BREAK not in tokens:
        raise GGUFError("the vocabulary has no token that ends a row of an image")
    data = draft.source.data_span(embedding)
    row = row_as_f32(DraftTensor(embedding.type, embedding.shape, (data,)), tokens.index(_BREAK))
    draft.tensors[_BREAK_TENSOR] = row


FAMILY = Family(
    architectures=("mistral3",),
    is_legacy=_is_legacy,
    text=(
        copies(
            ("mistral3.rope.scaling.beta_fast", "mistral3.rope.scaling.yarn_beta_fast"),
            ("mistral3.rope.scaling.beta_slow", "mistral3.rope.scaling.yarn_beta_slow"),
            ("mistral3.rope.scaling.mscale_all_dim", "mistral3.rope.scaling.yarn_log_multiplier"),
            ("mistral3.rope.scaling_beta", "mistral3.attention.temperature_scale"),
        ),
        _name_pre_tokenizer,
    ),
    projector=(
        clip("pixtral", "mistral3", "num_channels", activation="silu"),
        copies(
            ("mistral3.spatial_merge_size", "clip.vision.spatial_merge_size"),
            ("mistral3.vision.rope.freq_base", "clip.rope.freq_base"),
        ),
        put("clip.vision.attention.layer_norm_epsilon", f32(1e-5)),
        put("clip.vision.image_mean", CLIP_MEAN),
        put("clip.vision.image_std", CLIP_DEVIATION),
        _pair_rows,
        rename(
            (r"^v\.patch_conv\.", "v.patch_embd."),
            (r"^v\.encoder_norm\.", "v.pre_ln."),
            (r"\.attn_output\.", ".attn_out."),
            (r"\.attn_norm\.", ".ln1."),
            (r"\.ffn_norm\.", ".ln2."),
            (r"^mm\.linear_([12])\.", r"mm.\1."),
            (r"^mm\.patch_merger\.merging_layer\.", "mm.patch_merger."),
            (r"^mm\.norm\.", "mm.input_norm."),
        ),
        as_f32(r"v\.patch_embd\.weight$"),
        _add_break,
    ),
)
