"""Run programs of containers, each with a deadline, in a mount namespace of its own.

In it cgroups are version 2 alone: crun refuses the hybrid of both versions that some machines have.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NAMESPACE = (
    "unshare", "--mount", "sh", "-c",
    'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup; exec "$@"', "sh",
)  # fmt: skip
_ENOUGH = 4096
"""Open files, and processes of a container."""


def run(command: Sequence[str | Path], *, seconds: float, check: bool = True) -> str:
    """Return what a program prints; it and what it started are killed after `seconds`."""
    with subprocess.Popen(
        [*_NAMESPACE, *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if check and process.returncode != 0:
        tail = (output + errors)[-6000:]
        msg = f"{' '.join(map(str, command))}: status {process.returncode}\n{tail}"
        raise AssertionError(msg)
    return output if check else output + errors


@dataclass(frozen=True)
class Storage:
    """Where images and containers are, apart from those of the machine."""

    folder: Path
    driver: str

    def options(self) -> tuple[str, ...]:
        """Return the options of buildah and podman."""
        return (
            f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}",
            f"--storage-driver={self.driver}",
        )  # fmt: skip


def podman(storage: Storage, *arguments: str, seconds: float = 90, check: bool = True) -> str:
    """Return what podman prints."""
    command = ["podman", *storage.options(), "--cgroup-manager=cgroupfs", *arguments]
    return run(command, seconds=seconds, check=check).strip()


def isolation() -> tuple[str, ...]:
    """Return options of podman for containers that need neither cgroups nor a network."""
    return ("--cgroups=disabled", "--network=none", "--runtime=crun", *_limits())


def _limits() -> tuple[str, ...]:
    """Return options of podman for limits that an unprivileged process may set.

    By default podman raises them above those of this process.
    """
    names = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    values = {name: min(_limit(number), _ENOUGH) for name, number in names.items()}
    return tuple(f"--ulimit={name}={value}:{value}" for name, value in values.items())


def _limit(number: int) -> int:
    hard = resource.getrlimit(number)[1]
    return _ENOUGH if hard == resource.RLIM_INFINITY else hard
