"""Translate the Modelfile of a request to the parts of a `CreateSpec`."""

import re
from dataclasses import dataclass

from model_store.errors import InvalidName, ModelfileError
from model_store.modelfile import Command, parse_modelfile
from model_store.names import ModelName
from model_store.parameters import typed_parameters
from model_store.text_layers import LARGEST_TEXTS

_LONGEST = LARGEST_TEXTS + (1 << 20)
"""Characters of a Modelfile: all texts of a model, and the rest."""
_VERSION = re.compile(r"v?\d+(\.\d+){0,2}([-+][0-9A-Za-z.+-]+)?\Z", re.ASCII)
_BLOB = re.compile(r"[/\\]blobs[/\\]sha256-([0-9a-f]{64})\Z")
_FILES = ("model", "adapter", "draft")
_TEXTS = ("template", "system", "renderer", "parser", "requires")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelfileParts:
    """What a Modelfile asks for, in the terms of a create request."""

    parent: str
    files: dict[str, str]
    adapters: dict[str, str]
    drafts: dict[str, str]
    texts: dict[str, str]
    licenses: tuple[str, ...]
    parameters: dict[str, object]
    messages: tuple[dict[str, object], ...]


def modelfile_parts(text: str, *, needs_from: bool = True) -> ModelfileParts:
    """Read a Modelfile that came over the network.

    With `needs_from` it has to say what the model is made of.

    Raises:
        ModelfileError: it is longer than a model's texts may be, cannot be parsed, or refers to a
            path: only uploaded blobs (`@sha256:…`) and installed models may be named.
    """
    if len(text) > _LONGEST:
        raise ModelfileError(
            f"the Modelfile of {len(text)} characters is too long; at most {_LONGEST} are read"
        )
    parent = ""
    uploads: dict[str, dict[str, str]] = {name: {} for name in _FILES}
    texts: dict[str, str] = {}
    licenses: list[str] = []
    parameters: list[tuple[str, str]] = []
    messages: list[dict[str, object]] = []
    for command in parse_modelfile(text, needs_from=needs_from):
        name, value = command.name, _as_upload(command)
        if name in _FILES and value.startswith("@"):
            uploads[name][value[1:].replace(":", "-")] = value[1:]
        elif name == "model":
            parent = _installed(value)
        elif name in _FILES:
            raise ModelfileError(
                f"{name.upper()} must name an uploaded blob (@sha256:…), not a path"
            )
        elif name in _TEXTS:
            texts[name] = _version(value) if name == "requires" else value
        elif name == "license":
            licenses.append(value)
        elif name == "message":
            role, _, content = value.partition(": ")
            messages.append({"role": role, "content": content})
        else:
            parameters.append((name, value))
    return ModelfileParts(
        parent=parent,
        files=uploads["model"],
        adapters=uploads["adapter"],
        drafts=uploads["draft"],
        texts=texts,
        licenses=tuple(licenses),
        parameters=typed_parameters(parameters),
        messages=tuple(messages),
    )


def _as_upload(command: Command) -> str:
    """Return a command's value; a blob's path, as show prints it, in the form of an upload."""
    blob = _BLOB.search(command.value) if command.name in _FILES else None
    return f"@sha256:{blob[1]}" if blob else command.value


def _version(value: str) -> str:
    if not _VERSION.match(value):
        raise ModelfileError("requires must be a valid semver (e.g. 0.14.0)")
    return value.removeprefix("v")


def _installed(value: str) -> str:
    try:
        ModelName.parse(value)
    except InvalidName:
        raise ModelfileError(
            f"FROM {value}: name an installed model or an uploaded blob (@sha256:…), not a path"
        ) from None
    return value
