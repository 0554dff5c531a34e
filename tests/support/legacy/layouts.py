"""Model files in legacy layouts, each beside the same weights in llama.cpp's form.

What is written here are the facts about the published files; the product's tables say how to get
from there to llama.cpp's form.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFValueType, TokenType, quants

from tests.support.legacy import layouts_with_audio, projectors, text_models
from tests.support.legacy.layout import Layout, halved, vision_keys
from tests.support.legacy.plain_file import N_TOKENS, PlainFile, i32s
from tests.support.tiny_models import llama_pieces

_PATCHES = projectors.PATCH
F16 = GGMLQuantizationType.F16


def gemma3() -> Layout:
    text, encoder = text_models.gemma3(), projectors.gemma3()
    old = text.copy()
    for key in list(old.keys):
        if "rope" in key or "epsilon" in key:
            del old.keys[key]
    old.set(gemma3__rope__local__freq_base=10_000.0)
    _add_tokens(old, 5)
    old.update(vision_keys(encoder), "gemma3.vision.")
    old.tensors |= (
        encoder.copy()
        .renamed(
            ("v.patch_embd", "v.patch_embedding"),
            ("v.position_embd", "v.position_embedding"),
            ("v.post_ln", "v.post_layernorm"),
            (".ln1", ".layer_norm1"),
            (".ln2", ".layer_norm2"),
            (".attn_out", ".attn_output"),
            (".ffn_up", ".mlp.fc1"),
            (".ffn_down", ".mlp.fc2"),
            ("mm.input_projection", "mm.mm_input_projection"),
            ("mm.soft_emb_norm", "mm.mm_soft_emb_norm"),
        )
        .tensors
    )
    old.kinds["v.patch_embedding.weight"] = F16
    encoder.tensors["v.patch_embd.weight"] = halved(encoder.tensors["v.patch_embd.weight"])
    return Layout(old, text, encoder)


def embeddinggemma() -> Layout:
    text = text_models.embeddinggemma()
    old = text.copy()
    old.keys = {
        key.replace("gemma-embedding.", "gemma3."): value
        for key, value in text.keys.items()
        if "dense" not in key and "swa" not in key
    }
    old.set(general__architecture="gemma3")
    return Layout(
        old.renamed(("dense_2.", "dense.0."), ("dense_3.", "dense.1."), ("output_norm.", "norm.")),
        text,
    )


def gemma3n() -> Layout:
    text = text_models.gemma3n()
    old = text.copy()
    _add_tokens(old, 7)
    embedding = old.tensors["token_embd.weight"]
    old.tensors["token_embd.weight"] = np.vstack([embedding, embedding[:7]])
    kinds = old.keys["tokenizer.ggml.token_type"][1]
    normal = [TokenType.NORMAL if kind == TokenType.BYTE else kind for kind in kinds]
    old.keys["tokenizer.ggml.token_type"] = GGUFValueType.INT32, [int(kind) for kind in normal]
    return Layout(old, text)


def gptoss() -> Layout:
    text = text_models.gptoss()
    old = text.copy()
    old.keys = {
        key.replace("gpt-oss.", "gptoss."): value
        for key, value in text.keys.items()
        if not key.endswith(("expert_feed_forward_length", "scaling.type"))
    }
    old.set(general__architecture="gptoss")
    renamed = old.renamed(
        ("attn_output", "attn_out"),
        ("attn_sinks.weight", "attn_sinks"),
        ("post_attention_norm", "ffn_norm"),
    )
    return Layout(renamed, text)


def mistral3() -> Layout:
    text, encoder = text_models.mistral3(), projectors.pixtral()
    old = text.copy()
    for new, key in (
        ("rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast"),
        ("rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow"),
        ("rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim"),
        ("attention.temperature_scale", "rope.scaling_beta"),
    ):
        old.keys[f"mistral3.{key}"] = old.keys.pop(f"mistral3.{new}")
    number = 12
    for file in (text, old):
        _replace_token(file, number, "[IMG_BREAK]")
    encoder.tensors["v.token_embd.img_break"] = text.tensors["token_embd.weight"][number]
    encoder.set(clip__vision__image_mean=list(_CLIP_MEAN), clip__vision__image_std=list(_CLIP_STD))
    vision = vision_keys(encoder)
    old.update({k: v for k, v in vision.items() if "epsilon" not in k}, "mistral3.vision.")
    old.set(mistral3__spatial_merge_size=2, mistral3__vision__rope__freq_base=10_000.0)
    tensors = encoder.copy()
    del tensors.tensors["v.token_embd.img_break"]
    for name, tensor in tensors.tensors.items():
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            tensors.tensors[name] = _halves(tensor, projectors.N_HEADS)
    old.tensors |= tensors.renamed(
        ("v.patch_embd", "v.patch_conv"),
        ("v.pre_ln", "v.encoder_norm"),
        (".attn_out.", ".attn_output."),
        (".ln1", ".attn_norm"),
        (".ln2", ".ffn_norm"),
        ("mm.1.", "mm.linear_1."),
        ("mm.2.", "mm.linear_2."),
        ("mm.patch_merger.", "mm.patch_merger.merging_layer."),
        ("mm.input_norm.", "mm.norm."),
    ).tensors
    return Layout(old, text, encoder)


def qwen25vl() -> Layout:
    text, encoder = text_models.qwen2vl(), projectors.qwen25vl()
    old = text.copy()
    old.keys = {key.replace("qwen2vl.", "qwen25vl."): value for key, value in text.keys.items()}
    sections = old.keys.pop("qwen25vl.rope.dimension_sections")[1]
    old.set(general__architecture="qwen25vl")
    old.keys["qwen25vl.rope.mrope_section"] = i32s(*sections[:3])
    vision = vision_keys(encoder)
    for key in ("feed_forward_length", "image_size"):
        del vision[key]
    old.update(vision, "qwen25vl.vision.")
    old.keys["qwen25vl.vision.fullatt_block_indexes"] = i32s(1)
    old.update({"spatial_merge_size": 2, "window_size": 32}, "qwen25vl.vision.")
    encoder.set(clip__vision__image_mean=list(_CLIP_MEAN), clip__vision__image_std=list(_CLIP_STD))
    old.tensors |= (
        encoder.copy()
        .renamed(
            ("v.post_ln", "v.merger.ln_q"),
            ("mm.0", "v.merger.mlp.0"),
            ("mm.2", "v.merger.mlp.2"),
            ("v.patch_embd.weight.1", "v.patch_embd_1.weight"),
            ("v.patch_embd.weight", "v.patch_embd_0.weight"),
        )
        .tensors
    )
    for frame, name in enumerate(("v.patch_embd.weight", "v.patch_embd.weight.1")):
        old.kinds[f"v.patch_embd_{frame}.weight"] = F16
        encoder.tensors[name] = halved(encoder.tensors[name])
    return Layout(old, text, encoder)


def qwen3vl() -> Layout:
    return _qwen3(text_models.qwen3vl(), deepstack=True)


def qwen3vlmoe() -> Layout:
    return _qwen3(text_models.qwen3vlmoe(), deepstack=True)


def qwen35() -> Layout:
    layout = _qwen3(text_models.qwen35(), deepstack=False)
    old = layout.file.renamed((".ssm_dt.bias", ".ssm_dt"))
    old.update({"ssm.v_head_reordered": True}, "qwen35.")
    old.keys["qwen35.rope.dimension_sections"] = i32s(2, 1, 1)
    old.update({"attention.head_count_kv": [0, 0, 0, text_models.N_KV]}, "qwen35.")
    old.tensors["mtp.fc.weight"] = np.ones((32, 64), np.float32)
    return layout


def _qwen3(text: PlainFile, *, deepstack: bool) -> Layout:
    encoder = projectors.qwen3vl(deepstack=deepstack)
    arch = text.keys["general.architecture"][1]
    old = text.copy()
    if deepstack:
        del old.keys[f"{arch}.rope.dimension_sections"], old.keys[f"{arch}.n_deepstack_layers"]
        old.keys[f"{arch}.vision.deepstack_visual_indexes"] = i32s(1)
    vision = vision_keys(encoder)
    for key in ("feed_forward_length", "image_size"):
        del vision[key]
    old.update({**vision, "spatial_merge_size": 2}, f"{arch}.vision.")
    tensors = encoder.copy()
    for block in range(projectors.N_LAYERS):
        for kind in ("weight", "bias"):
            fused = tensors.tensors.pop(f"v.blk.{block}.attn_qkv.{kind}")
            for letter, part in zip("qkv", np.split(fused, 3), strict=True):
                tensors.tensors[f"v.blk.{block}.attn_{letter}.{kind}"] = part
        # The published files have these of two types.
        name = f"v.blk.{block}.attn_v.weight"
        tensors.kinds[name] = GGMLQuantizationType.Q8_0
        whole = encoder.tensors[f"v.blk.{block}.attn_qkv.weight"]
        whole[-len(tensors.tensors[name]) :] = _through_q8_0(tensors.tensors[name])
    frames = [tensors.tensors.pop(f"v.patch_embd.weight{end}") for end in ("", ".1")]
    stacked = np.stack(frames, axis=2)  # output, input, frame, row, column
    tensors.tensors["v.patch_embed.weight"] = stacked.reshape(-1, 2, _PATCHES, _PATCHES)
    tensors.kinds["v.patch_embed.weight"] = F16
    for name in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
        encoder.tensors[name] = halved(encoder.tensors[name])
    old.tensors |= tensors.renamed(
        ("v.patch_embd.bias", "v.patch_embed.bias"),
        ("v.position_embd", "v.pos_embed"),
        ("v.post_ln", "v.merger.norm"),
        ("mm.0", "v.merger.linear_fc1"),
        ("mm.2", "v.merger.linear_fc2"),
        ("v.deepstack.1.fc", "v.deepstack_merger.0.linear_fc"),
        ("v.deepstack.1.", "v.deepstack_merger.0."),
        (".ln1", ".norm1"),
        (".ln2", ".norm2"),
        (".ffn_up", ".mlp.linear_fc1"),
        (".ffn_down", ".mlp.linear_fc2"),
    ).tensors
    old.kinds |= tensors.kinds
    return Layout(old, text, encoder)


def qwen3next() -> Layout:
    text = text_models.qwen3next()
    old = text.copy().renamed((".ssm_dt.bias", ".ssm_dt"))
    old.update({"attention.head_count_kv": [0, 0, 0, text_models.N_KV]}, "qwen3next.")
    return Layout(old, text)


def lfm2() -> Layout:
    text = text_models.lfm2()
    old = text.copy().renamed(("token_embd_norm", "output_norm"))
    old.set(lfm2__feed_forward_length=96, tokenizer__ggml__pre="default")
    return Layout(old, text)


def olmo3() -> Layout:
    text = text_models.olmo2()
    old = text.copy()
    old.keys = {key.replace("olmo2.", "olmo3."): value for key, value in text.keys.items()}
    return Layout(old.set(general__architecture="olmo3"), text)


def glm4moelite() -> Layout:
    text = text_models.deepseek2()
    old = text.copy()
    arch = "glm4moelite"
    old.keys = {
        key.replace("deepseek2.", f"{arch}."): value
        for key, value in text.keys.items()
        if "group" not in key
    }
    old.set(general__architecture=arch)
    lengths = {"head_count_kv": 4, "key_length": 12, "value_length": 12}
    compressed = {"key_length_mla": 20, "value_length_mla": 16}
    old.update({**lengths, **compressed}, f"{arch}.attention.")
    old.keys["tokenizer.ggml.eos_token_ids"] = i32s(2, 3, 4)
    text.set(tokenizer__ggml__eot_token_id=3, tokenizer__ggml__eom_token_id=4)
    return Layout(old, text)


def laguna() -> Layout:
    text = text_models.laguna()
    old = text.copy().renamed((".attn_gate.", ".attn_g."))
    moved = {
        "rope.freq_base_swa": "rope.swa.freq_base",
        "rope.dimension_count_swa": "rope.swa.dimension_count",
        "rope.scaling.yarn_beta_fast": "rope.scaling.beta_fast",
        "rope.scaling.yarn_beta_slow": "rope.scaling.beta_slow",
    }
    for new, name in moved.items():
        old.keys[f"laguna.{name}"] = old.keys.pop(f"laguna.{new}")
    old.set(laguna__rope__scaling__attn_factor=1.1386294)
    old.keys["laguna.attention.layer_types"] = (GGUFValueType.UINT32, [0, 1])
    old.keys["tokenizer.ggml.eos_token_ids"] = i32s(2, 3)
    text.set(tokenizer__ggml__eot_token_id=3)
    return Layout(old, text)


def llama4() -> Layout:
    text, encoder = text_models.llama4(), projectors.llama4()
    old = text.copy()
    del old.keys["llama4.expert_feed_forward_length"]
    old.set(llama4__feed_forward_length=48)
    old.set(llama4__intermediate_size=96, llama4__intermediate_size_moe=48)
    vision = vision_keys(encoder)
    epsilon = vision.pop("attention.layer_norm_epsilon")
    old.update({**vision, "layer_norm_epsilon": epsilon}, "llama4.vision.")
    old.set(llama4__vision__pixel_shuffle_ratio=0.5)
    old.tensors |= (
        encoder.copy()
        .renamed(
            ("mm.model.mlp.", "v.vision_adapter.mlp.fc"),
            ("mm.model.fc", "mm.linear_1"),
            ("v.position_embd.weight", "v.positional_embedding_vlm"),
            ("v.class_embd", "v.class_embedding"),
            ("v.pre_ln", "v.layernorm_pre"),
            ("v.post_ln", "v.layernorm_post"),
            ("v.patch_embd", "v.patch_embedding"),
            (".attn_out.", ".attn_output."),
            (".ln1", ".attn_norm"),
            (".ln2", ".ffn_norm"),
            (".ffn_up", ".mlp.fc1"),
            (".ffn_down", ".mlp.fc2"),
        )
        .tensors
    )
    return Layout(old, text, encoder)


def glmocr() -> Layout:
    text, encoder = text_models.glm4(), projectors.glm4v()
    old = text.copy()
    old.keys = {key.replace("glm4.", "glmocr."): value for key, value in text.keys.items()}
    sections = old.keys.pop("glmocr.rope.dimension_sections")[1]
    del old.keys["glmocr.rope.dimension_count"]
    old.set(general__architecture="glmocr", tokenizer__ggml__pre="llama-bpe")
    old.keys["glmocr.rope.mrope_section"] = i32s(*sections[:3])
    for block in range(text_models.N_LAYERS):
        gate, up = np.split(old.tensors.pop(f"blk.{block}.ffn_up.weight"), 2)
        old.tensors[f"blk.{block}.ffn_gate.weight"] = gate
        old.tensors[f"blk.{block}.ffn_up.weight"] = up
    old.renamed(
        ("attn_output", "attn_out"),
        ("post_attention_norm", "post_attn_norm"),
        ("post_ffw_norm", "post_ffn_norm"),
    )
    vision = vision_keys(encoder)
    width, epsilon = vision.pop("feed_forward_length"), vision.pop("attention.layer_norm_epsilon")
    names = ("spatial_merge_size", "image_mean", "image_std")
    vision |= {name: encoder.keys[f"clip.vision.{name}"] for name in names}
    vision |= {"intermediate_size": width, "attention.layer_norm_rms_epsilon": epsilon}
    old.update({**vision, "out_hidden_size": 32}, "glmocr.vision.")
    old.tensors |= (
        encoder.copy()
        .renamed(
            ("v.patch_embd.weight.1", "v.patch_embd_1.weight"),
            ("v.patch_embd.weight", "v.patch_embd_0.weight"),
        )
        .tensors
    )
    return Layout(old, text, encoder)


LAYOUTS: dict[str, Callable[[], Layout]] = {
    build.__name__: build
    for build in (
        layouts_with_audio.deepseekocr,
        embeddinggemma,
        gemma3,
        gemma3n,
        layouts_with_audio.gemma4,
        glm4moelite,
        glmocr,
        gptoss,
        laguna,
        lfm2,
        llama4,
        mistral3,
        layouts_with_audio.nemotron_h_moe,
        layouts_with_audio.nemotron_h_omni,
        olmo3,
        qwen25vl,
        qwen35,
        qwen3next,
        qwen3vl,
        qwen3vlmoe,
    )
}
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def _vocabulary(file: PlainFile) -> tuple[list[str], list[float], list[int]]:
    if "tokenizer.ggml.tokens" in file.keys:
        names = ("tokens", "scores", "token_type")
        tokens, scores, kinds = (list(file.keys[f"tokenizer.ggml.{n}"][1]) for n in names)
        return tokens, scores, kinds
    pieces = list(llama_pieces())
    return [p[0] for p in pieces], [p[1] for p in pieces], [int(p[2]) for p in pieces]


def _set_vocabulary(
    file: PlainFile, tokens: list[str], scores: list[float], kinds: list[int]
) -> None:
    file.keys["tokenizer.ggml.tokens"] = GGUFValueType.STRING, tokens
    file.keys["tokenizer.ggml.scores"] = GGUFValueType.FLOAT32, scores
    file.keys["tokenizer.ggml.token_type"] = GGUFValueType.INT32, kinds


def _add_tokens(file: PlainFile, count: int) -> None:
    """Add tokens for which there are no rows."""
    tokens, scores, kinds = _vocabulary(file)
    assert len(tokens) == N_TOKENS
    more = [f"<image_{number}>" for number in range(count)]
    control = [int(TokenType.CONTROL)] * count
    _set_vocabulary(file, tokens + more, scores + [0.0] * count, kinds + control)


def _replace_token(file: PlainFile, number: int, token: str) -> None:
    tokens, scores, kinds = _vocabulary(file)
    tokens[number], kinds[number] = token, int(TokenType.CONTROL)
    _set_vocabulary(file, tokens, scores, kinds)


def _halves(rows: npt.NDArray[Any], n_heads: int) -> npt.NDArray[Any]:
    """Put the first and the second ones of each head's pairs of rows behind each other."""
    pairs = rows.reshape(n_heads, len(rows) // n_heads // 2, 2, -1)
    return np.ascontiguousarray(pairs.transpose(0, 2, 1, 3).reshape(rows.shape))


def _through_q8_0(tensor: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return what is left of a tensor as Q8_0."""
    kind = GGMLQuantizationType.Q8_0
    return quants.dequantize(quants.quantize(tensor, kind), kind).reshape(tensor.shape)
