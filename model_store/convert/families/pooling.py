"""Read the pooling type of a sentence-transformers folder."""

import re

from gguf import PoolingType

from model_store.convert.folder import Folder
from model_store.errors import CreateError

_MODES = {
    "pooling_mode_mean_tokens": PoolingType.MEAN,
    "pooling_mode_cls_token": PoolingType.CLS,
    "pooling_mode_lasttoken": PoolingType.LAST,
}
_POOLING = re.compile(r"(?:.+/)?\d+_Pooling/config\.json\Z")


def pooling_of(folder: Folder, default: PoolingType = PoolingType.NONE) -> PoolingType:
    """Return what the folder says of pooling, `default` when it says nothing; raises CreateError.

    sentence-transformers keeps it in a folder of its own, which is not always uploaded.
    """
    for name in sorted(folder.names):
        if _POOLING.match(name):
            config = folder.fields(name)
            for mode, pooling in _MODES.items():
                if config.flag(mode):
                    return pooling
            raise CreateError(f"{name} has a pooling mode that is not supported")
    return default
