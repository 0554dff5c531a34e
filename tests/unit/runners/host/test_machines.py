"""Several machines: where models are loaded, replicas, and machines that leave."""

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from runners.host.errors import LoadFailed
from runners.host.model_request import ModelRequest, ReplicaStatus, SchedulerConfig
from runners.host.replicas import ADD_AFTER, REMOVE_AFTER
from runners.host.scheduler import Lease, Scheduler
from tests.support.application import settled
from tests.support.clock import FakeClock
from tests.support.fake_machine import GIB, FakeMachine, gpu
from tests.support.models import model_request

pytestmark = pytest.mark.anyio


@dataclass
class World:
    """A scheduler with the machines local, a and b, of which `a` has most memory."""

    scheduler: Scheduler
    clock: FakeClock
    local: FakeMachine
    a: FakeMachine
    b: FakeMachine

    async def use(self, request: ModelRequest) -> None:
        async with self.scheduler.lease(request):
            pass

    async def hold(self, stack: AsyncExitStack, request: ModelRequest) -> Lease:
        return await stack.enter_async_context(self.scheduler.lease(request))

    def replicas(self, name: str = "m") -> dict[str, ReplicaStatus]:
        [status] = [s for s in self.scheduler.status() if s.request.name == name]
        return {each.machine: each for each in status.replicas}

    async def advance(self, seconds: float) -> None:
        for _ in range(math.ceil(seconds)):
            self.clock.advance(1.0)
            await settled()


@asynccontextmanager
async def world(**settings: float) -> AsyncIterator[World]:
    machines = [
        FakeMachine(name=name, available=size * GIB)
        for name, size in (("local", 8), ("a", 32), ("b", 16))
    ]
    local, clock = machines[0], FakeClock()
    config = replace(SchedulerConfig(grace_period=0.0, num_parallel=2), **settings)
    async with Scheduler(config, machine=local, clock=clock) as scheduler:
        for machine in machines[1:]:
            scheduler.machines.add(machine)
        yield World(scheduler, clock, *machines)
    assert [machine.running for machine in machines] == [[], [], []]
    assert clock.live() == []


async def test_a_model_is_loaded_where_most_memory_is_free() -> None:
    async with world() as w:
        await w.use(model_request("m"))
        assert list(w.replicas()) == ["a"]
        assert (w.local.loaded_names, w.a.loaded_names) == ([], ["m"])


async def test_a_model_is_loaded_where_its_files_lie() -> None:
    async with world() as w:
        request = model_request("m")
        w.b.files.add(request.key)
        await w.use(request)
        assert list(w.replicas()) == ["b"]


async def test_a_model_is_loaded_where_a_gpu_has_room_for_it() -> None:
    async with world() as w:
        w.b.known_gpus = (gpu(24),)
        await w.use(model_request("m"))
        assert list(w.replicas()) == ["b"]


async def test_a_machine_that_has_left_has_no_new_models() -> None:
    async with world() as w:
        await w.use(model_request("m"))
        w.scheduler.machines.remove(w.a)
        w.a.running[0].die()
        await settled()
        await w.use(model_request("m"))
        assert list(w.replicas()) == ["b"]
        w.scheduler.machines.add(w.a)
        await w.use(model_request("n"))
        assert list(w.replicas("n")) == ["a"]


async def test_requests_of_a_load_that_is_lost_fail_with_its_error() -> None:
    async with world() as w:
        w.a.failures.append(LoadFailed("lost", can_retry=True))
        with pytest.raises(LoadFailed, match="lost"):
            await w.use(model_request("m"))


async def test_a_drained_machine_finishes_its_requests_while_new_ones_go_elsewhere() -> None:
    async with world() as w:
        async with w.scheduler.lease(model_request("m")):
            assert w.scheduler.machines.drain("a", is_draining=True)
            await settled()
            assert list(w.replicas()) == ["a"]
            await w.use(model_request("m"))
            assert sorted(w.replicas()) == ["a", "b"]
        await settled()
        assert w.a.running == []
        await w.use(model_request("m"))
        assert list(w.replicas()) == ["b"]
        w.scheduler.machines.drain("a", is_draining=False)
        await w.use(model_request("n"))
        assert list(w.replicas("n")) == ["a"]
        assert not w.scheduler.machines.drain("local", is_draining=True)
        assert not w.scheduler.machines.drain("nowhere", is_draining=True)


async def test_a_model_whose_requests_wait_has_a_replica_until_they_are_fewer() -> None:
    async with world() as w:
        async with AsyncExitStack() as stack:
            for _ in range(3):  # one more than there are slots
                await w.hold(stack, model_request("m"))
            await w.advance(ADD_AFTER + 3)
            assert list(w.replicas()) == ["a", "b"]
            for _ in range(2):
                await w.hold(stack, model_request("m"))
            assert [each.users for each in w.replicas().values()] == [3, 2]
        await w.use(model_request("m"))
        await w.advance(REMOVE_AFTER + 3)
        assert len(w.replicas()) == 1


async def test_the_number_of_replicas_can_be_limited() -> None:
    async with world(max_replicas=1) as w, AsyncExitStack() as stack:
        for _ in range(3):
            await w.hold(stack, model_request("m"))
        await w.advance(ADD_AFTER + 3)
        assert list(w.replicas()) == ["a"]


async def test_conversations_go_to_the_replica_that_knows_their_beginning() -> None:
    async with world() as w:
        async with AsyncExitStack() as stack:
            first = replace(model_request("m"), prefix=(1, 2))
            on_a = [await w.hold(stack, first) for _ in range(3)]
            await w.advance(ADD_AFTER + 3)
            second = replace(model_request("m"), prefix=(3, 4))
            on_b = await w.hold(stack, second)
            assert on_b.runner is not on_a[0].runner
            for _ in range(3):
                assert (await w.hold(stack, second)).runner is on_b.runner
        assert (await _runner(w, replace(first, prefix=(1, 2, 5)))) is on_a[0].runner
        assert (await _runner(w, replace(first, prefix=(3, 4, 5)))) is on_b.runner


async def _runner(w: World, request: ModelRequest) -> object:
    async with w.scheduler.lease(request) as lease:
        return lease.runner
