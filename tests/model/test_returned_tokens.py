"""A request can get the token ids of its prompt and output, so that nobody tokenises them again."""

from tests.support.stepped_engine import SteppedEngine

PROMPT = "Once upon a time"


def text_of(engine: SteppedEngine, tokens: tuple[int, ...]) -> str:
    vocab = engine.engine.intake._vocab
    return b"".join(map(vocab.piece, tokens)).decode()


def test_the_tokens_spell_prompt_and_output_without_bos(engine: SteppedEngine) -> None:
    answer = engine.answer(PROMPT, n_predict=12, return_tokens=True)

    assert engine.engine.ready.adds_bos
    assert answer.done.tokens is not None
    assert len(answer.done.tokens) == answer.done.n_prompt - 1 + answer.done.n_eval
    assert text_of(engine, answer.done.tokens).lstrip() == PROMPT + answer.text


def test_sent_back_they_give_the_same_continuation(engine: SteppedEngine) -> None:
    bos = engine.engine.intake._vocab.bos
    whole = engine.answer(PROMPT, n_predict=20)
    first = engine.answer(PROMPT, n_predict=12, return_tokens=True)
    assert first.done.tokens is not None

    second = engine.answer((bos, *first.done.tokens), n_predict=8)

    assert first.text + second.text == whole.text
    assert second.done.n_reused == first.done.n_prompt + first.done.n_eval - 1


def test_they_are_left_out_when_nobody_wants_them(engine: SteppedEngine) -> None:
    assert engine.answer(PROMPT, n_predict=3).done.tokens is None


def test_they_are_left_out_where_they_are_not_exactly_the_text(engine: SteppedEngine) -> None:
    """A stop string ends the text within a token, a shift or a cut prompt lacks its middle."""
    text = engine.answer(PROMPT, n_predict=10).text
    assert engine.answer(PROMPT, stop=(text[4:8],), return_tokens=True).done.tokens is None
    long = PROMPT * 40
    cut = engine.answer(long, n_ctx=64, n_predict=1, return_tokens=True)
    assert cut.done.n_truncated
    assert cut.done.tokens is None
    shifted = engine.answer(PROMPT, n_ctx=256, n_predict=400, return_tokens=True)
    assert shifted.done.n_eval == 400
    assert shifted.done.tokens is None
