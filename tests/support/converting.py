"""Conversions in the process of the server's tools, waited for."""

from pathlib import Path
from typing import Any

import psutil

from model_store.convert.process import Job, convert
from runners.host.environment import child_environment
from tests.support.hf_folders import Files, written


def converted(directory: Path, files: Files, base: Path | None = None) -> Path:
    """Convert a folder, or an adapter for `base`; return the GGUF file. Raises as `convert`."""
    target = directory / "converted.gguf"
    target.parent.mkdir(parents=True, exist_ok=True)
    parameters_of(Job(written(directory / "files", files), target, base))
    return target


def parameters_of(job: Job) -> dict[str, Any]:
    """Do a job to its end; return the parameters that it tells."""
    work = convert(job, child_environment())
    while True:
        try:
            next(work)
        except StopIteration as end:
            return dict(end.value)


def conversions() -> list[psutil.Process]:
    """Return the conversions of this process that run; other tests may have left other children."""
    return [child for child in psutil.Process().children() if _converts(child)]


def _converts(process: psutil.Process) -> bool:
    try:
        return "model_store.convert" in process.cmdline()
    except psutil.Error:  # it has ended, or is a zombie
        return False
