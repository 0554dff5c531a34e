"""What transformers computes with the weights of a decoder, in a few lines of numpy."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tests.support.hf_folders import CONFIG, HEAD_DIM, N_HEADS, N_KV_HEADS, Tensors

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What an architecture computes otherwise than Llama.

    Factors on embeddings, attention, what a layer adds, and logits; norms behind each part of a
    layer instead of before it, then over all heads at once; layers without RoPE; and how many
    tokens a layer sees, by its number.
    """

    embedding: float = 1.0
    attention: float = HEAD_DIM**-0.5
    residual: float = 1.0
    logits: float = 1.0
    post_norms: bool = False
    unrotated: Collection[int] = ()
    windows: Mapping[int, int] = field(default_factory=dict)


LLAMA = Variant()


def last_logits(
    tensors: Tensors,
    tokens: Sequence[int],
    frequency_factors: Array | None = None,
    variant: Variant = LLAMA,
) -> Array:
    """Return the logits of the last token, shape (n_vocab,)."""
    x = tensors["model.embed_tokens.weight"][list(tokens)] * np.float32(variant.embedding)
    turns = _turns(len(tokens), frequency_factors)
    n_layers = 1 + max(int(n.split(".")[2]) for n in tensors if n.startswith("model.layers."))
    for layer in range(n_layers):
        prefix = f"model.layers.{layer}."
        part = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        rotation = None if layer in variant.unrotated else turns
        mask = _mask(len(tokens), variant.windows.get(layer, len(tokens)))

        def attend(
            y: Array,
            part: Mapping[str, Array] = part,
            mask: Array = mask,
            rotation: tuple[Array, Array] | None = rotation,
        ) -> Array:
            return _attention(y, part, mask, rotation, variant)

        first, second = "input_layernorm", "post_attention_layernorm"
        if variant.post_norms:
            first, second = second, "post_feedforward_layernorm"
        for name, compute in ((first, attend), (second, lambda y, part=part: _mlp(y, part))):
            norm = part[f"{name}.weight"]
            added = _normed(compute(x), norm) if variant.post_norms else compute(_normed(x, norm))
            x = x + np.float32(variant.residual) * added
    head = tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"])
    logits = _normed(x[-1], tensors["model.norm.weight"]) @ head.T
    return np.asarray(logits / variant.logits, np.float32)


def _mask(n_tokens: int, window: int) -> Array:
    distances = np.arange(n_tokens)[:, None] - np.arange(n_tokens)
    seen = (distances >= 0) & (distances < window)
    return np.where(seen, np.float32(0), np.float32(-np.inf))


def _mlp(x: Array, part: Mapping[str, Array]) -> Array:
    gate = x @ part["mlp.gate_proj.weight"].T
    hidden = gate / (1 + np.exp(-gate)) * (x @ part["mlp.up_proj.weight"].T)
    return np.asarray(hidden @ part["mlp.down_proj.weight"].T)


def _attention(
    x: Array,
    part: Mapping[str, Array],
    mask: Array,
    turns: tuple[Array, Array] | None,
    variant: Variant,
) -> Array:
    def heads(name: str, count: int) -> Array:
        flat = x @ part[f"self_attn.{name}_proj.weight"].T
        flat = flat + part.get(f"self_attn.{name}_proj.bias", np.float32(0))
        norm = part.get(f"self_attn.{name}_norm.weight")
        if norm is not None and variant.post_norms:
            flat = _normed(flat, norm)
        split = flat.reshape(len(x), count, HEAD_DIM)
        return split if norm is None or variant.post_norms else _normed(split, norm)

    def turned(y: Array) -> Array:
        return y if turns is None else _turned(y, turns)

    queries = turned(heads("q", N_HEADS))
    keys = np.repeat(turned(heads("k", N_KV_HEADS)), N_HEADS // N_KV_HEADS, axis=1)
    values = np.repeat(heads("v", N_KV_HEADS), N_HEADS // N_KV_HEADS, axis=1)
    scores = np.einsum("qhd,khd->hqk", queries, keys) * np.float32(variant.attention) + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = np.einsum("hqk,khd->qhd", weights, values).reshape(len(x), -1)
    return np.asarray(mixed @ part["self_attn.o_proj.weight"].T)


def _normed(x: Array, weights: Array) -> Array:
    mean = np.mean(np.square(x), -1, keepdims=True)
    return np.asarray(x / np.sqrt(mean + CONFIG["rms_norm_eps"]) * weights)


def _turns(n_tokens: int, factors: Array | None) -> tuple[Array, Array]:
    frequencies = CONFIG["rope_theta"] ** -(np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    if factors is not None:
        frequencies = frequencies / factors
    angles = np.outer(np.arange(n_tokens), frequencies)
    angles = np.concatenate([angles, angles], -1)[:, None, :]
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _turned(x: Array, turns: tuple[Array, Array]) -> Array:
    """Rotate the first half of each head against the second."""
    cosine, sine = turns
    half = HEAD_DIM // 2
    swapped = np.concatenate([-x[..., half:], x[..., :half]], -1)
    return x * cosine + swapped * sine
