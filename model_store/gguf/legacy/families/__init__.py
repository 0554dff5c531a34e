"""The families that have a legacy layout, each in a file of its own."""

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.families import (
    deepseekocr,
    embeddinggemma,
    gemma3,
    gemma3n,
    gemma4,
    glm4moelite,
    glmocr,
    gptoss,
    laguna,
    lfm2,
    llama3,
    llama4,
    llava,
    mistral3,
    nemotron_h_moe,
    nemotron_h_omni,
    olmo3,
    qwen3next,
    qwen3vl,
    qwen25vl,
    qwen35,
    snowflake,
)
from model_store.gguf.legacy.steps import Family

# The first one that knows a file is taken: embeddinggemma files name the architecture of gemma3.
_FAMILIES = (
    deepseekocr.FAMILY,
    embeddinggemma.FAMILY,
    gemma3.FAMILY,
    gemma3n.FAMILY,
    gemma4.FAMILY,
    glm4moelite.FAMILY,
    glmocr.FAMILY,
    gptoss.FAMILY,
    laguna.FAMILY,
    lfm2.FAMILY,
    llama3.FAMILY,
    llama4.FAMILY,
    llava.FAMILY,
    mistral3.FAMILY,
    nemotron_h_moe.FAMILY,
    nemotron_h_omni.FAMILY,
    olmo3.FAMILY,
    qwen3next.FAMILY,
    qwen3vl.FAMILY,
    qwen25vl.FAMILY,
    qwen35.FAMILY,
    snowflake.FAMILY,
)


def family_of(header: GGUFHeader) -> Family | None:
    """Return the family in whose legacy layout a file is, None for a file of llama.cpp's layout."""
    architecture = header.architecture
    for family in _FAMILIES:
        if architecture in family.architectures and family.is_legacy(header):
            return family
    return None
