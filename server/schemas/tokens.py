"""POST /api/tokenize and /api/detokenize."""

import msgspec
from pydantic import Field

from server.schemas.base import ApiModel
from server.schemas.values import TokenId


class TokenizeRequest(ApiModel):
    """A text to turn into tokens; `text` and `prompt` are other names of `content`.

    With `add_special` the tokens that begin and end a prompt are added as the model wants them.
    """

    model: str = ""
    content: str = ""
    text: str = ""
    prompt: str = ""
    add_special: bool = False


class DetokenizeRequest(ApiModel):
    """Tokens to turn into text."""

    model: str = ""
    tokens: list[TokenId] = Field(default_factory=list)


class TokenizeResponse(msgspec.Struct):
    """The tokens' ids."""

    model: str
    tokens: tuple[int, ...]


class DetokenizeResponse(msgspec.Struct):
    """The text, special tokens spelled out."""

    model: str
    content: str
