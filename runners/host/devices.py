"""Usable GPUs, and the memory of this machine or container (/proc/meminfo, cgroup limits)."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from runners.protocol.messages import Device
from runners.protocol.placement import DeviceKind

CGROUP_ROOT = Path("/sys/fs/cgroup")
# cgroup v1 writes "no limit" as a number near 2^63, rounded down to a page.
UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """Memory of the machine, or of the container that this process runs in, in bytes."""

    total: int
    available: int


def usable_gpus(devices: Iterable[Device]) -> tuple[Device, ...]:
    """Return the devices to place layers on: discrete GPUs, else integrated ones."""
    with_memory = [device for device in devices if device.total > 0]
    for kind in (DeviceKind.GPU, DeviceKind.INTEGRATED):
        if gpus := tuple(device for device in with_memory if device.kind is kind):
            return gpus
    return ()


def read_machine_memory() -> MachineMemory:
    """Return the memory of the machine, within the limits of its cgroups."""
    if sys.platform != "linux":
        memory = psutil.virtual_memory()
        return MachineMemory(memory.total, memory.available)
    machine = parse_meminfo(Path("/proc/meminfo").read_text())
    membership = parse_cgroup_membership(_read(Path("/proc/self/cgroup")))
    return within_limits(machine, _cgroup_limits(membership))


def parse_meminfo(text: str) -> MachineMemory:
    """Read the text of /proc/meminfo."""
    sizes = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()
        if number:
            sizes[name] = int(number[0]) * 1024
    free = sizes.get("MemFree", 0) + sizes.get("Cached", 0)
    return MachineMemory(sizes["MemTotal"], sizes.get("MemAvailable", free))


def parse_cgroup_membership(text: str) -> Mapping[str, str]:
    """Read /proc/self/cgroup: controller to path; the unified hierarchy has the name ""."""
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def parse_limit(text: str) -> int | None:
    """Read a memory limit of cgroup v1 or v2; None when there is none."""
    word = text.strip()
    if not word.isdigit() or int(word) >= UNLIMITED:
        return None
    return int(word)


def parse_reclaimable(memory_stat: str) -> int:
    """Return the page cache of a memory.stat, which counts as used but can be reclaimed."""
    sizes = dict(line.split() for line in memory_stat.splitlines() if len(line.split()) == 2)
    v1 = "total_inactive_file" in sizes
    names = ("total_inactive_file", "total_active_file") if v1 else ("inactive_file", "active_file")
    return sum(int(sizes.get(name, 0)) for name in names)


def within_limits(machine: MachineMemory, groups: Iterable[tuple[int, int]]) -> MachineMemory:
    """Return `machine` reduced to the (limit, used) of every group that this process is in."""
    total, available = machine.total, machine.available
    for limit, used in groups:
        total = min(total, limit)
        available = min(available, max(0, limit - used))
    return MachineMemory(total, available)


def _cgroup_limits(membership: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    if "memory" in membership:
        root, limit, used = CGROUP_ROOT / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        path = membership["memory"]
    else:
        root, limit, used = CGROUP_ROOT, "memory.max", "memory.current"
        path = membership.get("", "/")
    for folder in _with_parents(root, path):
        bound = parse_limit(_read(folder / limit))
        current = parse_limit(_read(folder / used))
        if bound is not None and current is not None:
            yield bound, current - parse_reclaimable(_read(folder / "memory.stat"))


def _with_parents(root: Path, path: str) -> Iterator[Path]:
    """Yield the folder of the group and of its parents, as all their limits apply.

    In a container the path may be that of the host and not exist; the root is then the own group.
    """
    group = PurePosixPath(path.lstrip("/"))
    for part in (group, *group.parents):
        if ".." not in part.parts:
            yield root / part


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
