"""Look up an installed model by the name in a request, with the 404 text of each endpoint."""

from model_store.errors import ModelNotFound
from model_store.model import Model
from model_store.store import Store
from server.errors import BadRequest, NotFound
from server.model_names import model_name
from server.request_record import current
from server.text.quoting import quoted


def find_model(
    store: Store, text: str, *, pull_hint: bool = False, required: bool = False
) -> Model:
    """Return the model that `text` names.

    Raises:
        BadRequest: the name is invalid, or empty and `required`.
        NotFound: no such model is installed; with `pull_hint` the text says to pull it.
    """
    current().model = text
    if not text.strip():
        if required:
            raise BadRequest("model is required")
        raise NotFound(f"model '{text}' not found")
    try:
        return store.resolve(model_name(text))
    except ModelNotFound:
        if pull_hint:
            raise NotFound(f"model {quoted(text)} not found, try pulling it first") from None
        raise NotFound(f"model '{text}' not found") from None
