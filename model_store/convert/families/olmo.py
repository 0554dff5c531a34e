"""Convert OLMo 2 and 3."""

from typing import ClassVar, Final

from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.families.decoder import Decoder

_PERIOD: Final = 4
"""Of so many layers of OLMo 3 the last attends to all tokens, unless layer_types says more."""


class Olmo2(Decoder):
    """Norms behind attention and feed-forward layer, and over whole queries and keys."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.OLMO2
    names: ClassVar[tuple[str, ...]] = ("Olmo2ForCausalLM", "Olmo3ForCausalLM")
    required: ClassVar[tuple[str, ...]] = (
        "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight",
        "attn_q_norm.weight", "attn_k_norm.weight", "post_attention_norm.weight",
        "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight", "post_ffw_norm.weight",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        if not self.config.has("sliding_window"):
            return
        writer.add_sliding_window(self.config.integer("sliding_window"))
        kinds = self.config.value("layer_types")
        if kinds is None:
            slides = [(layer + 1) % _PERIOD != 0 for layer in range(self.n_layers)]
        elif isinstance(kinds, list) and len(kinds) == self.n_layers:
            slides = [kind == "sliding_attention" for kind in kinds]
        else:
            raise self.config.wrong("layer_types", "a list with one entry for each layer")
        writer.add_sliding_window_pattern(slides)
