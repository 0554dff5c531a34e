"""The tables `[aliases]`, `[models]` and `[[groups]]`: how models are named and served."""

from collections.abc import Mapping
from typing import Final

from model_store.errors import InvalidName
from model_store.names import ModelName
from model_store.options import OPTIONS
from model_store.served import ServedAs
from model_store.serving import Serving
from runners.host.context_size import MAX_SEQUENCES
from server.config.values import seconds
from server.config_file.document import Document, shown
from server.config_file.statements import Path
from server.errors import BadRequest
from server.inference.options import merged_options
from server.text.quoting import quoted

ALIASES: Final = "aliases"
MODELS: Final = "models"
GROUPS: Final = "groups"
_MODEL_KEYS: Final = ("options", "keep_alive", "parallel", "max_context", "preload", "pin")
_GROUP_KEYS: Final = ("name", "models")
_MAX_CONTEXT: Final = 2**31 - 1

_Names = dict[tuple[str, ...], str]


def read_serving(document: Document) -> Serving:
    """Return what the file says of models; raises ConfigError."""
    aliases = _aliases(document)
    groups = _groups(document, aliases)
    models = _models(document, aliases)
    for name, of_name in groups.items():
        served_as = models.get(name, ServedAs())
        models[name] = _with_groups(served_as, of_name)
    _check_pinned(document, models)
    return Serving(aliases, models)


def _with_groups(served_as: ServedAs, groups: set[str]) -> ServedAs:
    values = {name: getattr(served_as, name) for name in ServedAs.__dataclass_fields__}
    return ServedAs(**{**values, "groups": frozenset(groups)})


def _table(document: Document, path: Path, value: object) -> Mapping[str, object]:
    document.require_type(path, value, dict)
    assert isinstance(value, Mapping)
    return value


def _name(document: Document, path: Path, text: object) -> ModelName:
    document.require_type(path, text, str)
    try:
        return ModelName.parse(str(text))
    except InvalidName:
        document.fail(path, f"{quoted(str(text))} is no name of a model, such as qwen3:30b")


def _aliases(document: Document) -> dict[ModelName, ModelName]:
    table = _table(document, (ALIASES,), document.tables.get(ALIASES, {}))
    aliases: dict[ModelName, ModelName] = {}
    spellings: _Names = {}
    for key, value in table.items():
        path = (ALIASES, key)
        alias = _name(document, path, key)
        if alias.folded in spellings:
            document.fail(
                path, f"{quoted(key)} is the same alias as {quoted(spellings[alias.folded])}"
            )
        spellings[alias.folded] = key
        aliases[alias] = _name(document, path, value)
    for alias, target in aliases.items():
        if target.folded in spellings:
            key = spellings[alias.folded]
            document.fail(
                (ALIASES, key),
                f"the alias {quoted(key)} must be for an installed model, not for another alias",
            )
    return aliases


def _models(
    document: Document, aliases: Mapping[ModelName, ModelName]
) -> dict[ModelName, ServedAs]:
    table = _table(document, (MODELS,), document.tables.get(MODELS, {}))
    models: dict[ModelName, ServedAs] = {}
    spellings: _Names = {}
    reserved = {alias.folded for alias in aliases}
    for key, value in table.items():
        path = (MODELS, key)
        name = _name(document, path, key)
        if name.folded in spellings:
            document.fail(
                path, f"{quoted(key)} is the same model as {quoted(spellings[name.folded])}"
            )
        if name.folded in reserved:
            document.fail(path, f"{quoted(key)} is an alias; write the name of its model here")
        spellings[name.folded] = key
        models[name] = _served_as(document, path, _table(document, path, value))
    return models


def _served_as(document: Document, path: Path, table: Mapping[str, object]) -> ServedAs:
    for key in table:
        document.require_known(path, key, _MODEL_KEYS, "setting of a model")
    options = _options(document, (*path, "options"), table.get("options", {}))
    max_context = _count(document, path, table, "max_context", _MAX_CONTEXT)
    n_ctx = options.get("num_ctx")
    if max_context and isinstance(n_ctx, int) and n_ctx > max_context:
        document.fail(
            (*path, "options"), f"num_ctx must be at most max_context, which is {max_context}"
        )
    is_pinned = _flag(document, path, table, "pin")
    return ServedAs(
        options=options,
        keep_alive=_keep_alive(document, (*path, "keep_alive"), table.get("keep_alive")),
        parallel=_count(document, path, table, "parallel", MAX_SEQUENCES),
        max_context=max_context,
        is_preloaded=_flag(document, path, table, "preload") or is_pinned,
        is_pinned=is_pinned,
    )


def _options(document: Document, path: Path, value: object) -> Mapping[str, object]:
    table = _table(document, path, value)
    for key, option in table.items():
        document.require_known(path, key, OPTIONS, "option")
        try:
            merged_options({key: option})
        except BadRequest as e:
            document.fail((*path, key), str(e))
    return dict(table)


def _keep_alive(document: Document, path: Path, value: object) -> float | None:
    if value is None:
        return None
    document.require_type(path, value, str, int, float)
    try:
        return seconds(str(value))
    except ValueError:
        document.fail(path, f"{shown(path)} must be a duration such as 5m, or seconds")


def _count(
    document: Document, path: Path, table: Mapping[str, object], key: str, largest: int
) -> int:
    value, path = table.get(key, 0), (*path, key)
    if key not in table:
        return 0
    document.require_type(path, value, int)
    assert isinstance(value, int)
    if not 1 <= value <= largest:
        document.fail(path, f"{shown(path)} must be from 1 to {largest}, not {value}")
    return value


def _flag(document: Document, path: Path, table: Mapping[str, object], key: str) -> bool:
    value = table.get(key, False)
    document.require_type((*path, key), value, bool)
    return bool(value)


def _groups(
    document: Document, aliases: Mapping[ModelName, ModelName]
) -> dict[ModelName, set[str]]:
    """Return the names of the groups of each model in one."""
    tables = document.tables.get(GROUPS, [])
    document.require_type((GROUPS,), tables, list)
    assert isinstance(tables, list)
    groups: dict[ModelName, set[str]] = {}
    by_alias = {alias.folded: target for alias, target in aliases.items()}
    for position, value in enumerate(tables):
        path: Path = (GROUPS, position)
        table = _table(document, path, value)
        for key in table:
            document.require_known(path, key, _GROUP_KEYS, "setting of a group")
        if "name" in table:
            document.require_type((*path, "name"), table["name"], str)
        for name in _members(document, (*path, "models"), table.get("models")):
            groups.setdefault(by_alias.get(name.folded, name), set()).add(str(position))
    return groups


def _members(document: Document, path: Path, value: object) -> list[ModelName]:
    if not isinstance(value, list) or len(value) < 2:
        document.fail(path, f"{shown(path)} must be a list of at least two models")
    names = [_name(document, path, text) for text in value]
    folded = [name.folded for name in names]
    for name in names:
        if folded.count(name.folded) > 1:
            document.fail(path, f"{quoted(name.short)} is in the group twice")
    return names


def _check_pinned(document: Document, models: Mapping[ModelName, ServedAs]) -> None:
    """Raise where two pinned models must not be in memory together."""
    pinned: dict[str, ModelName] = {}
    for name, served_as in models.items():
        for group in served_as.groups if served_as.is_pinned else ():
            if group in pinned:
                other = pinned[group].short
                document.fail(
                    (GROUPS, int(group)),
                    f"{quoted(other)} and {quoted(name.short)} are pinned, so they cannot be in "
                    "one group",
                )
            pinned[group] = name
