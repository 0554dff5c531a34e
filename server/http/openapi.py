"""OpenAPI description of all routes, as /docs and /openapi.json show it.

Routes decode their bodies themselves, so FastAPI does not know the schemas of bodies and errors.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from server.http.envelopes import (
    Envelope,
    anthropic_envelope,
    envelope_of,
    native_envelope,
    openai_envelope,
    registry_envelope,
)
from server.schemas.base import ApiModel

_REFERENCE = "#/components/schemas/{model}"
_DESCRIPTION = (
    "The APIs of Ollama, OpenAI and Anthropic. Every error is an object with a field `error`, in "
    "the form of the API that the path belongs to."
)
_TEXT = {"type": "string"}
# FastAPI describes its own validation errors, which no route here sends.
_UNUSED_STATUS, _UNUSED_SCHEMAS = "422", ("HTTPValidationError", "ValidationError")


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_ERRORS: dict[Envelope, tuple[str, dict[str, Any]]] = {
    native_envelope: ("Error", _object(error=_TEXT)),
    openai_envelope: ("OpenAIError", _object(error=_object(message=_TEXT, type=_TEXT))),
    anthropic_envelope: (
        "AnthropicError",
        _object(type={"const": "error"}, error=_object(type=_TEXT, message=_TEXT)),
    ),
    registry_envelope: (
        "RegistryErrors",
        _object(errors={"type": "array", "items": _object(code=_TEXT, message=_TEXT)}),
    ),
}


def body_of(model: type[ApiModel], *, stream: str = "") -> dict[str, Any]:
    """Return a route's `openapi_extra` that describes its body as a `model`.

    `stream` is the content type of its stream, if it has one.
    """
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    extra: dict[str, Any] = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}
    }
    if stream:
        extra["responses"] = {"200": {"content": {stream: {"schema": _TEXT}}}}
    return extra


def describe(app: FastAPI, models: list[type[ApiModel]], version: str) -> None:
    """Make `app` describe its routes; `models` are the bodies that `body_of` refers to."""

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title="paddock", version=version, description=_DESCRIPTION, routes=app.routes
            )
            _, bodies = models_json_schema(
                [(model, "validation") for model in models], ref_template=_REFERENCE
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in _UNUSED_SCHEMAS:
                schemas.pop(name, None)
            schemas.update(bodies["$defs"], **dict(_ERRORS.values()))
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _describe_errors(operation["responses"], path)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _describe_errors(responses: dict[str, Any], path: str) -> None:
    """Add the error object of the API that `path` belongs to, for every status."""
    responses.pop(_UNUSED_STATUS, None)
    name, _ = _ERRORS[envelope_of(path)]
    schema = {"$ref": _REFERENCE.format(model=name)}
    responses["default"] = {
        "description": "An error.",
        # The router answers unknown paths and methods in plain text, as the reference server does.
        "content": {"application/json": {"schema": schema}, "text/plain": {"schema": _TEXT}},
    }
