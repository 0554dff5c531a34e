"""Convert gpt-oss, whose experts are stored as MXFP4, or in 16 bits after fine-tuning."""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH, GGUFWriter
from gguf import GGMLQuantizationType as Encoding

from model_store.convert.experts import transposed
from model_store.convert.families.decoder import ATTENTION, Decoder
from model_store.convert.mxfp4 import packed
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor, shown
from model_store.errors import CreateError

_EXPERTS: Final = re.compile(
    r"(?P<layer>.*\.layers\.(?P<number>\d{1,4}))\.mlp\.experts\.(?P<part>\w+)\Z"
)
_BIASES: Final = ("gate_up_proj_bias", "down_proj_bias")
_PACKED: Final = ("gate_up_proj_blocks", "gate_up_proj_scales", "down_proj_blocks",
                  "down_proj_scales", *_BIASES)  # fmt: skip
_PLAIN: Final = ("gate_up_proj", "down_proj", *_BIASES)


class GptOss(Decoder):
    """Experts with biases, attention sinks, and a window in every other layer."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GPT_OSS
    names: ClassVar[tuple[str, ...]] = ("GptOssForCausalLM",)
    required: ClassVar[tuple[str, ...]] = (
        *ATTENTION, "attn_sinks.weight", "post_attention_norm.weight", "ffn_gate_inp.weight",
        "ffn_gate_inp.bias", "ffn_gate_exps.weight", "ffn_gate_exps.bias", "ffn_up_exps.weight",
        "ffn_up_exps.bias", "ffn_down_exps.weight", "ffn_down_exps.bias",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_sliding_window(self.config.integer("sliding_window"))
        writer.add_expert_count(self.config.integer("num_local_experts"))
        used = self.config.integer("num_experts_per_tok", "experts_per_token")
        writer.add_expert_used_count(used)
        writer.add_expert_feed_forward_length(self.config.integer("intermediate_size"))

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        name = super().renamed(name)
        return f"{name}.weight" if name.endswith(".sinks") else name

    def _mapped(self, tensors: Mapping[str, SourceTensor]) -> Iterator[OutputTensor]:
        layers: dict[str, dict[str, SourceTensor]] = {}
        others: dict[str, SourceTensor] = {}
        for name, tensor in tensors.items():
            match = _EXPERTS.match(name)
            if match is None:
                others[name] = tensor
            elif match["part"] not in (*_PACKED, *_PLAIN):
                raise CreateError(
                    f'the experts "{shown(name)}" are stored neither as MXFP4 nor in 16 bits, as '
                    "those of gpt-oss must be to be converted"
                )
            else:
                layers.setdefault(match["number"], {})[match["part"]] = tensor
        yield from super()._mapped(others)
        for number, parts in layers.items():
            yield from _experts(f"blk.{number}", parts)


def _experts(layer: str, parts: Mapping[str, SourceTensor]) -> Iterator[OutputTensor]:
    is_plain = "gate_up_proj" in parts
    for part in _PLAIN if is_plain else _PACKED:
        if part not in parts:
            raise CreateError(f'the model lacks the tensor "{part}" of an expert')
    bias = _numbers(parts["gate_up_proj_bias"])
    for start, name in enumerate(("gate", "up")):
        target = f"{layer}.ffn_{name}_exps.weight"
        if is_plain:
            yield transposed(target, parts["gate_up_proj"], start=start, step=2)
        else:
            both = parts["gate_up_proj_blocks"], parts["gate_up_proj_scales"]
            yield packed(target, *both, start=start, step=2)
        yield _plain(f"{layer}.ffn_{name}_exps.bias", bias[:, start::2])
    target = f"{layer}.ffn_down_exps.weight"
    if is_plain:
        yield transposed(target, parts["down_proj"])
    else:
        yield packed(target, parts["down_proj_blocks"], parts["down_proj_scales"])
    yield _plain(f"{layer}.ffn_down_exps.bias", _numbers(parts["down_proj_bias"]))


def _plain(name: str, numbers: npt.NDArray[np.float32]) -> OutputTensor:
    return OutputTensor(name, numbers.shape, Encoding.F32, (np.ascontiguousarray(numbers),))


def _numbers(source: SourceTensor) -> npt.NDArray[np.float32]:
    """Return a small tensor in single precision."""
    if len(source.shape) != 2:
        raise CreateError(f'the tensor "{shown(source.name)}" has another shape than biases have')
    return OutputTensor(source.name, source.shape, Encoding.F32, (source,)).numbers()
