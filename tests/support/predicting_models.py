"""Models with an MTP layer that predicts what the model will write: each token decides the next.

No layer of the model adds anything to the embedding of a token, and the output is right behind it
in the vocabulary. The MTP layer passes the embedding of the token on that it reads, so it decides
alike. The text repeats nothing before it was through the vocabulary, and does not end.
"""

from pathlib import Path

import numpy as np

from tests.support.families.builder import write_family
from tests.support.families.hyperparameters import Keys
from tests.support.tiny_models import IM_END, Array

_ADDING = ("attn_output", "ssm_out", "ffn_down")
"""What a layer adds to the embedding it gets comes from these."""
_OWN = ("nextn.embed_tokens", "nextn.shared_head_head")
"""Tensors of an MTP layer instead of which it can use the model's."""


def write_predicting(
    path: Path, architecture: str = "qwen35", *, keys: Keys | None = None, is_right: bool = True
) -> Path:
    """Write a model whose MTP layer is right about every greedy choice, or about none."""
    embeddings: list[Array] = []

    def simplified(name: str, weights: Array) -> Array | None:
        if name.endswith("scale") or any(part in name for part in _OWN):
            return None
        if name == "token_embd.weight":
            embeddings.append(weights)
        if name == "output.weight":
            pieces = np.roll(embeddings[0][IM_END + 1 :], 1, axis=0)
            return np.concatenate([np.zeros_like(weights[: IM_END + 1]), pieces])
        if any(part in name for part in _ADDING):
            return np.zeros_like(weights)
        if name.endswith("nextn.eh_proj.weight"):
            width = len(weights)
            parts = [np.eye(width), np.zeros((width, width))]
            return np.concatenate(parts if is_right else parts[::-1], axis=1, dtype=np.float32)
        return weights

    return write_family(path, architecture, keys=keys, n_predicting=1, change=simplified)
