"""Request intake: tokenise, validate and truncate prompts, outside the loop's thread."""

from array import array

import msgspec
import numpy as np

from runners.engine.batching.prefix_folder import PrefixFolder
from runners.engine.batching.prompt_logprobs import PromptLogprobs
from runners.engine.batching.repetition import RepetitionDetector
from runners.engine.batching.sampling import TokenSampler
from runners.engine.batching.sequence import SequenceState
from runners.engine.batching.text_assembler import TextAssembler
from runners.engine.constraints.fallbacks import compile_with_fallbacks
from runners.engine.constraints.matcher import BadConstraint, ConstraintFactory
from runners.engine.drafting.draft_rate import DraftHistory, DraftRate
from runners.engine.drafting.prompt_lookup import PromptLookup
from runners.engine.embedding.embedder import EmbedTask
from runners.engine.embedding.rerank_input import RerankInput
from runners.engine.media.layout import InvalidMedia, Layout, split
from runners.engine.media.projector import Projector
from runners.engine.native.context import Context
from runners.engine.native.llama import TokenIds
from runners.engine.native.model import Model
from runners.engine.native.tokenizer import NO_SUCH_TOKEN, Tokenizer
from runners.engine.process.truncate import truncate_prompt, truncate_text
from runners.protocol.adapters import Adapters
from runners.protocol.messages import (
    Embed,
    Embedded,
    EmbedInput,
    Failed,
    FailureCode,
    Generate,
)
from runners.protocol.tokens import AnyText, Segment, SegmentedText

_DEFAULT_PREDICT_CONTEXTS = 10
"""Contexts of tokens that a request without `n_predict` may sample."""
_PADDING = 256


class Intake:
    """Turns requests into work for the loop; thread-safe, because it only reads the model."""

    def __init__(
        self,
        model: Model,
        context: Context,
        projector: Projector | None,
        prefixes: PrefixFolder | None = None,
        *,
        n_ctx: int,
        history: DraftHistory | None = None,
    ) -> None:
        self._vocab, self._pools = model.vocab, model.pools
        self._can_draft = context.max_draft > 0
        self._history = history if self._can_draft else None
        self._default_adapters = model.default_adapters
        self._finds_boundaries = not model.keeps_all
        self._projector, self._n_batch = projector, context.n_batch
        self._prefixes = prefixes
        self.tokenizer = Tokenizer(model.vocab)
        self._rerank_input = RerankInput(model.pointer, model.vocab)
        self._constraints = ConstraintFactory(model.vocab)
        self._n_ctx, self._n_embd = n_ctx, context.n_embd
        self._room = min(_padded(n_ctx), context.n_cells, max(model.n_ctx_train, n_ctx))
        longest = min(n_ctx, model.n_ctx_train or n_ctx)
        # A model that pools computes a whole text in one batch.
        self._max_text = min(longest, context.n_batch) if model.pools else longest

    def sequence(self, request: Generate) -> SequenceState | Failed:
        """Return the sequence of `request`, or why it is refused."""
        if self._pools:
            return _refusal(request, FailureCode.COMPUTE, "this model only computes embeddings")
        n_ctx = min(request.n_ctx or self._n_ctx, self._n_ctx)
        room = min(_padded(n_ctx), self._room)
        try:
            tokens, media = self._read(request)
        except InvalidMedia as e:
            return _refusal(request, FailureCode.INVALID_MEDIA, str(e))
        if tokens is None:
            return _refusal(request, FailureCode.BAD_TOKEN, NO_SUCH_TOKEN)
        prompt = self._truncated(request, tokens, n_ctx, room)
        if prompt is None:
            cuts = request.truncate and not request.media
            return _too_long(request, len(tokens), n_ctx if cuts else room)
        visible, constraint = self._vocab.control_tokens(request.visible), request.constraint
        constraint_error = ""
        try:
            matcher = (
                None
                if constraint is None
                else compile_with_fallbacks(self._constraints, constraint, visible)
            )
        except BadConstraint as e:
            if request.must_hold:
                return _refusal(request, FailureCode.BAD_CONSTRAINT, str(e))
            matcher, constraint_error = None, str(e)
        limit = _DEFAULT_PREDICT_CONTEXTS * n_ctx
        adapters = self._adapters(request)
        n_predict = limit if request.n_predict is None else max(request.n_predict, 0)
        n_bos = int(self._vocab.adds_bos and int(prompt[0]) == self._vocab.bos)
        return SequenceState(
            # The decoded media are large and no longer needed.
            request=msgspec.structs.replace(request, media=()) if media else request,
            tokens=array("i", prompt.tobytes()),
            n_truncated=len(tokens) - len(prompt),
            n_limit=min(n_predict, limit),
            n_ctx=room,
            sampler=TokenSampler(request.sampling, self._vocab, n_ctx=n_ctx),
            matcher=matcher,
            constraint_error=constraint_error,
            text=TextAssembler(request.stop, n_unchecked=request.sampling.min_tokens),
            visible=visible,
            n_bos=n_bos,
            boundaries=self._boundaries(request, prompt, n_bos) if self._finds_boundaries else (),
            snapshot=self._prefixes.find(prompt) if self._prefixes and not adapters else None,
            adapters=adapters,
            media=media,
            repetition=RepetitionDetector(self._vocab.full_piece)
            if request.stop_repetition
            else None,
            prompt_logprobs=self._prompt_logprobs(request, prompt),
            lookup=self._lookup(request),
            draft_rate=DraftRate(self._history)
            if self._history is not None and request.n_draft and media is None
            else None,
        )

    def _lookup(self, request: Generate) -> PromptLookup | None:
        if not request.n_draft or not self._can_draft:
            return None
        if not request.prediction:
            return PromptLookup()
        text = SegmentedText((Segment(request.prediction, special=False),))
        return PromptLookup(self._vocab.tokenize(text, add_special=False))

    def _prompt_logprobs(self, request: Generate, prompt: TokenIds) -> PromptLogprobs | None:
        if not request.prompt_logprobs or request.logprobs is None or request.media:
            return None
        return PromptLogprobs(prompt.tolist(), self._vocab, request.logprobs)

    def _boundaries(self, request: Generate, prompt: TokenIds, n_bos: int) -> tuple[int, ...]:
        """Return the lengths at which a later prompt may part from this one."""
        turns = self._vocab.boundaries(prompt)
        if not request.system_bytes:
            return turns
        n_system = self._vocab.n_within(prompt[n_bos:], request.system_bytes)
        # What follows may be merged with the last token.
        return (*turns, max(n_bos + n_system - 1, 0))

    def _adapters(self, request: Generate | Embed) -> Adapters:
        return self._default_adapters if request.adapters is None else request.adapters

    def _read(self, request: Generate) -> tuple[TokenIds | None, Layout | None]:
        """Return the tokens of a prompt and the layout of its media, if any.

        The tokens are None when an id is outside the vocabulary. Raises InvalidMedia.
        """
        prompt = request.prompt
        if not request.media:
            return self._prompt(prompt), None
        if self._projector is None:
            raise InvalidMedia("this model does not accept images or audio")
        if isinstance(prompt, tuple):
            raise InvalidMedia("a prompt of token ids cannot have media: send the prompt as text")
        tokens, layout = self._projector.read(split(prompt, request.media))
        longest = max((span.n_tokens for span in layout.spans if span.whole), default=0)
        if longest > self._n_batch:
            raise InvalidMedia(f"it needs {longest} tokens in one batch: set num_batch to as many")
        return tokens, layout

    def _prompt(self, prompt: AnyText | tuple[int, ...]) -> TokenIds | None:
        """Return the tokens of a prompt or a text; None when an id is outside the vocabulary."""
        if not isinstance(prompt, tuple):
            return self._tokens(prompt)
        if not prompt:
            return self._vocab.placeholder
        is_known = min(prompt) >= 0 and max(prompt) < self._vocab.size
        return np.array(prompt, np.int32) if is_known else None

    def _input(self, text: EmbedInput, query: str | None) -> TokenIds | None:
        if query is None or not isinstance(text, str):
            return self._prompt(text)
        return self._rerank_input.tokens(query, text)

    def _tokens(self, text: AnyText) -> TokenIds:
        """Return the tokens of `text` with special tokens added, at least one."""
        tokens = self._vocab.tokenize(text, add_special=True)
        return tokens if len(tokens) else self._vocab.placeholder

    def _truncated(
        self, request: Generate, tokens: TokenIds, n_ctx: int, room: int
    ) -> TokenIds | None:
        """Return the prompt as it is used; None when it is too long and must not be cut.

        Where a client allows cutting, the context of the request is the limit, else the context
        that llama.cpp rounds up to, as clients of the reference server expect.
        """
        if request.truncate and not request.media and len(tokens) >= n_ctx:
            if not request.shift:
                return None
            return truncate_prompt(tokens, n_ctx, request.n_keep, adds_bos=self._vocab.adds_bos)
        return tokens if len(tokens) < room else None

    def embed_task(self, request: Embed) -> EmbedTask | Embedded | Failed:
        """Return the tokens of the texts of `request`, or its answer when there is no work."""
        if not request.texts:
            return Embedded(id=request.id, dim=self._n_embd, vectors=b"", n_tokens=0)
        texts, longest = [], 0
        limit = min(request.n_ctx or self._max_text, self._max_text)
        for text in request.texts:
            tokens = self._input(text, request.query)
            if tokens is None:
                return _refusal(request, FailureCode.BAD_TOKEN, NO_SUCH_TOKEN)
            longest = max(longest, len(tokens))
            # Cut at once: only what is computed is kept.
            texts.append(truncate_text(tokens, limit, self._vocab.closing))
        if longest > limit and not request.truncate:
            return _too_long(request, longest, limit)
        return EmbedTask(
            request.id,
            texts,
            self._adapters(request),
            is_background=request.is_background,
            owner=request.owner,
        )


def _padded(n_ctx: int) -> int:
    """Round a context up as llama.cpp does."""
    return -(-n_ctx // _PADDING) * _PADDING


def _refusal(request: Generate | Embed, code: FailureCode, message: str) -> Failed:
    return Failed(id=request.id, code=code, message=message)


def _too_long(request: Generate | Embed, n_tokens: int, n_ctx: int) -> Failed:
    return Failed(id=request.id, code=FailureCode.PROMPT_TOO_LONG, n_tokens=n_tokens, n_ctx=n_ctx)
