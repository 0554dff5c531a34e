"""The images of a request become pictures, or the one that is wrong is named."""

import pytest

from runners.protocol.messages import Ready
from server.errors import BadRequest
from server.inference.media import media_of
from server.prompt.messages import Message
from tests.support.image_files import plain

pytestmark = pytest.mark.anyio
SYSTEM = Message("system", "Be brief.")


def ready(*, sees: bool = True) -> Ready:
    return Ready(
        n_ctx=64, n_seq=1, n_cells=64, n_vocab=10, n_embd=8, pooled=False, adds_bos=True,
        can_shift=True, sees=sees, n_layers=1, n_gpu_layers=0, memory=(),
    )  # fmt: skip


async def test_pictures_come_in_the_order_of_the_messages() -> None:
    messages = [
        SYSTEM,
        Message("user", images=(plain(1, 1), plain(2, 1))),
        Message("user", images=(plain(3, 1),)),
    ]

    pictures = await media_of(messages, messages, ready())

    assert [picture.width for picture in pictures] == [1, 2, 3]


async def test_without_images_nothing_is_asked_of_the_model() -> None:
    assert await media_of([SYSTEM], [], ready(sees=False)) == ()


async def test_a_model_that_cannot_see_is_named_in_the_words_that_clients_know() -> None:
    with pytest.raises(BadRequest, match="but model does not support multimodal requests"):
        await media_of([Message("user", images=(b"",))], [], ready(sees=False))


async def test_the_image_that_is_wrong_is_named_as_the_client_counts() -> None:
    """The model's own messages and those that no longer fit are not the client's."""
    dropped, last = Message("user"), Message("user", images=(plain(), b"x", b""))
    with pytest.raises(BadRequest, match=r"^image 2 of message 2 is no PNG"):
        await media_of([SYSTEM, last], [dropped, last], ready())
    with pytest.raises(BadRequest, match=r"^image 2 is no PNG"):
        await media_of([last], (), ready())


async def test_the_pixels_of_a_request_are_bounded() -> None:
    large = plain(2048, 2048)
    fits, too_many = Message("user", images=(large,) * 10), Message("user", images=(large,) * 11)

    assert len(await media_of([fits], (), ready())) == 10
    with pytest.raises(BadRequest, match="at most 42 megapixels in all"):
        await media_of([too_many], (), ready())


async def test_pixels_count_once_for_each_answer() -> None:
    """Each answer takes them to the runner, all at once."""
    four_megapixels = [Message("user", images=(plain(2048, 2048),))]

    assert len(await media_of(four_megapixels, (), ready(), 10)) == 1
    with pytest.raises(BadRequest, match="once for each of the 11 answers"):
        await media_of(four_megapixels, (), ready(), 11)
