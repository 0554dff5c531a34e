"""Read from a GGUF header what the memory estimate of a model depends on."""

import re
from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from model_store.gguf import GGUFHeader
from runners.host.model_request import ModelFacts
from runners.protocol.prediction import PREDICTING
from server.inference import recurrent_state

_LAYER = re.compile(r"blk\.([0-9]{1,9})\.")
_KEYS = "attn_k."
"""What the names of the tensors begin with that make the keys of a KV cache, beside a state."""
_PREDICTION = "nextn.eh_proj."
"""What the names of a tensor begin with that every MTP layer has."""
# llama.cpp refuses to load more; the number comes from an untrusted file.
_MOST_LAYERS = 512


def model_facts(header: GGUFHeader) -> ModelFacts:
    """Return the sizes of the tensors of `header` by where they are placed; see `ModelFacts`."""
    arch = header.architecture
    layers: dict[int, int] = defaultdict(int)
    recurrent, attending = set(), set()
    embedding = output = 0
    predicts = False
    for tensor in header.tensors:
        if match := _LAYER.match(tensor.name):
            layer, name = int(match[1]), tensor.name[match.end() :]
            layers[layer] += tensor.size
            if name.startswith(recurrent_state.TENSORS):
                recurrent.add(layer)
            elif name.startswith(_KEYS):
                attending.add(layer)
            predicts = predicts or name.startswith(_PREDICTION)
        elif tensor.name.startswith("token_embd."):
            embedding += tensor.size
        else:
            output += tensor.size
    n_layers = min(header.integer(f"{arch}.block_count") or len(layers), _MOST_LAYERS)
    n_embd = header.integer(f"{arch}.embedding_length") or 0
    n_heads = max((1, *header.integers(f"{arch}.attention.head_count")))
    head_dim = n_embd // n_heads
    tied = not any(t.name == "output.weight" for t in header.tensors)
    return ModelFacts(
        layer_bytes=tuple(layers[i] for i in range(n_layers)),
        embedding_bytes=embedding,
        output_bytes=output + (embedding if tied else 0),
        n_embd=n_embd,
        n_vocab=_n_vocab(header),
        n_ctx_train=header.integer(f"{arch}.context_length") or 0,
        n_heads=n_heads,
        kv_heads=_kv_heads(header, n_layers, n_heads, recurrent - attending),
        head_dim_k=header.integer(f"{arch}.attention.key_length") or head_dim,
        head_dim_v=header.integer(f"{arch}.attention.value_length") or head_dim,
        state_bytes=recurrent_state.state_bytes(header, [i in recurrent for i in range(n_layers)]),
        predicts=predicts and arch in PREDICTING,
        is_embedding=header.has(f"{arch}.pooling_type"),
    )


def _kv_heads(
    header: GGUFHeader, n_layers: int, n_heads: int, without: AbstractSet[int]
) -> tuple[int, ...]:
    """Return the KV heads of each layer; where all have one number, that is none for `without`."""
    key = f"{header.architecture}.attention.head_count_kv"
    if header.flag(f"{header.architecture}.attention.causal") is False:
        return (0,) * n_layers
    per_layer: Sequence[int] = header.integers(key)
    if len(per_layer) == n_layers:
        return tuple(per_layer)
    number = per_layer[0] if per_layer else n_heads
    return tuple(0 if layer in without else number for layer in range(n_layers))


def _n_vocab(header: GGUFHeader) -> int:
    for tensor in header.tensors:
        if tensor.name == "token_embd.weight" and tensor.shape:
            return tensor.shape[-1]
    return header.integer(f"{header.architecture}.vocab_size") or 0
