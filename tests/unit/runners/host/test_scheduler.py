"""Leases, expiry, eviction, failure and shutdown, with runners and time that the test controls."""

import asyncio
import errno
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from runners.host.errors import CannotStart, LoadFailed, QueueFull, ShuttingDown
from runners.host.expiry import SAVE_SECONDS
from runners.host.model_request import ModelRequest, PrefixSettings, SchedulerConfig
from runners.host.scheduler import URGENT_SAVE_SECONDS, Lease, Scheduler
from tests.support.clock import FakeClock
from tests.support.fake_machine import GIB, FakeMachine, gpu
from tests.support.models import FACTS, MIB, model_request

pytestmark = pytest.mark.anyio


@dataclass
class World:
    """A scheduler and what it runs on."""

    scheduler: Scheduler
    machine: FakeMachine
    clock: FakeClock

    @property
    def names(self) -> list[str]:
        return [status.request.name for status in self.scheduler.status()]

    async def use(self, request: ModelRequest) -> None:
        async with self.scheduler.lease(request):
            pass

    async def hold(self, stack: AsyncExitStack, request: ModelRequest) -> Lease:
        return await stack.enter_async_context(self.scheduler.lease(request))

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await settled()

    def remaining(self, name: str) -> timedelta:
        (found,) = [s for s in self.scheduler.status() if s.request.name == name]
        return found.expires_at - self.clock.today()


@asynccontextmanager
async def world(machine: FakeMachine | None = None, **settings: float) -> AsyncIterator[World]:
    machine, clock = machine or FakeMachine(), FakeClock()
    config = replace(SchedulerConfig(grace_period=0.0), **settings)
    async with Scheduler(config, machine=machine, clock=clock) as scheduler:
        yield World(scheduler, machine, clock)
    assert machine.running == [], "a runner outlived the scheduler"
    assert clock.live() == [], "a timer outlived the scheduler"


async def settled() -> None:
    """Let everything happen that waits for nothing but its turn."""
    for _ in range(20):
        await asyncio.sleep(0)


# Sharing and expiry.


async def test_requests_for_one_model_share_a_runner() -> None:
    async with world() as w, AsyncExitStack() as stack:
        leases = [await w.hold(stack, model_request("a")) for _ in range(3)]
        assert len({id(lease.runner) for lease in leases}) == 1
        assert w.machine.loaded_names == ["a"]


async def test_requests_that_wait_for_the_same_load_are_all_served_by_it() -> None:
    async with world() as w:
        w.machine.may_load.clear()
        users = [asyncio.create_task(w.use(model_request("a"))) for _ in range(5)]
        await settled()
        assert w.names == [], "a model that is being loaded must not be listed"
        w.machine.may_load.set()
        await asyncio.gather(*users)
        assert w.machine.loaded_names == ["a"]


async def test_a_lease_tells_how_long_it_waited_for_the_load_and_by_which_process() -> None:
    async with world() as w, AsyncExitStack() as stack:
        w.machine.may_load.clear()
        first = asyncio.create_task(w.hold(stack, model_request("a")))
        await settled()
        await w.advance(3)
        second = asyncio.create_task(w.hold(stack, model_request("a")))
        await settled()
        await w.advance(2)
        w.machine.may_load.set()
        leases = [await first, await second, await w.hold(stack, model_request("a"))]

        assert [lease.load_seconds for lease in leases] == [5, 2, 0]
        assert [lease.queue_seconds for lease in leases] == [0, 0, 0]
        assert {lease.pid for lease in leases} == {1}


async def test_model_is_unloaded_when_its_time_after_the_last_use_is_over() -> None:
    async with world(keep_alive=300) as w:
        await w.use(model_request("a"))
        await w.advance(200)
        await w.use(model_request("a"))
        await w.advance(299)
        assert w.names == ["a"]
        await w.advance(1)
        assert w.names == []
        assert w.machine.running == []


async def test_model_in_use_does_not_expire_and_its_time_counts_from_the_end_of_use() -> None:
    async with world(keep_alive=10) as w:
        async with w.scheduler.lease(model_request("a")):
            await w.advance(1000)
            assert w.remaining("a") == timedelta(seconds=10)
        assert w.remaining("a") == timedelta(seconds=10)
        await w.advance(4)
        assert w.remaining("a") == timedelta(seconds=6)


async def test_request_without_keep_alive_keeps_the_duration_of_the_runner() -> None:
    async with world(keep_alive=300) as w:
        await w.use(model_request("a", keep_alive=20))
        await w.use(model_request("a"))
        assert w.remaining("a") == timedelta(seconds=20)
        await w.use(model_request("a", keep_alive=40))
        assert w.remaining("a") == timedelta(seconds=40)


@pytest.mark.parametrize("keep_alive", [-1.0, math.inf])
async def test_model_can_stay_for_ever(keep_alive: float) -> None:
    async with world() as w:
        await w.use(model_request("a", keep_alive=keep_alive))
        await w.advance(1e9)
        assert w.names == ["a"]
        assert w.remaining("a") > timedelta(days=290 * 365)


async def test_keep_alive_of_zero_unloads_after_the_last_user() -> None:
    async with world() as w:
        async with w.scheduler.lease(model_request("a")):
            await w.use(model_request("a", keep_alive=0))
            await settled()
            assert w.names == ["a"]
        await settled()
        assert w.names == []


async def test_unload_waits_for_users_and_is_told_at_once() -> None:
    async with world() as w:
        async with w.scheduler.lease(model_request("a")):
            w.scheduler.unload(model_request("a").key)
            assert w.remaining("a") == timedelta(0)
        await settled()
        assert w.names == []


async def test_unload_of_an_idle_model_and_of_an_unknown_one() -> None:
    async with world() as w:
        await w.use(model_request("a"))
        w.scheduler.unload(model_request("b").key)
        assert w.names == ["a"]
        w.scheduler.unload(model_request("a").key)
        assert w.names == []


@pytest.fixture
def prefixes(tmp_path: Path) -> PrefixSettings:
    return PrefixSettings(directory=tmp_path / "prefixes", max_bytes=1000, weights=tmp_path)


async def test_model_saves_what_it_computed_before_it_is_unloaded(
    prefixes: PrefixSettings,
) -> None:
    async with world(keep_alive=10, max_loaded=1, prefixes=prefixes) as w:
        await w.use(model_request("a"))
        await w.use(model_request("b"))
        await w.advance(10)
        await w.use(model_request("c"))
    evicted, expired, ended = (load.saves for load in w.machine.loads)

    assert evicted == ended == [URGENT_SAVE_SECONDS]
    assert expired == [SAVE_SECONDS]


async def test_deleted_model_saves_nothing_and_its_files_are_deleted(
    prefixes: PrefixSettings,
) -> None:
    async with world(prefixes=prefixes) as w:
        await w.use(model_request("a"))
        file = prefixes.directory / "a.gguf.key.tokens.prefix"
        file.touch()
        w.scheduler.retire("a")
    (runner,) = w.machine.loads

    assert runner.saves == []
    assert not file.exists()


async def test_without_a_directory_nothing_is_saved() -> None:
    async with world() as w:
        await w.use(model_request("a"))
    (runner,) = w.machine.loads

    assert runner.saves == []


async def test_retired_model_goes_when_it_is_idle_however_long_it_should_have_stayed() -> None:
    """Nobody can unload a deleted model by its name."""
    async with world() as w:
        async with w.scheduler.lease(model_request("a", keep_alive=-1)):
            w.scheduler.retire("a")
            await w.use(model_request("a", keep_alive=-1))
            assert w.names == ["a"]
        await settled()
        assert w.machine.running == []


async def test_retired_model_that_is_being_loaded_serves_those_who_wait_and_goes() -> None:
    async with world() as w:
        w.machine.may_load.clear()
        user = asyncio.create_task(w.use(model_request("a", keep_alive=-1)))
        await settled()
        w.scheduler.retire("a")
        w.machine.may_load.set()
        await user
        await settled()
        assert w.machine.running == []


async def test_other_names_and_what_the_name_means_now_are_not_retired() -> None:
    async with world() as w:
        await w.use(model_request("a"))
        await w.use(model_request("b"))
        w.scheduler.retire("a", model_request("a").key)
        w.scheduler.retire("c")
        await settled()
        assert sorted(w.names) == ["a", "b"]


async def test_copy_of_a_retired_model_keeps_what_both_had_loaded() -> None:
    async with world(keep_alive=300) as w:
        copy = replace(model_request("a"), name="copy", digest="another")
        async with w.scheduler.lease(model_request("a", keep_alive=-1)):
            w.scheduler.retire("a")
            await w.use(copy)
        await settled()
        assert w.names == ["copy"]
        assert w.remaining("copy") == timedelta(seconds=300)
        assert w.machine.loaded_names == ["a"]


async def test_name_is_listed_once_while_a_replaced_model_finishes_an_answer() -> None:
    async with world() as w:
        new = replace(model_request("b"), name="a", digest="new")
        async with w.scheduler.lease(model_request("a", keep_alive=-1)):
            await w.use(new)
            (status,) = w.scheduler.status()
            assert status.request.digest == "new"
            w.scheduler.unload(new.key)
            await settled()
            assert w.names == ["a"], "the replaced model is still in use"
        await settled()
        assert w.machine.running == []


async def test_model_replaced_by_one_with_the_same_weights_is_listed_as_the_new_one() -> None:
    async with world() as w:
        await w.use(model_request("a"))
        await w.use(replace(model_request("a"), digest="new"))
        (status,) = w.scheduler.status()
        assert status.request.digest == "new"
        assert w.machine.loaded_names == ["a"]


async def test_expiry_that_meets_a_new_request_starts_a_new_runner() -> None:
    async with world(keep_alive=5) as w:
        await w.use(model_request("a"))
        w.clock.advance(5)
        async with w.scheduler.lease(model_request("a")):
            assert w.names == ["a"]
        assert w.machine.loaded_names == ["a", "a"]


# The status of loaded models.


async def test_status_gives_measured_sizes_and_the_request_that_caused_the_load() -> None:
    model = object()
    async with world() as w:
        await w.use(model_request("a", model=model))
        await w.use(model_request("a", model=object()))
        (status,) = w.scheduler.status()
        assert status.request.model is model
        assert (status.size, status.size_vram) == (1230, 0)


async def test_status_of_a_model_wholly_on_gpus_counts_gpus_alone() -> None:
    async with world(FakeMachine(gpus=(gpu(24),))) as w:
        await w.use(model_request("a"))
        (status,) = w.scheduler.status()
        assert status.size == status.size_vram == 4 * GIB


async def test_status_lists_the_last_to_expire_first() -> None:
    async with world() as w:
        for name, keep_alive in (("a", 10), ("b", -1), ("c", 20)):
            await w.use(model_request(name, keep_alive=keep_alive))
        assert w.names == ["b", "c", "a"]


# Making room.


async def test_idle_model_makes_room_and_a_busy_one_is_waited_for() -> None:
    async with world(max_loaded=2) as w, AsyncExitStack() as stack:
        await w.hold(stack, model_request("busy"))
        await w.use(model_request("idle"))
        await w.use(model_request("new"))
        assert sorted(w.names) == ["busy", "new"]


async def test_model_on_its_way_out_takes_no_new_requests() -> None:
    """Else a popular model would keep another from ever being loaded."""
    async with world(max_loaded=1) as w:
        async with w.scheduler.lease(model_request("a")):
            other = asyncio.create_task(w.use(model_request("b")))
            await settled()
            again = asyncio.create_task(w.use(model_request("a")))
            await settled()
            assert not again.done()
        await asyncio.gather(other, again)
        assert w.machine.loaded_names == ["a", "b", "a"]


async def test_busy_model_that_must_go_does_not_hold_up_other_loads() -> None:
    async with world(max_loaded=2) as w, AsyncExitStack() as stack:
        await w.hold(stack, model_request("long"))
        first = asyncio.create_task(w.use(model_request("long", num_ctx=8192)))
        await settled()
        await w.use(model_request("other"))
        assert not first.done()
        await stack.aclose()
        await first


async def test_larger_context_replaces_the_runner_and_a_smaller_one_reuses_it() -> None:
    async with world() as w:
        await w.use(model_request("a", num_ctx=2048))
        await w.use(model_request("a", num_ctx=8192))
        await w.use(model_request("a", num_ctx=1024))
        await w.use(model_request("a"))
        assert [r.spec.n_ctx for r in w.machine.loads if r.spec] == [2048, 8192]
        assert len(w.machine.running) == 1


async def test_queue_is_bounded_for_loads_and_open_for_loaded_models() -> None:
    async with world(max_loaded=1, max_queue=2) as w, AsyncExitStack() as stack:
        await w.hold(stack, model_request("a"))
        waiting = [asyncio.create_task(w.use(model_request(name))) for name in ("b", "c")]
        await settled()
        with pytest.raises(QueueFull):
            await w.use(model_request("d"))
        for task in waiting:
            task.cancel()
        await settled()
        await stack.aclose()
        await w.use(model_request("d"))


async def test_model_that_does_not_fit_beside_another_on_the_gpu_takes_its_place() -> None:
    large = replace(FACTS, layer_bytes=(3 * GIB // 2,) * 2)
    machine = FakeMachine(gpus=(gpu(6),))
    async with world(machine) as w:
        await w.use(model_request("a", facts=large))
        await w.use(model_request("b", facts=large))
        assert w.names == ["b"]
        assert [r.spec.placement.n_gpu_layers for r in machine.loads if r.spec] == [3, 3]


async def test_models_that_fit_together_on_the_gpu_stay_together() -> None:
    async with world(FakeMachine(gpus=(gpu(24),))) as w:
        await w.use(model_request("a"))
        await w.use(model_request("b"))
        assert sorted(w.names) == ["a", "b"]


async def test_model_larger_than_the_gpu_is_split_once_it_is_alone() -> None:
    huge = replace(FACTS, layer_bytes=(3 * GIB,) * 2)
    machine = FakeMachine(gpus=(gpu(6),))
    async with world(machine) as w:
        await w.use(model_request("a"))
        await w.use(model_request("b", facts=huge))
        assert w.names == ["b"]
        assert machine.loads[-1].spec is not None
        assert machine.loads[-1].spec.placement.n_gpu_layers == 2


async def test_model_that_needs_more_memory_than_there_is_gets_a_sentence_with_both() -> None:
    async with world(FakeMachine(available=30 * MIB)) as w:
        with pytest.raises(LoadFailed) as failed:
            await w.use(model_request("a", use_mmap=False))
        assert failed.value.message == (
            "model requires more system memory (50.0 MiB) than is available (30.0 MiB)"
        )
        assert w.machine.loads == []


# Failing loads.

OUT_OF_MEMORY = LoadFailed("no memory", out_of_memory=True)


async def test_load_that_runs_out_of_memory_is_tried_again_smaller() -> None:
    machine = FakeMachine()
    machine.failures.append(OUT_OF_MEMORY)
    async with world(machine) as w:
        await w.use(model_request("a"))
        first, second = [r.spec for r in machine.loads]
        assert first is not None
        assert second is not None
        assert second.n_cells < first.n_cells
        assert len(machine.running) == 1


async def test_load_that_runs_out_of_memory_beside_others_is_tried_again_without_them() -> None:
    machine = FakeMachine()
    machine.failures.extend([None, OUT_OF_MEMORY])
    async with world(machine) as w:
        await w.use(model_request("a"))
        await w.use(model_request("b"))
        assert w.names == ["b"]
        first, second = [r.spec for r in machine.loads[1:]]
        assert first == second


async def test_load_that_never_fits_fails_in_the_end() -> None:
    machine = FakeMachine()
    machine.failures.extend([OUT_OF_MEMORY] * 10)
    async with world(machine) as w:
        with pytest.raises(LoadFailed, match="no memory"):
            await w.use(model_request("a"))
        assert machine.running == []


async def test_failed_load_is_told_to_all_who_waited_for_it_and_to_nobody_else() -> None:
    machine = FakeMachine()
    machine.failures.append(LoadFailed("damaged"))
    machine.may_load.clear()
    async with world(machine) as w:
        same = [asyncio.create_task(w.use(model_request("a"))) for _ in range(3)]
        await settled()
        other = asyncio.create_task(w.use(model_request("b")))
        await settled()
        machine.may_load.set()
        results = await asyncio.gather(*same, other, return_exceptions=True)
        assert [type(result) for result in results] == [LoadFailed] * 3 + [type(None)]
        await w.use(model_request("a"))


async def test_a_runner_that_cannot_be_started_fails_the_request_and_not_the_next_one() -> None:
    async with world() as w:
        w.machine.refusals.append(CannotStart(OSError(errno.EMFILE, "")))
        with pytest.raises(CannotStart, match="too many files are open"):
            await w.use(model_request("a"))
        await w.use(model_request("a"))


async def test_error_that_nobody_foresaw_fails_the_request_and_not_the_scheduler() -> None:
    class BrokenHost(FakeMachine):
        def memory(self) -> None:
            raise RuntimeError("unforeseen")

    async with world(BrokenHost()) as w:
        with pytest.raises(LoadFailed, match="internal error"):
            await w.use(model_request("a"))
        assert w.machine.running == []


async def test_runner_that_hangs_gets_no_more_requests_even_before_its_process_ends() -> None:
    async with world() as w, AsyncExitStack() as stack:
        await w.hold(stack, model_request("a"))
        (hung,) = w.machine.running
        hung.hang()
        await settled()
        request = asyncio.create_task(w.use(model_request("a")))
        await settled()
        assert not request.done()
        assert w.machine.loaded_names == ["a"], "the memory of the process is still in use"
        hung.die()
        await request
        assert w.machine.loaded_names == ["a", "a"]


async def test_idle_runner_that_hangs_is_replaced_by_the_next_request() -> None:
    async with world() as w:
        await w.use(model_request("a"))
        w.machine.running[0].hang()
        await settled()
        await w.use(model_request("a"))
        assert w.machine.loaded_names == ["a", "a"]


async def test_dead_runner_is_no_longer_listed_and_is_replaced_by_the_next_request() -> None:
    async with world() as w:
        async with w.scheduler.lease(model_request("a")):
            w.machine.running[0].die()
            await settled()
            assert w.names == []
            await w.use(model_request("a"))
            assert w.names == ["a"]
        assert w.names == ["a"], "the lease on the dead runner must not disturb the new one"


# Cancellation.


async def cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_load_is_given_up_when_the_only_client_leaves() -> None:
    async with world() as w:
        w.machine.may_load.clear()
        user = asyncio.create_task(w.use(model_request("a")))
        await settled()
        await cancelled(user)
        await settled()
        assert w.machine.running == []
        w.machine.may_load.set()
        await w.use(model_request("a"))


async def test_load_goes_on_when_its_first_client_leaves_and_another_waits() -> None:
    async with world() as w:
        w.machine.may_load.clear()
        first = asyncio.create_task(w.use(model_request("a")))
        await settled()
        second = asyncio.create_task(w.use(model_request("a")))
        await settled()
        await cancelled(first)
        w.machine.may_load.set()
        await second
        assert w.machine.loaded_names == ["a"]


async def test_client_that_leaves_the_queue_causes_no_load() -> None:
    async with world(max_loaded=1) as w:
        async with w.scheduler.lease(model_request("a")):
            waiting = asyncio.create_task(w.use(model_request("b")))
            await settled()
            await cancelled(waiting)
        await settled()
        assert w.machine.loaded_names == ["a"]


async def test_load_cancelled_before_its_first_step_leaves_nothing_behind() -> None:
    async with world() as w:
        user = asyncio.create_task(w.use(model_request("a")))
        await asyncio.sleep(0)
        await cancelled(user)
        await settled()
        await w.use(model_request("a"))
        assert w.names == ["a"]


@pytest.mark.parametrize("turns", range(12))
async def test_cancelling_at_any_moment_loses_no_lease(turns: int) -> None:
    """A lease that was handed over in the same moment must be given back, or nothing expires."""
    async with world(keep_alive=5) as w:
        user = asyncio.create_task(w.use(model_request("a")))
        for _ in range(turns):
            await asyncio.sleep(0)
        user.cancel()
        await asyncio.gather(user, return_exceptions=True)
        await settled()
        await w.advance(6)
        assert w.names == []
        assert w.machine.running == []


# Shutdown.


async def test_closing_scheduler_refuses_new_and_waiting_requests() -> None:
    async with world(max_loaded=1, grace_period=30.0) as w, AsyncExitStack() as stack:
        await w.hold(stack, model_request("a"))
        waiting = asyncio.create_task(w.use(model_request("b")))
        await settled()
        closing = asyncio.create_task(w.scheduler.shutdown())
        await settled()
        for attempt in (waiting, w.use(model_request("a"))):
            with pytest.raises(ShuttingDown):
                await attempt
        assert not closing.done(), "the running request has its grace period"
        await stack.aclose()
        await closing
        assert w.machine.running == []


async def test_request_that_outlasts_the_grace_period_is_ended() -> None:
    async with world(grace_period=0.0) as w, AsyncExitStack() as stack:
        await w.hold(stack, model_request("a"))
        await w.scheduler.shutdown()
        assert w.machine.running == []


async def test_shutdown_that_is_interrupted_ends_everything_at_once() -> None:
    async with world(grace_period=3600.0) as w, AsyncExitStack() as stack:
        await w.hold(stack, model_request("a"))
        closing = asyncio.create_task(w.scheduler.shutdown())
        await settled()
        await cancelled(closing)
        await settled()
        assert w.machine.running == []


async def test_load_in_progress_is_given_up_at_shutdown() -> None:
    async with world(grace_period=30.0) as w:
        w.machine.may_load.clear()
        user = asyncio.create_task(w.use(model_request("a")))
        await settled()
        await w.scheduler.shutdown()
        with pytest.raises(ShuttingDown):
            await user


async def test_storm_of_clients_that_come_and_go_ends_in_order() -> None:
    """Many models, few machines, clients that leave at random moments: all others are served."""
    async with world(max_loaded=2, max_queue=1000, keep_alive=60) as w:

        async def client(number: int) -> str:
            async with w.scheduler.lease(model_request(f"model {number % 5}")):
                for _ in range(number % 7):
                    await asyncio.sleep(0)
            return "served"

        clients = [asyncio.create_task(client(number)) for number in range(200)]
        for number, task in enumerate(clients):
            if number % 3 == 0:
                asyncio.get_running_loop().call_later(number / 10_000, task.cancel)
        results = await asyncio.gather(*clients, return_exceptions=True)
        for number, result in enumerate(results):
            assert result == "served" or (
                number % 3 == 0 and isinstance(result, asyncio.CancelledError)
            )
        await settled()
        assert len(w.machine.running) <= 2


# Background requests.

BACKGROUND = model_request("a", is_background=True)


async def test_background_requests_are_held_while_others_run() -> None:
    async with world() as w, AsyncExitStack() as stack:
        await w.hold(stack, BACKGROUND)
        holds = w.machine.running[0].holds
        assert holds == []
        for name in ("a", "b"):
            async with w.scheduler.lease(model_request(name)):
                await w.hold(stack, BACKGROUND)
                assert holds[-1] is True
            assert holds[-1] is False
        assert holds == [True, False, True, False]


async def test_background_requests_are_held_while_a_model_is_loaded_for_others() -> None:
    async with world() as w, AsyncExitStack() as stack:
        await w.hold(stack, BACKGROUND)
        w.machine.may_load.clear()
        other = asyncio.create_task(w.use(model_request("b")))
        await settled()
        assert w.machine.running[0].holds == [True]
        w.machine.may_load.set()
        await other
        assert w.machine.running[0].holds == [True, False]


async def test_a_background_request_loads_its_model_when_nobody_else_is_there() -> None:
    async with world() as w, AsyncExitStack() as stack:
        other = await stack.enter_async_context(AsyncExitStack())
        await w.hold(other, model_request("b"))
        waiting = asyncio.create_task(w.hold(stack, BACKGROUND))
        await settled()
        assert w.machine.loaded_names == ["b"]
        await other.aclose()
        await waiting
        assert w.machine.loaded_names == ["b", "a"]


async def test_a_background_request_waits_for_room_until_another_model_expires() -> None:
    async with world(max_loaded=1, keep_alive=300) as w, AsyncExitStack() as stack:
        await w.use(model_request("b"))
        waiting = asyncio.create_task(w.hold(stack, BACKGROUND))
        await w.advance(299)
        assert w.names == ["b"]
        await w.advance(1)
        await waiting
        assert w.names == ["a"]


async def test_the_model_of_a_background_request_is_evicted_at_once_for_others() -> None:
    async with world(max_loaded=1) as w, AsyncExitStack() as stack:
        await w.hold(stack, BACKGROUND)
        await w.use(model_request("b"))
        assert w.machine.loaded_names == ["a", "b"]
        assert w.names == ["b"]


async def test_a_load_for_background_requests_ends_when_others_need_the_machine() -> None:
    """They are served when the others have gone."""
    async with world() as w, AsyncExitStack() as stack:
        w.machine.may_load.clear()
        waiting = asyncio.create_task(w.hold(stack, BACKGROUND))
        await settled()
        other = asyncio.create_task(w.use(model_request("b")))
        await settled()
        w.machine.may_load.set()
        await other
        await waiting
        assert w.machine.loaded_names == ["a", "b", "a"]


async def test_a_model_does_not_expire_while_a_background_request_uses_it() -> None:
    async with world(keep_alive=10) as w:
        async with w.scheduler.lease(BACKGROUND):
            await w.advance(1000)
            assert w.names == ["a"]
            assert w.remaining("a") == timedelta(seconds=10)
        await w.advance(10)
        assert w.names == []


# Growth of an automatic context.


async def test_a_load_for_more_context_that_memory_does_not_allow_is_not_tried_again() -> None:
    machine = FakeMachine()
    machine.failures.extend([None, OUT_OF_MEMORY, OUT_OF_MEMORY])
    grown = replace(model_request("a"), least_context=8192)
    async with world(machine) as w:
        await w.use(model_request("a"))
        await w.use(grown)
        n_loads = len(machine.loads)
        async with w.scheduler.lease(grown) as lease:
            assert lease.n_ctx == 4096
        assert len(machine.loads) == n_loads


async def test_a_lease_tells_how_large_the_context_could_be() -> None:
    async with world() as w:
        async with w.scheduler.lease(model_request("a")) as lease:
            assert (lease.n_ctx, lease.max_n_ctx) == (4096, 8192)
        async with w.scheduler.lease(model_request("a", num_ctx=2048)) as lease:
            assert lease.max_n_ctx == lease.ready.n_ctx
