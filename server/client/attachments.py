"""Images and sounds that a message names by their paths."""

import re
from dataclasses import dataclass
from pathlib import Path

import typer

_IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp")
_SOUNDS = ("wav", "mp3", "flac", "ogg")
_PATH = re.compile(
    r"(?:[a-zA-Z]:)?(?:~/|\./|\.\./|/|\\)[\S\\ ]+?\.(?:" + "|".join((*_IMAGES, *_SOUNDS)) + r")\b",
    re.IGNORECASE,
)
_ESCAPED = re.compile(r"\\([ ()\[\]{}$&;'\\*?~])")
_LARGEST = 100 << 20


class AttachmentError(Exception):
    """A file cannot be sent; the text says why."""


@dataclass(frozen=True, slots=True)
class Attachments:
    """A message without the paths, and the contents of the files."""

    text: str
    files: tuple[bytes, ...]
    names: tuple[str, ...]


def attachments_of(text: str) -> Attachments:
    """Read the files that a text names; a path where there is no file stays in the text.

    Raises:
        AttachmentError: a file cannot be read or is larger than 100 MiB.
    """
    files: list[bytes] = []
    names: list[str] = []
    for match, name in _names(text):
        files.append(_content(Path(name).expanduser()))
        names.append(name)
        for quoted in (f"'{name}'", f"'{match}'", f'"{name}"', match):
            text = text.replace(quoted, "")
    return Attachments(text.strip(), tuple(files), tuple(names))


def note_unsent(text: str, model: str) -> None:
    """Tell on stderr which files a text names, for a model that takes none: it gets the paths."""
    for _, name in _names(text):
        typer.echo(f"Note: {model} takes no files; of '{name}' it gets only the path", err=True)


def _names(text: str) -> list[tuple[str, str]]:
    """Return the paths in a text at which files are, as they are written and without escapes."""
    paths = ((match, _ESCAPED.sub(r"\1", match)) for match in _PATH.findall(text))
    return [(match, name) for match, name in paths if Path(name).expanduser().is_file()]


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise AttachmentError(f"{path} is larger than 100 MiB")
        return path.read_bytes()
    except OSError as e:
        raise AttachmentError(f"{path}: {(e.strerror or 'cannot be read').lower()}") from None
