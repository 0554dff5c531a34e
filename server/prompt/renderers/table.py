"""Table of the prompt renderers by their names in model configs."""

from collections.abc import Mapping
from typing import Final

from server.prompt.renderers.cogito import Cogito
from server.prompt.renderers.cohere import Cohere
from server.prompt.renderers.deepseek import DeepSeek
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.renderers.functiongemma import FunctionGemma
from server.prompt.renderers.gemma4 import Gemma4
from server.prompt.renderers.glimmer import Glimmer
from server.prompt.renderers.glm import GLM, GLMOCR
from server.prompt.renderers.laguna import Laguna, Poolside
from server.prompt.renderers.lfm2 import LFM2
from server.prompt.renderers.nemotron import Nemotron
from server.prompt.renderers.olmo import Olmo, OlmoThink
from server.prompt.renderers.qwen35 import Qwen35
from server.prompt.renderers.qwen38 import Qwen38
from server.prompt.renderers.qwen_coder import QwenCoder
from server.prompt.renderers.qwen_vl import QwenVL

RENDERERS: Final[Mapping[str, FamilyRenderer]] = {
    "cogito": Cogito(),
    "cohere": Cohere(),
    "deepseek3.1": DeepSeek(),
    "functiongemma": FunctionGemma(),
    "gemma4-large": Gemma4(large=True),
    "gemma4-small": Gemma4(large=False),
    "glimmer": Glimmer(),
    "glm-4.7": GLM(),
    "glm-ocr": GLMOCR(),
    "laguna": Laguna(),
    "lfm2": LFM2(thinks=False),
    "lfm2-thinking": LFM2(thinks=True),
    "nemotron-3-nano": Nemotron(switched_by_text=True),
    "nemotron-3.5-nano": Nemotron(switched_by_text=False),
    "olmo3": Olmo(introduced=False),
    "olmo3.1": Olmo(introduced=True),
    "olmo3-32b-think": OlmoThink(introduced=False),
    "olmo3-think": OlmoThink(introduced=True),
    "ornith": Qwen35(every_answer_thought=True),
    "poolside-v1": Poolside(),
    "qwen3-coder": QwenCoder(),
    "qwen3-vl-instruct": QwenVL(thinks=False),
    "qwen3-vl-thinking": QwenVL(thinks=True),
    "qwen3.5": Qwen35(),
    "qwen3.8": Qwen38(),
}

_SMALL: Final = ("e2b", "e4b")
_LARGE: Final = ("12b", "26b", "31b")
_SMALLEST_LARGE: Final = 12_000_000_000


def gemma4_size(model_name: str, n_parameters: int) -> str:
    """Return the renderer name of a Gemma 4 model, by its model name or its size."""
    name = model_name.lower()
    if any(size in name for size in _SMALL):
        return "gemma4-small"
    large = any(size in name for size in _LARGE) or n_parameters >= _SMALLEST_LARGE
    return "gemma4-large" if large else "gemma4-small"
