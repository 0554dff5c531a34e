"""How one model is served: defaults of requests, limits, and its place in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAs:
    """What the operator sets for a model.

    `options` win over the Modelfile's parameters, and requests over them; `keep_alive` (seconds)
    holds for requests without one. `parallel` requests run at once at most, in a context of at
    most `max_context` tokens; 0 is no limit of its own. A pinned model stays in memory. Of the
    models in a group, one at a time is in memory.
    """

    options: Mapping[str, object] = field(default_factory=dict)
    keep_alive: float | None = None
    parallel: int = 0
    max_context: int = 0
    is_preloaded: bool = False
    is_pinned: bool = False
    groups: frozenset[str] = frozenset()


DEFAULT = ServedAs()
"""As models are served without a configuration."""
