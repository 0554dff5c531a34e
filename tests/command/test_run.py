"""`paddock run` and `paddock chat` in pipes and scripts."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import ollama
import pytest

from server.client.api import ApiClient
from server.client.chat_loop import chat
from server.client.session import Session
from tests.command.conftest import Run
from tests.support.image_files import plain

TIMINGS = re.compile(
    r"total duration: +\S+\nload duration: +\S+\nprompt eval count: +\d+ token\(s\)\n"
    r"prompt eval duration: \S+\nprompt eval rate: +\S+ tokens/s\neval count: +\d+ token\(s\)\n"
    r"eval duration: +\S+\neval rate: +\S+ tokens/s\n"
)


def test_a_prompt_is_answered_on_stdout_alone(run: Run) -> None:
    answer = run("run", "base", "good", "day")

    assert (answer.exit_code, answer.stderr) == (0, "")
    assert answer.stdout.rstrip() == "good day"
    assert answer.stdout.endswith("\n\n")


def test_what_is_piped_in_stands_before_the_prompt(run: Run) -> None:
    """`cat file | paddock run m "summarise"`."""
    assert run("run", "base", "summarise", stdin="a text").stdout.rstrip() == "a text summarise"


def test_a_pipe_has_no_colours_and_no_cursor_movements(
    run_process: Callable[..., object],
) -> None:
    answer = run_process("run", "thinker", "# hello **you**")

    assert answer.returncode == 0
    assert "# hello **you**" in answer.stdout
    assert "\x1b" not in answer.stdout + answer.stderr
    assert "⠋" not in answer.stderr


def test_timings_go_to_stderr_in_the_words_of_ollama(run: Run) -> None:
    answer = run("run", "base", "hi", "--verbose")

    assert answer.stdout.rstrip() == "hi"
    assert TIMINGS.fullmatch(answer.stderr), answer.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ("--keepalive", "5m"),
        ("--keepalive=1h", "--nowordwrap"),
        ("--verbose=false", "--insecure=false"),
        ("--hidethinking", "--think=false"),
        ("--nomarkdown",),
        ("--truncate=false", "--dimensions", "4"),
    ],
)
def test_flags_of_ollama_run_are_accepted_before_and_behind_the_prompt(
    run: Run, flags: tuple[str, ...]
) -> None:
    assert run("run", *flags, "base", "hi").stdout.rstrip() == "hi"
    assert run("run", "base", "hi", *flags).stdout.rstrip() == "hi"


def test_thinking_needs_no_value_and_takes_no_word_of_the_prompt(run: Run) -> None:
    answer = run("run", "--think", "thinker", "hi")
    refused = run("run", "base", "--think=loud", "hi")

    assert answer.exit_code == 0
    assert "hi" in answer.stdout
    assert refused.exit_code == 1
    assert refused.stderr == (
        'Error: invalid value for --think: "loud" (must be true, false, high, medium, or low)\n'
    )


def test_a_format_is_json_a_schema_or_a_file_with_one(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps({"type": "object"}))

    for value in ("json", str(file), '{"type": "object"}'):
        assert run("run", "base", "hi", "--format", value).exit_code == 0
    for value in ("xml", "{"):
        answer = run("run", "base", "hi", "--format", value)
        assert answer.exit_code == 1
        assert answer.stderr.startswith("Error: the format ")


def test_an_error_of_the_server_is_one_line(run: Run) -> None:
    answer = run("run", "base", "refuse")

    assert answer.exit_code == 1
    (line,) = [line for line in answer.stderr.splitlines() if line]
    assert line.startswith("Error: ")


def test_a_model_that_nobody_has_is_not_run(run: Run) -> None:
    answer = run("run", "127.0.0.1:9/none/absent", "hi")

    assert answer.exit_code == 1
    assert answer.stderr.splitlines()[-1] == (
        "Error: pull model manifest: cannot reach 127.0.0.1: the connection was refused"
    )


def test_each_line_of_a_pipe_is_a_message_of_one_conversation(run: Run) -> None:
    answer = run("chat", "base", stdin='first\n"""two\nlines"""\n/bye\nnever\n')

    assert answer.exit_code == 0
    assert "first" in answer.stdout
    assert "lines" in answer.stdout
    assert "never" not in answer.stdout


def test_a_pipe_with_an_unanswered_message_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script has only the status to tell; the messages behind it are answered all the same."""
    asked: list[str] = []

    def ask(_session: Session, _client: ApiClient, text: str, _files: tuple[bytes, ...]) -> None:
        asked.append(text)
        if text == "first":
            raise ollama.ResponseError("no memory", 500)

    monkeypatch.setattr(Session, "ask", ask)

    answer = run("chat", "base", stdin="first\nsecond\n")

    assert (answer.exit_code, answer.stderr) == (1, "error: no memory\n")
    assert asked == ["first", "second"]


def test_a_conversation_is_continued(run: Run) -> None:
    """The fake says the whole prompt back, so earlier messages are in the second answer."""
    first = run("chat", "base", stdin="remember me\n")
    second = run("chat", "--continue", stdin="and now?\n")

    assert first.exit_code == second.exit_code == 0
    assert "remember me" in second.stdout


def test_there_must_be_a_conversation_to_continue(run: Run) -> None:
    answer = run("chat", "--continue")

    assert (answer.exit_code, answer.stderr) == (
        1,
        "Error: there is no conversation to continue\n",
    )


def test_a_conversation_that_a_newer_version_kept_is_left_alone(run: Run, tmp_path: Path) -> None:
    run("chat", "base", stdin="remember me\n")
    (file,) = tmp_path.rglob("conversation.json")
    content = file.read_text().replace('"version": 1', '"version": 2')
    file.write_text(content)

    answer = run("chat", "--continue")

    assert answer.exit_code == 1
    assert "was kept by a newer version of paddock" in answer.stderr
    assert file.read_text() == content


def test_slash_commands_change_the_session(run: Run, tmp_path: Path) -> None:
    script = """/set parameter temperature 0.5
/set parameter stop A B
/set parameter nonsense 1
/set parameter
/set system You are a pirate.
/show system
/show parameters
/set format json
/set noformat
/set verbose
/set loud
/show nothing
/load absent
/load teller
/save mine
/clear
/list
/foo
/?
"""
    answer = run("chat", "base", stdin=script)

    assert answer.exit_code == 0
    for line in (
        "Set parameter 'temperature' to '0.5'",
        "Set parameter 'stop' to 'A, B'",
        "Set system message.",
        "You are a pirate.",
        "User defined parameters:",
        "Set format to 'json' mode.",
        "Disabled format.",
        "Set 'verbose' mode.",
        "Unknown command '/set loud'. Type /? for help",
        "Unknown command '/show nothing'. Type /? for help",
        "Couldn't find model 'absent'",
        "Loading model 'teller'",
        "Created new model 'mine'",
        "Cleared session context",
        "Unknown command '/foo'. Type /? for help",
    ):
        assert line in answer.stdout.splitlines(), line
    assert "Couldn't set parameter: " in answer.stdout
    assert "/set parameter seed <int>" in answer.stderr
    assert "  /bye            Exit" in answer.stderr
    saved = json.loads(run("show", "mine", "--json").stdout)
    assert saved["system"] == "You are a pirate."
    assert "temperature                    0.5" in saved["parameters"]
    run("rm", "mine")


def test_an_image_is_sent_by_its_path_to_a_model_that_sees(run: Run, tmp_path: Path) -> None:
    image = tmp_path / "a picture.png"
    image.write_bytes(plain(6, 4))
    prompt = f"what is in {image} please"

    shown = run("run", "eye", prompt)
    in_chat = run("chat", "eye", stdin=f"{prompt}\n")
    unseen = run("run", "base", prompt)

    assert shown.stdout.split() == "6x4 [img-0]what is in please".split()
    assert shown.stderr == f"Added file '{image}'\n"
    assert "6x4" in in_chat.stdout
    assert unseen.stdout.rstrip() == prompt
    assert unseen.stderr == f"Note: base takes no files; of '{image}' it gets only the path\n"


def test_a_path_without_a_file_stays_in_the_prompt(run: Run) -> None:
    assert "/nowhere/a.png" in run("run", "eye", "what is /nowhere/a.png").stdout


def test_quotes_around_a_stop_string_are_not_part_of_it(run: Run) -> None:
    """They keep its blanks, as in a Modelfile."""
    lines = '/set parameter stop it\'s\n/show parameters\n/set parameter stop "END OF" two\n'

    answer = run("chat", "base", stdin=f"{lines}/show parameters\n/save mine\n")
    shown = run("show", "mine", "--parameters").stdout
    run("rm", "mine")

    assert [line for line in answer.stdout.splitlines() if line.startswith("  stop")] == [
        f"  {'stop':<30} it's",
        f"  {'stop':<30} END OF, two",
    ]
    assert [line.split(maxsplit=1)[1] for line in shown.splitlines()] == ['"END OF"', '"two"']


@dataclass
class Messages:
    """A reader of messages that are typed or piped."""

    texts: list[str]
    is_typed: bool
    keeps_history: bool = False

    def read(self) -> str:
        if not self.texts:
            raise EOFError
        return self.texts.pop(0)


def test_a_chat_that_is_typed_goes_on_when_the_server_has_gone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It may be restarting; of a pipe, all further messages would be lost."""
    with ApiClient("http://127.0.0.1:9") as client:
        chat(client, Session(model="base"), Messages(["one", "/list", "two"], is_typed=True))
        with pytest.raises((httpx.ConnectError, ConnectionError)):
            chat(client, Session(model="base"), Messages(["one"], is_typed=False))

    error = (
        "error: could not connect to a server at http://127.0.0.1:9; "
        "run 'paddock serve' to start one"
    )
    assert [line for line in capsys.readouterr().err.splitlines() if line] == [error] * 3
