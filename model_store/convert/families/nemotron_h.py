"""Convert Nemotron-H, Nemotron Nano 2 and Nemotron 3, whose layers are Mamba 2, attention or MLP.

`hybrid_override_pattern` has a character for each layer: `M` Mamba 2, `*` attention, `-`
feed-forward, `E` experts; newer folders list words in `layers_block_type` instead. The attention
has no positions. Facts from llama.cpp's converter and transformers (`modeling_nemotron_h.py`): the
router has sigmoid gates with a bias, the experts have no gate, one shared expert is used by all
tokens, and in some models the experts work in a smaller space (`moe_latent_size`).
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar, Final

from gguf import MODEL_ARCH, ExpertGatingFuncType, GGUFWriter

from model_store.convert.experts import transposed
from model_store.convert.families.base import Family
from model_store.convert.families.decoder import Decoder
from model_store.convert.families.state_space import MAMBA, add_state_space, plain_name, shaped
from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor

_UNLIMITED: Final = 2**20
"""The context of models without positions."""
_LAYERS: Final[Mapping[str, tuple[str, ...]]] = {
    "M": MAMBA,
    "*": ("attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"),
    "-": ("ffn_up.weight", "ffn_down.weight"),
    "E": ("ffn_gate_inp.weight", "exp_probs_b.bias", "ffn_up_exps.weight", "ffn_down_exps.weight",
          "ffn_up_shexp.weight", "ffn_down_shexp.weight"),
}  # fmt: skip
_LATENT: Final = ("ffn_latent_down.weight", "ffn_latent_up.weight")
_WORDS: Final[Mapping[object, str]] = {
    "mamba": "M", "linear_attention": "M", "attention": "*", "full_attention": "*",
    "mlp": "-", "moe": "E",
}  # fmt: skip
_WORD_LIST: Final = "layers_block_type"
_PATTERN: Final = "hybrid_override_pattern"
_EXPERTS: Final = re.compile(r"(?P<module>.+\.mixer\.experts\.(?P<part>up|down)_proj)(?:\.weight)?")
_PREDICTION: Final = "mtp."


def _pattern(config: Fields) -> str:
    """Return the kinds of layers as characters; those that are not known become `?`."""
    words = config.value(_WORD_LIST)
    if isinstance(words, list) and not config.has(_PATTERN):
        known = (_WORDS.get(word, "?") if isinstance(word, str) else "?" for word in words)
        return "".join(known)
    return config.text(_PATTERN)


class NemotronH(Decoder):
    """One norm and one part in each layer; feed-forward layers have no gate."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.NEMOTRON_H
    names: ClassVar[tuple[str, ...]] = ("NemotronHForCausalLM",)
    required: ClassVar[tuple[str, ...]] = ("attn_norm.weight",)
    kinds: ClassVar[str] = "M*-"

    def __init__(self, config: Fields, folder: Folder) -> None:
        fields = dict(config.items())
        if not config.has("num_hidden_layers"):
            # Folders that list the layers need not count them.
            fields["num_hidden_layers"] = len(_pattern(config))
        # What `rms_norm_eps` says is not used by the model's own code.
        fields["rms_norm_eps"] = config.number("layer_norm_epsilon", "rms_norm_eps", default=1e-5)
        super().__init__(Fields(config.file, fields), folder)

    @classmethod
    def variant(cls, config: Fields) -> type[Family]:
        """Return the class with experts when a layer has some."""
        return NemotronHMoE if "E" in _pattern(config) else cls

    @cached_property
    def pattern(self) -> str:
        """The kind of each layer; raises CreateError."""
        pattern = _pattern(self.config)
        if len(pattern) != self.n_layers or not set(pattern) <= set(self.kinds):
            name = _PATTERN if self.config.has(_PATTERN) else _WORD_LIST
            raise self.config.wrong(
                name,
                "Mamba, attention, and either experts or feed-forward layers, one for each layer",
            )
        return pattern

    @property
    def n_groups(self) -> int:
        """Groups of heads of a Mamba layer."""
        return self.config.integer("n_groups", "mamba_n_groups", default=1)

    @property
    def kv_heads(self) -> int | list[int]:
        """Key-value heads of each layer, 0 for one without attention."""
        return [self.n_kv_heads if kind == "*" else 0 for kind in self.pattern]

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        self.n_ctx = _UNLIMITED
        self.head_dim = self.config.integer("head_dim", "attention_head_dim")
        super().add_metadata(writer)
        if not self.config.has("head_dim"):
            writer.add_key_length(self.head_dim)
            writer.add_value_length(self.head_dim)
        writer.add_layer_norm_eps(self.config.number("rms_norm_eps"))
        n_heads = self.config.integer("mamba_num_heads")
        head_dim = self.config.integer("mamba_head_dim")
        add_state_space(
            writer, self.config, n_heads=n_heads, head_dim=head_dim, n_groups=self.n_groups
        )

    @property
    def widths(self) -> int | list[int]:
        """Width of each layer, 0 for one that is not feed-forward."""
        return [self.n_ff if kind in "-E" else 0 for kind in self.pattern]

    def required_of(self, layer: int) -> tuple[str, ...]:
        """Return the tensors that a layer has to have; raises CreateError."""
        return (*self.required, *_LAYERS[self.pattern[layer]])

    def outputs(self, tensors: Mapping[str, SourceTensor]) -> list[OutputTensor]:
        """Return what becomes of the tensors, but those that predict several tokens."""
        names = (name for name in tensors if not name.startswith(_PREDICTION))
        return super().outputs({name: tensors[name] for name in names})

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        name = plain_name(super().renamed(name))
        for part in ("layers.", "embeddings.", "norm_f."):
            if name.startswith(f"model.{part}"):  # as newer folders call it
                return f"backbone.{name.removeprefix('model.')}"
        return name

    def _output(self, source_name: str, sources: tuple[SourceTensor, ...]) -> OutputTensor:
        return shaped(super()._output(source_name, sources), self.n_groups)


class NemotronHMoE(NemotronH):
    """Experts in place of the feed-forward layers."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.NEMOTRON_H_MOE
    kinds: ClassVar[str] = "M*E"

    @property
    def n_ff(self) -> int:
        """Width of an expert."""
        return self.config.integer("moe_intermediate_size")

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        config = self.config
        writer.add_expert_count(config.integer("n_routed_experts"))
        writer.add_expert_used_count(config.integer("num_experts_per_tok"))
        writer.add_expert_shared_count(config.integer("n_shared_experts", default=1))
        writer.add_expert_feed_forward_length(self.n_ff)
        writer.add_expert_shared_feed_forward_length(
            config.integer("moe_shared_expert_intermediate_size")
        )
        writer.add_expert_gating_func(ExpertGatingFuncType.SIGMOID)
        writer.add_expert_weights_norm(config.flag("norm_topk_prob", default=True))
        writer.add_expert_weights_scale(config.number("routed_scaling_factor", default=1.0))
        if (n_groups := config.integer("n_group", default=1)) > 1:
            writer.add_expert_group_count(n_groups)
            writer.add_expert_group_used_count(config.integer("topk_group"))
        if config.has("moe_latent_size"):
            writer.add_moe_latent_size(config.integer("moe_latent_size"))

    def required_of(self, layer: int) -> tuple[str, ...]:
        """Return the tensors that a layer has to have; raises CreateError."""
        is_latent = self.pattern[layer] == "E" and self.config.has("moe_latent_size")
        return (*super().required_of(layer), *(_LATENT if is_latent else ()))

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        name = super().renamed(name).replace("score_correction_bias", "score_correction.bias")
        if ".mixer.experts." in name:
            name = name.replace("backbone.", "model.").replace(".mixer.", ".mlp.")
        return name

    def _mapped(self, tensors: Mapping[str, SourceTensor]) -> Iterator[OutputTensor]:
        """Yield the tensors; the experts of a layer may stand in one, with outputs as rows."""
        others: dict[str, SourceTensor] = {}
        for name, tensor in tensors.items():
            match = _EXPERTS.fullmatch(name)
            if match:
                target = self.gguf_name(f"{match['module']}.weight")
                yield transposed(target, tensor, is_turned=False)
            else:
                others[name] = tensor
        yield from super()._mapped(others)
