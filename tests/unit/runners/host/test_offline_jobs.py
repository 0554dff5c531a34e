"""Offline jobs on model files report each step, and end when their caller does."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runners.host.errors import ModelUnusable, QuantizeFailed
from runners.host.offline_jobs import OfflineJobs
from runners.host.process import RunnerProcess
from tests.support.runners import start_fake_runner

pytestmark = pytest.mark.anyio
F16 = 1


class Jobs:
    """Offline jobs that record the runners it starts."""

    def __init__(self) -> None:
        self.runners: list[RunnerProcess] = []
        self.offline = OfflineJobs(asyncio.get_running_loop(), self._start)

    async def _start(self) -> RunnerProcess:
        self.runners.append(await start_fake_runner())
        return self.runners[-1]

    async def run(self, work: Iterator[object]) -> list[object]:
        return await asyncio.to_thread(list, work)


@pytest.fixture
async def jobs(anyio_backend: str) -> Jobs:
    return Jobs()


async def test_quantised_file_is_there_when_the_steps_end(jobs: Jobs, tmp_path: Path) -> None:
    source, target = tmp_path / "model.gguf", tmp_path / "small.gguf"
    source.write_bytes(b"weights")

    steps = await jobs.run(jobs.offline.quantize(source, target, F16))

    assert steps[0] == (0, 0)
    assert steps[-1] == (2, 2)
    assert target.read_bytes() == b"weights"
    assert not psutil.pid_exists(jobs.runners[0].pid)


@pytest.mark.parametrize(
    ("name", "reason"), [("broken", "damaged"), ("crash", "assertion in llama.cpp failed")]
)
async def test_failure_is_reported_without_a_path(
    jobs: Jobs, tmp_path: Path, name: str, reason: str
) -> None:
    work = jobs.offline.quantize(tmp_path / f"{name}.gguf", tmp_path / "small.gguf", F16)

    with pytest.raises(QuantizeFailed, match=reason) as caught:
        await jobs.run(work)

    assert str(tmp_path) not in str(caught.value)


async def test_job_that_is_cancelled_ends_its_runner(jobs: Jobs, tmp_path: Path) -> None:
    work = jobs.offline.quantize(tmp_path / "stall.gguf", tmp_path / "small.gguf", F16)

    def begin_and_leave() -> None:
        while next(work) != (1, 2):
            continue
        work.close()  # type: ignore[attr-defined]

    await asyncio.to_thread(begin_and_leave)
    await jobs.runners[0].died
    assert not psutil.pid_exists(jobs.runners[0].pid)


async def test_work_that_never_began_to_be_computed_can_be_given_up(
    jobs: Jobs, tmp_path: Path
) -> None:
    work = jobs.offline.quantize(tmp_path / "stall.gguf", tmp_path / "small.gguf", F16)

    def begin_and_leave() -> None:
        next(work)
        work.close()  # type: ignore[attr-defined]

    await asyncio.to_thread(begin_and_leave)
    for runner in jobs.runners:
        assert not psutil.pid_exists(runner.pid)


@pytest.mark.parametrize("name", ["broken", "crash", "oom"])
async def test_model_that_does_not_load_is_refused(jobs: Jobs, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelUnusable, match="the model"):
        await jobs.run(jobs.offline.try_loading(tmp_path / f"{name}.gguf"))


async def test_model_that_can_be_loaded_is_fine(jobs: Jobs, tmp_path: Path) -> None:
    steps = await jobs.run(jobs.offline.try_loading(tmp_path / "good.gguf"))

    assert steps
