"""Map every exception to the HTTP status and the error text that a client gets.

A text is one sentence, without paths of the server, stack traces or messages of libraries. An
exception that the table does not list is logged and answered as an internal server error.
"""

import errno
import logging
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

from model_store import errors as store
from model_store.registry import errors as registry
from runners.host import errors as host
from runners.protocol.messages import FailureCode
from server.concurrency.sqlite_file import NewerFile
from server.request_record import current

_log = logging.getLogger(__name__)


CONTEXT_EXCEEDED = "context_length_exceeded"
INVALID_API_KEY = "invalid_api_key"
MISSING_SCOPE = "missing_scope"
RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"


class ServerError(Exception):
    """Base of the errors of this package; their texts are sent to the client."""


class BadRequest(ServerError):
    """The request is invalid; the text says why."""


class BodyTooLarge(ServerError):
    """The body of a request, or a part of it, is larger than `limit` bytes."""

    def __init__(self, limit: int, part: str = "request body") -> None:
        super().__init__(f"the {part} is larger than the {limit} bytes allowed here")


class NestedTooDeeply(BadRequest):
    """The body of a request has more than `levels` objects and lists within each other."""

    def __init__(self, levels: int) -> None:
        super().__init__(f"the request body is nested too deeply: more than {levels} levels")


class PromptTooLong(BadRequest):
    """The prompt does not fit the context, and cannot be cut."""


class ContextExceeded(PromptTooLong):
    """The prompt has more tokens than the context, and must not be cut so much.

    Agents know the beginning of the text, and compact their conversation.
    """

    def __init__(self, n_tokens: int, n_ctx: int) -> None:
        super().__init__(
            f"prompt is too long: {n_tokens} tokens > {n_ctx} maximum; shorten it, or set a larger "
            "num_ctx or OLLAMA_CONTEXT_LENGTH"
        )


class InvalidParameter(ServerError):
    """A parameter of a request to OpenAI's API is wrong: its name, None where it has none."""

    def __init__(self, text: str, param: str | None = None, *, status: int = 400) -> None:
        super().__init__(text)
        self.param, self.status = param, status


class NotFound(ServerError):
    """The model, blob or response that the request names does not exist."""


class Forbidden(ServerError):
    """The server does not allow the request; the text says why."""


class Unauthorized(ServerError):
    """The request has no valid API key; the text says why."""


class MissingScope(Forbidden):
    """The API key of the request is not for this; the text says which scope it lacks."""


class Unsupported(ServerError):
    """The model lacks a capability that the request needs; the text names both."""


class ServerBusy(ServerError):
    """The server has no resources for the request at the moment; the text says for what."""


class RequestCancelled(ServerError):
    """An operator has cancelled the request."""

    def __init__(self) -> None:
        super().__init__("the request was cancelled by an operator of the server")


class PeerLost(ServerError):
    """The peer that a request was handed to does not answer, or has ended in the middle of it."""

    def __init__(self) -> None:
        super().__init__(
            "the other machine that was to answer this request is gone; send the request again"
        )


class LoopDetected(ServerError):
    """A request that this server has handed on came back to it."""

    def __init__(self) -> None:
        super().__init__("this server is among its own peers: remove it from PADDOCK_PEERS")


class TemplateError(ServerError):
    """A chat template cannot be parsed or rendered; the text says where."""


class TemplateBudgetExceeded(TemplateError):
    """Rendering takes too much time or memory, however the conversation is arranged."""


class KeyFileError(ServerError):
    """The file of API keys cannot be used; the text says why."""


class RateLimited(ServerError):
    """The holder of an API key has used up a limit, for `retry_after` seconds."""

    def __init__(self, text: str, retry_after: float) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Explanation(NamedTuple):
    """The HTTP status and the text of an error, and OpenAI's code for it, "" for none.

    Where OpenAI calls a request invalid whatever the status, `is_invalid` is set, and `param` names
    the parameter if one is wrong.
    """

    status: int
    text: str
    code: str = ""
    is_invalid: bool = False
    param: str | None = None


Explain = Callable[[Any], Explanation]

_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the "
    "prompt, adjust the context length in settings, or use a model with a longer context length"
)
_MAX_TEXT = 2000
_INTERNAL = Explanation(500, "internal server error")


def _plain(status: int) -> Explain:
    return lambda error: Explanation(status, str(error))


def _invalid_name(error: store.InvalidName) -> Explanation:
    return Explanation(400, error.reason)


def _refused(error: registry.RegistryRefused) -> Explanation:
    # A client would take a 401 for a missing key of this server, not of the registry.
    known = {401: 403, 404: 404, 429: 429}
    status = 500 if error.status >= 500 else known.get(error.status, 400)
    return Explanation(status, str(error))


def _no_manifest(error: registry.ManifestUnavailable) -> Explanation:
    cause = _explanation(error.cause)
    return Explanation(cause.status if cause else 500, str(error))


def _prompt_too_long(error: PromptTooLong) -> Explanation:
    return Explanation(400, str(error), CONTEXT_EXCEEDED)


def _unauthorized(error: Unauthorized) -> Explanation:
    return Explanation(401, str(error), INVALID_API_KEY)


def _missing_scope(error: MissingScope) -> Explanation:
    return Explanation(403, str(error), MISSING_SCOPE)


def _rate_limited(error: RateLimited) -> Explanation:
    return Explanation(429, str(error), RATE_LIMIT_EXCEEDED)


def _invalid_parameter(error: InvalidParameter) -> Explanation:
    return Explanation(error.status, str(error), is_invalid=True, param=error.param)


def _runner_died(error: host.RunnerDied) -> Explanation:
    return Explanation(500, f"an error was encountered while running the model: {error.detail}")


def _request_failed(error: host.RequestFailed) -> Explanation:
    match error.code:
        case FailureCode.PROMPT_TOO_LONG:
            text = (
                f"request ({error.n_tokens} tokens) exceeds the available context size "
                f"({error.n_ctx} tokens), try increasing it"
            )
        case FailureCode.CONTEXT_FULL:
            text = _TOO_LONG
        case FailureCode.INVALID_MEDIA:
            text = f"an image or audio file cannot be used: {error.message}"
        case FailureCode.BAD_CONSTRAINT:
            text = f"the output format cannot be enforced: {error.message}"
        case _:
            text = _FAILURES[error.code]
    status = 500 if error.code in _SERVER_FAILURES else 400
    if error.code is FailureCode.PREEMPTED:
        status = 503
    is_too_long = error.code is FailureCode.PROMPT_TOO_LONG
    return Explanation(status, text, CONTEXT_EXCEEDED if is_too_long else "")


_SERVER_FAILURES = (FailureCode.OUT_OF_MEMORY, FailureCode.COMPUTE, FailureCode.NAN_LOGITS)
_FAILURES = {
    FailureCode.BAD_ADAPTER: "an adapter of the request is damaged, or is not for this model",
    FailureCode.BAD_TOKEN: "the request has a token id outside the vocabulary of the model",
    FailureCode.NAN_LOGITS: (
        "the model computed NaN, so its weights are probably damaged; pull or create it again"
    ),
    FailureCode.NO_EMBEDDINGS: "this model cannot make embeddings",
    FailureCode.NOT_FINITE: "embedding contains NaN or Inf values",
    FailureCode.OUT_OF_MEMORY: (
        "the model ran out of memory; use a smaller context (num_ctx) or a smaller model"
    ),
    FailureCode.PREEMPTED: "another request had to be computed first; try again",
    FailureCode.COMPUTE: "the model failed to compute an answer",
}

EXPLANATIONS: dict[type[Exception], Explain] = {
    BadRequest: _plain(400),
    PeerLost: _plain(502),
    LoopDetected: _plain(508),
    PromptTooLong: _prompt_too_long,
    ContextExceeded: _prompt_too_long,
    InvalidParameter: _invalid_parameter,
    BodyTooLarge: _plain(413),
    NestedTooDeeply: _plain(400),
    NotFound: _plain(404),
    Forbidden: _plain(403),
    Unauthorized: _unauthorized,
    MissingScope: _missing_scope,
    RateLimited: _rate_limited,
    KeyFileError: _plain(503),
    Unsupported: _plain(400),
    TemplateError: _plain(400),
    TemplateBudgetExceeded: _plain(400),
    ServerBusy: _plain(503),
    NewerFile: _plain(503),
    # Clients send a request again after a 409 or a 503.
    RequestCancelled: _plain(499),
    store.InvalidName: _invalid_name,
    store.InvalidDigest: _plain(400),
    store.ModelNotFound: _plain(404),
    store.RepositoryNotFound: _plain(404),
    store.AliasReserved: _plain(400),
    store.ParentNotFound: _plain(404),
    store.ManifestInvalid: _plain(500),
    store.BlobNotFound: _plain(400),
    store.BlobDamaged: _plain(400),
    store.DigestMismatch: _plain(400),
    store.UploadConflict: _plain(409),
    store.GGUFError: _plain(400),
    store.WeightsDamaged: _plain(500),
    store.ModelfileError: _plain(400),
    store.CreateError: _plain(400),
    store.ArchiveInvalid: _plain(400),
    store.ConversionDied: _plain(500),
    store.StorageFailed: _plain(507),
    store.NoSpace: _plain(507),
    store.StorageUnreadable: _plain(503),
    store.StorageMissing: _plain(503),
    store.TooManyOpenFiles: _plain(503),
    registry.RegistryError: _plain(500),
    registry.RegistryUnreachable: _plain(500),
    registry.AddressRefused: _plain(403),
    registry.RegistryRefused: _refused,
    registry.RegistryBusy: _refused,
    registry.NotInRegistry: _refused,
    registry.NotOnHub: _refused,
    registry.AccessDenied: _refused,
    registry.HubAccessDenied: _refused,
    registry.RealmRefused: _plain(403),
    registry.InvalidResponse: _plain(500),
    registry.RangesUnsupported: _plain(500),
    registry.TransferFailed: _plain(500),
    registry.ContentMismatch: _plain(500),
    registry.ManifestUnavailable: _no_manifest,
    registry.ModelUnsupported: _plain(400),
    registry.NotEnoughSpace: _plain(507),
    host.CannotStart: _plain(503),
    host.QueueFull: _plain(503),
    host.NoRoom: _plain(503),
    host.ShuttingDown: _plain(503),
    host.LoadFailed: _plain(500),
    host.LoadTimeout: _plain(500),
    host.QuantizeFailed: _plain(500),
    host.ModelUnusable: _plain(400),
    host.RunnerDied: _runner_died,
    host.RequestFailed: _request_failed,
}
"""One row per exception that may reach a client; the most specific class applies."""

# Statuses that an operator has to look into, unlike a full queue or a shutdown.
_LOGGED = (500, 507)
_DISK_ERRORS = {
    errno.ENOSPC: "no space is left on the disk that holds the models",
    errno.EDQUOT: "the disk quota of the models directory is used up",
    errno.EROFS: "the models directory is on a read-only disk",
    errno.EACCES: "the server has no permission to write to the models directory",
}


def _explanation(error: BaseException) -> Explanation | None:
    """Return the row of the table for `error`, None if there is none."""
    for kind in type(error).__mro__:
        if kind in EXPLANATIONS:
            return EXPLANATIONS[kind](error)
    return None


def explain(error: BaseException) -> Explanation:
    """Return the status and text of `error`; an unlisted exception is logged with its traceback."""
    explanation = _logged_explanation(error)
    # Some texts quote the request, which may be of any size.
    if len(explanation.text) > _MAX_TEXT:
        explanation = explanation._replace(text=f"{explanation.text[:_MAX_TEXT]}…")
    record = current()
    record.end, record.error = "error", explanation.text
    return explanation


def _logged_explanation(error: BaseException) -> Explanation:
    if explanation := _explanation(error):
        if explanation.status in _LOGGED:
            _log.warning("answered %d: %s", explanation.status, explanation.text)
        return explanation
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return EXPLANATIONS[store.TooManyOpenFiles](store.TooManyOpenFiles())
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        _log.error("the models directory cannot be written", exc_info=error)
        return Explanation(507, _DISK_ERRORS[error.errno])
    if isinstance(error, sqlite3.Error):
        _log.error("a database of the server cannot be used", exc_info=error)
        return Explanation(503, "stored files cannot be read or written at the moment")
    _log.error("unexpected error in a request", exc_info=error)
    return _INTERNAL
