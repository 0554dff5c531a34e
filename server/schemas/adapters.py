"""The field `adapters` of requests: LoRA adapters by the names of installed models."""

from typing import Annotated

from pydantic import Field

from model_store.options import LARGEST_SCALE
from server.schemas.base import ApiModel

MAX_ADAPTERS = 16
"""Each makes every token a little slower."""


class AdapterField(ApiModel):
    """An installed model whose adapters are used, and the factor of their effect."""

    name: str = ""
    scale: Annotated[float, Field(ge=-LARGEST_SCALE, le=LARGEST_SCALE)] = 1.0


AdapterFields = Annotated[
    list[AdapterField] | None,
    Field(
        max_length=MAX_ADAPTERS,
        description="LoRA adapters of installed models, instead of the model's own.",
    ),
]
