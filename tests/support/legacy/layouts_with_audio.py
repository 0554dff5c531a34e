"""Legacy layouts with audio, and of the OCR model: their encoders have other names throughout."""

import re
from collections.abc import Iterable

import numpy as np
from gguf import GGMLQuantizationType

from tests.support.legacy import audio_encoders, projectors, text_models
from tests.support.legacy.layout import Layout, audio_keys, halved, vision_keys
from tests.support.legacy.plain_file import PlainFile

F16 = GGMLQuantizationType.F16


def gemma4() -> Layout:
    text = text_models.gemma4()
    encoder = audio_encoders.add_gemma4a(projectors.gemma4v(), text_models.N_EMBD)
    old = text.copy().renamed((".ffn_down_exps.scale", ".ffn_gate_inp.per_expert_scale"))
    old.set(tokenizer__ggml__model="llama")
    vision = vision_keys(encoder)
    del vision["image_size"]
    old.update({**vision, "projector.scale_factor": 2}, "gemma4.vision.")
    old.update({**audio_keys(encoder), "conv_kernel_size": 5}, "gemma4.audio.")
    old.tensors |= _renamed(
        encoder,
        (r"^a\.pre_encode\.out\.", "mm.a.fc."),
        (r"^a\.input_projection\.", "a.pre_encode.out."),
        (r"^(a\.blk\.\d+)\.ln2\.", r"\1.layer_pre_norm."),
        (r"^(a\.blk\.\d+)\.attn_pre_norm\.", r"\1.ln1."),
        (r"^(a\.blk\.\d+)\.attn_post_norm\.", r"\1.ln2."),
        (r"^(a\.blk\.\d+)\.attn_k_rel\.", r"\1.linear_pos."),
    ).tensors
    return Layout(old, text, _half(old, encoder, "v.patch_embd.weight"))


def nemotron_h_moe() -> Layout:
    text = text_models.declared("nemotron_h_moe")
    old = text.copy().renamed(
        (".ffn_latent_down.", ".ffn_latent_in."), (".ffn_latent_up.", ".ffn_latent_out.")
    )
    del old.keys["nemotron_h_moe.moe_latent_size"]
    old.tensors["mtp.layers.0.mixer.experts.0.up_proj.weight"] = np.ones((8, 8), np.float32)
    return Layout(old, text)


def nemotron_h_omni() -> Layout:
    layout = nemotron_h_moe()
    old = layout.file
    arch = "nemotron_h_omni"
    old.keys = {k.replace("nemotron_h_moe.", f"{arch}."): v for k, v in old.keys.items()}
    old.set(general__architecture=arch)
    encoder = audio_encoders.add_parakeet(projectors.nemotron_v2_vl(), text_models.N_WIDE)
    names = ("projector.scale_factor", "image_mean", "image_std")
    more = {name: encoder.keys[f"clip.vision.{name}"] for name in names}
    old.update({**vision_keys(encoder), **more, "max_tiles": 12}, f"{arch}.vision.")
    names = ("num_mel_bins", "subsampling_factor", "conv_kernel_size")
    more = {name: encoder.keys[f"clip.audio.{name}"] for name in names}
    old.update({**audio_keys(encoder), **more, "scale_input": False}, f"{arch}.audio.")
    tensors = _renamed(
        encoder,
        (r"^v\.class_embd$", "v.cls_embd"),
        (r"^v\.position_embd\.weight$", "v.position_embd"),
        (r"^mm\.model\.mlp\.0\.", "mm.norm."),
        (r"^mm\.model\.mlp\.1\.", "mm.1."),
        (r"^mm\.model\.mlp\.3\.", "mm.2."),
        (r"^a\.mel_filters$", "a.feature_extractor.fb"),
        (r"^a\.window$", "a.feature_extractor.window"),
        (r"^a\.pre_encode\.out\.", "a.subsampling.linear."),
        (r"^a\.conv1d\.0\.", "a.subsampling.conv0."),
        (r"^a\.conv1d\.2\.", "a.subsampling.dw1."),
        (r"^a\.conv1d\.3\.", "a.subsampling.pw1."),
        (r"^a\.conv1d\.5\.", "a.subsampling.dw2."),
        (r"^a\.conv1d\.6\.", "a.subsampling.pw2."),
        (r"^(a\.blk\.\d+)\.ffn_(up|down|norm)_1\.", r"\1.ffn2_\2."),
        (r"^(a\.blk\.\d+)\.ffn_(up|down|norm)\.", r"\1.ffn1_\2."),
        (r"^(a\.blk\.\d+)\.ln1\.", r"\1.attn_norm."),
        (r"^(a\.blk\.\d+)\.ln2\.", r"\1.out_norm."),
        (r"^(a\.blk\.\d+)\.linear_pos\.", r"\1.attn_rel_k."),
        (r"^(a\.blk\.\d+)\.pos_bias_", r"\1.attn_bias_"),
        (r"^(a\.blk\.\d+)\.conv_norm_", r"\1.conv_bn.running_"),
        (r"^(a\.blk\.\d+)\.conv_norm\.", r"\1.conv_bn."),
        (r"^(a\.blk\.\d+)\.norm_conv\.", r"\1.conv_norm."),
        (r"^mm\.a\.norm_pre\.", "mm.a.norm."),
        (r"^mm\.a\.mlp\.", "mm.a."),
    ).tensors
    for name, tensor in tensors.items():
        if name.startswith("a.subsampling.") and name.endswith(".bias"):
            tensors[name] = tensor.reshape(-1)
    tensors["v.patch_embd.weight"] = tensors["v.patch_embd.weight"].reshape(projectors.N_EMBD, -1)
    large = projectors.normal(9)(16, 16, projectors.N_EMBD)
    tensors["v.position_embd"] = large.reshape(256, -1)
    encoder.tensors["v.position_embd.weight"] = _middle_of_four(halved(large)).reshape(16, -1)
    tensors["a.feature_extractor.fb"] = tensors["a.feature_extractor.fb"][None]
    old.tensors |= tensors
    old.kinds["v.position_embd"] = F16
    halves = {
        "v.cls_embd": "v.class_embd",
        "a.feature_extractor.fb": "a.mel_filters",
        "a.blk.0.attn_bias_u": "a.blk.0.pos_bias_u",
        "a.subsampling.dw1.weight": "a.conv1d.2.weight",
    }
    for name, new in halves.items():
        _half(old, encoder, new, name)
    return Layout(old, layout.text, _half(old, encoder, "v.patch_embd.weight"))


def deepseekocr() -> Layout:
    text, encoder = text_models.declared("deepseek2-ocr"), projectors.deepseekocr()
    text.set(tokenizer__ggml__pre="deepseek-v3")
    old = text.copy()
    old.keys = {k.replace("deepseek2-ocr.", "deepseekocr."): v for k, v in text.keys.items()}
    for key in ("feed_forward_length", "shared_count"):
        del old.keys[f"deepseekocr.expert_{key}"]
    old.set(general__architecture="deepseekocr", tokenizer__ggml__pre="default")
    vision = vision_keys(encoder)
    del vision["feed_forward_length"], vision["attention.layer_norm_epsilon"]
    vision["head_count"] = vision.pop("attention.head_count")
    old.update(vision, "deepseekocr.vision.")
    names = ("block_count", "embedding_length", "head_count")
    sam = {name: encoder.keys[f"clip.vision.sam.{name}"] for name in names}
    old.update({**sam, "global_attention_indexes": [2, 5, 8, 11]}, "deepseekocr.sam.")
    old.tensors |= _renamed(
        encoder,
        (r"^v\.sam\.pos_embd\.weight$", "s.position_embd"),
        (r"^v\.sam\.(blk\.\d+)\.attn\.out\.", r"s.\1.attn.proj."),
        (r"^v\.sam\.(blk\.\d+)\.attn\.pos_([hw])\.weight$", r"s.\1.attn.rel_pos_\2"),
        (r"^v\.sam\.(blk\.\d+)\.pre_ln\.", r"s.\1.norm1."),
        (r"^v\.sam\.(blk\.\d+)\.post_ln\.", r"s.\1.norm2."),
        (r"^v\.sam\.", "s."),
        (r"^v\.pre_ln\.", "v.pre_layrnorm."),
        (r"\.ln([12])\.", r".layer_norm\1."),
        (r"\.attn_qkv\.", ".self_attn.qkv_proj."),
        (r"\.attn_out\.", ".self_attn.out_proj."),
        (r"\.ffn_up\.", ".mlp.fc1."),
        (r"\.ffn_down\.", ".mlp.fc2."),
        (r"^mm\.model\.fc\.", "mm.layers."),
        (r"^v\.(image_newline|view_seperator)$", r"mm.\1"),
    ).tensors
    _half(old, encoder, "v.sam.pos_embd.weight", "s.position_embd")
    _half(old, encoder, "v.sam.neck.2.weight", "s.neck.2.weight")
    return Layout(old, text, encoder)


def _renamed(file: PlainFile, *rules: tuple[str, str]) -> PlainFile:
    """Return a copy whose tensors have other names, by the first rule that fits each."""
    copy = file.copy()
    copy.tensors = {_new_name(name, rules): tensor for name, tensor in file.tensors.items()}
    return copy


def _new_name(name: str, rules: Iterable[tuple[str, str]]) -> str:
    return next((re.sub(old, new, name) for old, new in rules if re.search(old, name)), name)


def _half(old: PlainFile, encoder: PlainFile, new_name: str, old_name: str = "") -> PlainFile:
    """Store a tensor of the legacy file in half precision; `encoder` has what is left of it."""
    old.kinds[old_name or new_name] = F16
    encoder.tensors[new_name] = halved(encoder.tensors[new_name])
    return encoder


def _middle_of_four(square: projectors.Array) -> projectors.Array:
    """Return the mean of the four cells in the middle of each block of four by four."""
    rows = (square[1::4] + square[2::4]) / np.float32(2)
    return (rows[:, 1::4] + rows[:, 2::4]) / np.float32(2)
