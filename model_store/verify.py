"""Verification of models: find blobs whose bytes no longer have the digest that names them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from model_store.digests import Digest
from model_store.integrity import BlobIntegrity, Damage
from model_store.names import ModelName


@dataclass(frozen=True, slots=True, eq=False)
class DamagedModel:
    """A model that cannot be relied on, with what is wrong with its blobs.

    Without any, its manifest is damaged.
    """

    name: ModelName
    blobs: Mapping[Digest, Damage]


def find_damage(
    integrity: BlobIntegrity,
    models: Mapping[ModelName, Collection[Digest]],
    progress: Callable[[int], None],
) -> list[DamagedModel]:
    """Hash every blob of `models` once, and return the models with damaged ones.

    Reads all of them, so it takes as long as the disk needs; `progress` is told the bytes.

    Raises:
        TooManyOpenFiles: a blob cannot be opened now.
    """
    digests = _ordered({digest for blobs in models.values() for digest in blobs})
    checked = {digest: integrity.check(digest, progress, again=True) for digest in digests}
    bad = {digest: damage for digest, damage in checked.items() if damage is not None}
    return [
        DamagedModel(name, {digest: bad[digest] for digest in _ordered(bad.keys() & set(blobs))})
        for name, blobs in models.items()
        if bad.keys() & set(blobs)
    ]


def _ordered(digests: Iterable[Digest]) -> list[Digest]:
    return sorted(digests, key=str)
