"""Run a conversion in a child process, with progress, errors and cancellation."""

import json
import logging
import selectors
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import model_store
from model_store.errors import ConversionDied, CreateError, NoSpace, StorageFailed

_log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "model_store.convert")
_TICK = 0.25
"""Seconds after which the caller gets to decide whether to go on."""
_LONGEST_LINE = 2**16
_READ_SIZE = 2**12


@dataclass(frozen=True, slots=True)
class Job:
    """What is converted: files by their names in the folder, into `target`.

    With `base`, the model file that it was made for, it is an adapter, which becomes one or is
    merged into a new file of the model. The part of a model that
    encodes images goes to `projector`, which stays empty when there is none.
    """

    files: Mapping[str, Path]
    target: Path
    base: Path | None = None
    projector: Path | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How much is written, in bytes; both are 0 before that is known.

    With a `note`, something that people should know of the result instead.
    """

    done: int = 0
    total: int = 0
    note: str = ""


Conversion = Generator[Progress, None, Mapping[str, object]]
"""Yields at least a few times a second, and returns the parameters that the model came with."""


def convert(job: Job, environment: Mapping[str, str]) -> Conversion:
    """Convert in a process that sees `environment`; closing the generator ends it.

    Raises:
        CreateError: the files cannot be converted.
        NoSpace: the disk has no room for the result.
        StorageFailed: the result cannot be written.
        ConversionDied: the process ended without an answer.
    """
    with subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd=Path(model_store.__file__).parents[1],
        env=dict(environment),
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(_encoded(job))
            process.stdin.flush()
            return (yield from _answers(process.stdout))
        except BrokenPipeError as e:
            raise ConversionDied from e
        finally:
            process.kill()


def _encoded(job: Job) -> bytes:
    fields = {
        "files": {name: str(path) for name, path in job.files.items()},
        "target": str(job.target),
        "base": job.base and str(job.base),
        "projector": job.projector and str(job.projector),
    }
    return json.dumps(fields).encode() + b"\n"


def _answers(output: IO[bytes]) -> Conversion:
    """Yield the progress; return the last message."""
    progress, pending = Progress(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            yield progress
            if not selector.select(_TICK):
                continue
            data = output.read1(_READ_SIZE)  # type: ignore[attr-defined]
            *lines, pending = (pending + data).split(b"\n")
            if not data or len(pending) > _LONGEST_LINE:
                _log.warning("a conversion ended without an answer")
                raise ConversionDied
            for line in lines:
                message = json.loads(line)
                if "note" in message:
                    yield Progress(note=message["note"])
                elif "total" in message:
                    progress = Progress(message["done"], message["total"])
                else:
                    return _ended(message)


def _ended(message: Mapping[str, object]) -> Mapping[str, object]:
    """Return the parameters of the last message, or raise its error."""
    match message:
        case {"refused": str(text)}:
            raise CreateError(text)
        case {"needed": int(needed), "free": int(free)}:
            raise NoSpace(needed, free)
        case {"storage": str(reason)}:
            raise StorageFailed(reason)
        case {"parameters": dict(parameters)}:
            return parameters
    raise ConversionDied
