"""Error objects of the native, OpenAI, Anthropic and registry APIs."""

from collections.abc import Callable

from starlette.types import Scope

from server.errors import (
    CONTEXT_EXCEEDED,
    INVALID_API_KEY,
    MISSING_SCOPE,
    RATE_LIMIT_EXCEEDED,
    Explanation,
)
from server.request_record import current

Envelope = Callable[[Explanation], dict[str, object]]
"""Turns an explanation into the error object of an API."""

_ANTHROPIC_HEADER = b"anthropic-version"
_TOO_LONG = "prompt is too long"
"""How the error begins that makes Anthropic's clients compact a conversation."""
_OPENAI_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_OPENAI_TYPES_OF_CODES = {
    INVALID_API_KEY: "invalid_request_error",
    MISSING_SCOPE: "invalid_request_error",
    RATE_LIMIT_EXCEEDED: "rate_limit_error",
}
_REGISTRY_CODES = {
    400: "UNSUPPORTED",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    405: "UNSUPPORTED",
    429: "TOOMANYREQUESTS",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def native_envelope(explanation: Explanation) -> dict[str, object]:
    """Return the error of an endpoint under /api."""
    return {"error": explanation.text}


def openai_envelope(explanation: Explanation) -> dict[str, object]:
    """Return the error of an endpoint that OpenAI's clients use."""
    kind = _OPENAI_TYPES.get(explanation.status, "api_error")
    kind = _OPENAI_TYPES_OF_CODES.get(explanation.code, kind)
    if explanation.is_invalid:
        kind = _OPENAI_TYPES[400]
    param, code = explanation.param, explanation.code or None
    return {"error": {"message": explanation.text, "type": kind, "param": param, "code": code}}


def anthropic_envelope(explanation: Explanation) -> dict[str, object]:
    """Return the error of an endpoint that Anthropic's clients use."""
    kind = _ANTHROPIC_TYPES.get(explanation.status, "api_error")
    text = explanation.text
    if explanation.code == CONTEXT_EXCEEDED and not text.startswith(_TOO_LONG):
        text = f"{_TOO_LONG}: {text}"
    return {
        "type": "error",
        "error": {"type": kind, "message": text},
        "request_id": current().id,
    }


def registry_envelope(explanation: Explanation) -> dict[str, object]:
    """Return the error of an endpoint of the OCI distribution API."""
    return registry_errors(_REGISTRY_CODES.get(explanation.status, "UNKNOWN"), explanation.text)


def registry_errors(code: str, text: str) -> dict[str, object]:
    """Return an error with a code of the OCI distribution specification."""
    return {"errors": [{"code": code, "message": text, "detail": None}]}


_BY_PATH: tuple[tuple[str, Envelope], ...] = (
    ("/v1/messages", anthropic_envelope),
    ("/v1/", openai_envelope),
    ("/v2/", registry_envelope),
)


def is_from_anthropic_client(scope: Scope) -> bool:
    """Return whether a request has the header that Anthropic's clients send with each request."""
    return any(name == _ANTHROPIC_HEADER for name, _ in scope["headers"])


def envelope_for(scope: Scope) -> Envelope:
    """Return the envelope of the client that sent the request."""
    envelope = envelope_of(scope["path"])
    if envelope is openai_envelope and is_from_anthropic_client(scope):
        return anthropic_envelope
    return envelope


def envelope_of(path: str) -> Envelope:
    """Return the envelope of the API to which `path` belongs."""
    for prefix, envelope in _BY_PATH:
        if path.startswith(prefix):
            return envelope
    return native_envelope
