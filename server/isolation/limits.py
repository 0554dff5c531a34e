"""What a worker process may take, and how the kernel is told of it."""

import contextlib
import resource
import signal
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a worker process.

    `cpu_seconds` of each job are counted by the kernel, which ends the process after them.
    `wall_seconds` end a job on a machine that has no time for it. `memory_bytes` is what the
    process may allocate in all, where the system enforces that (Linux does, macOS does not).
    `answer_bytes` bounds an answer.
    """

    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int
    answer_bytes: int


def confine(memory_bytes: int) -> None:
    """Take from this process what no job needs: more memory, files, sockets, children.

    All that is imported later than this fails, since it cannot be opened.
    """
    for kind, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        # Not every system knows all of them.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def start_cpu_clock(seconds: float) -> None:
    """End this process by SIGPROF when it has computed for so long; 0 stops the clock."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
