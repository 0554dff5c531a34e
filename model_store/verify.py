"""Looking for blobs that are no longer what their names say."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from model_store.digests import Digest
from model_store.disk import is_regular, open_regular
from model_store.layout import Layout
from model_store.names import ModelName

_CHUNK = 1 << 20


class Damage(StrEnum):
    """What is wrong with a blob."""

    MISSING = "is missing"
    WRONG = "is damaged"
    UNREADABLE = "cannot be read"


@dataclass(frozen=True, slots=True)
class HurtModel:
    """A model that cannot be relied on, with what is wrong with its blobs.

    Without any, its manifest is damaged.
    """

    name: ModelName
    blobs: Mapping[Digest, Damage]


def find_damage(
    layout: Layout,
    models: Mapping[ModelName, Collection[Digest]],
    progress: Callable[[int], None],
) -> list[HurtModel]:
    """Hash every blob of `models` once, and return the models that are hurt.

    Reads all of them, so it takes as long as the disk needs; `progress` is told the bytes.
    """
    needed = sorted({digest for blobs in models.values() for digest in blobs}, key=str)
    found = {digest: _damage(layout, digest, progress) for digest in needed}
    bad = {digest: damage for digest, damage in found.items() if damage is not None}
    return [
        HurtModel(name, {digest: bad[digest] for digest in _ordered(bad.keys() & set(blobs))})
        for name, blobs in models.items()
        if bad.keys() & set(blobs)
    ]


def _ordered(digests: Iterable[Digest]) -> list[Digest]:
    return sorted(digests, key=str)


def _damage(layout: Layout, digest: Digest, progress: Callable[[int], None]) -> Damage | None:
    path, found = layout.blob(digest), hashlib.sha256()
    if not is_regular(path):
        return Damage.MISSING
    try:
        with open_regular(path) as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
                progress(len(chunk))
    except OSError:
        return Damage.UNREADABLE
    return None if found.hexdigest() == digest.hex else Damage.WRONG
