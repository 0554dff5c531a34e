"""Text models of multimodal folders: their tensors have other prefixes in newer folders."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from gguf import GGUFWriter

from model_store.convert.families.decoder import Decoder
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor, shown
from model_store.errors import CreateError

_SECTIONS = 4
"""Sections of a rotary embedding: time, height, width, and one that is not used."""


class MultimodalText(Decoder):
    """A text model that stands beside encoders: `model.language_model.layers` and the like."""

    prefixes: ClassVar[tuple[str, ...]] = ("model.language_model.", "language_model.")

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        short = super().renamed(name)
        return short if short.startswith(("model.", "lm_head.")) else f"model.{short}"

    def outputs(self, tensors: Mapping[str, SourceTensor]) -> list[OutputTensor]:
        """Return what becomes of the model's tensors; raises CreateError."""
        text: dict[str, SourceTensor] = {}
        for name, tensor in tensors.items():
            if not self.unconverted.search(name):
                short = self.renamed(name)
                if short in text:
                    raise CreateError(f'two tensors of the model are called "{shown(short)}"')
                text[short] = replace(tensor, name=short)
        return super().outputs(text)

    def add_sections(self, writer: GGUFWriter) -> None:
        """Write how many dimensions RoPE turns by time, height and width; raises CreateError."""
        sections = [int(n) for n in self.rope.numbers("mrope_section")]
        if not 0 < len(sections) <= _SECTIONS or not all(0 <= n <= self.head_dim for n in sections):
            raise self.config.wrong("mrope_section", "a list of three numbers of dimensions")
        writer.add_rope_dimension_sections((sections + [0] * _SECTIONS)[:_SECTIONS])
