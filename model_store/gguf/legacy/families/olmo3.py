"""OLMo 3 in its legacy layout: llama.cpp reads it as OLMo 2, which has the same tensors.

Fact, from the reference's converter: the architecture is `olmo3`, with keys named after it. The
sliding window, which OLMo 2 lacks, is part of llama.cpp's OLMo 2.
"""

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.steps import Family, architecture


def _is_legacy(_header: GGUFHeader) -> bool:
    return True  # llama.cpp has no architecture of this name


FAMILY = Family(architectures=("olmo3",), is_legacy=_is_legacy, text=(architecture("olmo2"),))
