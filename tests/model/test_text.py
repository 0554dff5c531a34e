"""The text of an answer: whole characters, cut before stop strings, nothing lost or taken back."""

import json
from pathlib import Path

import pytest

from runners.protocol.constraints import JSONSchema
from runners.protocol.messages import Sampling, StopReason
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import StartEngine, SteppedEngine
from tests.support.tiny_models import SPACE, llama_pieces, write_llama

PROMPT = prompt_of(20)
BYTES_ONLY = "🦒 é ß 漢字 👩‍👩‍👧"
"""Most of these characters are no tokens of the vocabulary, so they are written byte by byte."""


def quoted(text: str) -> JSONSchema:
    """Return a schema that only the JSON string `text` satisfies."""
    return JSONSchema(json.dumps({"const": text}))


def test_chunks_are_one_per_token_and_make_the_text(engine: SteppedEngine) -> None:
    answer = engine.answer(PROMPT, n_predict=40, logprobs=0)

    assert len(answer.chunks) == 40
    assert answer.text == b"".join(answer.tokens).decode()


def test_characters_of_several_tokens_arrive_whole(engine: SteppedEngine) -> None:
    answer = engine.answer(PROMPT, constraint=quoted(BYTES_ONLY), logprobs=0)

    assert json.loads(answer.text) == BYTES_ONLY
    assert "\ufffd" not in answer.text
    assert len(answer.tokens) > len(BYTES_ONLY) + 10
    assert b"".join(answer.tokens).decode() == answer.text


@pytest.mark.parametrize("n_predict", range(1, 14))
def test_character_that_the_limit_cuts_is_left_out(engine: SteppedEngine, n_predict: int) -> None:
    whole = json.dumps("🦒🦒🦒", ensure_ascii=False)

    answer = engine.answer(PROMPT, constraint=quoted("🦒🦒🦒"), n_predict=n_predict)

    assert answer.done.reason is StopReason.LENGTH
    assert answer.text == whole[: 1 + (n_predict - 1) // 4]


def test_broken_characters_of_random_text_are_shown_as_such(engine: SteppedEngine) -> None:
    """Tokens are drawn nearly evenly, so many of them are bytes that are no UTF-8 together."""
    sampling = Sampling(temperature=100.0, top_k=0, top_p=1.0, seed=1)
    answer = engine.answer(PROMPT, sampling, n_predict=300, logprobs=0)

    written = b"".join(answer.tokens)
    assert "\ufffd" in answer.text
    assert written.decode(errors="replace").startswith(answer.text)


@pytest.mark.parametrize(("start", "length"), [(5, 1), (5, 2), (7, 5), (12, 20)])
def test_stop_string_ends_the_text_wherever_tokens_begin(
    engine: SteppedEngine, start: int, length: int
) -> None:
    free = engine.answer(PROMPT, n_predict=60, logprobs=0)
    stop = free.text[start : start + length]
    begins = free.text.index(stop)
    n_tokens = next(
        n for n in range(1, 61) if stop in b"".join(free.tokens[:n]).decode(errors="ignore")
    )

    stopped = engine.answer(PROMPT, n_predict=60, stop=(stop,))

    assert stopped.text == free.text[:begins]
    assert (stopped.done.reason, stopped.done.n_eval) == (StopReason.STOP, n_tokens)


def test_nothing_of_a_stop_string_is_sent_while_it_may_still_come(engine: SteppedEngine) -> None:
    free = engine.answer(PROMPT, n_predict=30, logprobs=0)
    begins = len(b"".join(free.tokens[:10]).decode())
    stop = free.text[begins : begins + 12]

    stopped = engine.ask(PROMPT, n_predict=30, stop=(stop,))
    while stopped.end is None:
        engine.step()
        assert free.text.startswith(stopped.text)
        assert len(stopped.text) <= begins

    assert stopped.text == free.text[: free.text.index(stop)]


def test_text_that_looked_like_a_stop_string_is_sent_after_all(engine: SteppedEngine) -> None:
    free = engine.answer(PROMPT, n_predict=30)

    answer = engine.answer(PROMPT, n_predict=30, stop=(free.text[-9:] + "never", "neither"))

    assert answer.text == free.text
    assert answer.done.reason is StopReason.LENGTH


def test_first_of_several_stop_strings_counts(engine: SteppedEngine) -> None:
    free = engine.answer(PROMPT, n_predict=60).text
    later, sooner = free[30:34], free[10:14]

    stopped = engine.answer(PROMPT, n_predict=60, stop=(later, sooner))

    assert stopped.text == free[: min(free.index(later), free.index(sooner))]


def test_stop_string_of_characters_that_come_in_bytes(engine: SteppedEngine) -> None:
    answer = engine.answer(PROMPT, constraint=quoted(BYTES_ONLY), stop=("ß 漢",))

    assert answer.text == '"🦒 é '
    assert answer.done.reason is StopReason.STOP


def test_model_that_ends_its_answer_is_not_asked_for_more(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    """The end counts as a token, and has no text."""
    engine = start_engine(write_llama(tmp_path / "ends.gguf", n_ctx=1024))
    answers = [engine.ask(prompt_of(9, seed=n), n_predict=150, logprobs=0) for n in range(20)]
    engine.run()

    ended = [answer for answer in answers if answer.done.reason is StopReason.STOP]
    assert len(ended) > len(answers) // 4
    for answer in ended:
        assert answer.done.n_eval == len(answer.tokens) + 1
        assert "</s>" not in answer.text
        assert answer.text == b"".join(answer.tokens).decode()


def test_text_held_back_for_a_stop_string_is_sent_when_the_model_ends(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    engine = start_engine(write_llama(tmp_path / "ends.gguf", n_ctx=1024))
    prompts = [prompt_of(9, seed=n) for n in range(20)]
    free = {prompt: engine.answer(prompt, n_predict=150) for prompt in prompts}
    ended = [(p, a.text) for p, a in free.items() if a.done.reason is StopReason.STOP]

    assert ended
    for prompt, text in ended:
        assert engine.answer(prompt, n_predict=150, stop=(text[-5:] + "more",)).text == text


def test_answer_of_no_tokens_computes_the_prompt_for_the_next_request(
    engine: SteppedEngine,
) -> None:
    empty = engine.answer(prompt_of(50), n_predict=0)
    next_one = engine.answer(prompt_of(50), n_predict=3)

    assert (empty.text, empty.done.n_eval, empty.done.reason) == ("", 0, StopReason.LENGTH)
    assert next_one.done.n_reused == next_one.done.n_prompt - 1


@pytest.mark.parametrize(
    ("stops", "reason", "n_eval"),
    [(True, StopReason.REPEAT, 512), (False, StopReason.LENGTH, 900)],
)
def test_an_answer_in_a_loop_ends_unless_nobody_minds(
    engine: SteppedEngine, *, stops: bool, reason: StopReason, n_eval: int
) -> None:
    dog = next(token for token, piece in enumerate(llama_pieces()) if piece[0] == f"{SPACE}dog")
    sampling = Sampling(temperature=0.0, logit_bias={dog: 200.0})

    done = engine.answer(prompt_of(150), sampling, n_predict=900, stop_repetition=stops).done

    assert done.reason is reason
    assert n_eval <= done.n_eval <= n_eval + 128
