"""Tensors of Mamba 2 layers, which hybrids of attention and state-space models share.

Facts from llama.cpp's converter: the decay is stored as the logarithm of its negative; decay and
skip have a second dimension of 1, the convolution has none; the norm has one row for each group.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Encoding
from gguf import GGUFWriter

from model_store.convert.fields import Fields
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor, shown
from model_store.errors import CreateError

MAMBA: Final = (
    "ssm_in.weight", "ssm_conv1d.weight", "ssm_dt.bias", "ssm_a", "ssm_d", "ssm_norm.weight",
    "ssm_out.weight",
)  # fmt: skip


def plain_name(name: str) -> str:
    """Return a tensor's name as the map of names has it: the bias of the time step is a bias."""
    stem = name.removesuffix(".dt_bias")
    return name if stem == name else f"{stem}.dt_proj.bias"


def shaped(output: OutputTensor, n_groups: int) -> OutputTensor:
    """Return a tensor of a Mamba layer as llama.cpp has it, others as they are."""
    part = output.name.partition("ssm_")[2]
    n = output.shape[0]
    match part:
        case "a":
            return replace(output, shape=(n, 1), sources=(-np.exp(_numbers(output)),))
        case "d":
            return replace(output, shape=(n, 1))
        case "conv1d.weight":
            return replace(output, shape=(n, output.shape[-1]))
        case "norm.weight":
            if n % n_groups:
                raise CreateError(f'"{shown(output.name)}" does not make {n_groups} groups')
            return replace(output, shape=(n_groups, n // n_groups), encoding=Encoding.F32)
    return output


def _numbers(output: OutputTensor) -> npt.NDArray[np.float32]:
    (source,) = output.sources
    if not isinstance(source, SourceTensor) or len(source.shape) != 1:
        raise CreateError(f'the tensor for "{shown(output.name)}" has another shape than it must')
    return OutputTensor(output.name, source.shape, Encoding.F32, (source,)).numbers()


def add_state_space(
    writer: GGUFWriter, config: Fields, *, n_heads: int, head_dim: int, n_groups: int
) -> None:
    """Write the shape of the Mamba layers; raises CreateError."""
    writer.add_ssm_conv_kernel(config.integer("conv_kernel", "mamba_d_conv"))
    writer.add_ssm_state_size(config.integer("ssm_state_size", "mamba_d_state"))
    writer.add_ssm_group_count(n_groups)
    writer.add_ssm_inner_size(n_heads * head_dim)
    writer.add_ssm_time_step_rank(n_heads)
