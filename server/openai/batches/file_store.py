"""Store uploaded files and the results of batches, bounded in size and age."""

import os
import sqlite3
from collections.abc import AsyncIterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from server.concurrency.threads import in_thread
from server.openai.batches.folder import Folder
from server.openai.batches.wire import FileObject, Page

_BYTES = """
SELECT (SELECT total(bytes) FROM files)
     + (SELECT total(output_bytes + errors_bytes) FROM batches WHERE ended IS NULL)
"""
_CONTENTS = """
SELECT id FROM files
UNION SELECT output FROM batches WHERE ended IS NULL
UNION SELECT errors FROM batches WHERE ended IS NULL
"""
_EXPIRED = """
DELETE FROM files WHERE expires <= ? AND id NOT IN (SELECT input FROM batches WHERE ended IS NULL)
RETURNING id
"""
_decode = msgspec.json.Decoder(FileObject).decode
_encode = msgspec.json.Encoder().encode


class FileMissing(Exception):
    """There is no such file, or no longer."""


class FileInUse(Exception):
    """A batch still reads the file."""


class StorageFull(Exception):
    """The files are as large together as the setting allows."""


class PageQuery(NamedTuple):
    """The page of a list to return: at most `limit` objects behind the one with the id `after`."""

    limit: int
    newest_first: bool = True
    after: str | None = None


class Table(NamedTuple):
    """The rows of a list: a condition, whose first value is the owner, and the error of `after`."""

    name: str
    condition: str
    missing: type[Exception]


_TABLE = Table(
    "files", "owner = ? AND ifnull(purpose = ?, 1) AND ifnull(expires > ?, 1)", FileMissing
)


class FileStore:
    """The files in `folder`; each belongs to an owner, who alone finds it."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._n_incoming = 0
        self.has_room = True
        """Whether the contents were smaller together than the setting allows, at the last count."""

    async def n_bytes(self) -> int:
        """Return the size of all contents."""
        size = await self._folder.run(
            lambda connection: int(connection.execute(_BYTES).fetchone()[0])
        )
        self.has_room = size < self._folder.max_bytes
        return size

    async def write(self, id: str, parts: AsyncIterable[bytes]) -> int:
        """Write the content of a new file, and return its size.

        Nothing is left of it if that fails. Raises StorageFull, OSError, and what `parts` raises.
        """
        room = self._folder.max_bytes - await self.n_bytes()
        descriptor = await in_thread(self._folder.create, id)
        size = 0
        try:
            async for part in parts:
                size += len(part)
                self._n_incoming += len(part)
                self._require(room)
                await in_thread(_write, descriptor, part)
            await in_thread(os.fsync, descriptor)
        except BaseException:
            self.discard(id)
            raise
        finally:
            self._n_incoming -= size
            os.close(descriptor)
        return size

    def _require(self, room: int) -> None:
        if self._n_incoming > room:
            raise StorageFull

    def discard(self, id: str) -> None:
        """Delete a content, if it is there."""
        with suppress(FileNotFoundError):
            self._folder.content(id).unlink()

    async def add(self, file: FileObject, owner: str) -> None:
        """Add a file whose content is written."""
        await self._folder.run(lambda connection: insert_file(connection, file, owner))

    async def get(self, id: str, owner: str) -> FileObject:
        """Return a file; raises FileMissing."""
        return await self._folder.run(lambda connection: self._find(connection, id, owner))

    def _find(self, connection: sqlite3.Connection, id: str, owner: str) -> FileObject:
        row = connection.execute(
            "SELECT object FROM files WHERE id = ? AND owner = ? AND ifnull(expires > ?, 1)",
            (id, owner, self._folder.now()),
        ).fetchone()
        if row is None:
            raise FileMissing
        return _decode(row[0])

    def path(self, id: str) -> Path:
        """Return where the content of a file lies."""
        return self._folder.content(id)

    async def page(self, owner: str, query: PageQuery, purpose: str | None) -> Page[FileObject]:
        """Return a page of the files; raises FileMissing when there is none with the id `after`."""
        values = owner, purpose, self._folder.now()

        def select(connection: sqlite3.Connection) -> Page[FileObject]:
            rows, has_more = page_rows(connection, _TABLE, values, query)
            return Page.of([_decode(row) for row in rows], has_more=has_more)

        return await self._folder.run(select)

    async def delete(self, id: str, owner: str) -> None:
        """Delete a file; raises FileMissing and FileInUse."""

        def delete(connection: sqlite3.Connection) -> None:
            self._find(connection, id, owner)
            if connection.execute(
                "SELECT 1 FROM batches WHERE input = ? AND ended IS NULL", (id,)
            ).fetchone():
                raise FileInUse
            connection.execute("DELETE FROM files WHERE id = ?", (id,))

        await self._folder.run(delete)
        await in_thread(self.discard, id)

    async def tidy(self) -> None:
        """Delete the files that have expired, and contents that nothing refers to."""

        def delete(connection: sqlite3.Connection) -> tuple[list[str], frozenset[str]]:
            expired = connection.execute(_EXPIRED, (self._folder.now(),)).fetchall()
            known = frozenset(id for (id,) in connection.execute(_CONTENTS))
            return [id for (id,) in expired], known

        expired, known = await self._folder.run(delete)
        for id in expired:
            await in_thread(self.discard, id)
        await in_thread(self._folder.remove_orphans, known)


def insert_file(connection: sqlite3.Connection, file: FileObject, owner: str) -> None:
    """Add a file to the table."""
    connection.execute(
        "INSERT INTO files (id, owner, purpose, bytes, expires, object) VALUES (?, ?, ?, ?, ?, ?)",
        (file.id, owner, file.purpose, file.bytes, file.expires_at, _encode(file)),
    )


def page_rows(
    connection: sqlite3.Connection, table: Table, values: tuple[object, ...], query: PageQuery
) -> tuple[list[bytes], bool]:
    """Return the objects of a page, and whether more follow; raises `missing` without `after`."""
    order, beyond = ("DESC", "<") if query.newest_first else ("ASC", ">")
    condition = table.condition
    if query.after is not None:
        place = connection.execute(
            f"SELECT place FROM {table.name} WHERE id = ? AND owner = ?",  # noqa: S608
            (query.after, values[0]),
        ).fetchone()
        if place is None:
            raise table.missing
        condition, values = f"{condition} AND place {beyond} ?", (*values, *place)
    selected = connection.execute(
        f"SELECT object FROM {table.name} WHERE {condition} "  # noqa: S608
        f"ORDER BY place {order} LIMIT {query.limit + 1}",
        values,
    ).fetchall()
    return [row[0] for row in selected[: query.limit]], len(selected) > query.limit


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
