"""Tiny projectors, one builder per type, in llama.cpp's form."""

from collections.abc import Mapping

from tests.support.legacy.plain_file import PlainFile, ones
from tests.support.legacy.text_models import N_EMBD as N_TEXT
from tests.support.legacy.text_models import N_WIDE, matrices
from tests.support.tiny_models import Array, normal

N_EMBD, N_HEADS, N_FF, N_LAYERS, PATCH = 32, 2, 48, 2, 8
Shapes = dict[str, tuple[int, ...]]


def _begin(kind: str, *, activation: str = "gelu", **values: object) -> PlainFile:
    file = PlainFile(with_vocabulary=False)
    file.set(general__architecture="clip", general__type="mmproj")
    file.set(clip__has_vision_encoder=True, clip__projector_type=kind)
    file.update({f"use_{activation}": True}, "clip.")
    sizes = {
        "block_count": N_LAYERS,
        "embedding_length": N_EMBD,
        "feed_forward_length": N_FF,
        "attention.head_count": N_HEADS,
        "image_size": 4 * PATCH,
        "patch_size": PATCH,
        "projection_dim": N_TEXT,
        "attention.layer_norm_epsilon": 1e-5,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    sizes |= {name.replace("__", "."): value for name, value in values.items()}
    return file.update(sizes, "clip.vision.")


def _finish(file: PlainFile, layer: Shapes, others: Shapes, seed: int = 3) -> PlainFile:
    draw = normal(seed)
    shapes = {f"v.blk.{n}.{name}": shape for n in range(N_LAYERS) for name, shape in layer.items()}
    file.tensors |= {name: _scaled(name, t) for name, t in matrices(draw, {**shapes, **others})}
    return file


def _scaled(name: str, tensor: Array) -> Array:
    if name.endswith(("ln1.weight", "ln2.weight", "ln.weight", "norm.weight", "norm")):
        return ones(len(tensor)) + tensor
    return tensor


def _biased(shapes: Mapping[str, tuple[int, ...]]) -> Shapes:
    """Return weights of `shapes`, each with a bias."""
    weights: Shapes = {f"{name}.weight": shape for name, shape in shapes.items()}
    return weights | {f"{name}.bias": shape[:1] for name, shape in shapes.items()}


def _norms(*names: str, width: int = N_EMBD) -> Shapes:
    return _biased(dict.fromkeys(names, (width,)))


_SPLIT = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), (N_EMBD, N_EMBD))
_NORMS = {"ln1": (N_EMBD,), "ln2": (N_EMBD,)}
_MLP = {"ffn_up": (N_FF, N_EMBD), "ffn_down": (N_EMBD, N_FF)}


def gemma3() -> PlainFile:
    """SigLIP, pooled four by four."""
    others = {
        "v.patch_embd.weight": (N_EMBD, 3, PATCH, PATCH),
        "v.patch_embd.bias": (N_EMBD,),
        "v.position_embd.weight": (16, N_EMBD),
        "v.post_ln.weight": (N_EMBD,),
        "v.post_ln.bias": (N_EMBD,),
        "mm.soft_emb_norm.weight": (N_EMBD,),
        "mm.input_projection.weight": (N_EMBD, N_TEXT),
    }
    return _finish(_begin("gemma3"), _biased({**_SPLIT, **_NORMS, **_MLP}), others)


def pixtral() -> PlainFile:
    """Pixtral with merged patches; `v.token_embd.img_break` is for the caller to add."""
    file = _begin("pixtral", activation="silu", spatial_merge_size=2, num_channels=3)
    file.set(clip__rope__freq_base=10_000.0)
    gated = {**_MLP, "ffn_gate": (N_FF, N_EMBD)}
    layer: Shapes = {f"{name}.weight": s for name, s in {**_SPLIT, **_NORMS, **gated}.items()}
    others = {
        "v.patch_embd.weight": (N_EMBD, 3, PATCH, PATCH),
        "v.pre_ln.weight": (N_EMBD,),
        "mm.1.weight": (N_TEXT, N_EMBD),
        "mm.2.weight": (N_TEXT, N_TEXT),
        "mm.input_norm.weight": (N_EMBD,),
        "mm.patch_merger.weight": (N_EMBD, 4 * N_EMBD),
    }
    return _finish(file, layer, others)


def qwen2vl() -> PlainFile:
    """The encoder of Qwen2-VL; its activation is the one that no key names."""
    file = _begin(
        "qwen2vl_merger",
        spatial_merge_size=2,
        image_size=560,
        attention__layer_norm_epsilon=1e-6,
    )
    del file.keys["clip.use_gelu"]
    others = {
        "v.patch_embd.weight": (N_EMBD, 3, PATCH, PATCH),
        "v.patch_embd.weight.1": (N_EMBD, 3, PATCH, PATCH),
        **_biased({"v.post_ln": (N_EMBD,)}),
        **_biased({"mm.0": (4 * N_EMBD, 4 * N_EMBD), "mm.2": (N_TEXT, 4 * N_EMBD)}),
    }
    return _finish(file, _biased({**_SPLIT, **_NORMS, **_MLP}), others)


def qwen25vl() -> PlainFile:
    """The encoder of Qwen2.5-VL; every second layer attends to the whole image."""
    file = _begin(
        "qwen2.5vl_merger",
        activation="silu",
        num_channels=3,
        spatial_merge_size=2,
        window_size=32,
        n_wa_pattern=2,
        image_size=560,
        attention__layer_norm_epsilon=1e-6,
    )
    gated = {**_MLP, "ffn_gate": (N_FF, N_EMBD)}
    layer = _biased({**_SPLIT, **gated}) | {"ln1.weight": (N_EMBD,), "ln2.weight": (N_EMBD,)}
    others = {
        "v.patch_embd.weight": (N_EMBD, 3, PATCH, PATCH),
        "v.patch_embd.weight.1": (N_EMBD, 3, PATCH, PATCH),
        "v.post_ln.weight": (N_EMBD,),
        **_biased({"mm.0": (N_TEXT, 4 * N_EMBD), "mm.2": (N_TEXT, N_TEXT)}),
    }
    return _finish(file, layer, others)


def qwen3vl(*, deepstack: bool) -> PlainFile:
    """The encoder of Qwen3-VL, and of Qwen3.5 without `deepstack`, which is behind layer 1."""
    file = _begin(
        "qwen3vl_merger",
        num_channels=3,
        spatial_merge_size=2,
        attention__layer_norm_epsilon=1e-6,
        image_min_pixels=65536,
        image_max_pixels=16777216,
        is_deepstack_layers=[False, deepstack],
    )
    fused = {"attn_qkv": (3 * N_EMBD, N_EMBD), "attn_out": (N_EMBD, N_EMBD)}
    wide = 4 * N_EMBD
    others = {
        "v.patch_embd.weight": (N_EMBD, 3, PATCH, PATCH),
        "v.patch_embd.weight.1": (N_EMBD, 3, PATCH, PATCH),
        "v.patch_embd.bias": (N_EMBD,),
        "v.position_embd.weight": (16, N_EMBD),
        **_biased({"v.post_ln": (N_EMBD,), "mm.0": (wide, wide), "mm.2": (N_TEXT, wide)}),
    }
    if deepstack:
        names = {"norm": (wide,), "fc1": (wide, wide), "fc2": (N_TEXT, wide)}
        others |= _biased({f"v.deepstack.1.{name}": shape for name, shape in names.items()})
    return _finish(file, _biased({**fused, **_NORMS, **_MLP}), others)


def llama4() -> PlainFile:
    """The encoder of Llama 4."""
    file = _begin("llama4", projector__scale_factor=2)
    layer = _biased({**_SPLIT, **_NORMS, **_MLP})
    others = {
        "v.class_embd": (N_EMBD,),
        "v.patch_embd.weight": (N_EMBD, 3 * PATCH * PATCH),
        "v.position_embd.weight": (17, N_EMBD),
        **_biased({"v.pre_ln": (N_EMBD,), "v.post_ln": (N_EMBD,)}),
        "mm.model.mlp.1.weight": (N_FF, 4 * N_EMBD),
        "mm.model.mlp.2.weight": (N_FF, N_FF),
        "mm.model.fc.weight": (N_TEXT, N_FF),
    }
    return _finish(file, layer, others)


def llava() -> PlainFile:
    """LLaVA's encoder, with two layers between it and the text."""
    others = {
        "v.class_embd": (N_EMBD,),
        "v.patch_embd.weight": (N_EMBD, 3, PATCH, PATCH),
        "v.position_embd.weight": (17, N_EMBD),
        **_biased({"v.pre_ln": (N_EMBD,), "mm.0": (N_TEXT, N_EMBD), "mm.2": (N_TEXT, N_TEXT)}),
    }
    return _finish(_begin("mlp"), _biased({**_SPLIT, **_NORMS, **_MLP}), others)


def gemma4v() -> PlainFile:
    """The encoder of Gemma 4, pooled two by two, with bounds on what one layer takes and gives."""
    file = _begin(
        "gemma4v",
        image_size=224,
        image_mean=[0.0, 0.0, 0.0],
        image_std=[1.0, 1.0, 1.0],
        projector__scale_factor=2,
        attention__layer_norm_epsilon=1e-6,
    )
    gated = {**_MLP, "ffn_gate": (N_FF, N_EMBD)}
    norms = {**_NORMS, "attn_post_norm": (N_EMBD,), "ffn_post_norm": (N_EMBD,)}
    heads = {"attn_q_norm": (N_EMBD // N_HEADS,), "attn_k_norm": (N_EMBD // N_HEADS,)}
    shapes = {**_SPLIT, **norms, **heads, **gated}
    layer: Shapes = {f"{name}.weight": shape for name, shape in shapes.items()}
    layer |= {f"ffn_up.{end}": (1,) for end in ("input_min", "input_max")}
    others = {
        "v.patch_embd.weight": (N_EMBD, 3, PATCH, PATCH),
        "v.position_embd.weight": (2, 64, N_EMBD),
        "mm.input_projection.weight": (N_TEXT, N_EMBD),
    }
    file = _finish(file, layer, others)
    for name, tensor in file.tensors.items():
        if name.endswith(("input_min", "input_max")):
            file.tensors[name] = 0 * tensor + (1 if name.endswith("max") else -1)
    return file


def glm4v() -> PlainFile:
    """The encoder of GLM-OCR."""
    file = _begin(
        "glm4v",
        activation="silu",
        spatial_merge_size=2,
        image_mean=[0.25, 0.5, 0.75],
        image_std=[0.5, 0.25, 0.5],
    )
    gated = {**_MLP, "ffn_gate": (N_FF, N_EMBD)}
    fused = {"attn_qkv": (3 * N_EMBD, N_EMBD), "attn_out": (N_EMBD, N_EMBD)}
    norms = {
        "ln1": (N_EMBD,),
        "ln2": (N_EMBD,),
        "attn_q_norm": (N_EMBD // N_HEADS,),
        "attn_k_norm": (N_EMBD // N_HEADS,),
    }
    layer = _biased({**fused, **gated}) | {f"{name}.weight": s for name, s in norms.items()}
    others = {
        "v.patch_embd.weight": (N_EMBD, 3, PATCH, PATCH),
        "v.patch_embd.weight.1": (N_EMBD, 3, PATCH, PATCH),
        "v.patch_embd.bias": (N_EMBD,),
        "v.post_ln.weight": (N_EMBD,),
        "mm.patch_merger.weight": (N_TEXT, N_EMBD, 2, 2),
        "mm.patch_merger.bias": (N_TEXT,),
        "mm.model.fc.weight": (N_TEXT, N_TEXT),
        "mm.post_norm.weight": (N_TEXT,),
        "mm.post_norm.bias": (N_TEXT,),
        "mm.gate.weight": (N_FF, N_TEXT),
        "mm.up.weight": (N_FF, N_TEXT),
        "mm.down.weight": (N_TEXT, N_FF),
    }
    return _finish(file, layer, others)


def nemotron_v2_vl() -> PlainFile:
    """RADIO, the encoder of Nemotron 3 Omni, with two tokens in front of the patches."""
    file = _begin(
        "nemotron_v2_vl",
        projection_dim=N_WIDE,
        projector__scale_factor=2,
        attention__layer_norm_epsilon=1e-6,
        image_mean=[0.25, 0.5, 0.75],
        image_std=[0.5, 0.25, 0.5],
    )
    others: Shapes = {
        "v.class_embd": (2, N_EMBD),
        "v.patch_embd.weight": (N_EMBD, 3, PATCH, PATCH),
        "v.position_embd.weight": (16, N_EMBD),
        "mm.model.mlp.0.weight": (4 * N_EMBD,),
        "mm.model.mlp.1.weight": (N_FF, 4 * N_EMBD),
        "mm.model.mlp.3.weight": (N_WIDE, N_FF),
    }
    return _finish(file, _biased({**_SPLIT, **_NORMS, **_MLP}), others)


_SAM_PATCHES, _SAM_WINDOW, _SAM_PATCH = 64, 14, 16
"""llama.cpp encodes images of 1024 by 1024 pixels in patches of 16 whatever the file says."""
_SAM_LAYERS = 3
"""The third attends to the whole image."""


def deepseekocr() -> PlainFile:
    """The encoders of DeepSeek-OCR: SAM, whose features are CLIP's patches."""
    file = _begin(
        "deepseekocr",
        projection_dim=N_WIDE,
        window_size=_SAM_WINDOW,
        sam__block_count=_SAM_LAYERS,
        sam__embedding_length=8,
        sam__head_count=1,
    )
    sam = 8
    block = _biased(
        {
            "attn.qkv": (3 * sam, sam),
            "attn.out": (sam, sam),
            "mlp.lin1": (2 * sam, sam),
            "mlp.lin2": (sam, 2 * sam),
        }
    ) | _norms("pre_ln", "post_ln", width=sam)
    blocks: Shapes = {f"{n}.{k}": shape for n in range(_SAM_LAYERS) for k, shape in block.items()}
    for number, side in enumerate((_SAM_WINDOW, _SAM_WINDOW, _SAM_PATCHES)):
        blocks |= {f"{number}.attn.pos_{axis}.weight": (2 * side - 1, sam) for axis in "hw"}
    others: Shapes = {
        "v.sam.pos_embd.weight": (1, _SAM_PATCHES, _SAM_PATCHES, sam),
        **_biased({"v.sam.patch_embd": (sam, 3, _SAM_PATCH, _SAM_PATCH)}),
        **{f"v.sam.blk.{name}": shape for name, shape in blocks.items()},
        "v.sam.neck.0.weight": (8, sam, 1, 1),
        "v.sam.neck.2.weight": (8, 8, 3, 3),
        **_norms("v.sam.neck.1", "v.sam.neck.3", width=8),
        "v.sam.net_2.weight": (16, 8, 3, 3),
        "v.sam.net_3.weight": (N_EMBD, 16, 3, 3),
        "v.class_embd": (N_EMBD,),
        "v.patch_embd.weight": (N_EMBD, 3, 14, 14),
        "v.position_embd.weight": (257, N_EMBD),
        **_norms("v.pre_ln"),
        "v.image_newline": (N_WIDE,),
        "v.view_seperator": (N_WIDE,),
        **_biased({"mm.model.fc": (N_WIDE, 2 * N_EMBD)}),
    }
    fused = {"attn_qkv": (3 * N_EMBD, N_EMBD), "attn_out": (N_EMBD, N_EMBD)}
    return _finish(file, _biased({**fused, **_NORMS, **_MLP}), others)
