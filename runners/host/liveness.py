"""Detect a runner that hangs: it does not answer pings, or its requests make no progress.

A runner that computes is alive, however long a step takes on a slow machine. The evidence is the
time that the process spends on a CPU and the pages that it reads from disk.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

# Answering pings takes CPU time too, but less than this share of it.
_COMPUTING_SHARE = 0.02
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeConfig:
    """When a runner counts as hung, and how long it may take to die; all values are seconds.

    A ping is sent every `interval`. A runner is hung if it does not answer

    - for `silence`, and does nothing at all: it is stopped, or blocked in a system call;
    - for `busy_silence`, although it uses a CPU or reads from disk;

    or if it answers and has requests, and finishes no step

    - for `stall`, without using a CPU or reading from disk: it waits for a driver or a disk;
    - for `gpu_step`, if all layers of the model are on GPUs, where no step takes that long and a
      driver that hangs may keep a CPU busy.

    A killed process that does not exit within `kill`, because a driver or a file system blocks it
    in the kernel, is not waited for.
    """

    interval: float = 2.5
    silence: float = 10.0
    busy_silence: float = 120.0
    stall: float = 60.0
    gpu_step: float = 300.0
    kill: float = 5.0


DEFAULT_PROBE = ProbeConfig()


@dataclass(frozen=True, slots=True)
class Activity:
    """What a process has done so far: seconds on a CPU, and pages read from disk."""

    cpu_seconds: float
    major_faults: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen of a runner since the observation before.

    `has_answered`: anything was received. `is_busy` and `n_steps` are those of the last `Pong`.
    `activity` is None for a process that is gone.
    """

    has_answered: bool
    is_busy: bool
    n_steps: int
    activity: Activity | None


class Watchdog:
    """Decides whether a runner hangs, from one observation every `interval`.

    Time is counted in observations and not by a clock: a server that was itself stopped, or
    that is short of CPU time, makes none.
    """

    def __init__(self, config: ProbeConfig) -> None:
        self._config = config
        self._last: Observation | None = None
        self._silent = self._silent_inactive = 0.0
        self._stalled = self._stalled_inactive = 0.0

    def observe(self, now: Observation, *, all_on_gpu: bool = False) -> str | None:
        """Return why the runner counts as hung, in words that follow "the runner"; else None."""
        last, self._last = self._last, now
        if last is None:
            return None
        self._count_silence(last, now)
        self._count_stall(last, now)
        config = self._config
        if self._silent_inactive >= config.silence or self._silent >= config.busy_silence:
            return f"did not respond for {self._silent:.0f} seconds"
        is_stalled = self._stalled_inactive >= config.stall
        if is_stalled or (all_on_gpu and self._stalled >= config.gpu_step):
            return f"made no progress for {self._stalled:.0f} seconds"
        return None

    def _count_silence(self, last: Observation, now: Observation) -> None:
        if now.has_answered:
            self._silent = self._silent_inactive = 0.0
            return
        interval = self._config.interval
        self._silent += interval
        is_active = last.activity != now.activity
        self._silent_inactive = 0.0 if is_active else self._silent_inactive + interval

    def _count_stall(self, last: Observation, now: Observation) -> None:
        if not now.is_busy or not last.is_busy or now.n_steps != last.n_steps:
            self._stalled = self._stalled_inactive = 0.0
            return
        interval = self._config.interval
        self._stalled += interval
        is_active = _is_computing(last.activity, now.activity, interval)
        self._stalled_inactive = 0.0 if is_active else self._stalled_inactive + interval


def _is_computing(last: Activity | None, now: Activity | None, interval: float) -> bool:
    if last is None or now is None:
        return False
    cpu_seconds = now.cpu_seconds - last.cpu_seconds
    return cpu_seconds >= _COMPUTING_SHARE * interval or now.major_faults != last.major_faults


def read_activity(pid: int) -> Activity | None:
    """Return what the process has done so far, all threads together; None when it is gone."""
    try:
        if sys.platform == "linux":
            return parse_stat(Path(f"/proc/{pid}/stat").read_text())
        times = psutil.Process(pid).cpu_times()
    except (OSError, psutil.Error):
        return None
    return Activity(times.user + times.system, 0)


def parse_stat(text: str) -> Activity:
    """Read the text of /proc/<pid>/stat."""
    # The second field is the name in parentheses, which may hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    major_faults, user, system = int(fields[9]), int(fields[11]), int(fields[12])
    return Activity((user + system) / _CLOCK_TICKS, major_faults)
