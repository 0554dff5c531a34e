"""From the bytes of an image that a stranger sent to the pixels that a model may see.

No other part of the server, and nothing native in a runner, reads such a file. The libraries below
pillow are made for hostile input, and get only the formats that models are shown.
"""

import warnings
from io import BytesIO
from typing import Final

from PIL import Image, ImageOps

from runners.protocol.media import DecodedImage

MOST_PIXELS: Final = 64 << 20
"""Of a file: more than nearly all cameras take. Decoded, it needs 192 MiB for a moment."""
MOST_SENT_PIXELS: Final = 4 << 20
"""Of what a model gets: no projector in use looks at more; a larger image is made smaller."""
MOST_TIMES: Final = 200
"""How many times as long as wide an image may be; projectors that keep its shape need a limit."""
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")

# The size is checked below, before any pixel is decoded; pillow would only warn.
Image.MAX_IMAGE_PIXELS = None
# What it finds odd in a stranger's file is nothing for the log of the server.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnusableImage(Exception):
    """The bytes are no image that a model can be shown; the text goes on after "image 1"."""


def decode_image(data: bytes) -> DecodedImage:
    """Return the image in `data` upright, without transparency, and no larger than models look at.

    Of several frames the first counts. Transparent parts become white, as on paper.

    Raises:
        UnusableImage: it cannot be used.
    """
    if not data:
        raise UnusableImage("is empty")
    image = _opened(data)
    _check_size(*image.size)
    try:
        return _pixels(image)
    except Exception as e:
        raise UnusableImage("is damaged") from e


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=_FORMATS)
    except Exception as e:
        raise UnusableImage("is no PNG, JPEG, WebP, GIF or BMP file, or is damaged") from e


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UnusableImage(
            f"has {width} x {height} pixels, more than the {MOST_PIXELS >> 20} megapixels allowed"
        )
    if not width or not height or max(width, height) > MOST_TIMES * min(width, height):
        raise UnusableImage(
            f"has {width} x {height} pixels: one side may be at most {MOST_TIMES} times the other"
        )


def _pixels(image: Image.Image) -> DecodedImage:
    size = _sent_size(*image.size)
    # Decodes a large JPEG at a half, a quarter or an eighth of its size: several times faster.
    image.draft("RGB", size)
    image.load()
    opaque = _opaque(image)
    if opaque.width > size[0]:
        opaque = opaque.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    upright = _upright(opaque)
    return DecodedImage(upright.width, upright.height, upright.tobytes())


def _sent_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, (MOST_SENT_PIXELS / (width * height)) ** 0.5)
    return max(1, int(width * scale)), max(1, int(height * scale))


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # pillow would cut off what is brighter than 255 of 65,535.
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    paper = Image.new("RGBA", seen.size, "white")
    flat = Image.alpha_composite(paper, seen).convert("RGB")
    flat.info = image.info
    return flat


def _upright(image: Image.Image) -> Image.Image:
    """Turn a photograph as its camera was held; notes that cannot be read turn nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image
