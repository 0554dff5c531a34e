"""Convert GLM-4: dense (GLM-4-0414) and mixture of experts (GLM-4.5 to 4.7).

Half of each head is rotated. The layers for multi-token prediction, which stand behind the others,
are left out: answers do not depend on them.
"""

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from gguf import MODEL_ARCH, ExpertGatingFuncType, GGUFWriter

from model_store.convert.families.decoder import ATTENTION, Decoder
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor

_LAYER: Final = re.compile(r"model\.layers\.(\d{1,9})\.")
_DENSE: Final = ("ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")
_ROUTED: Final = ("ffn_gate_inp.weight", "exp_probs_b.bias", "ffn_gate_exps.weight",
                  "ffn_up_exps.weight", "ffn_down_exps.weight", "ffn_gate_shexp.weight",
                  "ffn_up_shexp.weight", "ffn_down_shexp.weight")  # fmt: skip


class Glm4(Decoder):
    """Norms before and behind attention and feed-forward; gate and up projection stay fused."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GLM4
    names: ClassVar[tuple[str, ...]] = ("Glm4ForCausalLM",)
    required: ClassVar[tuple[str, ...]] = (
        *ATTENTION, "post_attention_norm.weight", "ffn_norm.weight", "ffn_up.weight",
        "ffn_down.weight", "post_ffw_norm.weight",
    )  # fmt: skip
    rotated_share: ClassVar[float] = 0.5


class Glm4MoE(Glm4):
    """Leading layers without experts, then layers with experts and some that all tokens use."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GLM4_MOE
    names: ClassVar[tuple[str, ...]] = ("Glm4MoeForCausalLM",)
    required: ClassVar[tuple[str, ...]] = (*ATTENTION, "post_attention_norm.weight")

    @property
    def n_dense(self) -> int:
        """How many of the first layers have no experts."""
        return self.config.integer("first_k_dense_replace", default=0, least=0)

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_leading_dense_block_count(self.n_dense)
        writer.add_expert_count(self.config.integer("n_routed_experts"))
        writer.add_expert_used_count(self.config.integer("num_experts_per_tok"))
        writer.add_expert_shared_count(self.config.integer("n_shared_experts", default=1))
        writer.add_expert_feed_forward_length(self.config.integer("moe_intermediate_size"))
        writer.add_expert_gating_func(ExpertGatingFuncType.SIGMOID)
        writer.add_expert_weights_scale(self.config.number("routed_scaling_factor", default=1.0))
        writer.add_expert_weights_norm(self.config.flag("norm_topk_prob", default=True))

    def outputs(self, tensors: Mapping[str, SourceTensor]) -> list[OutputTensor]:
        """Return what becomes of the model's tensors; raises CreateError."""
        kept = {name: tensor for name, tensor in tensors.items() if not self._predicts(name)}
        return super().outputs(kept)

    def required_of(self, layer: int) -> tuple[str, ...]:
        """Return the tensors that a layer has to have; raises CreateError."""
        return (*self.required, *(_DENSE if layer < self.n_dense else _ROUTED))

    def _predicts(self, name: str) -> bool:
        """Tell whether a tensor belongs to a layer for multi-token prediction."""
        n_predicting = self.config.integer("num_nextn_predict_layers", default=0, least=0)
        match = _LAYER.match(name)
        return match is not None and self.n_layers <= int(match[1]) < self.n_layers + n_predicting

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        suffix = ".e_score_correction_bias"
        name = super().renamed(name)
        return (
            f"{name.removesuffix(suffix)}.e_score_correction.bias"
            if name.endswith(suffix)
            else name
        )
