"""Registry of projectors (mmproj) that can be made, by `architectures` of config.json."""

from model_store.convert.folder import Folder
from model_store.convert.projectors.base import Projector
from model_store.convert.projectors.gemma3 import Gemma3Projector
from model_store.convert.projectors.llama4 import Llama4Projector
from model_store.convert.projectors.qwen import (
    Qwen2VLProjector,
    Qwen3VLProjector,
    Qwen25VLProjector,
)

_PROJECTORS: tuple[type[Projector], ...] = (
    Gemma3Projector, Llama4Projector, Qwen2VLProjector, Qwen25VLProjector, Qwen3VLProjector,
)  # fmt: skip
_BY_NAME = {name: projector for projector in _PROJECTORS for name in projector.names}


def projector_of(folder: Folder) -> Projector | None:
    """Return the projector of the model in `folder`, None when none can be made.

    Raises:
        CreateError: its config.json cannot be read, or lacks what is needed.
    """
    config = folder.fields("config.json")
    names = config.value("architectures")
    name = names[0] if isinstance(names, list) and names else None
    projector = _BY_NAME.get(name) if isinstance(name, str) else None
    if projector is None or not config.inner("vision_config").items():
        return None
    return projector(config, folder)
