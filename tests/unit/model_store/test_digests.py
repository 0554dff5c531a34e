"""Nothing but a digest becomes the path of a blob."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.digests import Digest
from model_store.errors import InvalidDigest
from model_store.layout import Layout

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize("text", ["sha256:" + HEX, "sha256-" + HEX])
def test_both_spellings_mean_one_blob(text: str) -> None:
    assert Digest.parse(text) == Digest(HEX)
    assert str(Digest.parse(text)) == "sha256:" + HEX


@pytest.mark.parametrize(
    "text",
    [
        "", HEX, "sha256:", "sha256:" + HEX[1:], f"sha256:{HEX}0", f"sha256:{HEX}\n", "md5:" + HEX,
        "sha512:" + HEX, "sha256:../../etc/passwd", "sha256:" + "../" * 21 + "x", f"sha256/{HEX}",
        "sha256:" + HEX.upper(), "sha256:" + "g" * 64, f"sha256:{HEX[:63]}\0", "sha256:" + "٣" * 64,
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigest):
        Digest.parse(text)


def test_a_digest_cannot_be_made_around_the_check() -> None:
    with pytest.raises(InvalidDigest):
        Digest("../../etc/passwd")


@given(st.one_of(st.text(), st.from_regex(r"sha256[:-][0-9a-fA-F./]{60,68}")))
def test_no_text_leaves_the_directory_of_blobs(text: str) -> None:
    layout = Layout(Path("/store"))
    try:
        path = layout.blob(Digest.parse(text))
    except InvalidDigest:
        return
    assert path.parent == layout.blobs
    assert path.name == "sha256-" + text[7:]
