"""Commands on their way to the loop: tokenised, checked and made ready, off the loop's thread."""

from array import array

import msgspec
import numpy as np

from runners.engine.batching.sampling import TokenSampler
from runners.engine.batching.sequence import SequenceState
from runners.engine.batching.text_assembler import TextAssembler
from runners.engine.constraints.matcher import BadConstraint, ConstraintFactory
from runners.engine.embedding.embedder import EmbedTask
from runners.engine.embedding.rerank_input import RerankInput
from runners.engine.media.layout import InvalidMedia, Layout, split
from runners.engine.media.projector import Projector
from runners.engine.native.context import Context
from runners.engine.native.llama import TokenIds
from runners.engine.native.model import Model
from runners.engine.native.tokenizer import NO_SUCH_TOKEN, Tokenizer
from runners.engine.process.truncate import kept_prompt, kept_text
from runners.protocol.messages import (
    Embed,
    Embedded,
    EmbedInput,
    Failed,
    FailureCode,
    Generate,
)

_LIMIT_IN_CONTEXTS = 10
_PADDING = 256


class Intake:
    """Turns commands into work; several threads may, because it only reads the model."""

    def __init__(
        self, model: Model, context: Context, projector: Projector | None, *, n_ctx: int
    ) -> None:
        self._vocab, self._pools = model.vocab, model.pools
        self._projector, self._n_batch = projector, context.n_batch
        self.tokenizer = Tokenizer(model.vocab)
        self._pairs = RerankInput(model.pointer, model.vocab)
        self._constraints = ConstraintFactory(model.vocab)
        self._n_ctx, self._n_embd = n_ctx, context.n_embd
        self._room = min(_padded(n_ctx), context.n_cells, max(model.n_ctx_train, n_ctx))
        longest = min(n_ctx, model.n_ctx_train or n_ctx)
        # A model that pools must see the whole text in one batch.
        self._longest_text = min(longest, context.n_batch) if model.pools else longest

    def sequence(self, request: Generate) -> SequenceState | Failed:
        """Return the generation that `request` asks for, or why it is refused."""
        if self._pools:
            return _refusal(request, FailureCode.COMPUTE, "this model only computes embeddings")
        n_ctx = min(request.n_ctx or self._n_ctx, self._n_ctx)
        room = min(_padded(n_ctx), self._room)
        try:
            tokens, media = self._read(request)
        except InvalidMedia as e:
            return _refusal(request, FailureCode.BAD_MEDIUM, str(e))
        if tokens is None:
            return _refusal(request, FailureCode.BAD_TOKEN, NO_SUCH_TOKEN)
        kept = self._kept(request, tokens, n_ctx, room)
        if kept is None:
            cuts = request.truncate and not request.media
            return _too_long(request, len(tokens), n_ctx if cuts else room)
        visible, form = self._vocab.control_tokens(request.visible), request.constraint
        try:
            matcher = None if form is None else self._constraints.compile(form, visible)
        except BadConstraint as e:
            if request.must_hold:
                return _refusal(request, FailureCode.BAD_CONSTRAINT, str(e))
            matcher = None
        limit = _LIMIT_IN_CONTEXTS * n_ctx
        wanted = request.n_predict if request.n_predict and request.n_predict > 0 else limit
        return SequenceState(
            # Pixels and samples are not needed any more, and may be many.
            request=msgspec.structs.replace(request, media=()) if media else request,
            tokens=array("i", kept.tobytes()),
            n_truncated=len(tokens) - len(kept),
            n_limit=min(wanted, limit),
            n_ctx=room,
            sampler=TokenSampler(request.sampling, self._vocab, n_ctx=n_ctx),
            matcher=matcher,
            text=TextAssembler(request.stop),
            visible=visible,
            media=media,
        )

    def _read(self, request: Generate) -> tuple[TokenIds | None, Layout | None]:
        """Return the tokens of a prompt, and its media if it has any.

        No tokens when it has ids that the model does not have. Raises InvalidMedia.
        """
        prompt = request.prompt
        if not request.media:
            return self._prompt(prompt), None
        if self._projector is None:
            raise InvalidMedia("this model can neither see nor hear")
        if not isinstance(prompt, str):
            raise InvalidMedia("a prompt of token ids has no place for it")
        tokens, layout = self._projector.read(split(prompt, request.media))
        longest = max((span.n_tokens for span in layout.spans if span.whole), default=0)
        if longest > self._n_batch:
            raise InvalidMedia(f"it is read in one batch: set num_batch to at least {longest}")
        return tokens, layout

    def _prompt(self, given: str | tuple[int, ...]) -> TokenIds | None:
        """Return the tokens of a prompt or a text, None for ids that the model does not have."""
        if isinstance(given, str):
            return self._tokens(given)
        known = all(0 <= token < self._vocab.size for token in given)
        return (np.array(given, np.int32) if given else self._vocab.placeholder) if known else None

    def _input(self, text: EmbedInput, query: str | None) -> TokenIds | None:
        if query is None or not isinstance(text, str):
            return self._prompt(text)
        return self._pairs.tokens(query, text)

    def _tokens(self, text: str) -> TokenIds:
        """Return the tokens of `text` with the model's own around them, one at least."""
        tokens = self._vocab.tokenize(text, add_special=True)
        return tokens if len(tokens) else self._vocab.placeholder

    def _kept(self, request: Generate, tokens: TokenIds, n_ctx: int, room: int) -> TokenIds | None:
        """Return what is used of a prompt; None when it is too long and must not be cut.

        Where a client allows cutting, the context that it asked for counts, else the one that
        llama.cpp rounds up to: that is what clients of the reference server see.
        """
        if request.truncate and not request.media and len(tokens) >= n_ctx:
            if not request.shift:
                return None
            return kept_prompt(tokens, n_ctx, request.n_keep, adds_bos=self._vocab.adds_bos)
        return tokens if len(tokens) < room else None

    def embed_task(self, request: Embed) -> EmbedTask | Embedded | Failed:
        """Return the texts of `request` as tokens, or its answer when nothing is to be computed."""
        if not request.texts:
            return Embedded(id=request.id, dim=self._n_embd, vectors=b"", n_tokens=0)
        found = [self._input(text, request.query) for text in request.texts]
        texts = [tokens for tokens in found if tokens is not None]
        if len(texts) < len(found):
            return _refusal(request, FailureCode.BAD_TOKEN, NO_SUCH_TOKEN)
        longest = max(map(len, texts))
        if longest > self._longest_text and not request.truncate:
            return _too_long(request, longest, self._longest_text)
        closing = self._vocab.closing
        cut = [kept_text(tokens, self._longest_text, closing) for tokens in texts]
        return EmbedTask(request.id, cut)


def _padded(n_ctx: int) -> int:
    """Round a context up as llama.cpp does."""
    return -(-n_ctx // _PADDING) * _PADDING


def _refusal(request: Generate | Embed, code: FailureCode, message: str) -> Failed:
    return Failed(id=request.id, code=code, message=message)


def _too_long(request: Generate | Embed, n_tokens: int, n_ctx: int) -> Failed:
    return Failed(id=request.id, code=FailureCode.PROMPT_TOO_LONG, n_tokens=n_tokens, n_ctx=n_ctx)
