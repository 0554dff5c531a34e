"""Registry of convertible architectures, by `architectures` of config.json."""

from model_store.convert.families.base import Family
from model_store.convert.families.bert import Bert, NomicBert, Roberta
from model_store.convert.families.falcon_h1 import FalconH1
from model_store.convert.families.gemma import Gemma, Gemma2, Gemma3
from model_store.convert.families.glm import Glm4, Glm4MoE
from model_store.convert.families.gptoss import GptOss
from model_store.convert.families.granite_hybrid import GraniteHybrid, GraniteMoE
from model_store.convert.families.lfm2 import Lfm2
from model_store.convert.families.llama import Granite, Llama, Mixtral, SmolLM3
from model_store.convert.families.llama4 import Llama4
from model_store.convert.families.nemotron_h import NemotronH
from model_store.convert.families.olmo import Olmo2
from model_store.convert.families.phi import Phi3
from model_store.convert.families.qwen import Qwen2, Qwen3, Qwen3MoE
from model_store.convert.families.qwen_vl import Qwen2VL, Qwen3VL, Qwen3VLMoE
from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.errors import CreateError

_FAMILIES: tuple[type[Family], ...] = (
    Llama, Mixtral, Granite, SmolLM3, Olmo2, Qwen2, Qwen3, Qwen3MoE, Gemma, Gemma2, Gemma3, Phi3,
    GptOss, Lfm2, Qwen2VL, Qwen3VL, Qwen3VLMoE, Llama4, Glm4, Glm4MoE,
    GraniteMoE, GraniteHybrid, NemotronH, FalconH1, Bert, Roberta, NomicBert,
)  # fmt: skip
_BY_NAME = {name: family for family in _FAMILIES for name in family.names}
_LONGEST_SHOWN = 60


def family_of(folder: Folder) -> Family:
    """Return the family of the model in `folder`.

    Raises:
        CreateError: its architecture is not supported, or its config.json cannot be read.
    """
    config = folder.fields("config.json")
    if not config.items():
        raise CreateError("the folder has no config.json")
    names = config.value("architectures")
    name = names[0] if isinstance(names, list) and names else None
    if not isinstance(name, str):
        raise CreateError('unknown architecture: config.json has no "architectures"')
    family = _BY_NAME.get(name)
    if family is None:
        raise CreateError(
            f'unsupported architecture "{name[:_LONGEST_SHOWN]}"; supported are '
            f"{', '.join(_BY_NAME)}"
        )
    text = _text_part(config)
    return family.variant(text)(text, folder)


def _text_part(config: Fields) -> Fields:
    """Return the text configuration of a multimodal model."""
    text = config.inner("text_config")
    return Fields(config.file, dict([*config.items(), *text.items()])) if text.items() else config
