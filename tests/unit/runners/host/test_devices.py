"""What the kernel's files say about memory, and which devices are worth placing layers on."""

import pytest

from runners.host.devices import (
    MachineMemory,
    parse_cgroup_membership,
    parse_limit,
    parse_meminfo,
    parse_reclaimable,
    read_machine_memory,
    usable_gpus,
    within_limits,
)
from runners.protocol.messages import Device
from runners.protocol.placement import DeviceKind

MEMINFO = "MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  700 kB\nCached: 300 kB\nBogus\n"
KIB = 1024


def test_meminfo_gives_total_and_available() -> None:
    assert parse_meminfo(MEMINFO) == MachineMemory(1000 * KIB, 700 * KIB)


def test_meminfo_of_an_old_kernel_counts_its_cache_as_available() -> None:
    text = "\n".join(line for line in MEMINFO.splitlines() if "Available" not in line)
    assert parse_meminfo(text) == MachineMemory(1000 * KIB, 400 * KIB)


def test_membership_of_both_cgroup_versions_is_read() -> None:
    assert parse_cgroup_membership("0::/user.slice/a\n") == {"": "/user.slice/a"}
    v1 = parse_cgroup_membership("5:cpu,cpuacct:/x\n4:memory:/docker/1\n")
    assert v1 == {"cpu": "/x", "cpuacct": "/x", "memory": "/docker/1"}


@pytest.mark.parametrize(
    ("text", "limit"),
    [("max\n", None), ("", None), ("9223372036854771712\n", None), ("4096\n", 4096)],
)
def test_limit_knows_how_each_version_writes_none(text: str, limit: int | None) -> None:
    assert parse_limit(text) == limit


def test_page_cache_of_a_container_counts_as_free() -> None:
    """Mapped model files fill a container's cache; they must not count as used memory."""
    assert parse_reclaimable("anon 5\ninactive_file 30\nactive_file 12\n") == 42
    v1 = "inactive_file 1\nactive_file 1\ntotal_inactive_file 30\ntotal_active_file 12\n"
    assert parse_reclaimable(v1) == 42
    assert parse_reclaimable("") == 0


def test_tightest_group_limits_what_is_available() -> None:
    host = MachineMemory(1000, 700)
    assert within_limits(host, []) == host
    assert within_limits(host, [(900, 100), (500, 300)]) == MachineMemory(500, 200)
    assert within_limits(host, [(500, 600)]) == MachineMemory(500, 0)


def test_memory_of_this_machine_is_plausible() -> None:
    memory = read_machine_memory()
    assert 0 < memory.available <= memory.total


def device(index: int, kind: DeviceKind, total: int = 1) -> Device:
    return Device(index=index, name="", description="", kind=kind, free=total, total=total)


@pytest.mark.parametrize(
    ("kinds", "usable"),
    [
        ((DeviceKind.CPU,), ()),
        ((DeviceKind.CPU, DeviceKind.GPU, DeviceKind.INTEGRATED), (1,)),
        ((DeviceKind.INTEGRATED, DeviceKind.ACCELERATOR), (0,)),
    ],
)
def test_integrated_gpus_are_used_only_without_discrete_ones(
    kinds: tuple[DeviceKind, ...], usable: tuple[int, ...]
) -> None:
    devices = [device(index, kind) for index, kind in enumerate(kinds)]
    assert tuple(gpu.index for gpu in usable_gpus(devices)) == usable


def test_gpu_without_memory_is_ignored() -> None:
    assert usable_gpus([device(0, DeviceKind.GPU, total=0)]) == ()
