"""What was computed outlives the runner: after the next load a prompt that begins alike goes on.

The answers are those of an engine that computes everything, whatever is in the directory.
"""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runners.protocol.prefixes import PrefixStorage
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import (
    StartEngine,
    SteppedEngine,
    answer_beside,
    assert_same_choices,
)
from tests.support.tiny_architectures import write_gemma2, write_jamba, write_mamba
from tests.support.tiny_models import write_llama

SECONDS = 60.0
BEGINNING = prompt_of(400)

Start = Callable[..., SteppedEngine]


def write_full(path: Path) -> Path:
    return write_llama(path, n_ctx=1024, ends=False)


WRITERS = {
    "full": write_full, "window": write_gemma2, "recurrent": write_mamba, "hybrid": write_jamba,
}  # fmt: skip


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("prefixes")
    return {kind: write(directory / f"{kind}.gguf") for kind, write in WRITERS.items()}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "prefixes"
    folder.mkdir()
    return folder


@pytest.fixture
def kind() -> str:
    return "full"


@pytest.fixture
def start(start_engine: StartEngine, models: dict[str, Path], kind: str, directory: Path) -> Start:
    """Starts engines of one model that share the directory."""

    def start(
        *, model: str = "weights.key", max_bytes: int = 1 << 30, **changes: object
    ) -> SteppedEngine:
        storage = PrefixStorage(str(directory), model, max_bytes)
        sizes = {"n_ctx": 1024, "n_cells": 2048, "n_batch": 128, "n_seq": 2, "prefixes": storage}
        return start_engine(models[kind], **{**sizes, **changes})

    return start


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


@pytest.fixture
def saved(start: Start, directory: Path) -> Path:
    """The file of `BEGINNING` and 30 tokens of an answer."""
    engine = start()
    engine.answer(BEGINNING, n_predict=30)
    assert engine.engine.save_prefixes(SECONDS) == 1
    (file,) = files(directory)
    return file


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("tail", ["", " one day she said"])
def test_prompt_goes_on_from_what_an_earlier_runner_computed(
    start: Start, saved: Path, tail: str
) -> None:
    engine = start()

    answer = engine.answer(BEGINNING + tail, n_predict=30, logprobs=2)

    assert answer.done.n_reused >= 400 - 20
    fresh = start(prefixes=None)
    assert_same_choices(answer, fresh.answer(BEGINNING + tail, n_predict=30, logprobs=2))
    assert engine.answer(BEGINNING + tail, n_predict=30).done.n_reused >= 400 - 20


def test_file_is_for_its_owner_alone(saved: Path) -> None:
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:100],
        lambda data: b"",
        lambda data: data + b"x",
        lambda data: b"x" + data[1:],
        lambda data: data[:16] + b"\xff\xff\xff\x7f" + data[20:],
        lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :],
    ],
    ids=["cut", "short", "empty", "long", "magic", "header", "state", "digest", "hole"],
)
def test_damaged_file_is_a_miss(
    start: Start, saved: Path, damage: Callable[[bytes], bytes]
) -> None:
    saved.write_bytes(damage(saved.read_bytes()))
    engine, fresh = start(), start(prefixes=None)

    answer = engine.answer(BEGINNING, n_predict=30, logprobs=2)

    assert answer.done.n_reused == 0
    assert not saved.exists()
    assert_same_choices(answer, fresh.answer(BEGINNING, n_predict=30, logprobs=2))


def test_a_file_of_another_version_is_a_miss_and_stays(start: Start, saved: Path) -> None:
    """It can be used again after going back to that version."""
    content = b"paddock prefix 9" + saved.read_bytes()[16:]
    saved.write_bytes(content)

    assert start().answer(BEGINNING, n_predict=1).done.n_reused <= 1
    assert saved.read_bytes() == content


def test_file_that_disappears_is_a_miss(start: Start, saved: Path) -> None:
    engine = start()
    engine.answer(prompt_of(300, seed=3), n_predict=1)
    saved.unlink()

    assert engine.answer(BEGINNING, n_predict=1).done.n_reused <= 1


def test_states_of_other_models_are_not_read(start: Start, saved: Path) -> None:
    other = start(model="weights.other")

    assert other.answer(BEGINNING, n_predict=1).done.n_reused == 0
    assert saved.exists()


def test_state_that_the_context_has_no_room_for_is_not_read(start: Start, saved: Path) -> None:
    small = start(n_ctx=256, n_cells=256)

    assert small.answer(prompt_of(250), n_predict=1).done.n_reused == 0


def test_least_recently_used_files_make_room(start: Start, saved: Path, directory: Path) -> None:
    old = time.time() - 100
    os.utime(saved, (old, old))
    limit = saved.stat().st_size * 2
    engine = start(max_bytes=limit)
    engine.answer(prompt_of(400, seed=1), n_predict=30)
    engine.answer(prompt_of(400, seed=2), n_predict=30)

    engine.engine.save_prefixes(SECONDS)

    assert saved not in files(directory)
    assert sum(file.stat().st_size for file in files(directory)) <= limit
    assert start().answer(prompt_of(400, seed=2), n_predict=1).done.n_reused == 399


def test_prefix_that_has_a_file_is_not_written_again(
    start: Start, saved: Path, directory: Path
) -> None:
    engine = start()
    engine.answer(BEGINNING + " one day", n_predict=10)

    assert engine.engine.save_prefixes(SECONDS) == 0
    assert files(directory) == [saved]


def test_longer_conversation_replaces_its_earlier_file(
    start: Start, saved: Path, directory: Path
) -> None:
    engine = start()
    longer = f"{BEGINNING} {prompt_of(200, seed=1)}"
    engine.answer(longer, n_predict=10)

    assert engine.engine.save_prefixes(SECONDS) == 1

    (file,) = files(directory)
    assert file != saved
    assert start().answer(longer, n_predict=1).done.n_reused >= 590


def test_without_time_nothing_is_written(start: Start, directory: Path) -> None:
    engine = start()
    engine.answer(BEGINNING, n_predict=1)

    assert engine.engine.save_prefixes(0.0) == 0
    assert files(directory) == []


def test_short_prompts_are_not_saved(start: Start, directory: Path) -> None:
    engine = start()
    engine.answer(prompt_of(100), n_predict=1)

    assert engine.engine.save_prefixes(SECONDS) == 0


def test_directory_that_cannot_be_written_loses_nothing_else(start: Start, directory: Path) -> None:
    engine = start()
    engine.answer(BEGINNING, n_predict=1)
    directory.rmdir()

    assert engine.engine.save_prefixes(SECONDS) == 0
    assert engine.answer(BEGINNING, n_predict=1).done.n_reused == 399


def test_running_answers_go_on_while_a_prefix_is_restored(start: Start, saved: Path) -> None:
    engine, fresh = start(), start(prefixes=None)

    answer = answer_beside(engine, fresh, BEGINNING)

    assert answer.done.n_reused == 399
