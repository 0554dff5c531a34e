"""Convert Qwen 2 and 3, dense and mixture of experts."""

from typing import ClassVar

from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.families.decoder import ATTENTION, Decoder


class Qwen2(Decoder):
    """Llama's layers with biases of Q, K and V."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.QWEN2
    names: ClassVar[tuple[str, ...]] = ("Qwen2ForCausalLM",)


class Qwen3(Decoder):
    """QK norm in place of the biases."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.QWEN3
    names: ClassVar[tuple[str, ...]] = ("Qwen3ForCausalLM",)
    required: ClassVar[tuple[str, ...]] = (
        *Decoder.required, "attn_q_norm.weight", "attn_k_norm.weight",
    )  # fmt: skip


class Qwen3MoE(Qwen3):
    """Qwen 3 with experts."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.QWEN3MOE
    names: ClassVar[tuple[str, ...]] = ("Qwen3MoeForCausalLM",)
    required: ClassVar[tuple[str, ...]] = (
        *ATTENTION, "ffn_norm.weight", "ffn_gate_inp.weight", "ffn_gate_exps.weight",
        "ffn_up_exps.weight", "ffn_down_exps.weight", "attn_q_norm.weight", "attn_k_norm.weight",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_expert_count(self.config.integer("num_experts"))
        writer.add_expert_used_count(self.config.integer("num_experts_per_tok"))
        writer.add_expert_feed_forward_length(self.config.integer("moe_intermediate_size"))
