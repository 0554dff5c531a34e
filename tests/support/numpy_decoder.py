"""What transformers computes with the weights of a decoder, in a few lines of numpy."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tests.support.hf_folders import CONFIG, HEAD_DIM, N_HEADS, N_KV_HEADS, N_LAYERS, Tensors

Array = npt.NDArray[np.float32]


def last_logits(
    tensors: Tensors, tokens: Sequence[int], frequency_factors: Array | None = None
) -> Array:
    """Return the logits of the last token, shape (n_vocab,)."""
    x = tensors["model.embed_tokens.weight"][list(tokens)]
    mask = np.triu(np.full((len(tokens), len(tokens)), -np.inf, np.float32), 1)
    turns = _turns(len(tokens), frequency_factors)
    for layer in range(N_LAYERS):
        prefix = f"model.layers.{layer}."
        part = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        x = x + _attention(_normed(x, part["input_layernorm.weight"]), part, mask, turns)
        normed = _normed(x, part["post_attention_layernorm.weight"])
        gate = normed @ part["mlp.gate_proj.weight"].T
        hidden = gate / (1 + np.exp(-gate)) * (normed @ part["mlp.up_proj.weight"].T)
        x = x + hidden @ part["mlp.down_proj.weight"].T
    head = tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"])
    return np.asarray(_normed(x[-1], tensors["model.norm.weight"]) @ head.T, np.float32)


def _attention(
    x: Array, part: Mapping[str, Array], mask: Array, turns: tuple[Array, Array]
) -> Array:
    def heads(name: str, count: int) -> Array:
        flat = x @ part[f"self_attn.{name}_proj.weight"].T
        flat = flat + part.get(f"self_attn.{name}_proj.bias", np.float32(0))
        split = flat.reshape(len(x), count, HEAD_DIM)
        norm = part.get(f"self_attn.{name}_norm.weight")
        return split if norm is None else _normed(split, norm)

    queries = _turned(heads("q", N_HEADS), turns)
    keys = np.repeat(_turned(heads("k", N_KV_HEADS), turns), N_HEADS // N_KV_HEADS, axis=1)
    values = np.repeat(heads("v", N_KV_HEADS), N_HEADS // N_KV_HEADS, axis=1)
    scores = np.einsum("qhd,khd->hqk", queries, keys) / np.float32(HEAD_DIM**0.5) + mask
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
