"""An engine in this process that computes a step when the test says so, on one thread.

Between two steps a test sees exactly what has happened, so nothing depends on time. Arithmetic is
as exact as it gets: a quantised cache or the fused kernel rounds differently in each batch, and
then two tokens that are nearly equally probable may change places.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from runners.engine.batching.sequence import SequenceState
from runners.engine.drafting.draft_cost import DraftCost
from runners.engine.drafting.prompt_lookup import PromptLookup
from runners.engine.drafting.step_cost import MAX_ROWS, StepCost
from runners.engine.embedding.embedder import EmbedTask
from runners.engine.native.llama import lib
from runners.engine.process.engine import Engine
from runners.protocol.adapters import Adapters
from runners.protocol.load_spec import CacheType, FlashAttention
from runners.protocol.logprobs import TokenLogprob
from runners.protocol.messages import (
    Chunk,
    Done,
    Embed,
    Embedded,
    Failed,
    Generate,
    Sampling,
    Step,
)
from runners.protocol.stats import StatsReport
from runners.protocol.tokens import AnyText
from tests.support.prompts import prompt_of
from tests.support.runners import load_spec

GREEDY = Sampling(temperature=0.0)
MOST_STEPS = 20_000
STEADY = {"cache_type": CacheType.F32, "flash_attention": FlashAttention.OFF, "n_threads": 1}
NEAR_TIE = 0.002
"""Log probability by which a choice is clear, whatever else is in the batch."""


class FixedCost(StepCost):
    """Step times that do not depend on the machine: each further row costs a tenth of the first."""

    @property
    def times(self) -> npt.NDArray[np.float64]:
        return 1 + 0.1 * np.arange(-1.0, MAX_ROWS)

    def trusted_rows(self, n_rows: int) -> int:
        return MAX_ROWS


class FreeDrafts(DraftCost):
    """A draft model that takes no time."""

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Stay free."""


@dataclass(eq=False)
class Answer:
    """What one request was answered so far."""

    id: int
    chunks: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprob] = field(default_factory=list)
    end: Done | Failed | Embedded | None = None

    @property
    def text(self) -> str:
        return "".join(self.chunks)

    @property
    def done(self) -> Done:
        assert isinstance(self.end, Done), self.end
        return self.end

    @property
    def failed(self) -> Failed:
        assert isinstance(self.end, Failed), self.end
        return self.end

    @property
    def vectors(self) -> npt.NDArray[np.float32]:
        """The embeddings, one row for each text."""
        assert isinstance(self.end, Embedded), self.end
        return np.frombuffer(self.end.vectors, "<f4").reshape(-1, self.end.dim)

    @property
    def tokens(self) -> list[bytes]:
        """The text of each token; needs `logprobs`."""
        return [entry.chosen.text for entry in self.logprobs]

    def take(self, event: Chunk | Done | Failed | Embedded) -> None:
        """Note an event; nothing may come after the end."""
        assert self.end is None, event
        if isinstance(event, Chunk):
            self.chunks.append(event.text)
            self.logprobs.extend(event.logprobs)
            self.prompt_logprobs.extend(event.prompt_logprobs)
        else:
            self.end = event


class SteppedEngine:
    """Keeps the answers to all requests; `changes` are fields of the `LoadSpec`.

    `on_pause` is called in the middle of a step, whenever a picture that is encoded lets others go
    on.
    """

    def __init__(
        self,
        weights: Path,
        *,
        step_cost: StepCost | None = None,
        near_tie: float = NEAR_TIE,
        stream_interval_ns: int = 0,
        **changes: object,
    ) -> None:
        self.spec = spec = msgspec.structs.replace(load_spec(weights), **{**STEADY, **changes})
        self._answers: list[Answer] = []
        self.on_pause: Callable[[], None] = lambda: None
        self.engine = Engine(
            spec,
            send=self._take,
            on_progress=lambda _: None,
            on_pause=self._pause,
            step_cost=step_cost,
            draft_cost=FreeDrafts(),
            near_tie=near_tie,
            stream_interval_ns=stream_interval_ns,
        )

    def _pause(self) -> None:
        self.on_pause()

    def close(self) -> None:
        """Free the memory of the context."""
        for context in (self.engine._context, self.engine._deterministic._context):
            if context is not None:
                lib.llama_free(context.pointer)

    @property
    def stats(self) -> StatsReport:
        return self.engine.stats(0)

    def ask(
        self,
        prompt: AnyText,
        sampling: Sampling = GREEDY,
        *,
        lookup: PromptLookup | None = None,
        **changes: object,
    ) -> Answer:
        """Submit a prompt; `lookup` predicts its drafts; `changes` are fields of `Generate`."""
        answer = self._open()
        request = Generate(id=answer.id, prompt=prompt, sampling=sampling, **changes)
        sequence = self.engine.intake.sequence(request)
        if lookup is not None and isinstance(sequence, SequenceState) and sequence.lookup:
            sequence.lookup = lookup
        self._submit(sequence)
        return answer

    def embed(
        self,
        *texts: str | tuple[int, ...],
        query: str | None = None,
        n_ctx: int | None = None,
        truncate: bool = True,
        adapters: Adapters | None = None,
        is_background: bool = False,
        owner: str = "",
    ) -> Answer:
        """Submit texts to be embedded, as pairs with `query` if there is one."""
        answer = self._open()
        request = Embed(
            id=answer.id,
            texts=texts,
            query=query,
            n_ctx=n_ctx,
            truncate=truncate,
            adapters=adapters,
            is_background=is_background,
            owner=owner,
        )
        self._submit(self.engine.intake.embed_task(request))
        return answer

    def cancel(self, answer: Answer) -> None:
        self.engine.cancel(answer.id)

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.engine.step()

    def run(self) -> None:
        """Compute until everything is answered."""
        self.run_until(lambda: not self.engine.busy)

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Compute until `condition` holds; fail when it never does."""
        for _ in range(MOST_STEPS):
            if condition():
                return
            self.step()
        raise AssertionError(f"not reached in {MOST_STEPS} steps: {self.stats}")

    def rest(self) -> None:
        """Do what a runner does while nothing is asked of it."""
        while self.engine.n_bytes_idle:
            self.engine.offload(lambda: False)

    def answer(self, prompt: AnyText, sampling: Sampling = GREEDY, **changes: Any) -> Answer:
        """Submit a prompt and compute until everything is answered."""
        answer = self.ask(prompt, sampling, **changes)
        self.run()
        return answer

    def _open(self) -> Answer:
        answer = Answer(len(self._answers))
        self._answers.append(answer)
        return answer

    def _submit(self, made: SequenceState | EmbedTask | Embedded | Failed) -> None:
        if isinstance(made, SequenceState | EmbedTask):
            self.engine.submit(made)
        else:
            self._take(made)

    def _take(self, answer: Step | Embedded | Failed) -> None:
        for event in answer.events if isinstance(answer, Step) else (answer,):
            self._answers[event.id].take(event)


def assert_same_choices(found: Answer, wanted: Answer) -> None:
    """Both took the same tokens, up to the first that was nearly a tie; needs `logprobs` of 2."""
    n_same = 0
    for entry, (first, second, *_) in zip(
        found.logprobs, (entry.top for entry in wanted.logprobs), strict=True
    ):
        if first.logprob - second.logprob < NEAR_TIE:
            break
        assert entry.chosen.text == first.text, f"token {n_same}: {found.text!r}, {wanted.text!r}"
        n_same += 1
    assert n_same, "this prompt shows nothing"


def answer_beside(engine: SteppedEngine, fresh: SteppedEngine, prompt: str) -> Answer:
    """Answer a prompt while another answer is generated, which is the one of `fresh`."""
    other = prompt_of(50, seed=4)
    running = engine.ask(other, n_predict=100, logprobs=2)
    engine.run_until(lambda: len(running.logprobs) > 20)
    answer = engine.ask(prompt, n_predict=30)
    engine.run()
    assert_same_choices(running, fresh.answer(other, n_predict=100, logprobs=2))
    return answer


StartEngine = Callable[..., SteppedEngine]


@contextmanager
def stepped_engines() -> Iterator[StartEngine]:
    """Give what makes engines; afterwards they are closed."""
    engines: list[SteppedEngine] = []

    def start(
        weights: Path,
        *,
        step_cost: StepCost | None = None,
        near_tie: float = NEAR_TIE,
        stream_interval_ns: int = 0,
        **changes: object,
    ) -> SteppedEngine:
        engines.append(
            SteppedEngine(
                weights,
                step_cost=step_cost,
                near_tie=near_tie,
                stream_interval_ns=stream_interval_ns,
                **changes,
            )
        )
        return engines[-1]

    try:
        yield start
    finally:
        for engine in engines:
            engine.close()
