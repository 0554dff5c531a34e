"""GET /api/tags and /api/ps: list installed and loaded models."""

import logging
from collections.abc import Callable, Hashable, Sequence

import msgspec

from model_store.errors import GGUFError, ModelNotFound
from model_store.model import Model
from runners.host.model_request import LoadStatus, ReplicaStatus, RunnerStatus
from server.capabilities import capabilities
from server.formats import choose
from server.http.json_encoding import encode
from server.library.details import Details, details_of
from server.text.timestamps import local_time

_log = logging.getLogger(__name__)

_Version = tuple[str, str, float]
_MAX_FORMS = 16
"""Other forms of one list that are kept; clients choose their parameters."""


class InstalledModel(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An entry of /api/tags; `digest` is the bare hex of the manifest."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details
    capabilities: tuple[str, ...] = ()


class LoadedReplica(msgspec.Struct, kw_only=True):
    """One of the machines of a cluster that have the model; `requests` use it there."""

    machine: str
    devices: tuple[str, ...]
    size: int
    size_vram: int
    requests: int


class LoadedModel(msgspec.Struct, kw_only=True):
    """An entry of /api/ps; sizes in bytes."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str
    size_vram: int
    context_length: int
    replicas: list[LoadedReplica] | msgspec.UnsetType = msgspec.UNSET


class LoadingModel(msgspec.Struct, kw_only=True):
    """A model that is being loaded for so many seconds; `ratio` of its weights are."""

    name: str
    model: str
    ratio: float
    seconds: float


class Listing:
    """Lists installed models; the entry of a manifest is computed once while it is unchanged.

    Thread-safe: a listing replaces the cache as a whole.
    """

    def __init__(self, *, go_template: bool | None) -> None:
        self._go_template = go_template
        # An empty entry stands for a damaged model, so that it is read only once.
        self._entries: dict[_Version, msgspec.Raw] = {}
        self._last: tuple[Sequence[Model], bytes] | None = None
        self._forms: tuple[bytes, dict[Hashable, bytes]] = b"", {}
        """The list as `encode` returned it, and its other forms."""

    def encode(self, models: Sequence[Model]) -> bytes:
        """Return the JSON that lists `models`, without those whose weights cannot be read.

        The encoded list is reused for the same `models` object.
        """
        if self._last is not None and self._last[0] is models:
            return self._last[1]
        cached = self._entries
        entries = {
            version: cached[version] if version in cached else self._entry(model)
            for model in models
            for version in (_version(model),)
        }
        self._entries = {version: entry for version, entry in entries.items() if entry is not None}
        data = encode({"models": [entry for entry in entries.values() if bytes(entry or b"")]})
        # A missing file may be back the next time.
        self._last = None if None in entries.values() else (models, data)
        return data

    def encode_some(self, some: Sequence[Model], models: Sequence[Model]) -> bytes:
        """Return the JSON as `encode` for `some` of the installed `models`."""
        self.encode(models)
        cached = self._entries
        entries = [cached.get(_version(model)) for model in some]
        return encode({"models": [entry for entry in entries if bytes(entry or b"")]})

    def encode_as(
        self, form: Callable[..., object], models: Sequence[Model], *parameters: Hashable
    ) -> bytes:
        """Return the JSON of `form(models, *parameters)` for those of `models` in the list.

        It is reused for the same `models` object and equal parameters.
        """
        listed = self.encode(models)
        if self._forms[0] is not listed:
            self._forms = listed, {}
        of, forms = self._forms
        data = forms.get((form, *parameters)) if of is listed else None
        if data is None:
            data = encode(form(self.readable(models), *parameters))
            if len(forms) >= _MAX_FORMS:
                forms.clear()
            forms[form, *parameters] = data
        return data

    def readable(self, models: Sequence[Model]) -> list[Model]:
        """Return those of `models` that `encode` lists."""
        self.encode(models)
        cached = self._entries
        return [model for model in models if bytes(cached.get(_version(model), b""))]

    def _entry(self, model: Model) -> msgspec.Raw | None:
        """Return the JSON of `model`, empty if it is damaged, None if its file is missing."""
        try:
            return msgspec.Raw(encode(self._installed(model)))
        except GGUFError as e:
            _log.warning("%s is left out of the list: %s", model.name.short, e)
            return msgspec.Raw()
        except ModelNotFound:
            _log.warning("%s is left out of the list: its file cannot be opened", model.name.short)
            return None

    def _installed(self, model: Model) -> InstalledModel:
        header = model.header()
        details = details_of(model)
        details.context_length = header.integer(f"{header.architecture}.context_length") or 0
        details.embedding_length = header.integer(f"{header.architecture}.embedding_length") or 0
        return InstalledModel(
            name=model.name.short,
            model=model.name.short,
            modified_at=local_time(model.modified_at),
            size=model.size,
            digest=model.digest,
            details=details,
            capabilities=capabilities(model, choose(model, self._go_template)),
        )


def _version(model: Model) -> _Version:
    return model.name.full, model.digest, model.modified_at


def encode_loaded(statuses: Sequence[RunnerStatus], loads: Sequence[LoadStatus] = ()) -> bytes:
    """Return the JSON that lists the models in memory, and those being loaded if there are any.

    These are a list of their own, because clients take what is in `models` for loaded.
    """
    lists: dict[str, object] = {"models": [_loaded(status) for status in statuses]}
    if loads:
        lists["loading"] = [_loading(load) for load in loads]
    return encode(lists)


def _loading(load: LoadStatus) -> LoadingModel:
    name = load.request.name
    return LoadingModel(
        name=name,
        model=name,
        ratio=round(load.progress, 4),
        seconds=round(load.seconds, 3),
    )


def _loaded(status: RunnerStatus) -> LoadedModel:
    model = status.request.model
    assert isinstance(model, Model)
    details = details_of(model)
    details.parent_model = ""
    return LoadedModel(
        name=status.request.name,
        model=status.request.name,
        size=status.size,
        digest=status.request.digest,
        details=details,
        expires_at=local_time(status.expires_at),
        size_vram=status.size_vram,
        context_length=status.ready.n_ctx,
        replicas=[_replica(replica) for replica in status.replicas] or msgspec.UNSET,
    )


def _replica(replica: ReplicaStatus) -> LoadedReplica:
    return LoadedReplica(
        machine=replica.machine,
        devices=replica.devices,
        size=replica.size,
        size_vram=replica.size_vram,
        requests=replica.users,
    )
