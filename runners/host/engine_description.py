"""Describe the engine, for `paddock doctor` and `paddock --version`, without starting a server."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

import runners
from runners.host.environment import child_environment
from runners.host.process import COMMAND
from runners.protocol.engine_description import EngineDescription

TIMEOUT = 60.0


class EngineUnavailable(Exception):
    """The engine cannot be started; the text is the last line that it wrote."""


def describe_engine(
    command: Sequence[str] = COMMAND, environment: Mapping[str, str] | None = None
) -> EngineDescription:
    """Return what a runner process tells about its engine; takes a fraction of a second.

    Raises:
        EngineUnavailable: the process failed, or did not answer within a minute.
    """
    try:
        result = subprocess.run(
            (*command, "--describe"),
            check=True,
            capture_output=True,
            cwd=Path(runners.__file__).parents[1],
            env=dict(child_environment() if environment is None else environment),
            timeout=TIMEOUT,
        )
        return msgspec.json.decode(result.stdout, type=EngineDescription)
    except subprocess.CalledProcessError as e:
        lines = e.stderr.decode("utf-8", "replace").strip().splitlines()
        raise EngineUnavailable(lines[-1] if lines else f"exit status {e.returncode}") from e
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as e:
        raise EngineUnavailable(str(e)) from e
