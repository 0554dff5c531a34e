"""Parse model names of requests, with the suffixes `:local` and `:cloud`."""

from model_store.errors import InvalidName, ModelNotFound
from model_store.names import MAX_LENGTH, ModelName
from server.errors import BadRequest, Forbidden
from server.request_record import current
from server.text.quoting import quoted

_CLOUD = "ollama cloud is disabled: remote model is unavailable"


def model_name(text: str) -> ModelName:
    """Return the name of the model that a request uses.

    Raises:
        ModelNotFound: the API key of the request is not for it; to its holder it is not there.
        BadRequest: the name is invalid.
        Forbidden: it names a model of Ollama's cloud.
    """
    try:
        trimmed = _trimmed(text)
        name, suffix = _one_suffix(trimmed)
        if suffix == "cloud" or _is_cloud_tag(trimmed):
            raise Forbidden(_CLOUD)
        parsed = ModelName.parse(name)
    except InvalidName as e:
        raise BadRequest(e.reason) from None
    if not current().caller.may_use(parsed.short):
        raise ModelNotFound(parsed.short)
    return parsed


def stored_name(text: str) -> ModelName:
    """Return the name under which a model is stored, models of the cloud included.

    Raises:
        BadRequest: it has two suffixes.
        InvalidName: the name is invalid.
        Forbidden: as `changeable_name`.
    """
    trimmed = _trimmed(text)
    name, suffix = _one_suffix(trimmed)
    if suffix == "cloud":
        has_tag = ":" in name.rpartition("/")[2]
        return changeable_name(f"{name}-cloud" if has_tag else trimmed)
    return changeable_name(name)


def changeable_name(text: str) -> ModelName:
    """Return the name of a model that a request installs, copies, pushes or deletes.

    Raises:
        InvalidName: the name is invalid.
        Forbidden: the API key of the request is not for this model.
    """
    name = ModelName.parse(text)
    record = current()
    record.model = text
    if not record.caller.may_use(name.short):
        raise Forbidden(f"the API key is not for the model {quoted(name.short)}")
    return name


def _trimmed(text: str) -> str:
    """Return `text` without the blanks around it; with a line break it stays, and is no name.

    Raises InvalidName for a text that is too long to be looked at.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidName(text[:MAX_LENGTH])
    return text if any(char < " " and char != "\t" for char in text) else text.strip()


def _one_suffix(text: str) -> tuple[str, str]:
    name, suffix = _split_suffix(text)
    if suffix and _split_suffix(name)[1]:
        raise BadRequest(f"use either :local or :cloud, not both: {quoted(text)}")
    return name, suffix


def _split_suffix(text: str) -> tuple[str, str]:
    name, _, suffix = text.rpartition(":")
    return (name, suffix.lower()) if suffix.lower() in ("local", "cloud") else (text, "")


def _is_cloud_tag(text: str) -> bool:
    _, colon, tag = text.rpartition(":")
    return bool(colon) and "/" not in tag and tag.lower().endswith("-cloud")
