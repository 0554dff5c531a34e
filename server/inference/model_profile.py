"""The profile of a model: the chat format, capabilities and options that its files decide.

Every request needs them, and to find them out anew takes as long as the rest of what a server does
for a short one, so those of the models used last are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from model_store.disk import FileVersion
from model_store.model import Model
from model_store.names import ModelName
from server.capabilities import capabilities
from server.formats import Format, choose
from server.inference.options import recommended_options

_MOST_MODELS: Final = 256
_Key = tuple[ModelName, str, tuple[FileVersion, ...]]


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """What the files of a model say.

    `options` are those that its Modelfile sets, and its GGUF file recommends.
    """

    format: Format
    capabilities: tuple[str, ...]
    options: Mapping[str, object]


class ModelProfiles:
    """Reads profiles and keeps them until the files change; may be used by several threads.

    `go_template` is the setting OLLAMA_GO_TEMPLATE.
    """

    def __init__(self, *, go_template: bool | None) -> None:
        self._go_template = go_template
        self._kept: dict[_Key, ModelProfile] = {}

    def of(self, model: Model) -> ModelProfile:
        """Return the profile of `model`; raises as `Model.header`."""
        key = model.name, model.digest, model.file_versions()
        profile = self._kept.get(key)
        if profile is None:
            profile = self._read(model)
            if len(self._kept) >= _MOST_MODELS:
                self._kept = {}
            self._kept[key] = profile
        return profile

    def _read(self, model: Model) -> ModelProfile:
        format = choose(model, self._go_template)
        options = {**recommended_options(model), **model.parameters}
        return ModelProfile(format, capabilities(model, format), options)
