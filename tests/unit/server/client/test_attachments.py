"""Paths of images and audio in a message."""

from pathlib import Path

import pytest

from server.client.attachments import AttachmentError, attachments_of


@pytest.mark.parametrize(
    "form", ["{0}", "'{0}'", '"{0}"', "{1}"], ids=["plain", "quoted", "double-quoted", "escaped"]
)
def test_files_are_found_as_terminals_drop_them(tmp_path: Path, form: str) -> None:
    file = tmp_path / "my cat (1).PNG"
    file.write_bytes(b"image")
    escaped = str(file).replace(" ", "\\ ").replace("(", "\\(").replace(")", "\\)")

    found = attachments_of(f"what is {form.format(file, escaped)} then?")

    assert (found.files, found.names) == ((b"image",), (str(file),))
    assert found.text.split() == ["what", "is", "then?"]


def test_several_files_and_those_that_are_not_there(tmp_path: Path) -> None:
    for name in ("a.wav", "b.jpg"):
        (tmp_path / name).write_bytes(name.encode())

    found = attachments_of(f"{tmp_path}/a.wav {tmp_path}/b.jpg {tmp_path}/c.jpg")

    assert found.files == (b"a.wav", b"b.jpg")
    assert found.text == f"{tmp_path}/c.jpg"


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    with file.open("wb") as sparse:
        sparse.truncate((100 << 20) + 1)

    with pytest.raises(AttachmentError, match="larger than 100 MiB"):
        attachments_of(str(file))
