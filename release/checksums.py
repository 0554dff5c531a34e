"""SHA256SUMS: the hashes of all files of a folder, in the format of `sha256sum --check`."""

import hashlib
from pathlib import Path

NAME = "SHA256SUMS"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def write(folder: Path) -> None:
    """Write the file; its own hash is not in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    lines = (f"{sha256(path)}  {path.relative_to(folder)}\n" for path in files)
    (folder / NAME).write_text("".join(lines))
