"""Steps of which the table of a family consists: each edits a draft."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy import values
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.source import SourceFile
from model_store.gguf.legacy.values import Setting

Step = Callable[[Draft], None]

TOKENS = "tokenizer.ggml.tokens"
_ENCODER = ("block_count", "embedding_length", "feed_forward_length", "attention.head_count")
_PER_TOKEN = (TOKENS, "tokenizer.ggml.scores", "tokenizer.ggml.token_type")
HALVES = values.array(values.F32, (0.5, 0.5, 0.5))
"""Mean and deviation of pixels for encoders that take values from -1 to 1."""
CLIP_MEAN = values.array(values.F32, (0.48145466, 0.4578275, 0.40821073))
CLIP_DEVIATION = values.array(values.F32, (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The legacy layout of some architectures.

    `is_legacy` tells the layout from that of llama.cpp by the header, where llama.cpp has these
    architectures at all, and `is_confirmed`, if it takes more, by the file. `text` are the steps to
    the text model, `projector` those to the projector, empty when files of the family have none.
    With `is_projector` they are nothing else.
    """

    architectures: tuple[str, ...]
    is_legacy: Callable[[GGUFHeader], bool] = lambda _header: True
    is_confirmed: Callable[[SourceFile], bool] = lambda _source: True
    text: tuple[Step, ...] = ()
    projector: tuple[Step, ...] = ()
    is_projector: bool = False


def has_tensor(header: GGUFHeader, names: str) -> bool:
    """Tell whether a file has a tensor whose name begins as `names`, a regular expression, says."""
    pattern = re.compile(names)
    return any(pattern.match(tensor.name) for tensor in header.tensors)


def architecture(name: str) -> Step:
    """Give the architecture, and its keys, another name."""
    return lambda draft: draft.set_architecture(name)


def put(key: str, setting: Setting) -> Step:
    """Set a value."""
    return lambda draft: draft.put(key, setting)


def default(key: str, setting: Setting) -> Step:
    """Set a value unless there is one."""
    return lambda draft: draft.default(key, setting)


def copies(*pairs: tuple[str, str]) -> Step:
    """Set keys to what the file has under other names: pairs of old and new."""

    def step(draft: Draft) -> None:
        for old, new in pairs:
            draft.copy(old, new)

    return step


def prefixed(old: str, new: str, names: Iterable[str]) -> Step:
    """Copy keys that differ in the prefix alone."""
    return copies(*((old + name, new + name) for name in names))


def dimension(key: str, tensor: str, axis: int) -> Step:
    """Set a key to a dimension of a tensor, if there is one; dimension 0 is the fastest."""

    def step(draft: Draft) -> None:
        found = draft.tensors.get(tensor)
        if found is not None and axis < len(found.shape):
            draft.put(key, values.u32(found.shape[axis]))

    return step


def only_without(key: str, step: Step) -> Step:
    """Do a step only if the draft has no value for `key`."""
    return lambda draft: None if draft.has(key) else step(draft)


def rename(*rules: tuple[str, str]) -> Step:
    """Rename tensors by the first regular expression that fits; see `Draft.rename_tensors`."""
    return lambda draft: draft.rename_tensors(rules)


def drop_tensors(names: str) -> Step:
    """Leave out the tensors whose names match a regular expression."""
    return lambda draft: draft.drop_tensors(re.compile(names))


def drop_keys(names: str) -> Step:
    """Leave out the keys that match a regular expression."""
    return lambda draft: draft.drop(re.compile(names))


def as_f32(names: str) -> Step:
    """Convert the tensors whose names match to F32."""
    return lambda draft: draft.to_f32(re.compile(names))


def end_tokens(draft: Draft) -> None:
    """Name the second and third of the tokens that end an answer: those of a turn and a message."""
    ends = draft.source.header.integers("tokenizer.ggml.eos_token_ids")
    for name, token in zip(("eot", "eom"), ends[1:], strict=False):
        if token >= 0:
            draft.default(f"tokenizer.ggml.{name}_token_id", values.u32(token))


def merge_qkv(prefix: str) -> Step:
    """Join the weights, and the biases, of `attn_q`, `attn_k` and `attn_v` as `attn_qkv`."""
    pattern = re.compile(rf"({prefix}\d+\.)attn_q\.(weight|bias)$")

    def step(draft: Draft) -> None:
        for match in filter(None, map(pattern.match, list(draft.tensors))):
            block, kind = match[1], match[2]
            parts = [f"{block}attn_{letter}.{kind}" for letter in "qkv"]
            draft.concatenate(parts, f"{block}attn_qkv.{kind}")

    return step


def vocabulary_of_rows(tensor: str) -> Step:
    """Shorten the vocabulary to the rows of a tensor: some files list tokens of other towers."""

    def step(draft: Draft) -> None:
        rows = draft.source.need(tensor).shape[-1]
        for key in _PER_TOKEN:
            draft.shorten_list(key, rows)

    return step


def four_sections(old: str, new: str) -> Step:
    """Write the three sections of a rotary embedding as four, the last one empty."""

    def step(draft: Draft) -> None:
        sections = draft.source.header.integers(old)
        if sections:
            four = (*sections, 0, 0, 0, 0)[:4]
            draft.put(new, values.array(values.I32, four))

    return step


def clip(kind: str, architecture: str, *names: str, activation: str = "gelu") -> Step:
    """Begin a projector of the type `kind`: keys of the vision part, and those that all have."""

    def step(draft: Draft) -> None:
        draft.put("general.architecture", values.text("clip"))
        draft.put("general.type", values.text("mmproj"))
        draft.put("clip.has_vision_encoder", values.flag(value=True))
        draft.put("clip.projector_type", values.text(kind))
        draft.put(f"clip.use_{activation}", values.flag(value=True))
        for name in (*_ENCODER, "image_size", "patch_size", *names):
            draft.copy(f"{architecture}.vision.{name}", f"clip.vision.{name}")
        draft.copy(f"{architecture}.embedding_length", "clip.vision.projection_dim")

    return step


def with_audio(*steps: Step) -> Step:
    """Do steps only if the file has an audio encoder."""

    def step(draft: Draft) -> None:
        if any(name.startswith("a.") for name in draft.tensors):
            for each in steps:
                each(draft)

    return step


def clip_audio(kind: str, architecture: str, *names: str) -> Step:
    """Go on behind `clip` with the keys of an audio encoder of the type `kind`."""

    def step(draft: Draft) -> None:
        draft.rename_key("clip.projector_type", "clip.vision.projector_type")
        draft.put("clip.audio.projector_type", values.text(kind))
        draft.put("clip.has_audio_encoder", values.flag(value=True))
        for name in (*_ENCODER, "attention.layer_norm_epsilon", *names):
            draft.copy(f"{architecture}.audio.{name}", f"clip.audio.{name}")
        draft.copy(f"{architecture}.embedding_length", "clip.audio.projection_dim")

    return step
