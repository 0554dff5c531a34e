"""Prompts with sounds: computed as llama.cpp's own helper does, shared between prompts, refused."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from runners.engine.native.llama import mtmd
from runners.protocol.media import FULL_SCALE, DecodedAudio
from runners.protocol.messages import FailureCode
from runners.protocol.placement import Projector
from tests.support.native_helper import native_logprobs
from tests.support.seeing import SIZES, Files, seeing
from tests.support.stepped_engine import Answer, StartEngine, SteppedEngine, assert_same_choices
from tests.support.tiny_hearing import FRAME, N_WINDOW_TOKENS, SAMPLE_RATE, WINDOW, join, sound
from tests.support.tiny_vision import N_PATCHES, picture

ASKED = "User said: [img-0] what"
KINDS = ("frames", "whisper", "sections")


@pytest.fixture(params=KINDS)
def engine(
    request: pytest.FixtureRequest, start_engine: StartEngine, hearing_files: Files
) -> SteppedEngine:
    """An engine that hears, for each way in which sounds become rows and rows get positions."""
    return start(start_engine, hearing_files, request.param)


@pytest.fixture
def frames(start_engine: StartEngine, hearing_files: Files) -> SteppedEngine:
    return start(start_engine, hearing_files, "frames")


def start(start_engine: StartEngine, files: Files, kind: str) -> SteppedEngine:
    weights, projector = files[kind]
    return start_engine(weights, projector=Projector(str(projector)), n_batch=64, **SIZES)


def listen(engine: SteppedEngine, *sounds: DecodedAudio, prompt: str = ASKED) -> Answer:
    """Ask about sounds; return the whole answer."""
    return engine.answer(prompt, media=sounds, n_predict=8, logprobs=2)


def bitmap_of(heard: DecodedAudio) -> int:
    """Return a sound as llama.cpp's own helper takes it."""
    samples = np.frombuffer(heard.samples, "<i2").astype(np.float32) / FULL_SCALE
    floats = samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    found: int = mtmd.mtmd_bitmap_init_from_audio(len(samples), floats)
    return found


def test_a_sound_means_to_the_model_what_llama_cpp_makes_of_it(engine: SteppedEngine) -> None:
    """Samples, positions and embeddings are those of the library's own helper."""
    expected = native_logprobs(engine, ASKED, bitmap_of(sound()), 5)

    answer = engine.answer(ASKED, media=(sound(),), n_predict=1, logprobs=5)

    found = [entry.logprob for entry in answer.logprobs[0].top]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_what_is_said_depends_on_what_is_heard(engine: SteppedEngine) -> None:
    answers = [listen(engine, sound(seed, n_samples=WINDOW)) for seed in (1, 2)]
    deaf = engine.answer("User said:  what", n_predict=8)

    assert len({answer.text for answer in (*answers, deaf)}) == 3


def test_a_sound_heard_again_is_neither_encoded_nor_computed_again(engine: SteppedEngine) -> None:
    first = listen(engine, sound())
    again = listen(engine, sound())
    other = listen(engine, sound(1))

    assert again.done.n_reused == again.done.n_prompt - 1
    assert other.done.n_reused < again.done.n_reused - 4
    assert engine.stats.n_media_encoded == 2
    assert_same_choices(again, first)


def test_a_conversation_goes_on_after_its_sound(engine: SteppedEngine) -> None:
    """The next turn takes over the sound, and means the same as if all of it were computed."""
    listen(engine, sound())
    reused = listen(engine, sound(), prompt=f"{ASKED} said and then")
    engine.engine._loop._slots.clear()
    fresh = listen(engine, sound(), prompt=f"{ASKED} said and then")

    assert reused.done.n_reused > fresh.done.n_reused == 0
    assert engine.stats.n_media_encoded == 1
    assert_same_choices(reused, fresh)


def test_the_order_of_sounds_is_that_of_their_numbers(frames: SteppedEngine) -> None:
    one, two = sound(1), sound(2)
    as_sent = listen(frames, one, two, prompt="[img-0] and [img-1] so")
    turned = listen(frames, two, one, prompt="[img-0] and [img-1] so")
    crossed = listen(frames, one, two, prompt="[img-1] and [img-0] so")

    assert as_sent.text != turned.text
    assert_same_choices(crossed, turned)


def test_a_long_sound_takes_the_tokens_of_all_its_windows(
    start_engine: StartEngine, hearing_files: Files
) -> None:
    """Each window is encoded by itself; the first of a recording that goes on is known already."""
    engine = start(start_engine, hearing_files, "whisper")
    short = listen(engine, sound(n_samples=WINDOW // 2))
    long = listen(engine, sound(n_samples=WINDOW + FRAME))

    assert long.done.n_prompt == short.done.n_prompt + N_WINDOW_TOKENS
    assert engine.stats.n_media_encoded == 3


@pytest.mark.parametrize(
    "samples",
    [b"", b"\0", b"\0\0", bytes(2 * SAMPLE_RATE // 10 - 2), bytes(2 * SAMPLE_RATE + 1)],
    ids=["none", "half", "one", "too few", "odd"],
)
def test_samples_that_the_library_would_choke_on_are_refused(
    frames: SteppedEngine, samples: bytes
) -> None:
    failed = listen(frames, DecodedAudio(samples)).failed

    assert failed.code is FailureCode.INVALID_MEDIA
    assert failed.message == "it is shorter than 0.1 seconds"


@pytest.mark.parametrize("kind", KINDS)
def test_the_shortest_sound_is_heard(
    start_engine: StartEngine, hearing_files: Files, kind: str
) -> None:
    engine = start(start_engine, hearing_files, kind)

    assert listen(engine, sound(n_samples=SAMPLE_RATE // 10)).done.n_eval == 8


@pytest.mark.parametrize("kind", ["frames", "whisper"])
def test_silence_is_heard(start_engine: StartEngine, hearing_files: Files, kind: str) -> None:
    """Not by "sections": the projector makes rows of zeros of it, of which qwen2vl makes NaN."""
    engine = start(start_engine, hearing_files, kind)

    assert listen(engine, DecodedAudio(bytes(2 * SAMPLE_RATE // 10))).done.n_eval == 8


def test_a_model_may_see_and_hear_in_one_prompt(
    start_engine: StartEngine, hearing_files: Files, vision_files: Files, tmp_path: Path
) -> None:
    weights, ear = hearing_files["frames"]
    both = join(tmp_path / "both.gguf", vision_files["llava"][1], ear)
    engine = start_engine(weights, projector=Projector(str(both)), **SIZES)
    prompt = "See [img-0] and hear [img-1] so"

    def perceive(shown: int, heard: int) -> Answer:
        media = (picture(shown), sound(heard))
        return engine.answer(prompt, media=media, n_predict=8, logprobs=2)

    answers = [perceive(1, 1), perceive(1, 2), perceive(2, 1)]

    assert (engine.engine.ready.has_vision, engine.engine.ready.sample_rate) == (True, SAMPLE_RATE)
    assert len({answer.text for answer in answers}) == 3
    assert answers[1].done.n_reused > N_PATCHES > answers[2].done.n_reused
    assert engine.stats.n_media_encoded == 4
    assert_same_choices(perceive(1, 1), answers[0])


def test_who_hears_does_not_see_and_who_sees_does_not_hear(
    start_engine: StartEngine, frames: SteppedEngine, vision_files: Files
) -> None:
    eye = seeing(start_engine, vision_files["llava"])

    assert (frames.engine.ready.has_vision, frames.engine.ready.sample_rate) == (False, SAMPLE_RATE)
    assert (eye.engine.ready.has_vision, eye.engine.ready.sample_rate) == (True, 0)
    assert listen(eye, sound()).failed.message == "this model does not accept audio"
    assert (
        frames.answer(ASKED, media=(picture(),)).failed.message
        == "this model does not accept images"
    )
