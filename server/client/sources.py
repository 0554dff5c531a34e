"""Files that a Modelfile names: found on this machine, with their digests, to be uploaded."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from model_store.errors import InvalidName, ModelfileError
from model_store.modelfile import Command
from model_store.names import ModelName

_PIECE = 1 << 20
_SUFFIXES = (".gguf", ".safetensors", ".bin")
_FOLDER_FILES = ("*.safetensors", "*.json", "tokenizer.model", "*.jinja", "*/config.json")
"""What a folder of safetensors is made of; the last is the pooling of an embedding model."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file, and its name in the request: relative to the folder that the Modelfile names."""

    path: Path
    name: str

    def digest(self, progress: Callable[[int], None] = lambda _: None) -> str:
        """Return the SHA-256 of the file; `progress` is called with the bytes read so far."""
        state = hashlib.sha256()
        progress(0)
        with self.path.open("rb") as source:
            while data := source.read(_PIECE):
                state.update(data)
                progress(source.tell())
        return f"sha256:{state.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Sources:
    """What FROM, ADAPTER and DRAFT name: an installed model, or files."""

    parent: str
    files: tuple[SourceFile, ...]
    adapters: tuple[SourceFile, ...]
    drafts: tuple[SourceFile, ...]


def sources_of(commands: Iterable[Command], folder: Path) -> Sources:
    """Return the sources of a Modelfile in `folder`.

    Raises:
        ModelfileError: a file does not exist, a folder has no model, or FROM is no model's name.
    """
    parent = ""
    files: dict[str, list[SourceFile]] = {"model": [], "adapter": [], "draft": []}
    for command in commands:
        if command.name not in files:
            continue
        path = (folder / Path(command.value).expanduser()).resolve()
        if path.exists():
            files[command.name].extend(_files_at(command, path))
        elif command.name == "model":
            parent = _installed(command)
        else:
            name = f"{command.name.upper()} {command.value}"
            raise at_line(command, f"{name}: there is no such file or folder")
    return Sources(parent, *(tuple(files[kind]) for kind in ("model", "adapter", "draft")))


def imatrix_file(path: Path) -> SourceFile:
    """Return an importance matrix under a name by which the server knows it."""
    return SourceFile(path, path.name if "imatrix" in path.name else f"imatrix-{path.name}")


def at_line(command: Command, reason: str) -> ModelfileError:
    """Return an error about a command."""
    error = ModelfileError(reason)
    error.line = command.line
    return error


def _installed(command: Command) -> str:
    """Return the name of an installed model; a path that leads nowhere is none."""
    value = command.value
    try:
        ModelName.parse(value)
    except InvalidName:
        is_path = True
    else:
        is_path = value.startswith((".", "/", "~")) or value.endswith(_SUFFIXES)
    if is_path:
        raise at_line(command, f"FROM {value}: there is no such file, and no model has that name")
    return value


def _files_at(command: Command, path: Path) -> list[SourceFile]:
    if path.is_file():
        return [SourceFile(path, path.name)]
    if ggufs := sorted(path.glob("*.gguf")):
        return [SourceFile(file, file.name) for file in ggufs]
    found = sorted({file for pattern in _FOLDER_FILES for file in path.glob(pattern)})
    if not any(file.suffix == ".safetensors" for file in found):
        raise at_line(command, f"{command.value}: no GGUF or safetensors files are in the folder")
    return [SourceFile(file, str(file.relative_to(path))) for file in found]
