"""Token sampling: llama.cpp sampler chains, penalties, logit bias, and log probabilities."""

import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from typing import Any

import numpy as np

from runners.engine.batching.candidates import MAX_REACH, Candidates
from runners.engine.constraints.fallbacks import AnyMatcher
from runners.engine.native.context import Context
from runners.engine.native.llama import Floats, accept_token, apply_sampler, lib, sample
from runners.engine.native.vocab import Vocab
from runners.protocol.logprobs import TokenAlternative, TokenLogprob
from runners.protocol.messages import (
    Sampling,
)

_SEED_BITS = 32
_LEAST_LOGPROB = float(np.finfo(np.float32).min)


class NaNLogits(Exception):
    """The model computed what is not a number, so no token is likelier than any other."""


class SamplerChain:
    """A llama.cpp sampler chain; freed with the object."""

    def __init__(self, stages: Iterable[Any] = (), *, chain: Any = None) -> None:
        if chain is None:
            chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        self._chain = chain
        for stage in stages:
            lib.llama_sampler_chain_add(self._chain, stage)

    def copy(self) -> "SamplerChain":
        """Return a chain in the same state, that of its random numbers included."""
        return SamplerChain(chain=lib.llama_sampler_clone(self._chain))

    def __del__(self) -> None:
        if not sys.is_finalizing():
            lib.llama_sampler_free(self._chain)

    def accept(self, token: int) -> None:
        """Add a token that the chain did not draw to its history."""
        accept_token(self._chain, token)

    def draw_among(self, candidates: Candidates) -> int:
        """Draw one of the tokens that were selected, and accept it."""
        apply_sampler(self._chain, candidates.pointer)
        token = candidates.selected()
        accept_token(self._chain, token)
        return token

    def draw(self, context: Context, row: int) -> int:
        """Draw a token from the logits of a row, and accept it."""
        return int(sample(self._chain, context.pointer, row))


class TokenSampler:
    """Draws the tokens of one request; `start` passes it the prompt once."""

    def __init__(self, sampling: Sampling, vocab: Vocab, *, n_ctx: int) -> None:
        # llama.cpp allocates memory for every token of the window.
        self._window = min(sampling.repeat_last_n, n_ctx) if sampling.repeat_last_n >= 0 else n_ctx
        self._penalises = self._window > 0 and (
            sampling.repeat_penalty != 1
            or sampling.presence_penalty != 0
            or sampling.frequency_penalty != 0
        )
        self._is_greedy = sampling.temperature <= 0
        self._suppressed = list(vocab.suppressed)
        self._ends = list(vocab.end_tokens) if sampling.ignore_eos or sampling.min_tokens else []
        self._n_left = -1 if sampling.ignore_eos else sampling.min_tokens
        """Tokens that are still to be drawn before one may end the generation; -1: it never may."""
        self._bias = {t: b for t, b in sampling.logit_bias.items() if 0 <= t < vocab.size}
        # Without penalties and bias, greedy sampling needs no chain: numpy's argmax is faster.
        self._is_argmax = sampling.temperature <= 0 and not self._penalises and not self._bias
        self._chain = None if self._is_argmax else SamplerChain(self._stages(sampling, vocab))
        self._candidates = None if self._is_argmax else self._fewer_candidates(sampling, vocab)

    def _fewer_candidates(self, sampling: Sampling, vocab: Vocab) -> Candidates | None:
        """Return what finds the tokens that `top_k` can leave, None where all have to be sorted.

        A penalty moves tokens of its window below others, so as many more are candidates.
        """
        lowers = sampling.repeat_penalty >= 1 and (
            min(sampling.presence_penalty, sampling.frequency_penalty) >= 0
        )
        if self._bias or (self._penalises and not lowers):
            return None
        top_k = 1 if self._is_greedy else sampling.top_k
        reach = top_k + (self._window if self._penalises else 0)
        return Candidates(min(reach, vocab.size)) if top_k > 0 and reach <= MAX_REACH else None

    def _stages(self, sampling: Sampling, vocab: Vocab) -> Iterator[Any]:
        if self._bias:
            entries = (lib.llama_logit_bias * len(self._bias))(*self._bias.items())
            yield lib.llama_sampler_init_logit_bias(vocab.size, len(self._bias), entries)
        if self._penalises:
            yield lib.llama_sampler_init_penalties(
                vocab.size,
                self._window,
                sampling.repeat_penalty,
                sampling.frequency_penalty,
                sampling.presence_penalty,
            )
        if sampling.temperature <= 0:
            yield lib.llama_sampler_init_greedy()
        else:
            yield from _random_stages(sampling)

    def is_tied(self, context: Context, row: int, margin: float) -> bool:
        """Whether the two best logits differ by at most `margin`, so that rounding may decide.

        Only a greedy choice can be tied: other draws are random, and as good with either.
        """
        if not self._is_greedy:
            return False
        logits = context.logits(row)
        best = int(logits.argmax())
        peak, logits[best] = logits[best], -np.inf
        second, logits[best] = logits.max(), peak
        return not peak - second > margin

    def start(self, prompt: Sequence[int]) -> None:
        """Add the end of the prompt to the penalties' history: repeating it is repetition too."""
        if self._penalises and self._chain is not None:
            for token in prompt[-self._window :]:
                if token >= 0:  # a negative id is a placeholder of a medium
                    self._chain.accept(token)

    def draw(
        self, context: Context, row: int, matcher: AnyMatcher | None, *, is_alone: bool = False
    ) -> int:
        """Return the next token, drawn from the logits of `row` and allowed by `matcher`.

        `is_alone`: it is the only draw after a step, which has replaced all code in the processor's
        caches, so that one call of llama.cpp takes half as long as the look for candidates.

        The token is drawn first, and the logits are masked only when the constraint rejects it.
        Penalties would count the rejected token, so with them the mask comes first, or the chain
        is put back as it was. Raises BadConstraint when no token is allowed.
        """
        if self._suppressed:
            context.logits(row)[self._suppressed] = -np.inf
        if self._n_left:
            context.logits(row)[self._ends] = -np.inf
            self._n_left -= 1
        if matcher is None:
            return self._draw(context, row, is_alone=is_alone)
        if matcher.samples_first or not self._penalises:
            before = self._chain.copy() if self._penalises and self._chain is not None else None
            token = self._draw(context, row, is_alone=is_alone)
            if matcher.allows(token):
                matcher.accept(token)
                return token
            self._chain = self._chain if before is None else before
        matcher.mask(context.logits(row))
        token = self._draw(context, row)
        matcher.accept(token)
        return token

    def _draw(self, context: Context, row: int, *, is_alone: bool = False) -> int:
        logits = context.logits(row)
        if self._chain is None:
            token = int(logits.argmax())
        elif not is_alone and self._candidates is not None and self._candidates.select(logits):
            token = self._chain.draw_among(self._candidates)
        else:
            token = self._chain.draw(context, row)
        # One NaN among weights spreads to all logits, so a look at one of them is enough.
        if isnan(logits[token]):
            raise NaNLogits
        return token


def _random_stages(sampling: Sampling) -> Iterator[Any]:
    """Yield the stages in the reference server's order, without those that change nothing."""
    if sampling.top_k > 0:
        yield lib.llama_sampler_init_top_k(sampling.top_k)
    if sampling.typical_p < 1:
        yield lib.llama_sampler_init_typical(sampling.typical_p, 0)
    if sampling.top_p < 1:
        yield lib.llama_sampler_init_top_p(sampling.top_p, 0)
    if sampling.min_p > 0:
        yield lib.llama_sampler_init_min_p(sampling.min_p, 0)
    yield lib.llama_sampler_init_temp_ext(sampling.temperature, 0.0, 1.0)
    seed = sampling.seed if sampling.seed is not None else secrets.randbits(_SEED_BITS)
    yield lib.llama_sampler_init_dist(seed % 2**_SEED_BITS)


def logprob_of(vocab: Vocab, logits: Floats, token: int, n_top: int) -> TokenLogprob:
    """Return natural-log probabilities by the raw logits, before any sampling stage."""
    peak = logits.max()
    log_sum = float(peak) + float(np.log(np.exp(logits - peak).sum(dtype=np.float64)))

    def entry(index: int) -> TokenAlternative:
        logprob = max(float(logits[index]) - log_sum, _LEAST_LOGPROB)
        return TokenAlternative(vocab.full_piece(index), logprob)

    n_top = min(n_top, len(logits))
    best = np.argpartition(logits, -n_top)[-n_top:] if n_top else np.empty(0, np.intp)
    ordered = best[np.argsort(-logits[best], kind="stable")]
    return TokenLogprob(entry(token), tuple(entry(int(index)) for index in ordered))
