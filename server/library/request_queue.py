"""Queue of requests: which wait or run, for how long, and how far loads and prompts are."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from runners.host.model_request import LoadStatus
from runners.host.scheduler import Scheduler
from runners.protocol.stats import SequenceStats
from server.request_record import Phase, RequestRecord, current
from server.running_requests import RunningRequests


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestProgress:
    """How far a request is; `ratio` of the load or of the prompt is done, None if unknown.

    Tokens are the sums of its answers.
    """

    record: RequestRecord
    phase: Phase
    ratio: float | None = None
    n_prompt: int = 0
    n_computed: int = 0
    n_cached: int = 0
    n_generated: int = 0


class RequestQueue:
    """Reads the progress of requests from the scheduler and its runners."""

    def __init__(self, requests: RunningRequests, scheduler: Scheduler) -> None:
        self._requests, self._scheduler = requests, scheduler

    def cancel(self, request_id: str) -> bool:
        """Cancel the requests with this id; return whether there are any."""
        return self._requests.cancel(request_id)

    async def progress(self) -> list[RequestProgress]:
        """Return how far each request to a model is, the oldest first; asks every runner.

        Those for models that the caller may not use are left out.
        """
        may_use = current().caller.may_use
        records = self._requests.with_model()
        return await self._progress([r for r in records if may_use(r.pending_model or r.model)])

    async def progress_of(self, record: RequestRecord) -> RequestProgress | None:
        """Return how far one request is; None before it needs a model."""
        return next(iter(await self._progress([record])), None)

    async def _progress(self, records: Iterable[RequestRecord]) -> list[RequestProgress]:
        loads = {load.request.name: load for load in self._scheduler.loads()}
        waiting = {Phase.QUEUED, None}
        sequences: dict[int, list[SequenceStats]] = {}
        if any(record.phase not in waiting for record in records):
            sequences = await self._sequences()
        return [
            _progress_of(record, loads.get(record.pending_model), sequences.get(id(record), []))
            for record in records
            if record.phase is not None
        ]

    async def _sequences(self) -> dict[int, list[SequenceStats]]:
        """Return the generations of all runners by their owners."""
        found = defaultdict(list)
        for runner in (await self._scheduler.usage()).runners:
            for sequence in runner.stats.sequences if runner.stats is not None else ():
                if (owner := runner.owners.get(sequence.id)) is not None:
                    found[id(owner)].append(sequence)
        return found


def _progress_of(
    record: RequestRecord, load: LoadStatus | None, sequences: list[SequenceStats]
) -> RequestProgress:
    phase = record.phase
    assert phase is not None
    if phase is Phase.QUEUED and load is not None:
        return RequestProgress(record=record, phase=Phase.LOADING, ratio=load.progress)
    if not sequences:
        return RequestProgress(record=record, phase=phase)
    n_prompt = sum(sequence.n_prompt for sequence in sequences)
    n_computed = sum(sequence.n_computed for sequence in sequences)
    phase = min(map(_phase_of, sequences), key=_LATEST_FIRST.index)
    return RequestProgress(
        record=record,
        phase=phase,
        ratio=n_computed / max(1, n_prompt) if phase is Phase.PREFILL else None,
        n_prompt=n_prompt,
        n_computed=n_computed,
        n_cached=sum(sequence.n_reused for sequence in sequences),
        n_generated=sum(sequence.n_generated for sequence in sequences),
    )


_LATEST_FIRST = (Phase.DECODE, Phase.PREFILL, Phase.QUEUED)


def _phase_of(sequence: SequenceStats) -> Phase:
    if sequence.is_waiting:
        return Phase.QUEUED
    return Phase.DECODE if sequence.n_generated else Phase.PREFILL
