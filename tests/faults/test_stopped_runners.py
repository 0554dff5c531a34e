"""A runner that is alive but silent, in each phase of its work, is replaced; others go on."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.streams import Line, generating
from tests.support.tiny_models import write_llama

pytestmark = pytest.mark.anyio

MODELS = ("idle", "decode", "prompt", "embed", "tokenize", "load", "other")
ENDLESS = {"temperature": 1.0, "num_predict": 200_000, "num_ctx": 16_384}
ONE_THREAD = {"num_thread": 1}
NOTICED_SECONDS = 15
LONG_PROMPT = "Once upon a time there was a dog. " * 250


MAPPED = {"use_mmap": True}
"""So that the files which a process maps tell which model it has."""


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, Path]:
    """A file for each phase, so that each has a runner of its own."""
    return {
        name: write_llama(
            tmp_path / f"{name}.gguf",
            n_ctx=16_384,
            n_layers=8 if name == "prompt" else 2,
            n_embd=384 if name == "prompt" else 64,
            seed=seed,
            ends=False,
        )
        for seed, name in enumerate(MODELS)
    }


@pytest.fixture
def server(tmp_path: Path, weights: dict[str, Path]) -> Iterator[LiveServer]:
    with live_server(
        tmp_path, OLLAMA_MAX_LOADED_MODELS="9", OLLAMA_CONTEXT_LENGTH="16384"
    ) as running:
        for name, file in weights.items():
            running.create(name, file)
        yield running


async def test_a_stopped_runner_is_replaced_whatever_it_was_doing_and_others_go_on(
    server: LiveServer, weights: dict[str, Path]
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=120) as http:
        others: list[Line] = []
        other = asyncio.create_task(_ask_again_and_again(http, "other", others))
        for name in ("idle", "decode", "embed"):
            await _post(http, "generate", model=name, prompt="", keep_alive=-1)
        await _post(http, "generate", model="prompt", prompt="", options=ONE_THREAD)
        decode: list[Line] = []
        decoding = asyncio.create_task(_stream(http, "decode", decode))
        await _until(lambda: len(decode) > 3)
        assert eventually(lambda: len(_without_model(server)) == 1)
        (tokenizer,) = _without_model(server)
        await _post(http, "tokenize", model="tokenize", prompt="a")
        assert eventually(lambda: len(_without_model(server)) == 2)
        (standby,) = [each for each in _without_model(server) if each != tokenizer]
        assert eventually(lambda: standby.num_threads() > 1), "it is ready: its reader runs"

        prompt = asyncio.create_task(_prompt(http))
        await _until_it_computes(_runner_of(server, weights["prompt"]))
        with_model = [weights[name] for name in ("idle", "decode", "prompt", "embed")]
        stopped = [*(_runner_of(server, file) for file in with_model), tokenizer, standby]
        for runner in stopped:
            runner.suspend()
        load = asyncio.create_task(_post(http, "generate", model="load", prompt="a"))
        embedding = asyncio.create_task(_post(http, "embed", model="embed", input="a"))
        tokens = asyncio.create_task(_post(http, "tokenize", model="tokenize", prompt="a"))

        assert await _all_end(stopped)
        await decoding
        assert ["error" in line for line in decode] == [False] * (len(decode) - 1) + [True]
        silence = re.search(r"did not respond for (\d+) seconds", decode[-1]["error"])
        assert silence is not None
        assert int(silence[1]) <= NOTICED_SECONDS
        assert (await prompt)["done"], "nothing had been sent of it, so it was tried again"
        assert (await embedding)["embeddings"]
        assert (await tokens)["tokens"]
        assert (await load)["done"], "its load began in the standby runner"
        assert (await _post(http, "generate", model="idle", prompt="a"))["done"]

        n_answers = len(others)
        await _until(lambda: len(others) > n_answers + 3)
        assert not other.done()
        other.cancel()
        assert all(answer["done"] for answer in others)


def _runner_of(server: LiveServer, weights: Path) -> psutil.Process:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    (runner,) = [each for each in server.runners() if _maps(each, digest)]
    return runner


def _without_model(server: LiveServer) -> list[psutil.Process]:
    """Return the standby runner, and those that only tokenize."""
    runners = [each for each in server.runners() if "runners" in each.cmdline()]
    return [each for each in runners if not _maps(each, "blobs/sha256-")]


def _maps(process: psutil.Process, path: str) -> bool:
    return any(path in each.path for each in process.memory_maps())


async def _post(http: httpx.AsyncClient, path: str, **body: Any) -> Line:
    options = {"num_predict": 4, **MAPPED, **body.pop("options", {})}
    body = {"raw": True, "stream": False, "options": options, **body}
    answer = (await http.post(f"/api/{path}", json=body)).json()
    assert "error" not in answer, answer
    return answer


async def _prompt(http: httpx.AsyncClient) -> Line:
    return await _post(http, "generate", model="prompt", prompt=LONG_PROMPT, options=ONE_THREAD)


async def _stream(
    http: httpx.AsyncClient, model: str, lines: list[Line], **options: object
) -> None:
    async with generating(http, model, "Once", **{**ENDLESS, **MAPPED, **options}) as stream:
        async for line in stream:
            lines.append(line)  # noqa: PERF401  # read by the test meanwhile


async def _ask_again_and_again(http: httpx.AsyncClient, model: str, answers: list[Line]) -> None:
    while True:
        answers.append(await _post(http, "generate", model=model, prompt="Once"))


async def _until_it_computes(runner: psutil.Process) -> None:
    before = runner.cpu_times().user
    await _until(lambda: runner.cpu_times().user > before + 0.1)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.01)


def _all_end(runners: list[psutil.Process]) -> Awaitable[bool]:
    return asyncio.to_thread(
        eventually, lambda: not any(runner.is_running() for runner in runners), seconds=100
    )
