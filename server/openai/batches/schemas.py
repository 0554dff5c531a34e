"""/v1/batches: the request, and the fields of an uploaded file."""

from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from server.openai.batches.input_file import ENDPOINTS
from server.schemas.base import ApiModel, FreeMap, Integer, refuse
from server.schemas.limits import NAMES
from server.text.durations import parse_duration

MIN_KEEP: Final = 3600
MAX_KEEP: Final = 30 * 86_400
"""Bounds of the time after which a file expires, in seconds, and of a completion window."""
_MAX_METADATA: Final = 16
_MAX_NAME: Final = 64
_MAX_VALUE: Final = 512


def _endpoint(value: object) -> str:
    if value not in ENDPOINTS:
        supported = ", ".join(f"'{endpoint}'" for endpoint in ENDPOINTS)
        raise refuse(f"Invalid value: '{value}'. Supported values are: {supported}.")
    return str(value)


def _window(value: object) -> str:
    try:
        seconds = parse_duration(str(value))
    except ValueError:
        seconds = 0.0
    if not MIN_KEEP <= seconds <= MAX_KEEP:
        raise refuse("field \"completion_window\" must be a duration from 1h to 30d, such as '24h'")
    return str(value)


def _metadata(value: object) -> object:
    if value is None or not isinstance(value, dict):
        return value
    if len(value) > _MAX_METADATA:
        raise refuse(f'field "metadata" must have at most {_MAX_METADATA} keys')
    for name, text in value.items():
        if not isinstance(text, str) or len(name) > _MAX_NAME or len(text) > _MAX_VALUE:
            raise refuse(
                f'field "metadata" must have keys of at most {_MAX_NAME} characters and texts of '
                f"at most {_MAX_VALUE} as values"
            )
    return value


class ExpiresAfter(ApiModel):
    """When a file expires, in seconds after `anchor`."""

    anchor: str = ""
    seconds: Integer = 0

    @model_validator(mode="after")
    def _is_allowed(self) -> Self:
        if self.anchor != "created_at" or not MIN_KEEP <= self.seconds <= MAX_KEEP:
            raise refuse(
                f"output_expires_after must have the anchor created_at and {MIN_KEEP} to "
                f"{MAX_KEEP} seconds"
            )
        return self


class NewBatch(ApiModel):
    """The input file of a batch, and how to work on it.

    `completion_window` may be any duration from 1h to 30d, not only 24h.
    """

    body_limits = NAMES
    input_file_id: str = ""
    endpoint: Annotated[str, BeforeValidator(_endpoint), WithJsonSchema({"enum": list(ENDPOINTS)})]
    completion_window: Annotated[
        str, BeforeValidator(_window), WithJsonSchema({"type": "string"})
    ] = "24h"
    metadata: Annotated[FreeMap | None, BeforeValidator(_metadata)] = Field(default=None)
    output_expires_after: ExpiresAfter | None = None

    @model_validator(mode="after")
    def _has_input(self) -> Self:
        if not self.input_file_id:
            raise refuse("Missing required parameter: 'input_file_id'.")
        return self

    @property
    def window_seconds(self) -> int:
        """How long the batch may take."""
        return int(parse_duration(self.completion_window))
