"""The requests that are being answered: listed, and cancelled by id."""

from collections.abc import Iterator

from server.request_record import RequestRecord


class RunningRequests:
    """The records of the requests that have begun and not ended.

    Clients may choose the ids of requests, so one id may belong to several.
    """

    def __init__(self) -> None:
        self._records: dict[int, RequestRecord] = {}

    def begin(self, record: RequestRecord) -> None:
        """Add a request."""
        self._records[id(record)] = record

    def end(self, record: RequestRecord) -> None:
        """Remove a request."""
        self._records.pop(id(record), None)

    def with_model(self) -> Iterator[RequestRecord]:
        """Yield the requests that wait for a model or use one, the oldest first."""
        return (record for record in tuple(self._records.values()) if record.phase is not None)

    def cancel(self, request_id: str) -> bool:
        """Cancel the requests with this id; return whether there are any."""
        matches = [each for each in self._records.values() if each.id == request_id]
        return sum(record.interrupt() for record in matches) > 0
