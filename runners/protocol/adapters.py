"""LoRA adapters that requests use: their files and scales."""

import msgspec


class Adapter(msgspec.Struct, frozen=True, array_like=True):
    """A file with a LoRA adapter, and the factor by which it changes the weights."""

    path: str
    scale: float = 1.0


Adapters = tuple[Adapter, ...]
"""The adapters of a request, which act together; none: the model as it is."""
