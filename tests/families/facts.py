"""What the engine does with a tiny model of an architecture."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runners.engine.native.tokenizer import load_tokenizer
from runners.protocol.messages import Detokenize, Embedded, Sampling, StopReason, Text, Tokenize
from tests.support.families.builder import pieces_of, write_family
from tests.support.families.hyperparameters import END_TOKENS
from tests.support.oracle import Oracle
from tests.support.prompts import prompt_of
from tests.support.runners import load_spec
from tests.support.stepped_engine import FixedCost, SteppedEngine, stepped_engines

ENDLESS = Sampling(temperature=0.0, ignore_eos=True)
TEXT = "Once upon a time there was a little girl"
LONG = prompt_of(250)
"""Long enough for a checkpoint of a model that cannot go back in its memory."""
SMALL, LARGE = 96, 512
N_PREDICT = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was seen; the last five are of models that generate.

    `keeps_text` says that tokens turn back into their text, `unstopped` names tokens that should
    end an answer and don't, `shares` that a second request computes less than the first,
    `goes_on` that an answer goes on when the context is full, and `drafts` that tokens which were
    drafted are accepted.
    """

    embeds: bool
    keeps_text: bool
    unstopped: tuple[str, ...] = ()
    answer: str = ""
    shares: bool = False
    goes_on: bool = False
    drafts: bool = False


def measured(path: Path, architecture: str) -> Facts:
    """Write a model to `path`, load it and use it."""
    write_family(path, architecture)
    with stepped_engines() as start:
        engine = start(path, n_ctx=LARGE, step_cost=FixedCost())
        if engine.engine.ready.pooled:
            return _embedding(engine)
        full = start(path, n_ctx=SMALL).answer("Once", ENDLESS, n_predict=N_PREDICT)
        goes_on = full.done.n_eval == N_PREDICT
        return replace(_generative(engine, path, architecture), goes_on=goes_on)


def _embedding(engine: SteppedEngine) -> Facts:
    vectors = [_vector(engine, text) for text in (TEXT, TEXT, "sun")]
    assert all(np.isfinite(vector).all() and vector.any() for vector in vectors)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[2], atol=1e-3)
    return Facts(embeds=True, keeps_text=True)


def _vector(engine: SteppedEngine, text: str) -> npt.NDArray[np.float32]:
    answer = engine.embed(text)
    engine.run()
    assert isinstance(answer.end, Embedded), answer.end
    return answer.vectors[0]


def _generative(engine: SteppedEngine, path: Path, architecture: str) -> Facts:
    first = engine.answer(LONG, ENDLESS, n_predict=12, return_tokens=True)
    second = engine.answer(LONG, ENDLESS, n_predict=12)
    assert second.text == first.text
    drafted = engine.answer(LONG, ENDLESS, n_predict=12, n_draft=4, lookup=Oracle(first))
    ids = {text: number for number, (text, _, _) in enumerate(pieces_of(architecture))}
    ends = ("</s>", *END_TOKENS.get(architecture, ()))
    return Facts(
        embeds=False,
        keeps_text=_keeps_text(path),
        unstopped=tuple(text for text in ends if not _ends(engine, ids[text])),
        answer=first.text,
        shares=second.done.n_reused > 0,
        drafts=drafted.done.n_accepted > 0,
    )


def _keeps_text(path: Path) -> bool:
    tokenizer = load_tokenizer(load_spec(path))
    tokens = tokenizer.tokens(Tokenize(id=0, text=TEXT, add_special=False))
    text = tokenizer.text(Detokenize(id=1, tokens=tokens.tokens))
    return isinstance(text, Text) and text.text.strip() == TEXT


def _ends(engine: SteppedEngine, token: int) -> bool:
    """Tell whether an answer ends when the model writes a token."""
    certain = Sampling(temperature=0.0, logit_bias={token: 1e6})
    answer = engine.answer("Once", certain, n_predict=4)
    return answer.done.reason is not StopReason.LENGTH and answer.text == ""
