"""Upload, find and delete files."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from server.errors import InvalidParameter
from server.openai.batches.file_store import (
    FileInUse,
    FileMissing,
    FileStore,
    PageQuery,
    StorageFull,
)
from server.openai.batches.folder import Folder
from server.openai.batches.schemas import MAX_KEEP, MIN_KEEP
from server.openai.batches.service import new_file_id
from server.openai.batches.upload import Upload
from server.openai.batches.wire import FileDeleted, FileObject, Page

_PURPOSES: Final = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_EXPIRING: Final = "batch"


class FileService:
    """The files in `store`, in terms of the API; every method raises InvalidParameter."""

    def __init__(self, folder: Folder, store: FileStore) -> None:
        self._folder, self._store = folder, store

    async def upload(
        self, content_type: str, stream: AsyncIterator[bytes], owner: str
    ) -> FileObject:
        """Store the file of a form; raises BadRequest for a damaged one."""
        form, id = Upload(content_type, stream), new_file_id()
        try:
            size = await self._store.write(id, form.pieces())
        except StorageFull:
            raise InvalidParameter(
                "The files take all the space that they may have: delete some, or set "
                "PADDOCK_KEEP_FILES.",
                "file",
                status=413,
            ) from None
        try:
            file = self._file(id, size, form)
            await self._store.add(file, owner)
        except BaseException:
            self._store.discard(id)
            raise
        return file

    def _file(self, id: str, size: int, form: Upload) -> FileObject:
        purpose = form.fields.get("purpose", "")
        if purpose not in _PURPOSES:
            raise InvalidParameter(f"purpose must be one of {', '.join(_PURPOSES)}.", "purpose")
        now = int(self._folder.now())
        keep = _keep_seconds(form.fields)
        if keep is None and purpose == _EXPIRING:
            keep = MAX_KEEP
        return FileObject(
            id=id,
            bytes=size,
            created_at=now,
            filename=form.filename or "upload",
            purpose=purpose,
            expires_at=None if keep is None else now + keep,
        )

    async def get(self, id: str, owner: str) -> FileObject:
        """Return a file."""
        try:
            return await self._store.get(id, owner)
        except FileMissing:
            raise _no_file(id) from None

    async def content(self, id: str, owner: str) -> Path:
        """Return where the content of a file lies."""
        return self._store.path((await self.get(id, owner)).id)

    async def page(self, owner: str, query: PageQuery, purpose: str | None) -> Page[FileObject]:
        """Return a page of the files."""
        try:
            return await self._store.page(owner, query, purpose)
        except FileMissing:
            raise _no_file(str(query.after)) from None

    async def delete(self, id: str, owner: str) -> FileDeleted:
        """Delete a file."""
        try:
            await self._store.delete(id, owner)
        except FileMissing:
            raise _no_file(id) from None
        except FileInUse:
            raise InvalidParameter(
                "The file is the input of a batch that has not ended: cancel that first.",
                "id",
                status=409,
            ) from None
        return FileDeleted(id)


def _keep_seconds(fields: dict[str, str]) -> int | None:
    """Return how long a file is kept, None where the form does not say."""
    anchor, seconds = (fields.get(f"expires_after[{name}]") for name in ("anchor", "seconds"))
    if anchor is None and seconds is None:
        return None
    is_number = seconds is not None and seconds.isdecimal() and len(seconds) < 10
    if anchor != "created_at" or not is_number or not MIN_KEEP <= int(seconds or 0) <= MAX_KEEP:
        raise InvalidParameter(
            f"expires_after must have the anchor created_at and {MIN_KEEP} to {MAX_KEEP} seconds.",
            "expires_after",
        )
    return int(seconds or 0)


def _no_file(id: str) -> InvalidParameter:
    return InvalidParameter(f"No such File object: {id}", "id", status=404)
