"""Which format has which name in a model's configuration."""

from collections.abc import Mapping
from typing import Final

from server.parsing.families import (
    cohere,
    deepseek,
    functiongemma,
    gemma4,
    glimmer,
    glm,
    harmony,
    lfm2,
    mistral,
    nemotron,
    olmo,
    qwen,
)
from server.parsing.families.passthrough import PASSTHROUGH
from server.parsing.family import Family

_SOURCES: Final = (
    cohere,
    deepseek,
    functiongemma,
    gemma4,
    glimmer,
    glm,
    harmony,
    lfm2,
    mistral,
    nemotron,
    olmo,
    qwen,
)
FAMILIES: Final[Mapping[str, Family]] = {
    PASSTHROUGH.name: PASSTHROUGH,
    **{family.name: family for source in _SOURCES for family in source.families()},
}
