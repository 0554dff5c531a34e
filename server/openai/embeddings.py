"""POST /v1/embeddings: the request and the reply."""

import base64
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import msgspec
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from server.inference.embed import Embedding
from server.openai.prompts import Prompt, prompts_of
from server.schemas.base import ApiModel, Integer, refuse
from server.schemas.limits import TOKENS
from server.schemas.values import KeepAlive, ModelOptions


def _input(value: object) -> tuple[Prompt, ...]:
    if value == []:
        raise refuse("invalid input")
    prompts = prompts_of(value)
    if prompts is None:
        raise refuse("invalid input type")
    return prompts


def _encoding(value: object) -> object:
    encoding = value.lower() if isinstance(value, str) else value
    if encoding not in ("", "float", "base64"):
        raise refuse(
            f"Invalid value for 'encoding_format' = {str(value)[:100]}. "
            "Supported values: ['float', 'base64']."
        )
    return encoding or "float"


class EmbeddingRequest(ApiModel):
    """Texts or token ids to embed; `options` and `keep_alive` as in the native API."""

    body_limits = TOKENS
    model: str = ""
    input: Annotated[
        tuple[Prompt, ...],
        BeforeValidator(_input),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array"}]}),
    ] = ()
    dimensions: Integer = 0
    encoding_format: Annotated[
        Literal["float", "base64"],
        BeforeValidator(_encoding),
        WithJsonSchema({"enum": ["float", "base64"]}),
    ] = "float"
    options: ModelOptions = Field(default_factory=dict)
    keep_alive: KeepAlive = None

    @model_validator(mode="after")
    def _has_input(self) -> Self:
        if not self.input:
            raise refuse("invalid input")
        return self


class EmbeddingUsage(msgspec.Struct):
    """Tokens of all inputs."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingObject(msgspec.Struct):
    """The vector of one input: numbers, or the base64 text of little-endian float32 values."""

    embedding: msgspec.Raw | str
    index: int
    object: str = "embedding"


class EmbeddingList(msgspec.Struct):
    """The vectors of all inputs, in their order."""

    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage
    object: str = "list"


def embedding_list(request: EmbeddingRequest, embedding: Embedding) -> EmbeddingList:
    """Return the reply to `request`."""
    encoded: Sequence[msgspec.Raw | str]
    if request.encoding_format == "base64":
        rows = embedding.vectors.astype("<f4")
        encoded = [base64.b64encode(row.tobytes()).decode() for row in rows]
    else:
        from server.http.vector_encoding import encoded_rows  # noqa: PLC0415 - see its docstring

        encoded = encoded_rows(embedding.vectors)
    return EmbeddingList(
        data=[EmbeddingObject(vector, index) for index, vector in enumerate(encoded)],
        model=request.model,
        usage=EmbeddingUsage(embedding.n_tokens, embedding.n_tokens),
    )
