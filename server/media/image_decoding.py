"""Decode an untrusted image file to RGB pixels with pillow; run in a worker process only.

No other part of the server, and nothing native in a runner, reads such a file. Only the formats
that clients send are tried.
"""

import warnings
from io import BytesIO
from typing import Final

from PIL import Image, ImageOps

from runners.protocol.media import DecodedImage
from server.media.errors import MediaError
from server.media.image_headers import MAX_SCANS, JPEGScans, is_webp, webp_size

MAX_SENT_PIXELS: Final = 4 << 20
"""Of what a model gets: no projector in use looks at more; a larger image is scaled down."""
MAX_ASPECT_RATIO: Final = 200
"""Of width and height; projectors that keep the shape of an image need a limit."""
_MAX_PIXELS: Final = {"JPEG": 64 << 20, "WEBP": 8 << 20}
"""By format. Most JPEG files are decoded at a half or quarter of their size, at a byte per colour;
the library for WebP keeps three copies of four bytes per pixel."""
_MAX_PIXELS_OF_OTHERS: Final = 24 << 20
"""Of formats, and progressive JPEG files, that are decoded as a whole, at four bytes per pixel."""
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_STRIP_PIXELS: Final = 1 << 18
_NOT_AN_IMAGE: Final = "is not a PNG, JPEG, WebP, GIF or BMP file, or is damaged"

# The size is checked here, before any pixel is decoded; pillow would only warn.
Image.MAX_IMAGE_PIXELS = None
# What pillow finds odd in an untrusted file does not belong in the log of the server.
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode_image(data: bytes | memoryview) -> DecodedImage:
    """Return the image in `data` upright, without transparency, and no larger than models look at.

    Of several frames the first counts. Transparent parts become white.

    Raises:
        MediaError: it cannot be used.
    """
    if not data:
        raise MediaError("is empty")
    try:
        # No name keeps the file's own pixels while the smaller image is made.
        return _pixels(_opened(bytes(data)))
    except (MediaError, MemoryError):
        raise
    except Exception as e:
        raise MediaError("is damaged") from e


def _opened(data: bytes) -> Image.Image:
    """Return the image with its size checked, not decoded yet."""
    if is_webp(data):
        if (size := webp_size(data)) is None:
            raise MediaError(_NOT_AN_IMAGE)
        _check_size(*size, _MAX_PIXELS["WEBP"])
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
    except MemoryError:
        raise
    except Exception as e:
        raise MediaError(_NOT_AN_IMAGE) from e
    max_pixels = _MAX_PIXELS.get(image.format or "", _MAX_PIXELS_OF_OTHERS)
    if image.format in {"JPEG", "MPO"}:
        max_pixels = _max_jpeg_pixels(data)
    _check_size(*image.size, max_pixels)
    return image


def _max_jpeg_pixels(data: bytes) -> int:
    scans = JPEGScans(data)
    if scans.count > MAX_SCANS:
        raise MediaError(f"has more than {MAX_SCANS} scans: save it as a baseline JPEG file")
    return _MAX_PIXELS_OF_OTHERS if scans.progressive else _MAX_PIXELS["JPEG"]


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise MediaError(
            f"has {width} x {height} pixels, more than the {max_pixels >> 20} megapixels allowed "
            "for its format"
        )
    if not width or not height or max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise MediaError(
            f"has {width} x {height} pixels: one side may be at most {MAX_ASPECT_RATIO} times the "
            "other"
        )


def _pixels(image: Image.Image) -> DecodedImage:
    size = _sent_size(*image.size)
    # Decodes a large JPEG at a half, a quarter or an eighth of its size: several times faster.
    image.draft("RGB", size)
    image.load()
    if image.width <= size[0]:
        small = _opaque(image)
    else:
        reduced, box = _reduced(image, size)
        del image
        small = reduced.resize(size, Image.Resampling.LANCZOS, box)
        small.info = reduced.info
    upright = _upright(small)
    return DecodedImage(upright.width, upright.height, upright.tobytes())


def _sent_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, (MAX_SENT_PIXELS / (width * height)) ** 0.5)
    return max(1, int(width * scale)), max(1, int(height * scale))


def _reduced(
    image: Image.Image, size: tuple[int, int]
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Return the image in RGB, scaled down by an integer, and its box to scale to `size`.

    It is copied in strips, so that no second copy of all pixels is needed.
    """
    factor = max(1, image.width // size[0])
    step = factor * max(1, _STRIP_PIXELS // (image.width * factor))
    reduced = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, step):
        strip = image.crop((0, top, image.width, min(top + step, image.height)))
        reduced.paste(_opaque(strip).reduce(factor), (0, top // factor))
    reduced.info = image.info
    return reduced, (0, 0, image.width / factor, image.height / factor)


def _opaque(image: Image.Image) -> Image.Image:
    """Return an image in RGB on white."""
    if image.mode.startswith("I;16"):
        # pillow would cut off what is brighter than 255 of 65,535.
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    white = Image.new("RGBA", with_alpha.size, "white")
    flat = Image.alpha_composite(white, with_alpha).convert("RGB")
    flat.info = image.info
    return flat


def _upright(image: Image.Image) -> Image.Image:
    """Rotate a photo as its EXIF data says; damaged EXIF data is ignored."""
    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:
        return image
