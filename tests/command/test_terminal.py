"""The command on a terminal: a chat that is typed, Ctrl-C, colours, few columns."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.published import PublishedModel
from tests.support.registry import FakeRegistry, listening
from tests.support.terminal import Terminal, terminal

Open = Callable[..., AbstractContextManager[Terminal]]
PROMPT = ">>> Send a message (/? for help)"


@pytest.fixture
def open_terminal(environment: dict[str, str]) -> Open:
    def start(*arguments: str, **size: int) -> AbstractContextManager[Terminal]:
        return terminal(*arguments, environment=environment, **size)

    return start


def test_ctrl_c_stops_the_answer_and_not_the_program(open_terminal: Open) -> None:
    with open_terminal("run", "base") as screen:
        screen.wait_for(PROMPT, at_end=True)
        screen.type("forever\r")
        screen.wait_for("again again")
        screen.type("\x03")
        screen.wait_for(PROMPT, at_end=True)
        screen.type("still here\r")
        screen.wait_for("still here\n")
        screen.wait_for(PROMPT, at_end=True)
        screen.type("\x03")
        screen.wait_for("Use Ctrl + d or /bye to exit.")
        screen.wait_for(PROMPT, at_end=True)
        screen.type("\x04")

        assert screen.wait() == 0


def test_what_is_typed_during_an_answer_does_not_appear_in_it(open_terminal: Open) -> None:
    """It would tear the answer apart."""
    with open_terminal("run", "base") as screen:
        screen.wait_for(PROMPT, at_end=True)
        screen.type("forever\r")
        screen.wait_for("again again")
        screen.type("early")
        screen.wait_for("again again again again again again again again again again again")
        assert "early" not in screen.text
        screen.type("\x03")
        screen.wait_for(PROMPT, at_end=True)
        assert "early" not in screen.text


def test_ctrl_c_ends_a_single_answer_with_the_usual_status(open_terminal: Open) -> None:
    with open_terminal("run", "base", "forever") as screen:
        screen.wait_for("again again")
        screen.type("\x03")

        assert screen.wait() == 130


def test_messages_are_kept_for_the_next_session_and_have_several_lines(
    open_terminal: Open,
) -> None:
    with open_terminal("run", "base") as screen:
        screen.wait_for(PROMPT, at_end=True)
        screen.type('"""first line\rsecond line"""\r')
        screen.wait_for("second line\n")
        screen.wait_for(PROMPT, at_end=True)
        screen.type("/bye\r")
        assert screen.wait() == 0
    with open_terminal("run", "base") as screen:
        screen.wait_for(PROMPT, at_end=True)
        screen.type("\x1b[A\x1b[A")
        screen.wait_for('>>> """first line\n... second line"""')


def test_an_answer_fits_into_forty_columns_with_whole_words(open_terminal: Open) -> None:
    words = " ".join(f"word{n}" for n in range(30))
    with open_terminal("run", "base", words, columns=40) as screen:
        assert screen.wait() == 0

        lines = screen.text.splitlines()
    assert " ".join(lines).split() == words.split()
    assert len(lines) > 5


def test_a_table_in_forty_columns_keeps_whole_names(open_terminal: Open) -> None:
    with open_terminal("list", columns=40) as screen:
        assert screen.wait() == 0

        lines = screen.text.splitlines()
    assert lines[0].split()[0] == "NAME"
    assert "embedder:latest" in screen.text
    assert len(lines) == 6  # each model has one line


def test_thinking_is_dimmed_and_markdown_rendered(open_terminal: Open) -> None:
    with open_terminal("run", "thinker", "this is **bold** text") as screen:
        assert screen.wait() == 0

    assert "**" not in screen.text
    assert "this is bold text" in screen.text
    assert b"\x1b[1mbold\x1b[0m" in screen.output


def test_without_word_wrap_an_answer_is_shown_as_it_is_written(open_terminal: Open) -> None:
    with open_terminal("run", "base", "--nowordwrap", "this is **bold**") as screen:
        assert screen.wait() == 0

    assert "this is **bold**" in screen.text


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    registry = FakeRegistry()
    registry.publish("library/tale", "latest", PublishedModel((("model", TEXT_MODEL),)))
    with listening(registry) as host:
        yield host


@pytest.mark.parametrize("columns", [40, 80])
def test_a_create_shows_bars_that_stay_whole(
    open_terminal: Open, tmp_path: Path, columns: int
) -> None:
    """The digest of a new layer is so long that it would squeeze them."""
    (tmp_path / "tale.gguf").write_bytes(TEXT_MODEL + bytes(columns))
    (tmp_path / "Modelfile").write_text("FROM ./tale.gguf\n")
    file = str(tmp_path / "Modelfile")
    with open_terminal("create", f"tale{columns}", "-f", file, columns=columns) as screen:
        assert screen.wait() == 0

    for step in ("hashing", "uploading"):
        [line] = [line for line in screen.text.splitlines() if f"{step} tale.gguf" in line]
        assert "100%" in line
        assert columns == 40 or line.endswith("00:00")


@pytest.mark.parametrize("columns", [40, 100])
def test_a_pull_shows_a_bar_for_each_layer(
    open_terminal: Open, registry: str, columns: int
) -> None:
    with open_terminal("pull", f"{registry}/library/tale", "--insecure", columns=columns) as screen:
        assert screen.wait() == 0

    assert "100%" in screen.text
    assert "success" in screen.text
    assert "pulling manifest" in screen.text
