"""/v1/files and /v1/batches: the objects of the replies; times are seconds since 1970."""

from typing import Final, Generic, TypeVar

import msgspec

VALIDATING: Final = "validating"
IN_PROGRESS: Final = "in_progress"
FAILED: Final = "failed"
COMPLETED: Final = "completed"
EXPIRED: Final = "expired"
CANCELLING: Final = "cancelling"
CANCELLED: Final = "cancelled"
ENDED: Final = frozenset((FAILED, COMPLETED, EXPIRED, CANCELLED))
"""The states of a batch that nothing is done for any more."""


class FileObject(msgspec.Struct, kw_only=True):
    """A stored file; `bytes` is its size."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    object: str = "file"
    expires_at: int | None = None
    status: str = "processed"
    status_details: str | None = None


class FileDeleted(msgspec.Struct):
    """What deleting a file returns."""

    id: str
    object: str = "file"
    deleted: bool = True


class BatchError(msgspec.Struct):
    """Why the input of a batch is refused: the fault of a line, counted from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class BatchErrors(msgspec.Struct):
    """The faults of a batch's input, the first ones of many."""

    data: list[BatchError]
    object: str = "list"


class RequestCounts(msgspec.Struct):
    """How many requests a batch has, and how many of them have ended."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class CachedTokens(msgspec.Struct):
    """Input tokens that were taken from the cache."""

    cached_tokens: int = 0


class ReasoningTokens(msgspec.Struct):
    """Output tokens of reasoning."""

    reasoning_tokens: int = 0


class BatchUsage(msgspec.Struct):
    """Tokens of all requests of a batch that have ended."""

    input_tokens: int = 0
    input_tokens_details: CachedTokens = msgspec.field(default_factory=CachedTokens)
    output_tokens: int = 0
    output_tokens_details: ReasoningTokens = msgspec.field(default_factory=ReasoningTokens)
    total_tokens: int = 0


class Batch(msgspec.Struct, kw_only=True):
    """A batch and how far it is."""

    id: str
    object: str = "batch"
    endpoint: str
    model: str | None = None
    errors: BatchErrors | None = None
    input_file_id: str
    completion_window: str
    status: str = VALIDATING
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int
    in_progress_at: int | None = None
    expires_at: int
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: RequestCounts = msgspec.field(default_factory=RequestCounts)
    usage: BatchUsage = msgspec.field(default_factory=BatchUsage)
    metadata: dict[str, str] | None = None


class LineResponse(msgspec.Struct):
    """The reply to a request of a batch; `body` is its JSON."""

    status_code: int
    request_id: str
    body: msgspec.Raw


class LineError(msgspec.Struct):
    """Why a request of a batch has no reply."""

    code: str
    message: str


class LineResult(msgspec.Struct):
    """A line of an output file or of an error file."""

    id: str
    custom_id: str
    response: LineResponse | None = None
    error: LineError | None = None


_T = TypeVar("_T", FileObject, Batch)


class Page(msgspec.Struct, Generic[_T]):
    """A part of a list."""

    data: list[_T]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"

    @classmethod
    def of(cls, data: list[_T], *, has_more: bool) -> "Page[_T]":
        """Return the page with these objects."""
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return cls(data, first, last, has_more)
