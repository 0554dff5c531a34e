"""Number of CPU cores that this process may use: physical, by affinity and by cgroup quota."""

import math
import os
import time
from pathlib import Path

import psutil

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def logical_cores() -> int:
    """Return the hardware threads of the machine."""
    return psutil.cpu_count() or 1


def usable_cores() -> int:
    """Return the physical cores within the CPU affinity and the container's quota.

    A second thread on a core adds nothing to arithmetic, and threads beyond a quota are throttled
    while the others wait for them at barriers.
    """
    logical = logical_cores()
    physical = psutil.cpu_count(logical=False) or logical
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    return max(1, min(physical, allowed, _quota()))


def _quota() -> int:
    try:
        limit, period = _QUOTA.read_text().split()
        return math.ceil(int(limit) / int(period))
    except (OSError, ValueError):  # no control group, or no limit ("max")
        return os.cpu_count() or 1


class FreeCores:
    """Cores that other programs leave free, by the CPU times of the machine and of this process."""

    _INTERVAL = 0.15
    """Seconds between two readings; the system counts in hundredths."""
    _STALE = 1.0
    """Seconds after which a reading says nothing about the time since."""

    def __init__(self) -> None:
        self._read_at = self._idle = self._own = 0.0

    def __call__(self) -> float | None:
        """Return a new mean of the last fraction of a second; None while there is none."""
        now = time.monotonic()
        elapsed = now - self._read_at
        if elapsed < self._INTERVAL:
            return None
        before = self._idle, self._own
        times = psutil.cpu_times()
        self._idle = times.idle + getattr(times, "iowait", 0.0)
        self._own = time.process_time()
        self._read_at = now
        available = self._idle - before[0] + self._own - before[1]
        return available / elapsed if elapsed < self._STALE else None
