"""Files are decoded in a process of its own, which a hostile file may hang, fill or crash."""

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest
from PIL import Image

from runners.protocol.media import DecodedAudio, DecodedImage
from server.errors import ServerBusy
from server.isolation.errors import Crashed, Overrun, Unavailable, WorkerError
from server.isolation.pool import WorkerPool
from server.isolation.process import WorkerProcess
from server.media.decoder import LIMITS, MediaDecoder
from server.media.errors import MediaError
from tests.support.decoding import inline_decoder
from tests.support.image_files import FORMATS, RED, encoded, plain
from tests.support.sound_files import FORMATS as SOUNDS
from tests.support.sound_files import recorded, tone

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["inline", "worker"])
async def decoder(request: pytest.FixtureRequest) -> AsyncIterator[MediaDecoder]:
    if request.param == "inline":
        yield inline_decoder()
        return
    limits = replace(LIMITS, cpu_seconds=60.0)
    pool = WorkerPool(partial(WorkerProcess.start, "server.media", limits), size=1)
    yield MediaDecoder(pool)
    await pool.close()


def oriented(format: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.new("RGB", (8, 4), RED), format, exif=exif)


async def test_images_of_every_format_and_kind_are_decoded(decoder: MediaDecoder) -> None:
    """The library loads parts of itself only when a file needs them, which a worker cannot."""
    frames = [Image.new("RGB", (8, 4), RED) for _ in range(2)]
    files = [
        *(plain(8, 4, format=format) for format in FORMATS),
        *(
            encoded(frames[0], format, save_all=True, append_images=frames[1:])
            for format in ("GIF", "PNG", "WEBP", "MPO")
        ),
        encoded(frames[0].convert("CMYK"), "JPEG"),
        encoded(frames[0], "JPEG", progressive=True),
        *(encoded(frames[0].convert(mode)) for mode in ("1", "L", "P", "LA", "RGBA", "I;16")),
        *map(oriented, ("JPEG", "PNG", "WEBP")),
    ]

    for file in files:
        image = await decoder.decode(file)
        assert isinstance(image, DecodedImage)
        assert len(image.rgb) == 3 * 8 * 4


@pytest.mark.parametrize("kind", SOUNDS)
async def test_audio_of_every_format_is_decoded(decoder: MediaDecoder, kind: str) -> None:
    rate = 48_000 if kind == "opus" else 16_000
    audio = await decoder.decode(recorded(tone(1, rate=rate), rate=rate, kind=kind), 16_000)

    assert isinstance(audio, DecodedAudio)
    assert len(audio.samples) == pytest.approx(2 * 16_000, rel=0.2)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"RIFF\0\0\0\0WEBP", plain(64, 64)[:80], plain() * 3000]
)
async def test_a_file_that_cannot_be_used_is_refused_and_the_next_one_is_decoded(
    decoder: MediaDecoder, data: bytes
) -> None:
    if not data.startswith(plain()):
        with pytest.raises(MediaError):
            await decoder.decode(data)
    with pytest.raises(MediaError):
        await decoder.decode(data, 16_000)
    assert isinstance(await decoder.decode(plain()), DecodedImage)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is only limited on Linux")
async def test_a_file_that_takes_too_much_memory_is_refused() -> None:
    limits = replace(LIMITS, cpu_seconds=60.0, memory_bytes=80 << 20)
    pool = WorkerPool(partial(WorkerProcess.start, "server.media", limits), size=1)
    decoder = MediaDecoder(pool)

    with pytest.raises(MediaError, match="takes too much time or memory to decode"):
        await decoder.decode(plain(4096, 4096))
    assert isinstance(await decoder.decode(plain()), DecodedImage)
    await pool.close()


class FailingJobs:
    """Every job fails, or is answered with nonsense."""

    def __init__(self, failure: WorkerError | bytes) -> None:
        self._failure = failure

    def prestart(self) -> None:
        pass

    async def call(self, job: bytes) -> bytes:
        if isinstance(self._failure, bytes):
            return self._failure
        raise self._failure


@pytest.mark.parametrize(
    ("failure", "error", "text"),
    [
        (Overrun(), MediaError, "takes too much time or memory to decode"),
        (Crashed(), MediaError, "is damaged"),
        (b"nonsense", MediaError, "is damaged"),
        (Unavailable(), ServerBusy, "too busy to decode images and audio, try again"),
    ],
)
async def test_what_happens_to_a_worker_is_told(
    failure: WorkerError | bytes, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        await MediaDecoder(FailingJobs(failure)).decode(plain())


async def test_a_file_that_is_too_large_for_a_worker_is_not_sent() -> None:
    with pytest.raises(MediaError, match="is larger than 80 MiB"):
        await inline_decoder().decode(bytes(LIMITS.memory_bytes))
