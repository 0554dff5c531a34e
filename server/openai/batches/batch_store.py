"""Store batches and the lines of their input that are still to be answered.

The results of a batch are appended to two contents. A transaction says up to where they count and
removes the lines that they answer, so after a crash no line is lost and none has two results.
"""

import os
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from server.openai.batches.file_store import PageQuery, Table, insert_file, page_rows
from server.openai.batches.folder import Folder
from server.openai.batches.wire import CANCELLING, ENDED, Batch, FileObject, Page

_OPEN = """
SELECT owner, object, output, errors, keep, cancel FROM batches
WHERE ended IS NULL ORDER BY place
"""
_N_OPEN = "SELECT count(*) FROM batches WHERE ended IS NULL"
_NEXT = """
SELECT model, line, start, length FROM lines
WHERE batch = ? AND (model, line) > (?, ?) ORDER BY model, line LIMIT ?
"""
_KEEP_SECONDS = 30 * 86_400
"""How long a batch that has ended is listed."""
_decode = msgspec.json.Decoder(Batch).decode
_encode = msgspec.json.Encoder().encode


class BatchMissing(Exception):
    """There is no such batch, or no longer."""


_TABLE = Table("batches", "owner = ?", BatchMissing)


class InputLine(NamedTuple):
    """Where a request is in the input: its model, its number, and the bytes of its line."""

    model: str
    number: int
    start: int
    length: int


FIRST = InputLine("", 0, 0, 0)
"""Comes before all lines."""


class StoredBatch(NamedTuple):
    """A batch with its owner, the contents of its results, and how long these are kept."""

    owner: str
    batch: Batch
    output: str
    errors: str
    keep_seconds: int
    is_cancelled: bool = False


class Results(NamedTuple):
    """Results to be stored together: the lines that they answer, and what each content gets."""

    lines: Sequence[InputLine]
    output: bytes
    errors: bytes


class BatchStore:
    """The batches in `folder`; each belongs to an owner, who alone finds it."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    async def add(self, stored: StoredBatch) -> None:
        """Add a batch."""

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO batches (id, owner, input, output, errors, keep, object) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    stored.batch.id,
                    stored.owner,
                    stored.batch.input_file_id,
                    stored.output,
                    stored.errors,
                    stored.keep_seconds,
                    _encode(stored.batch),
                ),
            )

        await self._folder.run(insert)

    async def get(self, id: str, owner: str) -> Batch:
        """Return a batch; raises BatchMissing."""
        return await self._folder.run(lambda connection: _find(connection, id, owner))

    async def cancel(self, id: str, owner: str) -> Batch:
        """Note that a batch is to be cancelled unless it has ended, and return it as it is then.

        Raises BatchMissing.
        """

        def update(connection: sqlite3.Connection) -> Batch:
            batch = _find(connection, id, owner)
            if batch.status not in (*ENDED, CANCELLING):
                batch.status, batch.cancelling_at = CANCELLING, int(self._folder.now())
                connection.execute("UPDATE batches SET cancel = 1 WHERE id = ?", (id,))
                _update(connection, id, _encode(batch))
            return batch

        return await self._folder.run(update)

    async def n_open(self) -> int:
        """Return how many batches have not ended."""
        return await self._folder.run(
            lambda connection: int(connection.execute(_N_OPEN).fetchone()[0])
        )

    async def page(self, owner: str, query: PageQuery) -> Page[Batch]:
        """Return a page of the batches; raises BatchMissing without one with the id `after`."""

        def select(connection: sqlite3.Connection) -> Page[Batch]:
            rows, has_more = page_rows(connection, _TABLE, (owner,), query)
            return Page.of([_decode(row) for row in rows], has_more=has_more)

        return await self._folder.run(select)

    async def open(self) -> list[StoredBatch]:
        """Return the batches that have not ended, the oldest first."""

        def select(connection: sqlite3.Connection) -> list[StoredBatch]:
            return [
                StoredBatch(owner, _decode(batch), output, errors, keep, bool(cancel))
                for owner, batch, output, errors, keep, cancel in connection.execute(_OPEN)
            ]

        return await self._folder.run(select)

    async def put(self, batch: Batch) -> None:
        """Store how far a batch is."""
        encoded = _encode(batch)
        await self._folder.run(lambda connection: _update(connection, batch.id, encoded))

    async def clear_lines(self, batch: Batch) -> None:
        """Forget the lines of a batch, whose input is read again."""
        await self._folder.run(
            lambda connection: connection.execute("DELETE FROM lines WHERE batch = ?", (batch.id,))
        )

    async def add_lines(self, batch: Batch, lines: Sequence[InputLine]) -> None:
        """Add lines that are to be answered."""

        def insert(connection: sqlite3.Connection) -> None:
            rows = [(batch.id, *line) for line in lines]
            connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", rows)

        await self._folder.run(insert)

    async def lines(self, batch: Batch, after: InputLine, limit: int) -> list[InputLine]:
        """Return the next lines that have no result, in the order of their models."""

        def select(connection: sqlite3.Connection) -> list[InputLine]:
            values = (batch.id, after.model, after.number, limit)
            return [InputLine(*row) for row in connection.execute(_NEXT, values)]

        return await self._folder.run(select)

    async def add_results(self, stored: StoredBatch, results: Results) -> None:
        """Store results, and the state of their batch that counts them; all of it or nothing."""
        batch, encoded = stored.batch, _encode(stored.batch)

        def append(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "SELECT output_bytes, errors_bytes FROM batches WHERE id = ?", (batch.id,)
            ).fetchone()
            contents = (stored.output, results.output), (stored.errors, results.errors)
            sizes = [
                self._append(id, data, size) for (id, data), size in zip(contents, row, strict=True)
            ]
            connection.execute(
                "UPDATE batches SET output_bytes = ?, errors_bytes = ? WHERE id = ?",
                (*sizes, batch.id),
            )
            connection.executemany(
                "DELETE FROM lines WHERE batch = ? AND model = ? AND line = ?",
                [(batch.id, line.model, line.number) for line in results.lines],
            )
            _update(connection, batch.id, encoded)

        await self._folder.run(append)

    def _append(self, id: str, data: bytes, size: int) -> int:
        """Append to the first `size` bytes of a content, sync it, and return its new size."""
        if not data:
            return size
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._folder.content(id), flags, 0o600)
        try:
            # What lies behind was written by a server that was killed before it counted.
            os.ftruncate(descriptor, size)
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], size + written)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return size + len(data)

    async def end(self, stored: StoredBatch) -> Batch:
        """Store the end of a batch, and its results as files; returns it with their ids."""
        batch, now = stored.batch, int(self._folder.now())

        def end(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "SELECT output_bytes, errors_bytes FROM batches WHERE id = ?", (batch.id,)
            ).fetchone()
            for id, size, name in zip(
                (stored.output, stored.errors), row, ("output", "error"), strict=True
            ):
                if size:
                    self._cut(id, size)
                    file = FileObject(
                        id=id,
                        bytes=size,
                        created_at=now,
                        filename=f"{batch.id}_{name}.jsonl",
                        purpose="batch_output",
                        expires_at=now + stored.keep_seconds,
                    )
                    insert_file(connection, file, stored.owner)
            output_size, errors_size = row
            batch.output_file_id = stored.output if output_size else None
            batch.error_file_id = stored.errors if errors_size else None
            connection.execute("DELETE FROM lines WHERE batch = ?", (batch.id,))
            connection.execute("UPDATE batches SET ended = ? WHERE id = ?", (now, batch.id))
            _update(connection, batch.id, _encode(batch))

        await self._folder.run(end)
        return batch

    def _cut(self, id: str, size: int) -> None:
        os.truncate(self._folder.content(id), size)

    async def tidy(self) -> None:
        """Forget the batches that ended long ago."""
        oldest = self._folder.now() - _KEEP_SECONDS
        await self._folder.run(
            lambda connection: connection.execute("DELETE FROM batches WHERE ended < ?", (oldest,))
        )


def _find(connection: sqlite3.Connection, id: str, owner: str) -> Batch:
    row = connection.execute(
        "SELECT object FROM batches WHERE id = ? AND owner = ?", (id, owner)
    ).fetchone()
    if row is None:
        raise BatchMissing
    return _decode(row[0])


def _update(connection: sqlite3.Connection, id: str, batch: bytes) -> None:
    connection.execute("UPDATE batches SET object = ? WHERE id = ?", (batch, id))
