"""Base class of convertible architectures: tensor names, expert stacking, row permutation."""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFWriter, get_tensor_name_map

from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.convert.fp8 import with_scales
from model_store.convert.output import OutputTensor, encoding_of, require_tensors
from model_store.convert.tensors import SourceTensor, shown
from model_store.errors import CreateError

MOST_LAYERS = 512
"""llama.cpp refuses to load more."""

_MOST_DIMENSIONS = 4
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks)\.(\d+)\.")
_EXPERT = re.compile(r"\.experts\.(\d+)\.")
_PRECISE = re.compile(r"(?:norm\.weight|ffn_gate_inp\.weight|position_embd\.weight|"
                      r"token_types\.weight|rope_\w+\.weight|"
                      r"(?:shortconv\.conv|ssm_conv1d)\.weight)\Z")  # fmt: skip


class Family:
    """One model of an architecture.

    `names` are the architecture's names in config.json. `required` are tensors of every layer,
    `required_once` those beside the layers. `dropped` matches tensors that can be computed or have
    no part in generating.
    """

    architecture: ClassVar[MODEL_ARCH]
    names: ClassVar[tuple[str, ...]]
    required: ClassVar[tuple[str, ...]]
    required_once: ClassVar[tuple[str, ...]] = ("token_embd.weight", "output_norm.weight")
    dropped: ClassVar[re.Pattern[str]] = re.compile(r"rotary_emb\.inv_freq\Z|position_ids\Z")
    unconverted: ClassVar[re.Pattern[str]] = re.compile(
        r"^(?:model\.)?(?:vision_tower|multi_modal_projector|visual)\."
    )
    """Matches tensors that a part of the model needs which is left out."""
    prefixes: ClassVar[tuple[str, ...]] = ()
    """What stands before some names in some files, and means nothing."""

    def __init__(self, config: Fields, folder: Folder) -> None:
        self.config, self.folder = config, folder
        self.n_layers = self._count("num_hidden_layers", "n_layer", most=MOST_LAYERS)
        self.n_embd = config.integer("hidden_size", "n_embd")
        self.n_heads = config.integer("num_attention_heads", "n_head")
        self._names = get_tensor_name_map(self.architecture, self.n_layers)

    def _count(self, *names: str, most: int) -> int:
        count = self.config.integer(*names)
        if count > most:
            raise self.config.wrong(names[0], f"at most {most}")
        return count

    @classmethod
    def variant(cls, config: Fields) -> "type[Family]":  # noqa: ARG003 - for those that look
        """Return the class for a configuration, where one name stands for several layouts."""
        return cls

    @property
    def architecture_name(self) -> str:
        """The name of the architecture in GGUF files."""
        return MODEL_ARCH_NAMES[self.architecture]

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        writer.add_block_count(self.n_layers)
        writer.add_embedding_length(self.n_embd)
        writer.add_head_count(self.n_heads)

    def outputs(self, tensors: Mapping[str, SourceTensor]) -> list[OutputTensor]:
        """Return what becomes of the model's tensors.

        Raises:
            CreateError: a tensor is missing, or not known to the architecture.
        """
        outputs = [*self._mapped(with_scales(tensors, self.config)), *self.computed()]
        layered = (f"blk.{n}.{name}" for n in range(self.n_layers) for name in self.required_of(n))
        require_tensors(outputs, (*self.required_once, *layered))
        return outputs

    def required_of(self, layer: int) -> tuple[str, ...]:
        """Return the tensors that a layer has to have, where layers differ; raises CreateError."""
        return self.required

    def computed(self) -> Iterator[OutputTensor]:
        """Yield tensors that follow from the configuration."""
        yield from ()

    def order(self, name: str, n_rows: int) -> npt.NDArray[np.intp] | None:
        """Return which rows of a tensor are kept in which order, None for all as they are."""
        return None

    def shift(self, name: str) -> float:
        """Return what is added to every number of the tensor `name`."""
        return 0.0

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        for prefix in self.prefixes:
            name = name.removeprefix(prefix)
        return name

    def _mapped(self, tensors: Mapping[str, SourceTensor]) -> Iterator[OutputTensor]:
        experts: dict[str, dict[int, SourceTensor]] = {}
        for source in tensors.values():
            if self.dropped.search(source.name) or self.unconverted.search(source.name):
                continue
            match = _EXPERT.search(source.name)
            if match:
                merged = _EXPERT.sub(".experts.", source.name)
                experts.setdefault(merged, {})[int(match[1][:9])] = source
            else:
                yield self._output(source.name, (source,))
        for name, parts in experts.items():
            if sorted(parts) != list(range(len(parts))):
                raise CreateError(f'an expert of "{shown(name)}" is missing')
            yield self._output(name, tuple(parts[n] for n in range(len(parts))))

    def _output(self, source_name: str, sources: tuple[SourceTensor, ...]) -> OutputTensor:
        name = self.gguf_name(source_name)
        shape = sources[0].shape or (1,)
        if any(source.shape != sources[0].shape for source in sources):
            raise CreateError(f'the experts of "{shown(source_name)}" differ in their shapes')
        is_stack = len(sources) > 1 or ".experts." in source_name
        if len(shape) + is_stack > _MOST_DIMENSIONS:
            raise CreateError(f'the tensor "{shown(source_name)}" has more than 4 dimensions')
        order = self.order(name, shape[0])
        if order is not None:
            shape = (len(order), *shape[1:])
        return OutputTensor(
            name=name,
            shape=(len(sources), *shape) if is_stack else shape,
            encoding=encoding_of(name, sources, precise=bool(_PRECISE.search(name))),
            sources=sources,
            order=order,
            shift=self.shift(name),
        )

    def gguf_name(self, source_name: str) -> str:
        """Return the name that a tensor has in GGUF files; raises CreateError."""
        name = self._names.get_name(self.renamed(source_name), try_suffixes=(".weight", ".bias"))
        if name is None:
            layer = _LAYER.search(source_name)
            if layer and int(layer[1][:9]) >= self.n_layers:
                raise CreateError(
                    f'the tensor "{shown(source_name)}" belongs to a layer beyond the '
                    f"{self.n_layers} that config.json tells of"
                )
            raise CreateError(
                f'the tensor "{shown(source_name)}" is not one of the architecture '
                f'"{self.architecture_name}"'
            )
        return name


def half_rotated(n_rows: int, n_heads: int) -> npt.NDArray[np.intp]:
    """Return the row order that turns RoPE by halves of a head (NeoX) into RoPE by pairs."""
    if n_rows % (2 * n_heads):
        raise CreateError(
            f"an attention matrix has {n_rows} rows, which do not make {n_heads} heads"
        )
    rows = np.arange(n_rows).reshape(n_heads, 2, n_rows // n_heads // 2)
    return rows.swapaxes(1, 2).reshape(n_rows)
