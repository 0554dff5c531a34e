"""Resume state of a download: one small JSON file per part, beside the partial data file.

Names and JSON are those of the reference, so that each server resumes what the other began. A
file is rewritten in one `write`, after the data that it describes was handed to the operating
system: it survives a crash of the server. A power cut may lose data that it describes, so the
digest of the whole is checked in the end.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from model_store.disk import open_regular
from model_store.registry.parts import Part, Span, covers, planned

_LARGEST = 1024
_MODE = 0o644


class ResumeState:
    """The part files of the data file `data`; every method blocks on the disk."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._names = re.compile(re.escape(data.name) + r"-([0-9]{1,6})\Z")

    def open(self, total: int, size: int) -> list[Part]:
        """Return the parts of a blob of `total` bytes as they were left, else a new plan.

        New parts have `size` bytes. What readable files say is kept when others are lost.
        """
        parts = self._read(total)
        if parts and covers(parts, total) and len({part.number for part in parts}) == len(parts):
            return parts
        done = [Span(part.start, part.position) for part in parts]
        plan = planned(total, size, done)
        for part in plan:
            self.record(part)
        self._remove(range(len(plan)))
        return plan

    def record(self, part: Part) -> None:
        """Write the state of `part`; raises OSError."""
        fields = {
            "N": part.number, "Offset": part.start, "Size": part.size, "Completed": part.completed
        }  # fmt: skip
        line = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path(part.number), flags, _MODE)
        try:
            os.pwrite(descriptor, line, 0)
            # Only a part that lost its second half has a shorter line than before; until the
            # file is cut, readers stop at the end of the first line.
            os.ftruncate(descriptor, len(line))
        finally:
            os.close(descriptor)

    def completed(self, total: int) -> int:
        """Return how many bytes are on the disk, as last recorded by any process."""
        return sum(part.completed for part in self._read(total))

    def remove(self) -> None:
        """Delete all part files."""
        self._remove(())

    def _path(self, number: int) -> Path:
        return self._data.with_name(f"{self._data.name}-{number}")

    def _files(self) -> Iterable[tuple[int, Path]]:
        for path in self._data.parent.glob(f"{self._data.name}-*"):
            if match := self._names.match(path.name):
                yield int(match[1]), path

    def _remove(self, except_for: Iterable[int]) -> None:
        current = frozenset(except_for)
        for number, path in self._files():
            if number not in current:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _read(self, total: int) -> list[Part]:
        try:
            n_bytes = self._data.lstat().st_size
        except OSError:
            return []
        parts = (_part(number, path, n_bytes) for number, path in self._files())
        return [part for part in parts if part is not None and part.stop <= total]


def _part(number: int, path: Path, n_bytes: int) -> Part | None:
    """Read a part file; None if it is damaged. The data file has `n_bytes`."""
    try:
        with open_regular(path) as file:
            fields = json.loads(file.read(_LARGEST).split(b"\n", 1)[0])
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(fields, Mapping):
        return None
    start, size, completed = (fields.get(key) for key in ("Offset", "Size", "Completed"))
    if not all(isinstance(n, int) and n >= 0 for n in (start, size, completed)):
        return None
    assert isinstance(start, int)
    assert isinstance(size, int)
    assert isinstance(completed, int)
    return Part(number, start, size, max(0, min(completed, size, n_bytes - start)))
