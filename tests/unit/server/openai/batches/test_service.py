"""Batches over restarts and crashes, with a full disk, and when their time is over."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.http.background_requests import BackgroundReply
from server.openai.batches.file_store import FileStore, PageQuery
from server.openai.batches.files import FileService
from server.openai.batches.folder import Folder
from server.openai.batches.schemas import NewBatch
from server.openai.batches.service import BatchService
from server.openai.batches.wire import ENDED, Batch
from server.openai.batches.worker import CONCURRENCY
from tests.support.batches import lines, request

pytestmark = pytest.mark.anyio

BOUNDARY = "multipart/form-data; boundary=x"
DAY = 86_400
PAGE = PageQuery(limit=9)


class Engine:
    """Answers each request with its prompt; `stops_after` so many it answers no more."""

    def __init__(self, stops_after: float = float("inf"), statuses: tuple[int, ...] = ()) -> None:
        self.stops_after = stops_after
        self.statuses = list(statuses)
        self.prompts: list[str] = []
        self.n_running = self.most_running = 0

    async def __call__(self, path: str, body: bytes, owner: str) -> BackgroundReply:
        self.n_running += 1
        self.most_running = max(self.n_running, self.most_running)
        try:
            await asyncio.sleep(0)
            if len(self.prompts) >= self.stops_after:
                await asyncio.Event().wait()
            prompt = json.loads(body)["prompt"]
            self.prompts.append(prompt)
            status = self.statuses.pop(0) if self.statuses else 200
            usage = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
            reply = json.dumps({"text": prompt, "usage": usage})
            return BackgroundReply(status, "req_1", reply.encode())
        finally:
            self.n_running -= 1


class World:
    """A server's batches, and the time."""

    def __init__(self, directory: Path, engine: Engine, max_bytes: int, time: float) -> None:
        self.time, self.engine = time, engine
        self.path = directory / "files"
        self.folder = Folder(self.path, max_bytes, clock=lambda: self.time)
        store = FileStore(self.folder)
        self.files = FileService(self.folder, store)
        self.service = BatchService(self.folder, store)
        self.service.connect(engine)
        self.service.wake()

    async def create(self, content: bytes, **fields: Any) -> Batch:
        head = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        disposition = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        file = await self.files.upload(
            BOUNDARY, parts(head + disposition + content + b"\r\n--x--\r\n"), ""
        )
        body = {"input_file_id": file.id, "endpoint": "/v1/completions", **fields}
        return await self.service.create(NewBatch.model_validate(body), "")

    async def until(self, id: str, condition: Callable[[Batch], bool]) -> Batch:
        async with asyncio.timeout(60):
            while not condition(batch := await self.service.get(id, "")):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return batch

    async def ended(self, id: str) -> Batch:
        return await self.until(id, lambda batch: batch.status in ENDED)

    async def results(self, file: str | None) -> dict[str, Any]:
        assert file is not None
        path = await self.files.content(file, "")
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert len({row["custom_id"] for row in rows}) == len(rows)
        return {row["custom_id"]: row for row in rows}


async def parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


@asynccontextmanager
async def world(
    directory: Path, engine: Engine, max_bytes: int = 1 << 30, time: float = 1e9
) -> AsyncIterator[World]:
    made = World(directory, engine, max_bytes, time)
    try:
        yield made
    finally:
        await made.service.stop()
        await made.folder.close()


def requests(count: int) -> bytes:
    return lines(request(str(n), prompt=f"prompt {n}") for n in range(count))


async def test_a_batch_goes_on_after_a_restart_and_answers_no_request_twice(
    tmp_path: Path,
) -> None:
    engine = Engine(stops_after=700)
    async with world(tmp_path, engine) as w:
        batch = await w.create(requests(1000))
        before = await w.until(batch.id, lambda batch: batch.request_counts.completed == 700)
        assert (before.status, before.output_file_id) == ("in_progress", None)
    engine.stops_after = float("inf")
    async with world(tmp_path, engine) as w:
        done = await w.ended(batch.id)

        assert (done.request_counts.completed, done.request_counts.failed) == (1000, 0)
        assert (done.usage.input_tokens, done.usage.total_tokens) == (2000, 3000)
        found = await w.results(done.output_file_id)
        assert {id: row["response"]["body"]["text"] for id, row in found.items()} == {
            str(n): f"prompt {n}" for n in range(1000)
        }
        assert len(engine.prompts) == len(set(engine.prompts)) == 1000


async def test_a_result_that_was_written_and_not_counted_is_written_again(tmp_path: Path) -> None:
    """A server may be killed between the two, in the middle of a line too."""
    engine = Engine(stops_after=5)
    async with world(tmp_path, engine) as w:
        batch = await w.create(requests(9))
        await w.until(batch.id, lambda batch: batch.request_counts.completed == 5)
    with sqlite3.connect(w.path / "batches.db") as database:
        [(output,)] = database.execute("SELECT output FROM batches")
    with (w.path / "files" / output).open("ab") as content:
        content.write(b'{"id":"batch_req_1","custom_id":"8"}\n{"id":"batch_req')
    engine.stops_after = 9
    async with world(tmp_path, engine) as w:
        done = await w.ended(batch.id)

        assert len(await w.results(done.output_file_id)) == 9


async def test_an_interrupted_check_of_the_input_begins_again(tmp_path: Path) -> None:
    async with world(tmp_path, Engine()) as w:
        w.service._is_closing = True  # it is not checked yet
        await w.service.stop()
        batch = await w.create(requests(9))
    with sqlite3.connect(w.path / "batches.db") as database:
        database.execute("INSERT INTO lines VALUES (?, 'base', 1, 0, 9)", (batch.id,))
    async with world(tmp_path, Engine()) as w:
        done = await w.ended(batch.id)

        assert done.request_counts.completed == 9


async def test_a_cancellation_outlives_a_restart(tmp_path: Path) -> None:
    engine = Engine(stops_after=5)
    async with world(tmp_path, engine) as w:
        batch = await w.create(requests(9))
        await w.until(batch.id, lambda batch: batch.request_counts.completed == 5)
        w.service._is_closing = True
        await w.service.stop()
        assert (await w.service.cancel(batch.id, "")).status == "cancelling"
    async with world(tmp_path, Engine()) as w:
        done = await w.ended(batch.id)

        assert done.status == "cancelled"
        assert len(await w.results(done.output_file_id)) == 5


async def test_what_is_not_answered_in_time_expires(tmp_path: Path) -> None:
    engine = Engine(stops_after=5)
    async with world(tmp_path, engine) as w:
        batch = await w.create(requests(2000))
        await w.until(batch.id, lambda batch: batch.request_counts.completed == 5)
    async with world(tmp_path, engine, time=1e9 + DAY) as w:
        done = await w.ended(batch.id)

        assert (done.status, done.expired_at) == ("expired", int(1e9) + DAY)
        assert (done.request_counts.completed, done.request_counts.failed) == (5, 1995)
        assert len(await w.results(done.output_file_id)) == 5
        found = await w.results(done.error_file_id)
        assert len(found) == 1995
        row = found["1999"]
        assert (row["response"], row["error"]["code"]) == (None, "batch_expired")


async def test_a_request_that_there_is_no_place_for_is_sent_again(tmp_path: Path) -> None:
    engine = Engine(statuses=(503, 429))
    async with world(tmp_path, engine) as w:
        batch = await w.create(requests(1))

        done = await w.ended(batch.id)

        assert done.request_counts.completed == 1
        assert engine.prompts == ["prompt 0"] * 3


async def test_only_so_many_requests_are_sent_at_once(tmp_path: Path) -> None:
    engine = Engine()
    async with world(tmp_path, engine) as w:
        await w.ended((await w.create(requests(200))).id)

        assert engine.most_running <= CONCURRENCY


async def test_a_batch_waits_while_the_files_are_as_large_as_they_may_be(tmp_path: Path) -> None:
    engine = Engine()
    content = requests(9)
    async with world(tmp_path, engine, max_bytes=len(content)) as w:
        batch = await w.create(content)
        await w.until(batch.id, lambda batch: batch.status == "in_progress")
        await asyncio.sleep(0.05)

        assert engine.prompts == []
        w.folder.max_bytes = 1 << 20


async def test_files_and_batches_are_forgotten_in_time(tmp_path: Path) -> None:
    async with world(tmp_path, Engine()) as w:
        done = await w.ended((await w.create(requests(3))).id)
        assert len(list((w.path / "files").iterdir())) == 2
    async with world(tmp_path, Engine(), time=1e9 + 31 * DAY) as w:
        async with asyncio.timeout(60):
            while list((w.path / "files").iterdir()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        page = await w.files._store.page("", PAGE, None)
        assert page.data == []
        with pytest.raises(Exception, match="No batch found"):
            await w.service.get(done.id, "")


async def test_one_of_two_servers_that_share_the_folder_works_on_its_batches(
    tmp_path: Path,
) -> None:
    first, second = Engine(), Engine()
    async with world(tmp_path, first) as one:
        await one.ended((await one.create(requests(1))).id)
        async with world(tmp_path, second) as other:
            batch = await other.create(requests(50))
            one.service.wake()

            done = await other.ended(batch.id)

            assert done.request_counts.completed == 50
            assert (len(first.prompts), second.prompts) == (51, [])
            assert len(await other.results(done.output_file_id)) == 50


async def test_a_folder_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async with world(tmp_path, Engine()) as w:
        await w.create(requests(1))
    database = w.path / "batches.db"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 99")
    content = database.read_bytes()
    async with world(tmp_path, Engine()) as w:
        with pytest.raises(sqlite3.DatabaseError, match="newer version"):
            await w.service.get("batch_1", "")
        assert database.read_bytes() == content
