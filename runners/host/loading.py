"""Load a model in a runner, retrying with a smaller plan when memory runs out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from runners.host.devices import usable_gpus
from runners.host.errors import LoadFailed, RunnerDied, RunnerError
from runners.host.load_plan import (
    LoadPlan,
    PlanInputs,
    make_plan,
    plan_without_quantized_cache,
    smaller_plan,
)
from runners.host.machine import Machine, Runner
from runners.host.memory_estimate import format_bytes
from runners.host.model_request import ModelRequest, SchedulerConfig
from runners.protocol.messages import Device, Ready

logger = logging.getLogger(__name__)


class EvictionRequired(Exception):
    """There is too little memory beside the machine's other runners: evict one, then load."""


@dataclass(frozen=True, slots=True)
class OtherRunners:
    """Whether other runners use memory of the machine, and of its GPUs."""

    on_machine: bool
    on_gpu: bool


@dataclass(frozen=True, slots=True)
class ReadyRunner:
    """A runner with a loaded model; the receiver closes it."""

    runner: Runner
    ready: Ready
    plan: LoadPlan


LoadError: TypeAlias = RunnerError | EvictionRequired
LoadOutcome: TypeAlias = ReadyRunner | LoadError


async def load_model(
    machine: Machine,
    request: ModelRequest,
    config: SchedulerConfig,
    other_runners: OtherRunners,
    on_progress: Callable[[float], None],
) -> ReadyRunner:
    """Load a model on `machine`; a cancelled or failed load leaves no process behind.

    `on_progress` is called with the share that is loaded, which starts again with a smaller plan.

    Raises:
        EvictionRequired: another runner has to be evicted first.
        CannotStart, LoadFailed, LoadTimeout: the model cannot be loaded.
    """
    runner = await _start(machine)
    try:
        gpus = await _gpus(runner, request)
        available = machine.memory().available
        plan = make_plan(
            PlanInputs(request=request, config=config, gpus=gpus, ram_available=available)
        )
        while True:
            plan = _with_room(plan, machine, other_runners)
            _warn_of_cache_type(plan)
            logger.debug("loading %s: %s", request.name, plan.spec)
            try:
                ready = await runner.load(
                    plan.spec, stall_timeout=config.load_timeout, on_progress=on_progress
                )
            except LoadFailed as e:
                plan = _next_plan(plan, e, other_runners)
            else:
                return ReadyRunner(runner, ready, plan)
            await runner.close()
            runner = await _start(machine)
    except BaseException:
        await runner.close()
        raise


async def _start(machine: Machine) -> Runner:
    try:
        return await machine.start_runner()
    except RunnerDied as e:
        raise LoadFailed.by_death(e) from e


async def _gpus(runner: Runner, request: ModelRequest) -> tuple[Device, ...]:
    """Return the GPUs and their free memory, as reported by the runner that will load the model.

    Another process would have to initialise the drivers a second time.
    """
    if not runner.hello.supports_gpu or request.options.num_gpu == 0:
        return ()
    return usable_gpus(await runner.devices())


def _with_room(plan: LoadPlan, machine: Machine, other_runners: OtherRunners) -> LoadPlan:
    """Return `plan`, or the largest smaller plan for which the machine has enough memory."""
    if other_runners.on_gpu and plan.vram_limited:
        raise EvictionRequired
    available = machine.memory().available
    while plan.ram_bytes > available:
        failure = LoadFailed(
            f"model requires more system memory ({format_bytes(plan.ram_bytes)}) "
            f"than is available ({format_bytes(available)})",
            out_of_memory=True,
        )
        plan = _next_plan(plan, failure, other_runners)
    return plan


def _warn_of_cache_type(plan: LoadPlan) -> None:
    desired, actual = plan.inputs.config.cache_type, plan.spec.cache_type
    if actual is not desired:
        logger.warning(
            "%s: its KV cache is %s, as %s needs flash attention and heads of whole blocks of 32",
            plan.inputs.request.name,
            actual.value,
            desired.value,
        )


def _next_plan(plan: LoadPlan, failure: LoadFailed, other_runners: OtherRunners) -> LoadPlan:
    """Return the plan to try after `failure`.

    Raises:
        EvictionRequired: memory ran out while other runners use some of it.
        LoadFailed: `failure` itself, when no smaller plan is left.
    """
    if failure.cache_type_refused and (other := plan_without_quantized_cache(plan)) is not None:
        return other
    if not failure.out_of_memory:
        raise failure
    if other_runners.on_machine:
        raise EvictionRequired from failure
    smaller = smaller_plan(plan)
    if smaller is None:
        raise failure
    logger.warning("%s: %s; trying a smaller plan", plan.inputs.request.name, failure)
    return smaller
