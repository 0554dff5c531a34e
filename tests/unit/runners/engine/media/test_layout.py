"""Media among tokens: where they stand, at which positions, and what makes them the same."""

import numpy as np
import pytest

from runners.engine.media.encoding_cache import EncodingCache
from runners.engine.media.layout import InvalidMedia, Layout, Span, digest_of, ids_of, split
from runners.protocol.media import DecodedAudio, DecodedImage
from runners.protocol.tokens import AnyText, Segment, SegmentedText

ONE, TWO = DecodedImage(1, 1, b"abc"), DecodedImage(1, 1, b"xyz")


def span(start: int, end: int, position: int, n_positions: int, *, flat: bool = False) -> Span:
    """Return a picture; all tokens of a `flat` one have the same time."""
    times = np.full(end - start, position) if flat else np.arange(position, position + end - start)
    return Span(
        start=start,
        end=end,
        positions=times[None].astype(np.int32),
        following=position + n_positions,
        key=b"",
        chunk=0,
        whole=False,
    )


def text(text: str) -> Segment:
    return Segment(text, special=True)


def content(text: str) -> Segment:
    return Segment(text, special=False)


def segmented(*segments: Segment) -> SegmentedText:
    return SegmentedText(segments)


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a [img-0] b", [text("a "), ONE, text(" b")]),
        ("[img-0]", [ONE]),
        ("[img-0] [img-0]", [ONE, text(" [img-0]")]),
        (
            segmented(text("[x]"), content("a[x] [img-0][x]"), text("[x]")),
            [text("[x]"), content("a[x] "), ONE, content("[x]"), text("[x]")],
        ),
        (segmented(content("a"), content("[img-0]"), text("b")), [content("a"), ONE, text("b")]),
    ],
)
def test_a_picture_stands_at_its_first_tag(
    prompt: AnyText, parts: list[Segment | DecodedImage]
) -> None:
    assert split(prompt, [ONE]) == parts


def test_pictures_stand_in_the_order_of_their_tags() -> None:
    assert split("[img-1]a[img-0]", [ONE, TWO]) == [TWO, text("a"), ONE]


def test_a_picture_without_a_tag_is_refused() -> None:
    with pytest.raises(InvalidMedia, match=r"add \[img-1\] where it belongs"):
        split("[img-0] [img-10]", [ONE, TWO])


def test_positions_go_on_behind_a_picture_as_if_it_were_smaller() -> None:
    """Tokens 2 to 5 are a picture of two positions, 7 to 9 one of five."""
    layout = Layout([span(2, 6, 2, 2, flat=True), span(7, 10, 5, 5)], None)

    assert [layout.position(n) for n in range(13)] == [0, 1, 2, 2, 2, 2, 4, 5, 6, 7, 10, 11, 12]


def test_a_beginning_that_is_shared_never_ends_inside_a_picture() -> None:
    layout = Layout([span(2, 6, 2, 4), span(6, 9, 6, 3)], None)

    assert [layout.floor(n) for n in range(11)] == [0, 1, 2, 2, 2, 2, 6, 6, 6, 9, 10]


def test_ids_of_a_picture_are_no_tokens_and_always_the_same() -> None:
    ids = ids_of(b"key", 1000)

    assert (ids < 0).all()
    assert len(set(ids.tolist())) > 990
    assert ids.tolist() == ids_of(b"key", 1000).tolist()
    assert not set(ids.tolist()) & set(ids_of(b"other", 1000).tolist())


def test_the_shape_belongs_to_what_a_picture_shows() -> None:
    assert digest_of(DecodedImage(2, 1, b"abcxyz")) != digest_of(DecodedImage(1, 2, b"abcxyz"))


def test_a_sound_is_never_taken_for_a_picture_or_another_sound() -> None:
    digests = {digest_of(medium) for medium in (ONE, DecodedAudio(b"abc"), DecodedAudio(b"abcd"))}

    assert len(digests) == 3
    assert digest_of(DecodedAudio(b"abc")) in digests


def test_encodings_used_longest_ago_go_first() -> None:
    rows = np.zeros((1, 2), np.float32)
    cache = EncodingCache(max_bytes=2 * rows.nbytes)
    for key in (b"a", b"b"):
        cache.put(key, rows)
    assert cache.get(b"a") is not None
    cache.put(b"c", rows)

    assert [cache.get(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


def test_an_encoding_that_is_too_large_drops_no_other() -> None:
    cache = EncodingCache(max_bytes=8)
    cache.put(b"small", np.zeros((1, 2), np.float32))
    cache.put(b"large", np.zeros((1, 3), np.float32))

    assert cache.get(b"small") is not None
    assert cache.get(b"large") is None
