"""Recordings of strangers become samples, or are refused in one sentence, whatever is in them."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.protocol.media import FULL_SCALE, DecodedAudio
from server.media.audio_decoding import decode_audio
from server.media.errors import MediaError
from server.media.file_types import is_audio
from tests.support.image_files import FORMATS as IMAGE_FORMATS
from tests.support.image_files import plain
from tests.support.sound_files import FORMATS, recorded, recording, tone

RATE = 16_000
FILES = {kind: recorded(tone(0.2, rate=48_000), rate=48_000, kind=kind) for kind in FORMATS}
NO_SOUND = "is not a WAV, MP3, FLAC or Ogg file, or is damaged"


def heard(sound: DecodedAudio) -> npt.NDArray[np.float64]:
    return np.frombuffer(sound.samples, "<i2") / FULL_SCALE


def refusal(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        decode_audio(data, RATE)
    return str(caught.value)


def loudness(wave: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(wave**2)))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_sounds_the_same(kind: str) -> None:
    wave = heard(decode_audio(recorded(tone(1, rate=48_000), rate=48_000, kind=kind), RATE))

    assert len(wave) == pytest.approx(RATE, abs=RATE // 20)  # encoders pad
    pitch = np.argmax(np.abs(np.fft.rfft(wave[: RATE // 2]))) * 2
    assert pitch == pytest.approx(440, abs=4)
    assert loudness(wave[1000:15_000]) == pytest.approx(0.5 / 2**0.5, rel=0.05)


def test_samples_at_the_models_rate_stay_as_they_are() -> None:
    wave = tone(0.2)

    assert np.abs(heard(decode_audio(recorded(wave), RATE)) - wave).max() < 2 / FULL_SCALE


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 96_000])
def test_a_recording_keeps_its_length_at_another_rate(rate: int) -> None:
    data = recorded(tone(3, rate=rate), rate=rate)

    assert len(heard(decode_audio(data, RATE))) == pytest.approx(3 * RATE, abs=2)
    assert len(heard(decode_audio(data, 24_000))) == pytest.approx(3 * 24_000, abs=3)


def test_what_is_too_high_for_the_models_rate_does_not_turn_into_something_else() -> None:
    whistle = recorded(tone(1, rate=48_000, frequency=15_000), rate=48_000)

    assert loudness(heard(decode_audio(whistle, RATE))) < 0.001


def test_channels_are_mixed() -> None:
    left, right = np.full(RATE, 0.5), np.full(RATE, -0.25)
    wave = heard(decode_audio(recorded(np.stack([left, right], axis=1)), RATE))

    assert np.allclose(wave, 0.125, atol=1e-3)


def test_what_is_no_number_or_too_loud_in_a_recording_of_floats_does_no_harm() -> None:
    wave = np.zeros(RATE)
    wave[:3] = np.nan, np.inf, -np.inf
    wave[8000:] = 7.0
    found = heard(decode_audio(recorded(wave, kind="float"), RATE))

    assert np.allclose(found[:4], 0, atol=1e-3)
    assert found[8100:].min() > 0.99


def test_a_recording_that_was_written_to_a_pipe_is_read_to_its_end() -> None:
    """Its writer could not know how long it would be."""
    data = bytearray(recording(0.5))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"

    assert decode_audio(bytes(data), RATE) == decode_audio(recording(0.5), RATE)


def test_a_recording_that_is_cut_off_is_heard_as_far_as_it_goes() -> None:
    assert len(heard(decode_audio(recording(1)[: 44 + RATE], RATE))) == RATE // 2


def test_a_file_that_unpacks_to_far_more_is_refused() -> None:
    silence = recorded(np.zeros(31 * 60 * 4000), rate=4000, kind="flac")

    assert len(silence) < 1 << 20
    assert refusal(silence) == "is longer than 30 minutes"


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_a_recording_of_next_to_nothing_is_refused(seconds: float) -> None:
    assert refusal(recording(seconds)) == "is shorter than 0.1 seconds"


def test_more_channels_than_anybody_listens_to_are_refused() -> None:
    assert refusal(recorded(np.zeros((RATE, 9)))) == "has 9 channels: at most 8 are allowed"


def test_a_rate_that_nothing_records_with_is_refused() -> None:
    assert refusal(recorded(np.zeros(RATE), rate=100)) == (
        "has 100 samples per second: between 4000 and 384000 are allowed"
    )


def test_encodings_that_no_client_sends_are_not_even_tried() -> None:
    """Each further decoder is a way in for damaged files."""
    data = recorded(tone(), format="WAV", subtype="MS_ADPCM")

    assert refusal(data) == "has an encoding that is not supported: Microsoft ADPCM"


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"RIFF\0\0\0\0WAVE",
        b"fLaC",
        b"OggS" + bytes(100),
        b"ID3" + bytes(100),
        b"\xff\xfb" + bytes(10),
        b"FORM\0\0\0\0AIFF",
    ],
)
def test_what_is_no_recording_is_named_so(data: bytes) -> None:
    assert refusal(data) == NO_SOUND


def test_an_empty_file_is_named_so() -> None:
    assert refusal(b"") == "is empty"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_recording_is_known_by_its_first_bytes(kind: str) -> None:
    assert is_audio(FILES[kind])


@pytest.mark.parametrize("format", IMAGE_FORMATS)
def test_an_image_is_no_recording(format: str) -> None:
    assert not is_audio(plain(format=format))


@given(st.sampled_from([*FORMATS]), st.data())
def test_no_damage_gets_through(kind: str, data: st.DataObject) -> None:
    """A damaged file becomes samples or is refused; no error of the library comes out."""
    file = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(file)))
    try:
        sound = decode_audio(bytes(file[:cut]), RATE)
    except MediaError:
        return
    assert len(sound.samples) >= 2 * RATE // 10
