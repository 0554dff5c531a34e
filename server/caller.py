"""Caller: the API key by which a request came, with its scopes, models and priority."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Scope(StrEnum):
    """What an API key lets its holder do."""

    INFER = "infer"
    """Answers, embeddings, token counts, and all that is below /v1."""
    READ = "read"
    """Models and the state of the server: lists, descriptions, metrics, usage."""
    MANAGE = "manage"
    """Change what is installed and loaded, and who has keys."""


class Priority(StrEnum):
    """Which requests get a place first."""

    INTERACTIVE = "interactive"
    BATCH = "batch"
    """Served when no interactive request waits."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of an API key, or anybody where the server has no keys.

    `id` and `name` are those of the key, "" without one. `models` are patterns of model names,
    with `*` and `?`; none of them means every model.
    """

    id: str = ""
    name: str = ""
    scopes: frozenset[Scope] = frozenset(Scope)
    models: tuple[str, ...] = ()
    priority: Priority = Priority.INTERACTIVE

    def may_use(self, model: str) -> bool:
        """Whether the key is for the model `model`, a name with its tag; `latest` may be omitted.

        Upper and lower case are the same, as they are to the store.
        """
        if not self.models:
            return True
        name = model.lower()
        names = (name, name.removesuffix(":latest"))
        return any(fnmatchcase(each, pattern) for pattern in self.models for each in names)


ANYBODY = Caller()
"""Who sends requests to a server without keys."""
