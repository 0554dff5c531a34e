"""The reply of /api/cluster."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from runners.host.machine import Machine
from runners.host.machines import Machines
from runners.host.model_request import ReplicaStatus, RunnerStatus


class ListedGPU(msgspec.Struct, kw_only=True):
    """A GPU with its memory in bytes."""

    name: str
    memory: int


class ListedModel(msgspec.Struct, kw_only=True):
    """A model that is loaded on a machine; `requests` use it there."""

    name: str
    size: int
    size_vram: int
    devices: tuple[str, ...]
    requests: int


class ListedMachine(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A machine; sizes in bytes. The `state` is ready, draining or unreachable, with an `error`.

    `memory` and `memory_available` are those of the machine without its GPUs.
    """

    name: str
    state: str
    error: str = ""
    memory: int = 0
    memory_available: int = 0
    gpus: list[ListedGPU] = []
    models: list[ListedModel] = []


def cluster_response(
    machines: Machines, statuses: Iterable[RunnerStatus], problems: Mapping[str, str]
) -> dict[str, object]:
    """Return the reply; `problems` are those of machines that cannot be used, by their names."""
    loaded: dict[str, list[ListedModel]] = defaultdict(list)
    for status in statuses:
        for replica in status.replicas or (status.replica,):
            loaded[replica.machine].append(_model(status.request.name, replica))
    listed = [_machine(machine, machines, loaded[machine.name]) for machine in machines]
    listed += [
        ListedMachine(name=name, state="unreachable", error=problem)
        for name, problem in problems.items()
    ]
    return {"machines": listed}


def _machine(machine: Machine, machines: Machines, models: list[ListedModel]) -> ListedMachine:
    memory = machine.memory()
    return ListedMachine(
        name=machine.name,
        state="draining" if machines.is_draining(machine.name) else "ready",
        memory=memory.total,
        memory_available=memory.available,
        gpus=[
            ListedGPU(name=gpu.description or gpu.name, memory=gpu.total)
            for gpu in machines.gpus(machine.name)
        ],
        models=models,
    )


def _model(name: str, replica: ReplicaStatus) -> ListedModel:
    return ListedModel(
        name=name,
        size=replica.size,
        size_vram=replica.size_vram,
        devices=replica.devices,
        requests=replica.users,
    )
