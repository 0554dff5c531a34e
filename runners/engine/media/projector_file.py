"""The file of a projector: mtmd reads it by its path, so one in a legacy layout is copied first."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runners.engine.native.llama import LoadError, media_log
from runners.engine.native.virtual_reader import copy_to, write_copy
from runners.protocol.placement import Projector
from runners.protocol.virtual_file import VirtualFile


@contextmanager
def projector_file(projector: Projector) -> Iterator[Path]:
    """Return the path of the file, which is good until the block ends.

    A copy that is missing is written. Where it cannot be, in a store that may only be read, it is
    in memory until the projector is loaded. Raises LoadError.
    """
    path, view = Path(projector.path), projector.view
    if view is not None and not _is_there(path, view):
        try:
            write_copy(view, path)
        except OSError:
            traceback.print_exc()  # the log of the server tells why
            with _in_memory(view) as memory:
                yield memory
            return
    yield path


def _is_there(path: Path, view: VirtualFile) -> bool:
    return path.is_file() and path.stat().st_size == view.size


@contextmanager
def _in_memory(view: VirtualFile) -> Iterator[Path]:
    if not hasattr(os, "memfd_create"):
        raise LoadError("the projector cannot be written to the models directory", media_log)
    with open(os.memfd_create("projector"), "wb") as file:  # noqa: PTH123
        try:
            copy_to(view, file)
            file.flush()
        except OSError as e:
            raise LoadError("the projector of the model cannot be read", media_log) from e
        yield Path(f"/proc/self/fd/{file.fileno()}")
