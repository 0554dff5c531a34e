"""Start, load, death and cleaning up of runner processes, with a scripted runner as the child."""

import asyncio
import errno
import gc
import logging
import os
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from runners.host.environment import runner_environment
from runners.host.errors import CannotStart, LoadFailed, LoadTimeout, RunnerDied, ShuttingDown
from runners.host.process import RunnerProcess
from runners.host.spawn import Child
from runners.protocol.messages import Chunk, Generate
from tests.support.runners import load_spec, start_fake_runner

pytestmark = pytest.mark.anyio
STOPPED = "the model runner stopped unexpectedly"
ABORTED = f"{STOPPED} (signal 6): an assertion in llama.cpp failed"


@asynccontextmanager
async def fake_runner(*arguments: str) -> AsyncIterator[RunnerProcess]:
    runner = await start_fake_runner(*arguments)
    try:
        yield runner
    finally:
        await runner.close()


async def consume(runner: RunnerProcess, prompt: str) -> list[object]:
    return [event async for event in runner.client.generate(Generate(id=0, prompt=prompt))]


async def test_runner_that_cannot_start_says_why_without_naming_modules() -> None:
    with pytest.raises(RunnerDied) as died:
        await start_fake_runner("--silent")
    assert died.value.detail == (
        f"{STOPPED} (exit status 1): llama-cpp-python is not installed: run make install"
    )


async def test_command_that_does_not_exist_leaves_no_socket_open() -> None:
    before = open_files()
    with pytest.raises(CannotStart) as refused:
        await RunnerProcess.start(("/no/such/program",))
    assert open_files() == before
    assert str(refused.value) == "a model runner cannot be started: the server's log says why"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EMFILE, "too many files are open; close idle connections or raise the limit"),
        (errno.ENFILE, "too many files are open; close idle connections or raise the limit"),
        (errno.EAGAIN, "too many processes are running; end some or raise the limit"),
        (errno.ENOMEM, "there is not enough memory for another process"),
    ],
)
async def test_a_system_without_resources_for_a_process_is_said(number: int, reason: str) -> None:
    async def refuse(*_: object) -> Child:
        raise OSError(number, os.strerror(number))

    with pytest.raises(CannotStart, match=f"^a model runner cannot be started: {reason}$"):
        await RunnerProcess.start(spawn=refuse)


async def test_load_tells_what_the_runner_measured() -> None:
    async with fake_runner() as runner:
        ready = await runner.load(load_spec(n_ctx=128), stall_timeout=10)
        assert ready.n_ctx == 128


@pytest.mark.parametrize(
    ("name", "message", "out_of_memory"),
    [
        ("broken", "the model cannot be loaded: the file is damaged or incomplete", False),
        ("oom", "the model cannot be loaded: out of memory", True),
        (
            "crash",
            ABORTED,
            False,
        ),
    ],
)
async def test_failed_load_says_why(name: str, message: str, *, out_of_memory: bool) -> None:
    async with fake_runner() as runner:
        with pytest.raises(LoadFailed) as failed:
            await runner.load(load_spec(f"/models/{name}.gguf"), stall_timeout=10)
        assert failed.value.message == message
        assert failed.value.out_of_memory is out_of_memory


async def test_load_without_a_sign_of_life_times_out() -> None:
    async with fake_runner() as runner:
        with pytest.raises(LoadTimeout):
            await runner.load(load_spec("/models/stall.gguf"), stall_timeout=0.05)


@pytest.mark.parametrize("sign_of_life", ["slow", "chatty"])
async def test_progress_and_output_keep_a_slow_load_alive(sign_of_life: str) -> None:
    """Each takes half a second in ten steps; a total timeout of 0.4 s would end both."""
    async with fake_runner() as runner:
        spec = load_spec(f"/models/{sign_of_life}.gguf")
        assert (await runner.load(spec, stall_timeout=0.4)).n_ctx == 256


async def test_death_ends_every_pending_request_with_what_it_was() -> None:
    async with fake_runner() as runner:
        streams = [asyncio.create_task(consume(runner, "forever")) for _ in range(4)]
        unanswered = asyncio.create_task(consume(runner, "deaf"))
        await asyncio.sleep(0.05)
        os.kill(runner.pid, 9)
        for task in (*streams, unanswered):
            with pytest.raises(RunnerDied, match=r"signal 9"):
                await task
        assert (await runner.died).detail.startswith(f"{STOPPED} (signal 9)")
        with pytest.raises(RunnerDied):
            await runner.client.tokenize("too late")


async def test_text_that_was_sent_before_the_death_is_delivered() -> None:
    async with fake_runner() as runner:
        said: list[str] = []

        async def listen() -> None:
            request = Generate(id=0, prompt="die my last words")
            async for event in runner.client.generate(request):
                assert isinstance(event, Chunk)
                said.append(event.text)

        with pytest.raises(RunnerDied):
            await listen()
        assert "".join(said) == "my last words "


async def test_assertion_in_native_code_is_reported_in_plain_words() -> None:
    async with fake_runner() as runner:
        with pytest.raises(RunnerDied) as died:
            await consume(runner, "assert")
        assert died.value.detail == ABORTED


async def test_closing_ends_pending_requests_as_a_shutdown() -> None:
    async with fake_runner() as runner:
        stream = asyncio.create_task(consume(runner, "forever"))
        await asyncio.sleep(0.02)
        await runner.close()
        with pytest.raises(ShuttingDown):
            await stream


async def test_closed_process_is_gone_and_closing_again_is_harmless() -> None:
    async with fake_runner() as runner:
        await runner.close()
        assert not psutil.pid_exists(runner.pid)


async def test_start_that_is_cancelled_leaves_no_process() -> None:
    """A client may leave while its runner starts."""
    before = children()
    for delay in (0.0, 0.001, 0.01, 0.05):
        start = asyncio.create_task(start_fake_runner())
        await asyncio.sleep(delay)
        start.cancel()
        for started in await asyncio.gather(start, return_exceptions=True):
            if isinstance(started, RunnerProcess):  # of a fast machine, before it was cancelled
                await started.close()
    assert children() == before


async def test_runner_ends_when_the_server_is_gone() -> None:
    async with fake_runner() as runner:
        runner.connection.close()
        assert (await asyncio.wait_for(runner.died, 10)).detail.startswith(
            f"{STOPPED} (exit status 0)"
        )


def test_runner_sees_devices_and_libraries_and_no_secrets() -> None:
    environment = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "0",
        "LC_ALL": "C",
        "AWS_SECRET_ACCESS_KEY": "x",
        "OLLAMA_HOST": "y",
        "HTTPS_PROXY": "z",
    }
    inherited = {"PATH", "CUDA_VISIBLE_DEVICES", "LC_ALL"}
    assert runner_environment(environment).keys() - runner_environment({}).keys() == inherited


def test_a_crashing_runner_starts_no_debugger_unless_it_was_asked_to() -> None:
    assert runner_environment({})["GGML_NO_BACKTRACE"]
    assert runner_environment({"GGML_NO_BACKTRACE": ""})["GGML_NO_BACKTRACE"] == ""


def test_threads_of_a_runner_do_not_spin_for_long_unless_they_are_told_to() -> None:
    assert runner_environment({})["GOMP_SPINCOUNT"] == "10000"
    assert runner_environment({"GOMP_SPINCOUNT": "9"})["GOMP_SPINCOUNT"] == "9"


def test_a_runner_allocates_huge_pages_unless_the_tunables_of_glibc_were_set() -> None:
    assert runner_environment({})["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert runner_environment({"GLIBC_TUNABLES": "x=1"})["GLIBC_TUNABLES"] == "x=1"


async def test_two_hundred_runners_killed_in_the_middle_of_streams_leave_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server runs for years: no round may leave a descriptor, process, task or memory."""
    # Each death is logged, and pytest would keep every record.
    caplog.set_level(logging.CRITICAL, logger="runners.host.process")

    async def one_round() -> None:
        async with fake_runner() as runner:
            await runner.load(load_spec(), stall_timeout=30)
            streams = [asyncio.create_task(consume(runner, "forever")) for _ in range(8)]
            await runner.client.stats()
            os.kill(runner.pid, 9)
            ended = await asyncio.gather(*streams, return_exceptions=True)
            assert [type(end) for end in ended] == [RunnerDied] * 8

    async def rounds(count: int) -> None:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(2):
                lanes.create_task(lane(count // 2))

    async def lane(count: int) -> None:
        for _ in range(count):
            await one_round()

    await rounds(40)
    before = open_files(), children(), len(asyncio.all_tasks())
    objects = objects_of_ours()
    tracemalloc.start()  # the process is pytest's own, whose size says nothing
    try:
        await rounds(160)
        gc.collect()
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (open_files(), children(), len(asyncio.all_tasks())) == before
    assert objects_of_ours() == objects
    assert allocated < 1 << 20


def open_files() -> int:
    return psutil.Process().num_fds()


def children() -> int:
    return len(psutil.Process().children())


def objects_of_ours() -> Counter[str]:
    gc.collect()
    names = [f"{type(each).__module__}.{type(each).__name__}" for each in gc.get_objects()]
    return Counter(name for name in names if name.startswith("runners."))


async def test_a_load_reports_its_progress() -> None:
    shares: list[float] = []
    runner = await start_fake_runner()
    await runner.load(load_spec("/models/slow.gguf"), stall_timeout=10, on_progress=shares.append)
    await runner.close()

    assert shares == sorted(shares)
    assert len(shares) > 1
