"""The description of the API that /docs shows.

Request bodies are decoded by hands of our own, so FastAPI has to be told what they are.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from server.schemas.base import ApiModel

_REFERENCE = "#/components/schemas/{model}"
_DESCRIPTION = "The native API of Ollama. Every error is an object with one field, `error`."


def body_of(model: type[ApiModel]) -> dict[str, Any]:
    """Return what a route passes as `openapi_extra` to say that its body is a `model`."""
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def describe(app: FastAPI, models: list[type[ApiModel]], version: str) -> None:
    """Let `app` describe its routes, with `models` as the bodies that `body_of` names."""

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title="paddock", version=version, description=_DESCRIPTION, routes=app.routes
            )
            _, schemas = models_json_schema(
                [(model, "validation") for model in models], ref_template=_REFERENCE
            )
            found.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]  # FastAPI's own way to extend it
