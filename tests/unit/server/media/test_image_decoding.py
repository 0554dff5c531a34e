"""Files of strangers become pixels, or are refused in one sentence, whatever is in them."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from runners.protocol.media import DecodedImage
from server.media.errors import MediaError
from server.media.image_decoding import MAX_SENT_PIXELS, decode_image
from server.media.image_headers import MAX_SCANS, JPEGScans, webp_size
from tests.support.image_files import (
    BLUE,
    FORMATS,
    GREEN,
    RED,
    bomb,
    encoded,
    plain,
    repeated_scans,
    webp_claim,
)

FILES = {format: plain(format=format) for format in FORMATS}


def seen(picture: DecodedImage) -> Image.Image:
    return Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)


def refusal(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        decode_image(data)
    return str(caught.value)


def halves(left: tuple[int, ...], right: tuple[int, ...], mode: str = "RGB") -> Image.Image:
    """Return an image 8 pixels wide and 4 high of two colours."""
    image = Image.new(mode, (8, 4), left)
    image.paste(right, (4, 0, 8, 4))
    return image


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_shows_the_same(format: str) -> None:
    image = seen(decode_image(FILES[format]))

    assert image.size == (6, 4)
    red, green, blue = image.getpixel((3, 2))
    assert (red > 250, green < 5, blue < 5) == (True, True, True)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_every_kind_of_colour_can_be_seen(mode: str) -> None:
    format = "JPEG" if mode in {"CMYK", "YCbCr"} else "PNG"
    data = encoded(Image.new("RGB", (4, 4), "white").convert(mode), format)

    assert min(seen(decode_image(data)).tobytes()) > 250


def test_sixteen_bits_for_a_colour_become_eight() -> None:
    data = encoded(Image.new("I;16", (2, 2), 0x8000))

    assert set(decode_image(data).rgb) == {0x80}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white_as_on_paper(mode: str) -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    if mode == "P":
        data = encoded(Image.new("P", (4, 4), 0), transparency=0)
    else:
        data = encoded(clear.convert(mode))

    assert set(decode_image(data).rgb) == {255}


def test_what_is_half_transparent_lets_the_paper_through() -> None:
    half = Image.new("RGBA", (1, 1), (255, 0, 0, 128))

    assert seen(decode_image(encoded(half))).getpixel((0, 0)) == (255, 127, 127)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_is_turned_as_its_camera_was_held(format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the right side of what was seen is the top of what was stored
    options = {"quality": 100, "subsampling": 0} if format == "JPEG" else {"lossless": True}
    image = seen(decode_image(encoded(halves(RED, BLUE), format, exif=exif, **options)))

    assert image.size == (4, 8)
    assert image.getpixel((1, 1))[0] > 250
    assert image.getpixel((1, 6))[2] > 250


def test_of_moving_images_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (GREEN, RED)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert seen(decode_image(data)).getpixel((0, 0)) == GREEN


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_large_image_is_made_smaller_and_keeps_its_shape(format: str) -> None:
    picture = decode_image(plain(6000, 1500, format=format))

    assert MAX_SENT_PIXELS * 0.99 < picture.width * picture.height <= MAX_SENT_PIXELS
    assert picture.width / picture.height == pytest.approx(4, rel=0.01)
    assert len(picture.rgb) == 3 * picture.width * picture.height


def test_a_small_image_stays_as_it_is() -> None:
    image = halves(RED, BLUE)

    assert decode_image(encoded(image)).rgb == image.tobytes()


def test_a_file_that_unpacks_to_far_more_is_refused_before_it_is_unpacked() -> None:
    assert refusal(bomb(50_000, 50_000)) == (
        "has 50000 x 50000 pixels, more than the 24 megapixels allowed for its format"
    )


@pytest.mark.parametrize("chunk", ["lossy", "lossless", "extended"])
def test_a_webp_file_that_claims_to_be_large_is_refused_before_it_is_opened(chunk: str) -> None:
    """The library takes four bytes for each pixel of the canvas, three times, to open it."""
    assert refusal(webp_claim(16_000, 16_000, chunk)) == (
        "has 16000 x 16000 pixels, more than the 8 megapixels allowed for its format"
    )
    assert "is damaged" in refusal(webp_claim(8, 4, chunk))


def test_the_size_of_webp_files_is_read_as_the_library_reads_it() -> None:
    image = Image.new("RGBA", (300, 200), (1, 2, 3, 4))
    for options in ({}, {"lossless": True}, {"exif": b"Exif\0\0"}):
        for mode in ("RGB", "RGBA"):
            assert webp_size(encoded(image.convert(mode), "WEBP", **options)) == (300, 200)


@pytest.mark.parametrize("n_scans", [32, 33, 3000])
def test_a_jpeg_file_that_repeats_its_scans_is_refused(n_scans: int) -> None:
    """Each of them costs as much as the whole image."""
    file = repeated_scans(n_scans)
    if n_scans <= MAX_SCANS:
        assert seen(decode_image(file)).size == (64, 64)
    else:
        assert refusal(file) == "has more than 32 scans: save it as a baseline JPEG file"


def test_scans_of_a_thumbnail_inside_a_jpeg_file_do_not_count() -> None:
    exif = b"Exif\0\0" + repeated_scans(100)

    assert JPEGScans(encoded(Image.new("RGB", (8, 8)), "JPEG", exif=exif)).count == 1


def test_baseline_and_progressive_jpeg_files_are_told_apart() -> None:
    image = Image.effect_noise((64, 64), 50).convert("RGB")
    baseline = JPEGScans(encoded(image, "JPEG"))
    progressive = JPEGScans(encoded(image, "JPEG", progressive=True))

    assert (baseline.progressive, baseline.count) == (False, 1)
    assert (progressive.progressive, progressive.count) == (True, 10)


@given(st.binary(max_size=64))
def test_headers_of_any_bytes_are_read_without_an_error(data: bytes) -> None:
    webp_size(b"RIFF\0\0\0\0WEBP" + data)
    JPEGScans(b"\xff\xd8" + data)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_a_large_image_is_scaled_in_strips_without_seams(mode: str) -> None:
    image = Image.linear_gradient("L").resize((5000, 2000)).convert("RGB")
    if mode == "I;16":
        large = image.convert("L").convert("I").point(lambda value: value * 256).convert("I;16")
    else:
        large = image.quantize(256) if mode == "P" else image.convert(mode)

    picture = seen(decode_image(encoded(large, compress_level=1))).convert("L")

    expected = image.convert("L").resize(picture.size, Image.Resampling.BOX)
    difference = ImageChops.difference(picture, expected)
    assert difference.getextrema()[1] <= 8


def test_a_line_is_no_image() -> None:
    """Some projectors would make it as long as it is, or nothing of it."""
    assert refusal(plain(1001, 5)) == (
        "has 1001 x 5 pixels: one side may be at most 200 times the other"
    )


@pytest.mark.parametrize(
    "data",
    [b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"\xff\xd8\xff", bytes(1000), b"<svg/>"],
)
def test_what_is_no_image_is_named_so(data: bytes) -> None:
    assert refusal(data) == "is not a PNG, JPEG, WebP, GIF or BMP file, or is damaged"


def test_formats_that_no_client_sends_are_not_even_tried() -> None:
    """Each further reader is a way in for damaged files."""
    assert "is not a PNG" in refusal(encoded(Image.new("RGB", (4, 4)), "TIFF"))


def test_an_empty_image_is_named_so() -> None:
    assert refusal(b"") == "is empty"


def test_an_image_that_is_cut_off_is_damaged() -> None:
    data = encoded(Image.effect_noise((64, 64), 50))

    assert refusal(data[: len(data) // 2]) == "is damaged"


@given(st.sampled_from(FORMATS), st.data())
def test_no_damage_gets_through(format: str, data: st.DataObject) -> None:
    """A damaged file becomes pixels or is refused; no error of the library comes out."""
    file = bytearray(FILES[format])
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(file)))
    try:
        picture = decode_image(bytes(file[:cut]))
    except MediaError:
        return
    assert len(picture.rgb) == 3 * picture.width * picture.height > 0


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_notes_of_a_camera_that_cannot_be_read_turn_nothing() -> None:
    buffer = BytesIO()
    halves(RED, BLUE).save(buffer, "JPEG", exif=b"Exif\x00\x00MM\x00*garbage")

    assert seen(decode_image(buffer.getvalue())).size == (8, 4)
