"""Do the jobs of a media worker: decode images and audio."""

from io import BytesIO

import numpy as np
import soundfile
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from server.media.audio_decoding import decode_audio
from server.media.errors import MediaError
from server.media.image_decoding import decode_image
from server.media.messages import Answer, Undecodable, decode_job, encode_answer

LOADED = (
    BmpImagePlugin, GifImagePlugin, ImageChops, JpegImagePlugin, MpoImagePlugin, PngImagePlugin,
    TiffImagePlugin, WebPImagePlugin,
)  # fmt: skip
"""What pillow would import when a file needs it: a worker can open nothing by then."""


def answer(data: bytes | bytearray) -> bytes:
    """Return the encoded answer to an encoded job; raises MemoryError where memory is limited."""
    job = decode_job(data)
    result: Answer
    try:
        if job.sample_rate is None:
            result = decode_image(job.data)
        else:
            result = decode_audio(job.data, job.sample_rate)
    except MediaError as e:
        result = Undecodable(str(e))
    return encode_answer(result)


def warm_up() -> None:
    """Have the libraries load what they load on first use."""
    image, audio = BytesIO(), BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    Image.new("RGB", (8, 8)).save(image, "JPEG", exif=exif)
    decode_image(image.getvalue())
    soundfile.write(audio, np.zeros(16_000, np.float32), 16_000, format="WAV")
    decode_audio(audio.getvalue(), 24_000)
