"""A folder that is no model is refused with one sentence, whatever is wrong with it."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_store.errors import CreateError
from tests.support import hf_folders
from tests.support.hf_folders import Files, Tensors, safetensors
from tests.support.hf_tokenizers import encoded, pieces, size_of
from tests.unit.model_store.convert.conftest import Convert

GOOD = hf_folders.llama()
TENSORS = hf_folders.decoder_tensors(size_of(pieces()))
QUERY = "model.layers.0.self_attn.q_proj.weight"


def config(**changes: Any) -> Files:
    """Return the good folder with another config.json; None takes a field away."""
    fields = {**json.loads(GOOD["config.json"]), **changes}
    return {**GOOD, "config.json": encoded(fields)}


def tensors(**changes: Any) -> Files:
    """Return the good folder with other tensors; None takes one away."""
    found: Tensors = {**TENSORS, **changes}
    kept = {name: tensor for name, tensor in found.items() if tensor is not None}
    return {**GOOD, "model.safetensors": safetensors(kept)}


def without(*names: str, **others: bytes) -> Files:
    return {name: data for name, data in {**GOOD, **others}.items() if name not in names}


def tokenizer(change: Callable[[dict[str, Any]], object]) -> Files:
    """Return the good folder with a tokenizer.json that `change` has changed."""
    fields = pieces()
    change(fields)
    return {**GOOD, "tokenizer.json": encoded(fields)}


def ones(*shape: int) -> np.ndarray[Any, Any]:
    return np.ones(shape, np.float32)


REFUSED: dict[str, tuple[Files, str]] = {
    "no config": (
        without("config.json"),
        "the folder has no config.json",
    ),
    "config cut off": ({**GOOD, "config.json": b'{"a":'}, "config.json is not valid JSON"),
    "config a list": ({**GOOD, "config.json": b"[]"}, "config.json is not a JSON object"),
    "config nested without end": (
        {**GOOD, "config.json": b'{"a":' + b"[" * 100_000},
        "config.json is not valid JSON",
    ),
    "config with an endless number": (
        {**GOOD, "config.json": b'{"a":' + b"1" * 10_000 + b"}"},
        "config.json is not valid JSON",
    ),
    "half a character": (
        {**GOOD, "config.json": rb'{"architectures":["\ud800"]}'}, "config.json is not valid JSON",
    ),
    "no architecture": (
        config(architectures=[]),
        'unknown architecture: config.json has no "architectures"',
    ),
    "no layers": (config(num_hidden_layers=None), 'config.json lacks "num_hidden_layers"'),
    "layers as text": (
        config(num_hidden_layers="2"), 'config.json: "num_hidden_layers" must be a whole number',
    ),
    "half a layer": (
        config(num_hidden_layers=1.5), 'config.json: "num_hidden_layers" must be a whole number',
    ),
    "layers without end": (
        config(num_hidden_layers=10**9), 'config.json: "num_hidden_layers" must be at most 512',
    ),
    "negative heads": (
        config(num_attention_heads=-4),
        'config.json: "num_attention_heads" must be between 1 and 2147483647',
    ),
    "infinite theta": (
        config(rope_theta=1e300), 'config.json: "rope_theta" must be a finite number',
    ),
    "heads that do not fit": (
        config(num_attention_heads=7, head_dim=8),
        "an attention matrix has 32 rows, which do not make 7 heads",
    ),
    "width that does not fit": (
        config(hidden_size=64), "the token embedding does not have the shape that config.json says",
    ),
    "missing tensor": (
        tensors(**{QUERY: None}), 'the model lacks the tensor for "blk.0.attn_q.weight"',
    ),
    "missing embedding": (
        tensors(**{"model.embed_tokens.weight": None}),
        'the model lacks the tensor for "token_embd.weight"',
    ),
    "foreign tensor": (
        tensors(**{"model.secret.weight": ones(2)}),
        'the tensor "model.secret.weight" is not one of the architecture "llama"',
    ),
    "layer too many": (
        tensors(**{"model.layers.7.mlp.up_proj.weight": ones(2)}),
        ('the tensor "model.layers.7.mlp.up_proj.weight" belongs to a layer beyond the 2 that '
        "config.json tells of"),
    ),
    "number too large": (
        tensors(**{QUERY: 1e30 * ones(32, 32)}),
        'the tensor "blk.0.attn_q.weight" has numbers that are too large for F16',
    ),
    "no tokenizer": (
        without("tokenizer.json"),
        ("unknown tokenizer format: the folder needs a tokenizer.json or a SentencePiece "
        "tokenizer.model"),
    ),
    "more tokens than rows": (
        tensors(**{"model.embed_tokens.weight": ones(40, 32)}),
        f"the tokenizer has {size_of(pieces())} tokens, but the model has only 40",
    ),
    "token with a huge id": (
        tokenizer(lambda fields: fields["model"]["vocab"].update({"x": 2**60})),
        'tokenizer.json: "x" must be an id between 0 and 1048575',
    ),
    "merges as numbers": (
        tokenizer(lambda fields: fields["model"].update(merges=[1, 2])),
        'tokenizer.json: "merges" must be a list of pairs of texts',
    ),
    "unknown algorithm": (
        tokenizer(lambda fields: fields["model"].update(type="Magic")),
        "the tokenizer's algorithm is not supported; BPE, WordPiece and Unigram are",
    ),
    "template as a number": (
        {**GOOD, "tokenizer_config.json": encoded({"chat_template": 5})},
        "invalid chat_template: it must be a string or a list of named templates",
    ),
    "missing shard": (
        without("model.safetensors", **{"model-00001-of-00002.safetensors": b""}),
        'the file "model-00002-of-00002.safetensors" is missing',
    ),
    "missing indexed file": (
        {
            **GOOD,
            "model.safetensors.index.json": encoded({"weight_map": {QUERY: "other.safetensors"}}),
        },
        'the file "other.safetensors", which model.safetensors.index.json names, is missing',
    ),
    "tensor twice": (
        {**GOOD, "model-2.safetensors": safetensors({QUERY: ones(32, 32)})},
        f'duplicate tensor name "{QUERY}" was found for this model',
    ),
    "doubles": (
        {**GOOD, "model.safetensors": GOOD["model.safetensors"].replace(b'"F32"', b'"I32"')},
        ('the tensor "lm_head.weight" has numbers of the type I32; F32, F16, BF16 and FP8 '
        "can be converted"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_told(convert: Convert, case: str) -> None:
    files, sentence = REFUSED[case]

    with pytest.raises(CreateError) as caught:
        convert(files)

    assert str(caught.value) == sentence


def test_unsupported_architecture_is_told_with_those_that_are(convert: Convert) -> None:
    with pytest.raises(CreateError) as caught:
        convert(config(architectures=["MambaForCausalLM"]))

    told = str(caught.value)
    assert told.startswith('unsupported architecture "MambaForCausalLM"; supported are Llama')
    assert "Qwen3ForCausalLM" in told
    assert "\n" not in told
    told.encode()  # a client can be told


TEXT = st.text(st.characters(exclude_categories=()), max_size=8)  # halves of characters too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner),
    max_leaves=4,
)
DESCRIBED = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json")
SCALING = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 64}
SEEDS: dict[str, dict[str, Any]] = {
    "config.json": {**json.loads(GOOD["config.json"]), "head_dim": 8, "rope_scaling": SCALING},
    "tokenizer.json": pieces(),
    "tokenizer_config.json": {
        "bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": True,
        "chat_template": [{"name": "default", "template": "x"}],
        "added_tokens_decoder": {"3": {"content": "<|im_start|>", "special": True}},
    },
    "generation_config.json": {"do_sample": True, "temperature": 0.7, "eos_token_id": [2, 4]},
}  # fmt: skip


def places(fields: Any, depth: int = 0) -> list[tuple[Any, ...]]:
    """Return the paths to everything that stands in `fields`, long lists cut."""
    items: list[tuple[Any, Any]] = []
    if isinstance(fields, dict):
        items = list(fields.items())[:12]
    elif isinstance(fields, list):
        items = list(enumerate(fields))[:3]
    found = []
    for key, value in items:
        found.append((key,))
        if depth < 4:
            found += [(key, *rest) for rest in places(value, depth + 1)]
    return found


MUTABLE = [(name, path) for name in DESCRIBED for path in places(SEEDS[name])]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)
@given(place=st.sampled_from(MUTABLE), value=JSON)
def test_nothing_in_a_description_makes_it_fail_otherwise(
    convert: Convert, place: tuple[str, tuple[Any, ...]], value: Any
) -> None:
    """Any value at any place is converted all the same, or refused with a sentence."""
    name, path = place
    fields = json.loads(json.dumps(SEEDS[name]))
    inner = fields
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value

    told = ""
    try:
        convert({**GOOD, name: encoded(fields)})
    except CreateError as e:
        told = str(e)
    assert "\n" not in told
    told.encode()  # a client can be told
