"""List and show models, as encoded JSON."""

from collections.abc import Callable, Hashable, Sequence

from model_store.errors import ModelNotFound
from model_store.model import Model
from model_store.names import ModelName
from model_store.store import Store
from runners.host.scheduler import Scheduler
from server.concurrency.threads import in_thread
from server.errors import BadRequest, NotFound
from server.http.json_encoding import encode
from server.library.description import Variation, describe
from server.library.listing import Listing, encode_loaded
from server.model_names import model_name
from server.request_record import current

_COPILOT = "GitHubCopilotChat/"


class Library:
    """Lists and shows models; `tags` and `show` read files: call them in a worker thread."""

    def __init__(self, store: Store, scheduler: Scheduler, *, go_template: bool | None) -> None:
        self._store, self._scheduler, self._go_template = store, scheduler, go_template
        self._listing = Listing(go_template=go_template)

    def tags(self) -> bytes:
        """Return the JSON of the installed models that the caller may use, newest first."""
        models = self._store.models()
        if current().caller.models:
            return self._listing.encode_some(self._allowed(models), models)
        return self._listing.encode(models)

    def tags_as(self, form: Callable[..., object], *parameters: Hashable) -> bytes:
        """Return the JSON of `form(models, *parameters)` for the models that `tags` lists."""
        if current().caller.models:
            return encode(form(self.models(), *parameters))
        return self._listing.encode_as(form, self._store.models(), *parameters)

    def models(self) -> list[Model]:
        """Return the models that `tags` lists."""
        return self._allowed(self._listing.readable(self._store.models()))

    def find(self, text: str) -> Model:
        """Return the installed model that `text` names.

        Raises:
            BadRequest: the name is invalid.
            NotFound: it is not installed.
        """
        name = model_name(text)
        try:
            return self._store.resolve(name)
        except ModelNotFound:
            raise _not_found(name) from None

    async def running(self) -> bytes:
        """Return the JSON of every loaded model, the one that expires last first, and of loads.

        Those that the caller may not use are left out.
        """
        caller, scheduler = current().caller, self._scheduler
        loaded = [each for each in scheduler.status() if caller.may_use(each.request.name)]
        loading = [each for each in scheduler.loads() if caller.may_use(each.request.name)]
        return await in_thread(encode_loaded, loaded, loading)

    def show(self, text: str, variation: Variation, user_agent: str = "") -> bytes:
        """Return the JSON that describes the model that `text` names.

        Raises:
            BadRequest: no name, or a malformed one.
            NotFound: it is not installed, or not completely.
        """
        if not text.strip():
            raise BadRequest("model is required")
        name = model_name(text)
        try:
            model = self._store.resolve(name)
            description = describe(model, variation, go_template=self._go_template)
        except ModelNotFound:
            raise _not_found(name) from None
        if user_agent.startswith(_COPILOT):
            # Copilot shows this as the model's name, and sends it as the model of its requests.
            description.model_info["general.basename"] = text
        return encode(description)

    @staticmethod
    def _allowed(models: Sequence[Model]) -> list[Model]:
        """Return those of `models` that the caller may use."""
        caller = current().caller
        return [model for model in models if caller.may_use(model.name.short)]


def _not_found(name: ModelName) -> NotFound:
    return NotFound(f"model '{name.short}' not found")
