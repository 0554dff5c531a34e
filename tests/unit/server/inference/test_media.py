"""The files of a request become pictures and sounds, or the one that is wrong is named."""

import pytest

from runners.protocol.media import DecodedAudio, DecodedImage
from runners.protocol.messages import Ready
from server.errors import BadRequest
from server.inference.media import media_of
from server.prompt.messages import Message
from tests.support.decoding import inline_decoder
from tests.support.image_files import plain
from tests.support.sound_files import recording

pytestmark = pytest.mark.anyio
DECODER = inline_decoder()
SYSTEM = Message("system", "Be brief.")


def ready(*, has_vision: bool = True, sample_rate: int = 16_000) -> Ready:
    return Ready(
        n_ctx=64, n_seq=1, n_cells=64, n_vocab=10, n_embd=8, pooled=False, adds_bos=True,
        has_vision=has_vision, sample_rate=sample_rate, n_layers=1,
        n_gpu_layers=0, memory=(),
    )  # fmt: skip


async def test_pictures_come_in_the_order_of_the_messages() -> None:
    messages = [
        SYSTEM,
        Message("user", images=(plain(1, 1), plain(2, 1))),
        Message("user", images=(plain(3, 1),)),
    ]

    media = await media_of(DECODER, messages, messages, ready())

    assert [medium.width for medium in media] == [1, 2, 3]


async def test_sounds_stand_among_the_images_as_they_were_sent() -> None:
    messages = [Message("user", images=(plain(), recording(0.25), plain()))]

    media = await media_of(DECODER, messages, messages, ready(sample_rate=24_000))

    assert [type(medium) for medium in media] == [DecodedImage, DecodedAudio, DecodedImage]
    assert len(media[1].samples) == 2 * 6000


async def test_without_images_nothing_is_asked_of_the_model() -> None:
    assert await media_of(DECODER, [SYSTEM], [], ready(has_vision=False, sample_rate=0)) == ()


@pytest.mark.parametrize("file", [b"", recording()], ids=["image", "sound"])
async def test_a_model_that_perceives_nothing_says_so_in_words_that_clients_know(
    file: bytes,
) -> None:
    with pytest.raises(BadRequest, match="but model does not support multimodal requests"):
        await media_of(
            DECODER, [Message("user", images=(file,))], [], ready(has_vision=False, sample_rate=0)
        )


async def test_a_model_that_only_sees_or_only_hears_says_so() -> None:
    with pytest.raises(BadRequest, match="accepts images but not audio"):
        await media_of(DECODER, [Message("user", images=(recording(),))], [], ready(sample_rate=0))
    with pytest.raises(BadRequest, match="accepts audio but not images"):
        await media_of(DECODER, [Message("user", images=(plain(),))], [], ready(has_vision=False))


async def test_the_image_that_is_wrong_is_named_as_the_client_counts() -> None:
    """The model's own messages and those that no longer fit are not the client's."""
    dropped, last = Message("user"), Message("user", images=(plain(), b"x", b""))
    with pytest.raises(BadRequest, match=r"^image 2 of message 2 is not a PNG"):
        await media_of(DECODER, [SYSTEM, last], [dropped, last], ready())
    with pytest.raises(BadRequest, match=r"^image 2 is not a PNG"):
        await media_of(DECODER, [last], (), ready())


async def test_the_sound_that_is_wrong_is_named_and_counted_apart() -> None:
    mixed = Message("user", images=(plain(), recording(), plain(), b"fLaC"))
    with pytest.raises(BadRequest, match=r"^audio 2 of message 1 is not a WAV"):
        await media_of(DECODER, [mixed], [mixed], ready())


async def test_where_only_one_file_was_sent_nobody_has_to_count_messages() -> None:
    asked = [SYSTEM, Message("user", images=(b"fLaC",))]
    with pytest.raises(BadRequest, match=r"^audio 1 is not a WAV"):
        await media_of(DECODER, asked, asked, ready())


async def test_the_pixels_of_a_request_are_bounded() -> None:
    large = plain(2048, 2048)
    fits, too_many = Message("user", images=(large,) * 10), Message("user", images=(large,) * 11)

    assert len(await media_of(DECODER, [fits], (), ready())) == 10
    with pytest.raises(BadRequest, match="at most 42 megapixels or 69 minutes of audio in all"):
        await media_of(DECODER, [too_many], (), ready())


async def test_pixels_count_once_for_each_answer() -> None:
    """Each answer takes them to the runner, all at once."""
    four_megapixels = [Message("user", images=(plain(2048, 2048),))]

    assert len(await media_of(DECODER, four_megapixels, (), ready(), 10)) == 1
    with pytest.raises(BadRequest, match="once for each of the 11 answers"):
        await media_of(DECODER, four_megapixels, (), ready(), 11)
