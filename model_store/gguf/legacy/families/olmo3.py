"""OLMo 3 in its legacy layout: llama.cpp reads it as OLMo 2, which has the same tensors.

Fact, from the reference's converter: the architecture is `olmo3`, with keys named after it. The
sliding window, which OLMo 2 lacks, is part of llama.cpp's OLMo 2.
"""

from model_store.gguf.legacy.steps import Family, architecture

FAMILY = Family(architectures=("olmo3",), text=(architecture("olmo2"),))
