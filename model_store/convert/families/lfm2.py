"""Convert Liquid LFM2: layers with a short convolution, and some with attention."""

from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.families.decoder import Decoder
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor

_CONVOLUTION = ("shortconv.conv.weight", "shortconv.in_proj.weight", "shortconv.out_proj.weight")
_ATTENTION = ("attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight",
              "attn_q_norm.weight", "attn_k_norm.weight")  # fmt: skip


class Lfm2(Decoder):
    """The norm behind the last layer stands with the embedding, which is tied."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.LFM2
    names: ClassVar[tuple[str, ...]] = ("Lfm2ForCausalLM", "LFM2ForCausalLM")
    required: ClassVar[tuple[str, ...]] = (
        "attn_norm.weight", "ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight",
        "ffn_down.weight",
    )  # fmt: skip
    required_once: ClassVar[tuple[str, ...]] = ("token_embd.weight", "token_embd_norm.weight")
    rope_theta: ClassVar[float] = 1_000_000.0

    @cached_property
    def attends(self) -> list[bool]:
        """Which layers have attention; raises CreateError."""
        kinds = self.config.value("layer_types")
        if isinstance(kinds, list) and len(kinds) == self.n_layers:
            return [kind == "full_attention" for kind in kinds]
        chosen = self.config.value("full_attn_idxs")
        if isinstance(chosen, list):
            return [layer in chosen for layer in range(self.n_layers)]
        raise self.config.wrong("layer_types", "a list with one entry for each layer")

    @property
    def kv_heads(self) -> int | list[int]:
        """Key-value heads of each layer, 0 for one that convolves."""
        return [self.n_kv_heads if attends else 0 for attends in self.attends]

    @property
    def n_ff(self) -> int:
        """Width of the feed-forward layers, which the configuration may give before adjusting."""
        width = self.config.integer("block_ff_dim", "intermediate_size")
        if not self.config.flag("block_auto_adjust_ff_dim"):
            return width
        factor = self.config.number("block_ffn_dim_multiplier", default=1.0)
        multiple = self.config.integer("block_multiple_of", default=1)
        return -(-int(factor * int(2 * width / 3)) // multiple) * multiple

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_shortconv_l_cache(self.config.integer("conv_L_cache"))

    def required_of(self, layer: int) -> tuple[str, ...]:
        """Return the tensors that a layer has to have; raises CreateError."""
        return (*self.required, *(_ATTENTION if self.attends[layer] else _CONVOLUTION))

    def _output(self, source_name: str, sources: tuple[SourceTensor, ...]) -> OutputTensor:
        """Return a tensor, of a convolution without the dimension that is always 1."""
        output = super()._output(source_name, sources)
        if not output.name.endswith(_CONVOLUTION[0]) or len(output.shape) < 3:
            return output
        return replace(output, shape=(output.shape[0], output.shape[-1]))
