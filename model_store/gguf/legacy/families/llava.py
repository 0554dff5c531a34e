"""Projectors of LLaVA and BakLLaVA that do not say of which type they are.

Fact, from published files: `clip.projector_type` is missing where it is `mlp`, which was the only
one at the time.
"""

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.steps import Family, put
from model_store.gguf.legacy.values import text


def _is_legacy(header: GGUFHeader) -> bool:
    has_type = header.has("clip.projector_type") or header.has("clip.vision.projector_type")
    return header.flag("clip.has_vision_encoder") is True and not has_type


FAMILY = Family(
    architectures=("clip",),
    is_legacy=_is_legacy,
    projector=(put("clip.projector_type", text("mlp")),),
    is_projector=True,
)
