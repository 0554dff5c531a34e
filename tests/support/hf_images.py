"""Folders of models that know images, each with the two files that should become of it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.support.hf_folders import Files
from tests.support.hf_of_gguf import LLAMA, Tensors, folder, llama4_tensors, renamed, text_tensors
from tests.support.hf_tokenizers import encoded
from tests.support.legacy import projectors, text_models
from tests.support.legacy.plain_file import PlainFile

END = r"\.(weight|bias)"
V = "vision_tower.vision_model."
SIGLIP = (
    (rf"v\.patch_embd{END}", rf"{V}embeddings.patch_embedding.\1"),
    (r"v\.position_embd\.weight", f"{V}embeddings.position_embedding.weight"),
    (rf"v\.post_ln{END}", rf"{V}post_layernorm.\1"),
    (rf"v\.blk\.(\d)\.ln(\d){END}", rf"{V}encoder.layers.\1.layer_norm\2.\3"),
    (rf"v\.blk\.(\d)\.attn_([qkv]){END}", rf"{V}encoder.layers.\1.self_attn.\2_proj.\3"),
    (rf"v\.blk\.(\d)\.attn_out{END}", rf"{V}encoder.layers.\1.self_attn.out_proj.\2"),
    (rf"v\.blk\.(\d)\.ffn_up{END}", rf"{V}encoder.layers.\1.mlp.fc1.\2"),
    (rf"v\.blk\.(\d)\.ffn_down{END}", rf"{V}encoder.layers.\1.mlp.fc2.\2"),
    (r"mm\.input_projection\.weight", "multi_modal_projector.mm_input_projection_weight"),
    (r"mm\.soft_emb_norm\.weight", "multi_modal_projector.mm_soft_emb_norm.weight"),
)
QWEN = (
    (r"v\.patch_embd\.weight", "frame 0"),
    (r"v\.patch_embd\.weight\.1", "frame 1"),
    (r"v\.patch_embd\.bias", "visual.patch_embed.proj.bias"),
    (r"v\.position_embd\.weight", "visual.pos_embed.weight"),
    (rf"v\.blk\.(\d)\.ln(\d){END}", r"visual.blocks.\1.norm\2.\3"),
    (rf"v\.blk\.(\d)\.attn_(qkv|q|k|v){END}", r"visual.blocks.\1.attn.\2.\3"),
    (rf"v\.blk\.(\d)\.attn_out{END}", r"visual.blocks.\1.attn.proj.\2"),
)
QWEN25 = (
    *QWEN,
    (rf"v\.blk\.(\d)\.ffn_(\w+){END}", r"visual.blocks.\1.mlp.\2_proj.\3"),
    (r"v\.post_ln\.weight", "visual.merger.ln_q.weight"),
    (rf"mm\.([02]){END}", r"visual.merger.mlp.\1.\2"),
)
QWEN3 = (
    *QWEN,
    (rf"v\.blk\.(\d)\.ffn_up{END}", r"visual.blocks.\1.mlp.linear_fc1.\2"),
    (rf"v\.blk\.(\d)\.ffn_down{END}", r"visual.blocks.\1.mlp.linear_fc2.\2"),
    (rf"v\.post_ln{END}", r"visual.merger.norm.\1"),
    (rf"mm\.0{END}", r"visual.merger.linear_fc1.\1"),
    (rf"mm\.2{END}", r"visual.merger.linear_fc2.\1"),
    (rf"v\.deepstack\.1\.norm{END}", r"visual.deepstack_merger_list.0.norm.\1"),
    (rf"v\.deepstack\.1\.fc([12]){END}", r"visual.deepstack_merger_list.0.linear_fc\1.\2"),
)
QWEN2 = (
    *QWEN,
    (rf"v\.blk\.(\d)\.ffn_up{END}", r"visual.blocks.\1.mlp.fc1.\2"),
    (rf"v\.blk\.(\d)\.ffn_down{END}", r"visual.blocks.\1.mlp.fc2.\2"),
    (rf"v\.post_ln{END}", r"visual.merger.ln_q.\1"),
    (rf"mm\.([02]){END}", r"visual.merger.mlp.\1.\2"),
)
W = "vision_model."
LLAMA4_VISION = (
    (r"v\.class_embd", f"{W}class_embedding"),
    (r"v\.position_embd\.weight", f"{W}positional_embedding_vlm"),
    (r"v\.patch_embd\.weight", f"{W}patch_embedding.linear.weight"),
    (rf"v\.(pre|post)_ln{END}", rf"{W}layernorm_\1.\2"),
    (rf"v\.blk\.(\d)\.ln1{END}", rf"{W}model.layers.\1.input_layernorm.\2"),
    (rf"v\.blk\.(\d)\.ln2{END}", rf"{W}model.layers.\1.post_attention_layernorm.\2"),
    (rf"v\.blk\.(\d)\.attn_([qkv]){END}", rf"{W}model.layers.\1.self_attn.\2_proj.\3"),
    (rf"v\.blk\.(\d)\.attn_out{END}", rf"{W}model.layers.\1.self_attn.o_proj.\2"),
    (rf"v\.blk\.(\d)\.ffn_up{END}", rf"{W}model.layers.\1.mlp.fc1.\2"),
    (rf"v\.blk\.(\d)\.ffn_down{END}", rf"{W}model.layers.\1.mlp.fc2.\2"),
    (r"mm\.model\.mlp\.(\d)\.weight", rf"{W}vision_adapter.mlp.fc\1.weight"),
    (r"mm\.model\.fc\.weight", "multi_modal_projector.linear_1.weight"),
)
GEMMA3 = {
    **LLAMA,
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
QWEN_VISION: dict[str, Any] = {
    "depth": projectors.N_LAYERS,
    "num_heads": projectors.N_HEADS,
    "hidden_size": projectors.N_EMBD,
    "intermediate_size": projectors.N_FF,
    "patch_size": projectors.PATCH,
    "spatial_merge_size": 2,
}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def gemma3() -> tuple[PlainFile, PlainFile, Files]:
    text, encoder = text_models.gemma3(), projectors.gemma3()
    tensors = text_tensors(
        text, GEMMA3, "language_model.model.", lambda name: float(name.endswith("norm.weight"))
    )
    images = renamed(encoder, SIGLIP)
    norm = encoder.tensors["mm.soft_emb_norm.weight"] - np.float32(1)
    encoder.tensors["mm.soft_emb_norm.weight"] = norm + np.float32(1)
    images["multi_modal_projector.mm_soft_emb_norm.weight"] = norm
    images |= {f"{V}head.probe": np.ones((1, 1, 8), np.float32)}
    config = {
        "text_config": {
            "head_dim": 16,
            "sliding_window": 16,
            "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-6,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
        "vision_config": {
            "num_hidden_layers": projectors.N_LAYERS,
            "num_attention_heads": projectors.N_HEADS,
            "hidden_size": projectors.N_EMBD,
            "intermediate_size": projectors.N_FF,
            "image_size": 4 * projectors.PATCH,
            "patch_size": projectors.PATCH,
            "layer_norm_eps": 1e-5,
        },
    }
    files = folder("Gemma3ForConditionalGeneration", config, tensors | images)
    files["preprocessor_config.json"] = encoded({**HALF, "image_seq_length": 1})
    return text, encoder, files


def frames_joined(tensors: Tensors) -> Tensors:
    """Return the tensors with one convolution over two frames."""
    frames = [tensors.pop(f"frame {number}") for number in (0, 1)]
    return tensors | {"visual.patch_embed.proj.weight": np.stack(frames, axis=2)}


def llama4() -> tuple[PlainFile, PlainFile, Files]:
    text, encoder = text_models.llama4(), projectors.llama4()
    config = {
        "text_config": {
            "num_hidden_layers": 4,
            "intermediate_size": 48,
            "intermediate_size_mlp": 96,
            "num_local_experts": 4,
            "num_experts_per_tok": 1,
            "interleave_moe_layer_step": 2,
            "rope_theta": 500_000.0,
        },
        "vision_config": {
            "num_hidden_layers": projectors.N_LAYERS,
            "num_attention_heads": projectors.N_HEADS,
            "hidden_size": projectors.N_EMBD,
            "intermediate_size": projectors.N_FF,
            "image_size": 4 * projectors.PATCH,
            "patch_size": projectors.PATCH,
            "norm_eps": 1e-5,
            "pixel_shuffle_ratio": 0.5,
        },
    }
    tensors = llama4_tensors(text) | renamed(encoder, LLAMA4_VISION)
    return text, encoder, folder("Llama4ForConditionalGeneration", config, tensors)


def _qwen2vl(
    architecture: str, encoder: PlainFile, names: Sequence[tuple[str, str]], vision: dict[str, Any]
) -> tuple[PlainFile, PlainFile, Files]:
    text = text_models.qwen2vl()
    images = frames_joined(renamed(encoder, names))
    for layer in range(projectors.N_LAYERS):
        for kind in ("weight", "bias"):
            parts = [images.pop(f"visual.blocks.{layer}.attn.{part}.{kind}") for part in "qkv"]
            images[f"visual.blocks.{layer}.attn.qkv.{kind}"] = np.concatenate(parts)
    config = {
        "rope_theta": 1_000_000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 2, 1]},
        "vision_config": vision,
        "rms_norm_eps": 1e-6,
    }
    text.update({"attention.layer_norm_rms_epsilon": 1e-6}, "qwen2vl.")
    files = folder(architecture, config, text_tensors(text) | images)
    return text, encoder, {**files, "preprocessor_config.json": encoded(HALF)}


def qwen2vl() -> tuple[PlainFile, PlainFile, Files]:
    vision = {
        "depth": projectors.N_LAYERS,
        "num_heads": projectors.N_HEADS,
        "embed_dim": projectors.N_EMBD,
        "hidden_size": text_models.N_EMBD,
        "mlp_ratio": projectors.N_FF / projectors.N_EMBD,
        "patch_size": projectors.PATCH,
    }
    return _qwen2vl("Qwen2VLForConditionalGeneration", projectors.qwen2vl(), QWEN2, vision)


def qwen25vl() -> tuple[PlainFile, PlainFile, Files]:
    vision = {**QWEN_VISION, "fullatt_block_indexes": [1], "window_size": 32}
    return _qwen2vl("Qwen2_5_VLForConditionalGeneration", projectors.qwen25vl(), QWEN25, vision)


def qwen3vl(*, moe: bool) -> tuple[PlainFile, PlainFile, Files]:
    text = text_models.qwen3vlmoe() if moe else text_models.qwen3vl()
    encoder = projectors.qwen3vl(deepstack=True)
    prefix = "model.language_model."
    tensors = text_tensors(text, {**LLAMA, "ffn_gate_inp": "mlp.gate"}, prefix)
    for layer in range(text_models.N_LAYERS) if moe else ():
        gate, up, down = (
            text.tensors[f"blk.{layer}.ffn_{name}_exps.weight"].swapaxes(1, 2)
            for name in ("gate", "up", "down")
        )
        experts = f"{prefix}layers.{layer}.mlp.experts."
        tensors[f"{experts}gate_up_proj"] = np.concatenate((gate, up), axis=2)
        tensors[f"{experts}down_proj"] = np.ascontiguousarray(down)
    images = frames_joined(renamed(encoder, QWEN3))
    config = {
        "text_config": {
            "head_dim": 128,
            "rope_theta": 5_000_000.0,
            "rope_scaling": {"rope_type": "default", "mrope_section": [24, 20, 20]},
            "rms_norm_eps": 1e-6,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
        },
        "vision_config": {
            **QWEN_VISION,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [1],
        },
    }
    arch = "qwen3vlmoe" if moe else "qwen3vl"
    text.update({"attention.layer_norm_rms_epsilon": 1e-6}, f"{arch}.")
    name = f"Qwen3VL{'Moe' if moe else ''}ForConditionalGeneration"
    tensors |= {f"model.{key}": tensor for key, tensor in images.items()}
    return text, encoder, folder(name, config, tensors)


IMAGE_FOLDERS: dict[str, Callable[[], tuple[PlainFile, PlainFile, Files]]] = {
    "gemma3": gemma3,
    "llama4": llama4,
    "qwen2-vl": qwen2vl,
    "qwen2.5-vl": qwen25vl,
    "qwen3-vl": lambda: qwen3vl(moe=False),
    "qwen3-vl moe": lambda: qwen3vl(moe=True),
}
