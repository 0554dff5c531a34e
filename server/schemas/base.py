"""Base model of requests: strict types, case-insensitive keys, null as if absent."""

from functools import lru_cache
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from server.schemas.limits import CONVERSATION, MAX_LONG_TEXT, BodyLimits, bound_lists

_OWN = "paddock"
_INT64 = 2**63


def refuse(text: str) -> PydanticCustomError:
    """Return a validation error whose text is sent to the client unchanged."""
    return PydanticCustomError(_OWN, "{text}", {"text": text})


def is_own_text(error_type: str) -> bool:
    """Return whether an error of this type comes from `refuse`."""
    return error_type == _OWN


class ApiModel(BaseModel):
    """Base of all request objects.

    Keys are case-insensitive, unknown ones are ignored, null counts as absent, and no value is
    converted to another type. Validators are built for the first request that needs them: at once
    they would take a third of the time that a start takes, one takes 15 ms.
    """

    model_config = ConfigDict(
        strict=True, extra="ignore", populate_by_name=True, frozen=True, defer_build=True
    )
    body_limits: ClassVar[BodyLimits] = CONVERSATION
    """What a body may hold that is an object of this class."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Bound all lists and strings; lists report their first wrong element, not each."""
        schema = handler(source)
        bound_lists(schema)
        return schema

    @model_validator(mode="before")
    @classmethod
    def _fold_keys(cls, value: Any) -> Any:
        if value is None:
            return {}
        if not isinstance(value, dict):
            return value
        known = _known_keys(cls)
        return {
            name: item
            for key, item in value.items()
            if item is not None and (name := known.get(key.lower())) is not None
        }


@lru_cache(maxsize=64)
def _known_keys(model: type[BaseModel]) -> dict[str, str]:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return {name.lower(): name for name in names}


def _zero_for_null(zero: object) -> BeforeValidator:
    return BeforeValidator(lambda value: zero if value is None else value)


LongText = Annotated[str, Field(max_length=MAX_LONG_TEXT), WithJsonSchema({"type": "string"})]
"""A string that may be longer than `MAX_TEXT`: what a model reads, or a file in base64."""

Text = Annotated[str, _zero_for_null("")]
"""A string in a list or a map, where null is the empty string."""

Integer = Annotated[int, Field(ge=-_INT64, le=_INT64 - 1)]
"""A whole number of at most 64 bits."""

FreeMap = dict[str, Any]
"""An object with any keys, which keep their case."""
