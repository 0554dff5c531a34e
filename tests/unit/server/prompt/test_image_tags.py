"""Images stand in prompts where the message says, and else where the reference puts them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.prompt.image_tags import ImagePlacement, count, with_tags
from server.prompt.messages import Message

BEFORE, APART, BEHIND = ImagePlacement


def asked(content: str, n_images: int = 0) -> Message:
    return Message("user", content, images=(b"",) * n_images)


@pytest.mark.parametrize(
    ("content", "n_images", "placing", "expected"),
    [
        ("Q", 0, BEFORE, "Q"),
        ("Q", 1, BEFORE, "[img-0]Q"),
        ("Q", 2, BEFORE, "[img-0][img-1]Q"),
        ("Q", 1, APART, "[img-0] Q"),
        ("Q", 2, APART, "[img-0][img-1] Q"),
        (" ", 1, APART, "[img-0] "),
        ("", 1, APART, "[img-0]"),
        ("Q", 1, BEHIND, "Q[img-0]"),
        ("", 2, BEHIND, "[img-0][img-1]"),
        ("a [img] b", 1, BEFORE, "a [img-0] b"),
        ("a [img] b [img]", 2, BEFORE, "a [img-0] b [img-1]"),
        ("a [img] b", 2, BEFORE, "[img-1]a [img-0] b"),
        ("a [img] b", 2, APART, "[img-1] a [img-0] b"),
        ("a [img] b", 2, BEHIND, "a [img-0] b[img-1]"),
        ("a [img] [img]", 1, BEFORE, "a [img-0] [img]"),
        ("a [img]", 0, BEFORE, "a [img]"),
        ("see [img-0]", 1, APART, "see [img-0]"),
        ("see [img-0]", 1, BEFORE, "[img-0]see [img-0]"),
    ],
)
def test_images_stand_where_the_message_has_a_place_for_them(
    content: str, n_images: int, placing: ImagePlacement, expected: str
) -> None:
    assert [m.content for m in with_tags([asked(content, n_images)], placing)] == [expected]


def test_images_are_numbered_through_all_messages() -> None:
    messages = [asked("a", 1), asked("b"), asked("[img-7]", 2), asked("c [img]", 1)]

    assert [m.content for m in with_tags(messages, APART)] == [
        "[img-0] a", "b", "[img-7]", "c [img-3]",
    ]  # fmt: skip
    assert count(messages) == 4


@given(
    st.lists(st.tuples(st.text("[]img- a", max_size=12), st.integers(0, 3)), max_size=4),
    st.sampled_from([BEFORE, BEHIND]),
)
def test_every_image_has_its_tag_in_its_message(
    given_messages: list[tuple[str, int]], placing: ImagePlacement
) -> None:
    messages = [asked(content, n) for content, n in given_messages]
    number = 0
    for message in with_tags(messages, placing):
        for _ in message.images:
            assert f"[img-{number}]" in message.content
            number += 1
    texts = [re.sub(r"\[img(-\d+)?\]", "", message.content) for message in messages]
    assert texts == [
        re.sub(r"\[img(-\d+)?\]", "", message.content) for message in with_tags(messages, placing)
    ]
