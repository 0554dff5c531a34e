"""Aliases, and how models are served: what an operator sets beside their Modelfiles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from model_store.errors import AliasReserved
from model_store.model import Model
from model_store.names import ModelName
from model_store.served import ServedAs

_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Serving:
    """Aliases and the models that are served in a way of their own; names without regard to case.

    `aliases` maps names under which models are served to those under which they are installed.
    """

    aliases: Mapping[ModelName, ModelName] = field(default_factory=dict)
    models: Mapping[ModelName, ServedAs] = field(default_factory=dict)
    _targets: Mapping[_Key, ModelName] = field(init=False)
    _served: Mapping[_Key, ServedAs] = field(init=False)

    def __post_init__(self) -> None:
        targets = {alias.folded: target for alias, target in self.aliases.items()}
        served = {name.folded: served_as for name, served_as in self.models.items()}
        object.__setattr__(self, "_targets", MappingProxyType(targets))
        object.__setattr__(self, "_served", MappingProxyType(served))

    def target(self, name: ModelName) -> ModelName:
        """Return the name for which `name` is an alias, or itself."""
        return self._targets.get(name.folded, name) if self._targets else name

    def require_no_alias(self, name: ModelName) -> None:
        """Raise AliasReserved for a name that cannot be installed or deleted: it is an alias."""
        if name.folded in self._targets:
            raise AliasReserved(name.short)

    def apply(self, model: Model) -> Model:
        """Return `model` with the way it is served."""
        served_as = self._served.get(model.name.folded) if self._served else None
        return model if served_as is None else replace(model, served_as=served_as)

    def with_aliases(self, models: Iterable[Model]) -> tuple[Model, ...]:
        """Return installed models, each followed by its aliases, without those that one hides."""
        by_target: dict[_Key, list[ModelName]] = {}
        for alias, target in self.aliases.items():
            by_target.setdefault(target.folded, []).append(alias)
        listed: list[Model] = []
        for model in models:
            folded = model.name.folded
            if folded not in self._targets:
                listed.append(model)
            listed += [replace(model, name=alias) for alias in by_target.get(folded, ())]
        return tuple(listed)

    def preloaded(self) -> tuple[ModelName, ...]:
        """Return the models to load when the server starts."""
        return tuple(name for name, served in self.models.items() if served.is_preloaded)
