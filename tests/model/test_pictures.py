"""Prompts with pictures: computed as llama.cpp's own helper does, shared, cancelled, preempted."""

import ctypes
import itertools
from pathlib import Path

import numpy as np
import pytest

from runners.engine.native.llama import LoadError, mtmd
from runners.protocol.media import DecodedImage
from runners.protocol.messages import FailureCode, StopReason
from runners.protocol.tokens import Segment, SegmentedText
from tests.support import tiny_vision
from tests.support.native_helper import native_logprobs
from tests.support.seeing import ASKED, Files, look, look_through, seeing
from tests.support.stepped_engine import (
    StartEngine,
    SteppedEngine,
    assert_same_choices,
)
from tests.support.tiny_vision import N_PATCHES, picture

KINDS = ("llava", "gemma3", "qwen2vl")


@pytest.fixture(params=KINDS)
def engine(
    request: pytest.FixtureRequest, start_engine: StartEngine, vision_files: Files
) -> SteppedEngine:
    """An engine that sees, for each way in which text models take pictures."""
    # The family counts on a thousand tokens for each picture, however small.
    n_batch = 512 if request.param == "qwen2vl" else 64
    return seeing(start_engine, vision_files[request.param], n_batch=n_batch)


@pytest.fixture(params=KINDS[:2])
def quick_engine(
    request: pytest.FixtureRequest, start_engine: StartEngine, vision_files: Files
) -> SteppedEngine:
    """An engine whose pictures take few tokens."""
    return seeing(start_engine, vision_files[request.param])


def bitmap_of(shown: DecodedImage) -> int:
    """Return a picture as llama.cpp's own helper takes it."""
    pixels = ctypes.cast(ctypes.c_char_p(shown.rgb), ctypes.POINTER(ctypes.c_uint8))
    found: int = mtmd.mtmd_bitmap_init(shown.width, shown.height, pixels)
    return found


def test_a_picture_means_to_the_model_what_llama_cpp_makes_of_it(engine: SteppedEngine) -> None:
    """Positions, attention and embeddings are those of the library's own helper."""
    expected = native_logprobs(engine, ASKED, bitmap_of(picture()), 5)

    answer = engine.answer(ASKED, media=(picture(),), n_predict=1, logprobs=5)

    found = [entry.logprob for entry in answer.logprobs[0].top]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_what_is_said_depends_on_what_is_shown(engine: SteppedEngine) -> None:
    answers = [look_through(engine, picture(seed)) for seed in (1, 2)]
    blind = engine.answer("User look:  what", n_predict=8)

    assert len({answer.text for answer in (*answers, blind)}) == 3


def test_text_around_a_picture_is_content_where_the_prompt_says_so(
    quick_engine: SteppedEngine,
) -> None:
    def prompt(*, special: bool) -> SegmentedText:
        beginning = Segment("User look: ", special=True)
        return SegmentedText((beginning, Segment("</s> [img-0] what", special=special)))

    as_text = look_through(quick_engine, picture(), prompt="User look: </s> [img-0] what")
    special = look_through(quick_engine, picture(), prompt=prompt(special=True))
    content = look_through(quick_engine, picture(), prompt=prompt(special=False))

    assert special.done.n_prompt == as_text.done.n_prompt
    assert content.done.n_prompt > special.done.n_prompt


def test_the_order_of_pictures_is_that_of_their_numbers(quick_engine: SteppedEngine) -> None:
    one, two = picture(1), picture(2)
    as_sent = look_through(quick_engine, one, two, prompt="[img-0] and [img-1] so")
    turned = look_through(quick_engine, two, one, prompt="[img-0] and [img-1] so")
    crossed = look_through(quick_engine, one, two, prompt="[img-1] and [img-0] so")

    assert as_sent.text != turned.text
    assert_same_choices(crossed, turned)


def test_a_picture_shown_again_is_neither_encoded_nor_computed_again(engine: SteppedEngine) -> None:
    first = look_through(engine, picture())
    again = look_through(engine, picture())
    other = look_through(engine, picture(1))

    assert again.done.n_reused == again.done.n_prompt - 1
    assert other.done.n_reused < again.done.n_reused - 4
    assert engine.stats.n_media_encoded == 2
    assert_same_choices(again, first)


def test_a_conversation_goes_on_after_its_picture(engine: SteppedEngine) -> None:
    """The next turn takes over the picture, and means the same as if all of it were computed."""
    look_through(engine, picture())
    n_encoded = engine.stats.n_media_encoded
    reused = look_through(engine, picture(), prompt=f"{ASKED} said and then")
    engine.engine._loop._slots.clear()
    fresh = look_through(engine, picture(), prompt=f"{ASKED} said and then")

    assert reused.done.n_reused > 0
    assert fresh.done.n_reused == 0
    assert engine.stats.n_media_encoded == n_encoded == 1
    assert_same_choices(reused, fresh)


def test_a_prompt_may_end_with_a_picture(engine: SteppedEngine) -> None:
    """Its last row gives the first token; shown again, the picture is computed as a whole."""
    first = look_through(engine, picture(), prompt="User look: [img-0]")
    again = look_through(engine, picture(), prompt="User look: [img-0]")

    assert first.done.n_eval == 8
    assert_same_choices(again, first)


def test_many_look_at_once_beside_others_who_write(quick_engine: SteppedEngine) -> None:
    shown = [picture(seed % 2) for seed in range(4)]
    prompts = [f"{word} [img-0] and" for word in ("one", "two", "tree", "sun")]
    alone = [
        look_through(quick_engine, p, prompt=prompt)
        for p, prompt in zip(shown, prompts, strict=True)
    ]
    wrote_alone = quick_engine.answer("Once upon a time", n_predict=30, logprobs=2)
    quick_engine.engine._loop._slots.clear()
    together = [
        look(quick_engine, p, prompt=prompt) for p, prompt in zip(shown, prompts, strict=True)
    ]
    writer = quick_engine.ask("Once upon a time", n_predict=30, logprobs=2)
    quick_engine.run()

    for found, wanted in zip((*together, writer), (*alone, wrote_alone), strict=True):
        assert_same_choices(found, wanted)


def test_a_stream_goes_on_between_the_pictures_of_others(llava: SteppedEngine) -> None:
    """Whoever writes gets a token in every step, before a picture that may take long."""
    writer = llava.ask("Once upon a time", n_predict=60)
    llava.step(2)
    others = [look(llava, picture(seed)) for seed in range(5)]
    while not all(other.chunks for other in others):
        before = len(writer.chunks)
        llava.step()
        assert len(writer.chunks) > before


def test_a_preempted_picture_is_computed_again(
    start_engine: StartEngine, vision_files: Files
) -> None:
    roomy = seeing(start_engine, vision_files["llava"])
    shown = [(picture(seed), picture(seed + 10)) for seed in range(4)]
    prompt = "User look: [img-0] and [img-1] so"
    alone = [roomy.answer(prompt, media=p, n_predict=60, logprobs=2) for p in shown]
    narrow = seeing(start_engine, vision_files["llava"], n_ctx=256, n_cells=256)
    together = [narrow.ask(prompt, media=p, n_predict=60, logprobs=2) for p in shown]
    narrow.run()

    assert narrow.stats.n_preempted > 0
    for found, wanted in zip(together, alone, strict=True):
        assert_same_choices(found, wanted)


def test_a_client_may_leave_at_every_moment(quick_engine: SteppedEngine) -> None:
    """Whatever was done of the picture by then, the next who shows it gets the same answer."""
    for n_steps in itertools.count():
        shown = picture(n_steps)
        leaving = look(quick_engine, shown)
        quick_engine.step(n_steps)
        if leaving.chunks:
            break
        quick_engine.cancel(leaving)
        assert leaving.done.reason is StopReason.CANCELLED
        staying = look_through(quick_engine, shown, prompt=f"{ASKED} now")
        quick_engine.engine._loop._slots.clear()
        fresh = look_through(quick_engine, shown, prompt=f"{ASKED} now")
        assert_same_choices(staying, fresh)
    assert n_steps > 2


def test_a_broken_off_batch_of_a_picture_is_made_good(engine: SteppedEngine) -> None:
    wanted = look_through(engine, picture())
    engine.engine._loop._slots.clear()
    answer = look(engine, picture())
    engine.run_until(lambda: engine.stats.n_cells_used > 8)
    engine.engine._context.abort()
    engine.step()
    engine.engine._context.clear_abort()
    engine.run()

    assert_same_choices(answer, wanted)


def test_a_picture_is_never_cut_from_a_prompt_that_is_too_long(llava: SteppedEngine) -> None:
    answer = llava.answer("one " * 300 + "[img-0]", media=(picture(),), n_ctx=256)

    assert answer.failed.code is FailureCode.PROMPT_TOO_LONG
    assert answer.failed.n_tokens > 300 + N_PATCHES


def test_a_full_context_ends_an_answer_about_a_picture(llava: SteppedEngine) -> None:
    """What the model saw stays in memory to the end: nothing is shifted out."""
    answer = llava.answer(ASKED, media=(picture(),), n_ctx=64)

    assert answer.done.reason is StopReason.LENGTH
    assert answer.done.n_prompt + answer.done.n_eval <= 256


@pytest.mark.parametrize(
    ("prompt", "shown", "reason"),
    [
        ("User", picture(), "has no tag [img-0] for it: add [img-0] where it belongs"),
        (ASKED, DecodedImage(2, 2, b"abc"), "its width and height do not match its data"),
        (ASKED, DecodedImage(0, 0, b""), "its width and height do not match its data"),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused(
    llava: SteppedEngine, prompt: str, shown: DecodedImage, reason: str
) -> None:
    answer = llava.answer(prompt, media=(shown,))

    assert answer.failed.code is FailureCode.INVALID_MEDIA
    assert reason in answer.failed.message


def test_a_picture_that_needs_a_larger_batch_says_so(
    start_engine: StartEngine, vision_files: Files
) -> None:
    engine = seeing(start_engine, vision_files["gemma3"], n_batch=2, n_seq=2)

    failed = engine.answer(ASKED, media=(picture(),)).failed

    assert failed.message == "it needs 4 tokens in one batch: set num_batch to as many"


def test_a_model_without_a_projector_refuses_pictures(
    start_engine: StartEngine, vision_files: Files
) -> None:
    engine = start_engine(vision_files["llava"][0])

    assert not engine.engine.ready.has_vision
    assert engine.answer(ASKED, media=(picture(),)).failed.code is FailureCode.INVALID_MEDIA


def test_a_projector_of_another_model_is_refused(
    start_engine: StartEngine, vision_files: Files, tmp_path: Path
) -> None:
    wide = tiny_vision.write_llava(tmp_path / "wide.gguf", n_embd=64)

    with pytest.raises(LoadError, match="the projector cannot be loaded") as caught:
        seeing(start_engine, (vision_files["llava"][0], wide))
    assert "mismatch between text model" in caught.value.native


def test_the_memory_of_a_projector_is_told(start_engine: StartEngine, vision_files: Files) -> None:
    weights, projector = vision_files["llava"]
    blind, engine = start_engine(weights), seeing(start_engine, vision_files["llava"])

    def total(engine: SteppedEngine) -> int:
        return sum(use.weights for use in engine.engine.ready.memory)

    assert engine.engine.ready.has_vision
    assert total(engine) > total(blind) + projector.stat().st_size // 2
