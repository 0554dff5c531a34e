"""SHA-256 digests, checked before they become paths of blobs."""

import hashlib
import re
from dataclasses import dataclass

from model_store.errors import InvalidDigest

_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})\Z")
_PREFIX = "sha256:"


@dataclass(frozen=True, slots=True)
class Digest:
    """A SHA-256 digest; `hex` is 64 lower-case digits."""

    hex: str

    def __post_init__(self) -> None:
        if not _DIGEST.match(_PREFIX + self.hex):
            raise InvalidDigest(self.hex)

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read `sha256:<hex>` or `sha256-<hex>`; raises InvalidDigest."""
        if match := _DIGEST.match(text):
            return cls(match[1])
        raise InvalidDigest(text)

    @classmethod
    def of(cls, data: bytes) -> "Digest":
        """Return the digest of `data`."""
        return cls(hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        return _PREFIX + self.hex
