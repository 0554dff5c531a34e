"""Requests of the native API about installed models: show, create, copy, delete, pull, push."""

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from server.native.schemas import ChatMessage
from server.schemas.base import ApiModel, FreeMap, LongText, Text, refuse
from server.schemas.limits import NAMES
from server.schemas.values import ModelOptions


class NamedRequest(ApiModel):
    """A request about one model; `name` is the older spelling of `model`."""

    model: str = ""
    name: str = ""

    @property
    def requested_model(self) -> str:
        """The model name as sent."""
        return self.model or self.name


class ShowRequest(NamedRequest):
    """POST /api/show."""

    body_limits = NAMES
    system: str = ""
    verbose: bool = False
    options: ModelOptions = Field(default_factory=dict)


class DeleteRequest(NamedRequest):
    """DELETE /api/delete."""

    body_limits = NAMES


class UnloadRequest(NamedRequest):
    """POST /api/unload; `all` instead of a name unloads every model."""

    body_limits = NAMES
    all: bool = False


class DrainRequest(ApiModel):
    """POST /api/cluster/drain; `drain` false uses the machine again."""

    body_limits = NAMES
    machine: str
    drain: bool = True


class PullRequest(NamedRequest):
    """POST /api/pull; `insecure` means plain HTTP, `dry_run` only reports the sizes."""

    body_limits = NAMES
    insecure: bool = False
    stream: bool = True
    dry_run: bool = False


class PushRequest(NamedRequest):
    """POST /api/push; `insecure` means plain HTTP."""

    body_limits = NAMES
    insecure: bool = False
    stream: bool = True


class CopyRequest(ApiModel):
    """POST /api/copy."""

    body_limits = NAMES
    source: str = ""
    destination: str = ""


def _licenses(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise refuse('field "license" must be a string or a list of strings')
    return [text for text in texts if text]


Licenses = Annotated[
    list[LongText],
    BeforeValidator(_licenses),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class CreateRequest(NamedRequest):
    """POST /api/create; `modelfile` is the older way to send the other fields.

    `path`, `draft_quantize` and `remote_host` are refused: ignoring them would create another model
    than the client describes.
    """

    stream: bool = True
    from_: str = Field(default="", alias="from")
    files: dict[str, Text] = Field(default_factory=dict)
    adapters: dict[str, Text] = Field(default_factory=dict)
    template: str = ""
    system: str = ""
    license: Licenses = Field(default_factory=list)
    parameters: FreeMap = Field(default_factory=dict)
    messages: list[ChatMessage] = Field(default_factory=list)
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    info: FreeMap = Field(default_factory=dict)
    quantize: str = ""
    quantization: str = ""
    modelfile: LongText = ""
    path: str = ""
    draft_files: dict[str, Text] = Field(default_factory=dict)
    draft_quantize: str = ""
    remote_host: str = ""
