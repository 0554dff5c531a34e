"""The field `adapters` of requests: LoRA adapters by the names of installed models."""

from typing import Annotated

from pydantic import Field

from server.schemas.base import ApiModel

MAX_ADAPTERS = 16
"""Each makes every token a little slower."""
_LARGEST_SCALE = 100


class AdapterField(ApiModel):
    """An installed model whose adapters are used, and the factor of their effect."""

    name: str = ""
    scale: Annotated[float, Field(ge=-_LARGEST_SCALE, le=_LARGEST_SCALE)] = 1.0


AdapterFields = Annotated[
    list[AdapterField] | None,
    Field(
        max_length=MAX_ADAPTERS,
        description="LoRA adapters of installed models, instead of the model's own.",
    ),
]
