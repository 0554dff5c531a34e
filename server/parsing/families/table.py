"""Table of the output formats by their parser names in model configs."""

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
from server.parsing.output_format import OutputFormat

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
OUTPUT_FORMATS: Final[Mapping[str, OutputFormat]] = {
    PASSTHROUGH.name: PASSTHROUGH,
    **{family.name: family for source in _SOURCES for family in source.formats()},
}
