"""Model names, `[scheme://][host/][namespace/]model[:tag]`: the grammar, and folding of case."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from model_store.errors import InvalidName

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

MAX_LENGTH = 1000
"""Characters of a name."""
_LABEL = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_HOST = re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(?:\.{_LABEL})*(?::(?P<port>[0-9]{{1,5}}))?\Z")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}\Z")
_MODEL = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?\Z")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:[.:]|\Z)", re.IGNORECASE)
"""Files of these names cannot exist on Windows and its file servers, whatever follows a dot."""
_PORTS = range(1, 2**16)
_PATH_WORDS = frozenset({"blobs", "manifests"})
"""In a registry's paths these words end the name of a model."""


@dataclass(frozen=True, slots=True, order=True)
class ModelName:
    """A complete name; each part is valid, so that none can leave the directory it names."""

    host: str
    namespace: str
    model: str
    tag: str

    def __post_init__(self) -> None:
        if not self._is_valid():
            raise InvalidName(self.full)

    def _is_valid(self) -> bool:
        host = _HOST.match(self.host)
        if host is None or int(host["port"] or 1) not in _PORTS:
            return False
        if not (
            _NAMESPACE.match(self.namespace) and _MODEL.match(self.model) and _MODEL.match(self.tag)
        ):
            return False
        if {self.namespace.lower(), self.model.lower()} & _PATH_WORDS:
            return False
        return not any(map(_DEVICE.match, self.parts))

    @classmethod
    @lru_cache(maxsize=1024)
    def parse(cls, text: str) -> "ModelName":
        """Read a name from right to left and fill in what it leaves out; the scheme is dropped.

        Raises:
            InvalidName: a part is empty, too long, or has a character that it must not have.
        """
        if len(text) > MAX_LENGTH:
            raise InvalidName(text[:MAX_LENGTH])
        rest, colon, tag = text.rpartition(":")
        if not colon or "/" in tag:
            rest, tag = text, DEFAULT_TAG
        host, namespace = DEFAULT_HOST, DEFAULT_NAMESPACE
        rest, slash, model = rest.rpartition("/")
        if slash:
            rest, slash, namespace = rest.rpartition("/")
            if slash:
                host = _without_scheme(rest)
        try:
            return cls(host, namespace, model, tag)
        except InvalidName:
            raise InvalidName(text) from None

    @property
    def full(self) -> str:
        """The name with every part."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """The name without a default host, and then without a default namespace."""
        if self.host.lower() != DEFAULT_HOST:
            return self.full
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Host, namespace, model and tag."""
        return self.host, self.namespace, self.model, self.tag

    @property
    def folded(self) -> tuple[str, ...]:
        """The parts as they are compared: without regard to case."""
        return tuple(part.lower() for part in self.parts)


def fold(name: ModelName, installed: Iterable[ModelName]) -> ModelName:
    """Return `name` spelled as the installed models spell it.

    An installed model that is the same name apart from case wins (the exact spelling first, then
    the first in sorted order). Otherwise each part takes the spelling that any installed model
    gives it: beside `bar:latest`, the new name `Foo:Latest` becomes `Foo:latest`.
    """
    known = sorted(installed)
    same = [other for other in known if other.folded == name.folded]
    if same:
        return name if name in same else same[0]
    parts = (_fold_part(position, name, known) for position in range(len(name.parts)))
    return ModelName(*parts)


def _fold_part(position: int, name: ModelName, known: list[ModelName]) -> str:
    part = name.parts[position]
    spellings = {other.parts[position] for other in known}
    if part in spellings:
        return part
    return min((s for s in spellings if s.lower() == part.lower()), default=part)


def _without_scheme(text: str) -> str:
    scheme, mark, host = text.partition("://")
    return host if mark and scheme else text
