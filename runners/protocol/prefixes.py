"""Prefixes in files: where a runner saves computed prefixes, and the message that saves them."""

import msgspec

SUFFIX = ".prefix"
"""Ends the name of a file of computed prefixes."""
PARTIAL_SUFFIX = ".partial"
"""Ends, behind the id of the writing process, the name of a file that is not finished."""


class PrefixStorage(msgspec.Struct, frozen=True):
    """A directory of computed prefixes, of up to `max_bytes` in all.

    `model` begins the names of this model's files. It differs wherever the states in them would:
    by weights, adapters, element type of the KV cache and version of the engine.
    """

    directory: str
    model: str
    max_bytes: int


class SavePrefixes(msgspec.Struct, frozen=True, tag="save_prefixes"):
    """Save what is computed, in at most `seconds`; answered by `PrefixesSaved`."""

    seconds: float


class PrefixesSaved(msgspec.Struct, frozen=True, tag="prefixes_saved"):
    """Answer to `SavePrefixes`: how many prefixes were written."""

    n_files: int
