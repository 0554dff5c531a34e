"""Registry of convertible architectures, by `architectures` of config.json."""

from model_store.convert.families.base import Family
from model_store.convert.families.bert import Bert, NomicBert, Roberta
from model_store.convert.families.gemma import Gemma, Gemma2, Gemma3
from model_store.convert.families.gptoss import GptOss
from model_store.convert.families.lfm2 import Lfm2
from model_store.convert.families.llama import Granite, Llama, Mixtral, SmolLM3
from model_store.convert.families.olmo import Olmo2
from model_store.convert.families.phi import Phi3
from model_store.convert.families.qwen import Qwen2, Qwen3, Qwen3MoE
from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.errors import CreateError

_FAMILIES: tuple[type[Family], ...] = (
    Llama, Mixtral, Granite, SmolLM3, Olmo2, Qwen2, Qwen3, Qwen3MoE, Gemma, Gemma2, Gemma3, Phi3,
    GptOss, Lfm2, Bert, Roberta, NomicBert,
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
    return family(_text_part(config), folder)


def _text_part(config: Fields) -> Fields:
    """Return the text configuration of a multimodal model."""
    text = config.inner("text_config")
    return Fields(config.file, dict([*config.items(), *text.items()])) if text.items() else config
