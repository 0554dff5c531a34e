"""One load from plan to ready runner, with smaller attempts when memory runs out."""

import logging
from dataclasses import dataclass

from runners.host.devices import usable_gpus
from runners.host.errors import LoadFailed, RunnerDied
from runners.host.load_plan import Plan, Task, make_plan, smaller
from runners.host.machine import Machine, Runner
from runners.host.memory_estimate import format_bytes
from runners.host.model_request import ModelRequest, SchedulerConfig
from runners.protocol.messages import Device, Ready

logger = logging.getLogger(__name__)


class Crowded(Exception):
    """The model should be loaded after a runner of the same machine has gone."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whether other runners hold memory of the machine, and of its GPUs."""

    on_machine: bool
    on_gpu: bool


@dataclass(frozen=True, slots=True)
class ReadyRunner:
    """A runner that is ready; whoever gets it closes it."""

    runner: Runner
    ready: Ready
    plan: Plan


async def load_model(
    machine: Machine, request: ModelRequest, config: SchedulerConfig, neighbours: Neighbours
) -> ReadyRunner:
    """Load a model on `machine`; a cancelled or failed load leaves no process behind.

    Raises:
        Crowded: it would do better with a neighbour gone.
        LoadFailed, LoadTimeout: it cannot be loaded.
    """
    runner = await _open(machine)
    try:
        gpus = await _gpus(runner, request)
        plan = make_plan(Task(request=request, config=config, gpus=gpus))
        while True:
            plan = _with_room(plan, machine, neighbours)
            logger.debug("loading %s: %s", request.name, plan.spec)
            try:
                ready = await runner.load(plan.spec, stall_timeout=config.load_timeout)
            except LoadFailed as e:
                plan = _next_plan(plan, e, neighbours)
            else:
                return ReadyRunner(runner, ready, plan)
            await runner.close()
            runner = await _open(machine)
    except BaseException:
        await runner.close()
        raise


async def _open(machine: Machine) -> Runner:
    try:
        return await machine.open()
    except RunnerDied as e:
        raise LoadFailed(e.detail, out_of_memory=e.out_of_memory) from e


async def _gpus(runner: Runner, request: ModelRequest) -> tuple[Device, ...]:
    """Ask the runner that will load for the GPUs and their free memory of this moment.

    No other process is asked: it would have to initialise drivers that this one needs anyway.
    """
    if not runner.hello.supports_gpu or request.options.num_gpu == 0:
        return ()
    return usable_gpus(await runner.devices())


def _with_room(plan: Plan, machine: Machine, neighbours: Neighbours) -> Plan:
    """Return `plan`, or the largest one below it that the machine has the memory for."""
    if neighbours.on_gpu and not plan.complete:
        raise Crowded
    available = machine.memory().available
    while plan.ram_bytes > available:
        needed, there = format_bytes(plan.ram_bytes), format_bytes(available)
        failure = LoadFailed(
            f"model requires more system memory ({needed}) than is available ({there})",
            out_of_memory=True,
        )
        plan = _next_plan(plan, failure, neighbours)
    return plan


def _next_plan(plan: Plan, failure: LoadFailed, neighbours: Neighbours) -> Plan:
    """Return what to try after `failure`; raise when there is nothing."""
    if not failure.out_of_memory:
        raise failure
    if neighbours.on_machine:
        raise Crowded from failure
    lesser = smaller(plan)
    if lesser is None:
        raise failure
    logger.warning("%s: %s; trying a smaller plan", plan.task.request.name, failure)
    return lesser
