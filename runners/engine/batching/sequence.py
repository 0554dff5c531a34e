"""State of one sequence: its tokens, how many of them are computed, its sampler and its output."""

import time
from array import array
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from runners.engine.batching.prefix_file import Snapshot
from runners.engine.batching.prompt_logprobs import PromptLogprobs
from runners.engine.batching.repetition import RepetitionDetector
from runners.engine.batching.sampling import TokenSampler
from runners.engine.batching.text_assembler import TextAssembler
from runners.engine.constraints.fallbacks import AnyMatcher
from runners.engine.constraints.matcher import BadConstraint
from runners.engine.drafting.draft_rate import DraftRate
from runners.engine.drafting.prompt_lookup import PromptLookup
from runners.engine.media.layout import Layout, Span
from runners.engine.native.context import Context
from runners.engine.native.llama import Floats
from runners.protocol.adapters import Adapters
from runners.protocol.messages import Done, Generate, StopReason
from runners.protocol.stats import SequenceStats

NO_SLOT = -1
_SHORTEST_NS = 1000


@dataclass(slots=True, eq=False, repr=False)
class SequenceState:
    """A generation request from admission to its last token.

    `tokens` are prompt and output; the first `n_computed` of them are in the KV memory of slot
    `slot`. A preempted sequence has no slot, keeps everything else and is computed again later.
    `n_ctx` bounds the tokens that it may have in memory, `n_limit` those that it may sample.
    """

    request: Generate
    tokens: "array[int]"
    n_truncated: int
    n_limit: int
    n_ctx: int
    sampler: TokenSampler
    matcher: AnyMatcher | None
    text: TextAssembler
    visible: frozenset[int] = frozenset()
    """Control tokens that are sent as text."""
    n_bos: int = 0
    """Tokens at the beginning that the tokenizer added, 0 or 1."""
    adapters: Adapters = ()
    media: Layout | None = None
    boundaries: tuple[int, ...] = ()
    """Lengths of the prompt at which a later one may part from it, such as the ends of turns."""
    stops: list[int] = field(default_factory=list)
    """Lengths at which a checkpoint is due."""
    ends_batches: bool = False
    """Whether no batch goes beyond the next of `stops`."""
    snapshot: Snapshot | None = None
    """A computed prefix from a file, until it is in a slot."""
    encoded: tuple[Span, Floats] | None = None
    """The medium that is encoded but not yet computed, and its embeddings."""
    repetition: RepetitionDetector | None = None
    """Ends the answer when it repeats itself without end."""
    prompt_logprobs: PromptLogprobs | None = None
    """The log probabilities of the prompt, if they are wanted."""
    id: int = field(init=False)
    n_prompt: int = field(init=False)
    arrival: int = 0
    turn: int = 0
    """Its place in the order in which waiting requests are admitted."""
    slot: int = NO_SLOT
    n_computed: int = 0
    n_reused: int = 0
    n_sampled: int = 0
    n_rows: int = 0
    """Rows in the current batch, the last of which is `last_row`."""
    last_row: int = 0
    lookup: PromptLookup | None = None
    """What predicts the next tokens; None: nothing is drafted."""
    draft_rate: DraftRate | None = None
    """How often tokens of the draft model are accepted; None: it drafts nothing."""
    draft: Sequence[int] = ()
    """Predicted tokens in the current batch, behind `last_row`."""
    margins: Sequence[float] = ()
    """The margins of those in `draft`, if the draft model predicted them."""
    is_tied: bool = False
    """Whether the next step must not have a draft, because its choice is a near tie."""
    n_drafted: int = 0
    n_accepted: int = 0
    leader: "SequenceState | None" = None
    """A sequence that is computing the first `n_shared` tokens of this one."""
    n_shared: int = 0
    is_shifted: bool = False
    """Whether a context shift dropped some of `tokens`."""
    ended: bool = False
    queued_ns: int = field(default_factory=time.perf_counter_ns)
    n_preempted: int = 0
    constraint_error: str = ""
    """Why the constraint was dropped."""
    started_ns: int = 0
    first_token_ns: int = 0
    last_token_ns: int = 0

    def __post_init__(self) -> None:
        self.id = self.request.id
        self.n_prompt = len(self.tokens)

    def __repr__(self) -> str:
        place = "no slot" if self.slot == NO_SLOT else f"slot {self.slot}"
        constraint = " constrained" if self.matcher is not None else ""
        return (
            f"<SequenceState {self.id} {place}: {self.n_computed}/{len(self.tokens)} tokens "
            f"computed, {self.n_sampled}/{self.n_limit} sampled{constraint}>"
        )

    @property
    def prefix_key(self) -> Hashable:
        """What the computed tokens depend on besides their ids; see `PrefixIndex`."""
        return self.adapters

    @property
    def n_pending(self) -> int:
        """Tokens that must be computed before the next can be sampled."""
        return len(self.tokens) - self.n_computed

    @property
    def scores_prompt(self) -> bool:
        """Whether logits of its prompt are needed, so that nothing cached can be reused."""
        return self.prompt_logprobs is not None and not self.prompt_logprobs.complete

    @property
    def next_medium(self) -> Span | None:
        """The first medium that is not computed yet, if any."""
        return self.media.next(self.n_computed) if self.media is not None else None

    @property
    def n_text(self) -> int:
        """Pending tokens before the next medium or the end of a batch for a checkpoint."""
        n_text = self.n_pending
        if self.media is not None and (medium := self.next_medium) is not None:
            n_text = max(medium.start - self.n_computed, 0)
        if self.stops and self.ends_batches:
            return min(n_text, self.stops[0] - self.n_computed)
        return n_text

    @property
    def n_ahead(self) -> int:
        """Tokens behind the next one that may be sampled before a limit is reached."""
        return min(self.n_limit - self.n_sampled - 1, self.n_ctx - self.n_computed - 2)

    def position(self, index: int) -> int:
        """Return the position in memory of a token; media may use fewer positions than tokens."""
        return index if self.media is None else self.media.position(index)

    def floor(self, length: int) -> int:
        """Return the largest length up to `length` that splits no medium."""
        return length if self.media is None else self.media.floor(length)

    def start(self, n_reused: int) -> None:
        """Record the start of the work; later starts, after a preemption, are ignored."""
        if not self.started_ns:
            self.started_ns = time.perf_counter_ns()
            self.n_reused = n_reused

    def draw(self, context: Context, *, is_alone: bool) -> int:
        """Return the next token, drawn from the logits of the last row; see `TokenSampler.draw`.

        A constraint that need not hold is dropped when it fails; else raises BadConstraint.
        """
        try:
            return self.sampler.draw(context, self.last_row, self.matcher, is_alone=is_alone)
        except BadConstraint as e:
            if self.request.must_hold:
                raise
            self.matcher, self.constraint_error = None, str(e)
            return self.sampler.draw(context, self.last_row, None)

    def count_token(self) -> None:
        """Record that a token was sampled now."""
        self.n_sampled += 1
        self.last_token_ns = time.perf_counter_ns()
        if self.n_sampled == 1:
            self.first_token_ns = self.last_token_ns

    def stats(self) -> SequenceStats:
        """Return how far it is."""
        return SequenceStats(
            id=self.id,
            n_prompt=self.n_prompt,
            n_computed=min(self.n_computed, self.n_prompt),
            n_reused=self.n_reused,
            n_generated=self.n_sampled,
            is_waiting=self.slot == NO_SLOT,
        )

    def done(self, reason: StopReason) -> Done:
        """Return the terminal event."""
        return Done(
            id=self.id,
            reason=reason,
            stop=self.text.stopped_by,
            queue_ns=max(self.started_ns - self.queued_ns, 0),
            n_preempted=self.n_preempted,
            constraint_error=self.constraint_error,
            n_prompt=self.n_prompt,
            n_reused=self.n_reused,
            n_truncated=self.n_truncated,
            n_eval=self.n_sampled,
            prompt_ns=max(self.first_token_ns - self.started_ns, 0) if self.n_sampled else 0,
            eval_ns=max(self.last_token_ns - self.first_token_ns, _SHORTEST_NS)
            if self.n_sampled
            else 0,
            n_drafted=self.n_drafted,
            n_accepted=self.n_accepted,
            tokens=self._text_tokens() if self.request.return_tokens else None,
        )

    def _text_tokens(self) -> tuple[int, ...] | None:
        """Return the tokens of prompt and output; None when they are not exactly their text."""
        is_cut = self.n_truncated or self.is_shifted or self.text.stopped_by
        return None if is_cut or self.media is not None else tuple(self.tokens[self.n_bos :])
