"""Embeddings: the texts of all requests batched together.

Embedding models pool each text themselves. For a generative model the vector is the mean of the
last layer over the text's tokens, computed in borrowed slots, so that cached prefixes stay.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from runners.engine.batching.sequence import NO_SLOT
from runners.engine.batching.slots import Slots
from runners.engine.batching.thread_tuner import ThreadTuner
from runners.engine.native.context import Context
from runners.engine.native.llama import ABORTED, ALLOCATION_FAILED, NO_ROOM, OK, native_log
from runners.protocol.adapters import Adapters
from runners.protocol.messages import Embedded, Failed, FailureCode

_ENCODER_ROWS = 512
"""Rows of a batch of several texts: attention costs the square of them, masked or not."""
_ALL = slice(None)
Tokens = npt.NDArray[np.int32]


@dataclass(slots=True, eq=False)
class EmbedTask:
    """A request whose texts are tokenised and fit."""

    id: int
    texts: Sequence[Tokens]
    adapters: Adapters = ()
    is_background: bool = False
    owner: str = ""
    n_started: int = 0
    vectors: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Text:
    """A text that is being computed: its index in the task, and its progress."""

    task: EmbedTask
    index: int
    slot: int
    n_computed: int = 0
    total: npt.NDArray[np.float64] | float = 0.0

    @property
    def tokens(self) -> Tokens:
        return self.task.texts[self.index]


class Embedder:
    """Computes tasks on the loop's thread, one batch per step."""

    def __init__(self, context: Context, slots: Slots, tuner: ThreadTuner, *, pools: bool) -> None:
        self._context, self._slots, self._tuner, self._pools = context, slots, tuner, pools
        self._tasks: deque[EmbedTask] = deque()
        self._group: list[_Text] = []
        self._n_tasks: Counter[str] = Counter()
        self._n_started: dict[str, int] = {}
        """Texts that were begun of each owner that has tasks; the next one is of the fewest."""
        rows = min(context.n_batch, context.n_outputs)
        self._n_rows = rows if context.has_memory else min(rows, _ENCODER_ROWS)
        self._blocked_at = -1
        """`Slots.n_releases` when there was no room; there is none until it grows."""
        self._is_held = False

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        return bool(self._tasks) and any(not self._holds(task) for task in self._tasks)

    def hold(self, *, is_held: bool) -> None:
        """Stop computing the texts of background requests, or go on with them."""
        self._is_held = is_held
        if any(self._holds(text.task) for text in self._group):
            self._restart()

    def _holds(self, task: EmbedTask) -> bool:
        return self._is_held and task.is_background

    def submit(self, task: EmbedTask) -> None:
        """Queue a request, which has at least one text."""
        self._tasks.append(task)
        self._n_tasks[task.owner] += 1
        self._n_started.setdefault(task.owner, min(self._n_started.values(), default=0))

    def cancel(self, request_id: int) -> list[Failed]:
        """Drop a request that was cancelled; return its terminal event, unless it is unknown."""
        tasks = [task for task in self._tasks if task.id == request_id]
        return [self._fail(task, FailureCode.COMPUTE, "cancelled") for task in tasks]

    def fail_all(self, message: str) -> list[Failed]:
        """Fail every request, after an error that leaves the state unknown."""
        return [self._fail(task, FailureCode.COMPUTE, message) for task in list(self._tasks)]

    def step(self) -> list[Embedded | Failed]:
        """Compute one batch; return the answers that it completed."""
        if not self._pools and self._group and not self._is_intact():
            self._restart()
        if not self._group:
            self._form_group()
        if not self._group:
            return []
        status = self._compute()
        if status == OK:
            return self._collect()
        if status == ABORTED or (status == NO_ROOM and self._may_find_room()):
            return []
        code = FailureCode.OUT_OF_MEMORY if status == ALLOCATION_FAILED else FailureCode.COMPUTE
        tasks = dict.fromkeys(text.task for text in self._group)
        return [self._fail(task, code, native_log.take_error()) for task in tasks]

    # Groups.

    def _form_group(self) -> None:
        """Take texts of all tasks in turn, as many as fit a batch; a longer text goes alone."""
        if self._blocked_at == self._slots.n_releases:
            return
        n_rows = 0
        while len(self._group) < self._context.n_seq and (task := self._next_task()):
            size = len(task.texts[task.n_started])
            if self._group and task.adapters != self._group[0].task.adapters:
                self._tasks.rotate(1)  # it is the first of the next group
                break
            if self._group and n_rows + size > self._n_rows:
                break
            slot = len(self._group) if self._pools else self._slots.borrow(size)
            if slot == NO_SLOT:
                break
            self._group.append(_Text(task, task.n_started, slot))
            task.n_started += 1
            self._n_started[task.owner] += 1
            n_rows += size

    def _next_task(self) -> EmbedTask | None:
        """Return the next task, round robin, that has texts left; owners take turns too."""
        if len(self._n_started) > 1:
            return self._next_task_of_owners()
        for _ in range(len(self._tasks)):
            self._tasks.rotate(-1)
            task = self._tasks[-1]
            if task.n_started < len(task.texts) and not self._holds(task):
                return task
        return None

    def _next_task_of_owners(self) -> EmbedTask | None:
        first: dict[str, EmbedTask] = {}
        for task in self._tasks:
            if task.n_started < len(task.texts) and not self._holds(task):
                first.setdefault(task.owner, task)
        if not first:
            return None
        task = first[min(first, key=lambda owner: self._n_started[owner])]
        self._tasks.remove(task)
        self._tasks.append(task)
        return task

    def _remove(self, task: EmbedTask) -> None:
        self._tasks.remove(task)
        self._n_tasks[task.owner] -= 1
        if not self._n_tasks[task.owner]:
            del self._n_tasks[task.owner], self._n_started[task.owner]

    def _is_intact(self) -> bool:
        return self._slots.borrowed.issuperset(text.slot for text in self._group)

    def _restart(self) -> None:
        """Put the group back in the queue: its slots were cleared, or others need them."""
        for text in reversed(self._group):
            text.task.n_started = min(text.task.n_started, text.index)
            self._release(text)
        self._group.clear()

    def _may_find_room(self) -> bool:
        """Free cells that the count says are free, as with sliding-window layers.

        Idle prefixes are dropped first, then the group waits for a running sequence to end. False
        when there are neither.
        """
        if self._slots.drop_idle():
            return True
        if not self._slots.any_running:
            return False
        self._restart()
        self._blocked_at = self._slots.n_releases
        return True

    # Computing.

    def _compute(self) -> int:
        context = self._context
        row = 0
        for text in self._group:
            part = self._part(text)
            context.put(row, part, text.n_computed, text.slot, _ALL)
            row += len(part)
        context.set_threads(self._tuner.choose(row))
        context.use_adapters(self._group[0].task.adapters)
        if self._pools:
            context.clear()
            return context.decode(row)
        context.set_embeddings(enabled=True)
        try:
            return context.decode(row)
        finally:
            context.set_embeddings(enabled=False)

    def _part(self, text: _Text) -> Tokens:
        """Return the tokens of the next batch: all of them where the model pools."""
        if self._pools:
            return text.tokens
        return text.tokens[text.n_computed : text.n_computed + self._n_rows]

    def _collect(self) -> list[Embedded | Failed]:
        row = 0
        finished = []
        for text in self._group:
            n_rows = len(self._part(text))
            if self._pools:
                text.task.vectors[text.index] = self._context.text_vector(text.slot).copy()
            else:
                self._add(text, row, n_rows)
            text.n_computed += n_rows
            row += n_rows
            if text.n_computed == len(text.tokens):
                finished.append(text)
        for text in finished:
            self._group.remove(text)
            self._release(text)
        tasks = dict.fromkeys(text.task for text in finished)
        return [self._answer(task) for task in tasks if len(task.vectors) == len(task.texts)]

    def _add(self, text: _Text, row: int, n_rows: int) -> None:
        vectors = [self._context.token_vector(row + index) for index in range(n_rows)]
        text.total = text.total + np.sum(vectors, axis=0, dtype=np.float64)
        if text.n_computed + n_rows == len(text.tokens):
            mean = np.asarray(text.total) / len(text.tokens)
            text.task.vectors[text.index] = mean.astype(np.float32)

    def _release(self, text: _Text) -> None:
        if not self._pools and text.slot in self._slots.borrowed:
            self._slots.give_back(text.slot)

    # Ending.

    def _answer(self, task: EmbedTask) -> Embedded | Failed:
        self._remove(task)
        rows = np.stack([task.vectors[index] for index in range(len(task.texts))])
        if not np.isfinite(rows).all():
            return Failed(
                id=task.id,
                code=FailureCode.NOT_FINITE,
                message="embedding contains NaN or Inf values",
            )
        return Embedded(
            id=task.id,
            dim=rows.shape[1],
            vectors=rows.astype("<f4").tobytes(),
            n_tokens=sum(map(len, task.texts)),
        )

    def _fail(self, task: EmbedTask, code: FailureCode, message: str) -> Failed:
        for text in [text for text in self._group if text.task is task]:
            self._group.remove(text)
            self._release(text)
        self._remove(task)
        return Failed(id=task.id, code=code, message=message)
