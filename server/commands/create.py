"""`paddock create`: make a model from a Modelfile and the files that it names."""

import codecs
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from model_store.errors import ModelfileError
from model_store.modelfile import Command, parse_modelfile
from model_store.parameters import typed_parameters
from server.client.api import ApiClient
from server.client.arguments import NEW_MODEL
from server.client.connection import connected
from server.client.exit import fail
from server.client.progress import LayerProgress, layer_progress
from server.client.sources import SourceFile, Sources, at_line, imatrix_file, sources_of
from server.client.start import ensure_server
from server.client.uploads import upload
from server.commands.console import errors_as_exit
from server.model_names import stored_name

_DEFAULT = "Modelfile"
_TEXTS = ("template", "system", "renderer", "parser", "requires")


def create(
    model: Annotated[str, NEW_MODEL],
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", help='Name of the Modelfile (default "Modelfile").', show_default=False
        ),
    ] = None,
    quantize: Annotated[
        str,
        typer.Option(
            "--quantize",
            "-q",
            help="Quantize model to this level (e.g. q4_K_M).",
            show_default=False,
        ),
    ] = "",
    imatrix: Annotated[
        Path | None,
        typer.Option(
            help="An importance matrix to quantize with.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    _experimental: Annotated[bool, typer.Option("--experimental", hidden=True)] = False,
) -> None:
    """Create a model."""
    _check_name(model)
    text, folder = _read(file)
    try:
        commands = parse_modelfile(text)
        sources = sources_of(commands, folder)
        fields = _fields(commands)
        if imatrix:
            sources = replace(sources, files=(*sources.files, imatrix_file(imatrix)))
    except ModelfileError as e:
        if file is None and not Path(_DEFAULT).exists():
            fail("there is no Modelfile in this folder, and no GGUF or safetensors file")
        where = f"{file or _DEFAULT}, line {e.line}: " if e.line else ""
        fail(where + re.sub(r"^\(line \d+\): ", "", str(e)))
    with connected() as client:
        ensure_server(client)
        with layer_progress("creating") as progress:
            fields |= _uploaded(client, sources, progress)
            if quantize:
                fields["quantize"] = quantize
            for step in client.stream("/api/create", model=model, **fields):
                progress.show(step)


def _check_name(model: str) -> None:
    """Exit where the name is invalid: large files would be hashed and sent before it is told."""
    with errors_as_exit():
        stored_name(model)


def _read(file: Path | None) -> tuple[str, Path]:
    """Return the text of the Modelfile, and the folder that its paths are relative to.

    Without a Modelfile, the model is what lies in the present folder.
    """
    path = file or Path(_DEFAULT)
    try:
        return _decoded(path.read_bytes()), path.absolute().parent
    except FileNotFoundError:
        if file is None:
            return "FROM .\n", Path.cwd()
        fail(f"{path}: specified Modelfile wasn't found")
    except (OSError, UnicodeDecodeError) as e:
        fail(f"{path}: {getattr(e, 'strerror', None) or 'not a text in UTF-8 or UTF-16'}")


def _decoded(content: bytes) -> str:
    r"""Return the text of a file: UTF-8, or UTF-16 where a byte order mark says so.

    PowerShell writes the latter. "\r" stays, because it may be part of a value.
    """
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf_16 else "utf-8")


def _fields(commands: tuple[Command, ...]) -> dict[str, Any]:
    """Return the fields of the request, but for the files."""
    fields: dict[str, Any] = {}
    parameters: list[tuple[str, str]] = []
    for command in commands:
        name, value = command.name, command.value
        if name in _TEXTS:
            fields[name] = value
        elif name == "license":
            fields.setdefault("license", []).append(value)
        elif name == "message":
            role, _, content = value.partition(": ")
            fields.setdefault("messages", []).append({"role": role, "content": content})
        elif name not in ("model", "adapter", "draft"):
            parameters.append((name, value))
            _check(command)
    if parameters:
        fields["parameters"] = typed_parameters(parameters)
    return fields


def _check(command: Command) -> None:
    """Raise for a parameter that does not exist or has a wrong value."""
    try:
        typed_parameters([(command.name, command.value)])
    except ModelfileError as e:
        raise at_line(command, str(e)) from None


def _uploaded(client: ApiClient, sources: Sources, progress: LayerProgress) -> dict[str, Any]:
    """Upload the files that the server lacks; return the fields that name all of them."""

    def digests(files: tuple[SourceFile, ...]) -> dict[str, str]:
        return {file.name: upload(client, file, progress) for file in files}

    fields: dict[str, Any] = {}
    if sources.parent:
        fields["from"] = sources.parent
    for name, files in (
        ("files", sources.files),
        ("adapters", sources.adapters),
        ("draft_files", sources.drafts),
    ):
        if files:
            fields[name] = digests(files)
    return fields
