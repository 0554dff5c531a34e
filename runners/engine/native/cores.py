"""Number of CPU cores that this process may use: physical, by affinity and by cgroup quota."""

import math
import os
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
