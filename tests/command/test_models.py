"""Commands that list, show and change models, as scripts call them."""

import json
import re

import httpx
import pytest

from server.client.connection import connected
from tests.command.conftest import Run
from tests.support.served import ServedApplication


def test_models_are_listed_in_the_columns_of_ollama(run: Run) -> None:
    answer = run("list")

    header, *rows = answer.stdout.splitlines()
    assert re.split(r" {2,}", header) == ["NAME", "ID", "SIZE", "MODIFIED"]
    names = {re.split(r" {2,}", row)[0] for row in rows}
    assert {"base:latest", "embedder:latest", "teller:latest"} <= names
    _, digest, size, modified = re.split(r" {2,}", rows[0])
    assert re.fullmatch(r"[0-9a-f]{12}", digest)
    assert re.fullmatch(r"\d+(\.\d)? K?B", size)
    assert modified.endswith(" ago")


def test_a_prefix_and_its_alias_list_fewer(run: Run) -> None:
    rows = run("ls", "TELL").stdout.splitlines()

    assert [row.split()[0] for row in rows] == ["NAME", "teller:latest"]


def test_what_is_listed_and_shown_is_json_for_programs(run: Run) -> None:
    listed = json.loads(run("list", "--json").stdout)["models"]
    shown = json.loads(run("show", "teller", "--json").stdout)

    assert "teller:latest" in {model["name"] for model in listed}
    assert (shown["system"], shown["license"]) == ("Be brief.", "MIT")
    assert json.loads(run("ps", "--json").stdout)["models"] == []


def test_the_sheet_of_a_model_has_the_sections_of_ollama(run: Run) -> None:
    answer = run("show", "teller")

    lines = answer.stdout.splitlines()
    assert answer.exit_code == 0
    for section in ("  Model", "  Capabilities", "  Parameters", "  System", "  License"):
        assert section in lines
    assert re.search(r"^    architecture +llama$", answer.stdout, re.MULTILINE)
    assert re.search(r"^    context length +4096$", answer.stdout, re.MULTILINE)
    assert re.search(r"^    num_predict +5$", answer.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("--system", "Be brief."),
        ("--license", "MIT\n"),
        (
            "--parameters",
            'num_predict                    5\nstop                           "END"\n',
        ),
    ],
)
def test_one_part_of_a_model_is_shown_as_it_is(run: Run, part: str, text: str) -> None:
    assert run("show", "teller", part).stdout == text


def test_a_modelfile_that_is_shown_makes_the_same_model(run: Run, tmp_path) -> None:
    file = tmp_path / "Modelfile"
    file.write_text(run("show", "teller", "--modelfile").stdout)

    answer = run("create", "again", "-f", str(file))

    assert answer.exit_code == 0, answer.output
    assert run("show", "again", "--system").stdout == "Be brief."
    assert run("rm", "again").exit_code == 0


@pytest.mark.parametrize(
    "text",
    ["a\rb", "a\r\nb", "\r", "ends in a tab\t", '"a" and "b"', '"""', 'a """ b', "# no comment",
     "line\n# hash\nend", "trailing\\", "{{ .Prompt }}", "SYSTEM x\nPARAMETER stop y"],
    ids=repr,
)  # fmt: skip
def test_any_text_is_the_same_when_a_shown_modelfile_makes_a_model(
    run: Run, application: ServedApplication, tmp_path, text: str
) -> None:
    body = {"model": "one", "from": "base", "system": text, "parameters": {"stop": [text]}}
    body["messages"] = [{"role": role, "content": text} for role in ("user", "tool")]
    httpx.post(f"http://{application.host}/api/create", json=body, timeout=60).raise_for_status()
    file = tmp_path / "Modelfile"
    file.write_bytes(run("show", "one", "--modelfile").stdout_bytes)

    answer = run("create", "two", "-f", str(file))

    assert answer.exit_code == 0, answer.output
    parts = ("system", "parameters", "messages")
    one, two = (json.loads(run("show", name, "--json").stdout) for name in ("one", "two"))
    assert [two.get(part) for part in parts] == [one.get(part) for part in parts]
    assert one["system"] == text
    assert run("rm", "one", "two").exit_code == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_modelfile_may_be_what_powershell_writes(run: Run, tmp_path, encoding: str) -> None:
    file = tmp_path / "Modelfile"
    file.write_bytes("FROM base\r\nSYSTEM Réponds.\r\n".encode(encoding))

    answer = run("create", "written", "-f", str(file))

    assert answer.exit_code == 0, answer.output
    assert run("show", "written", "--system").stdout == "Réponds."
    assert run("rm", "written").exit_code == 0


def test_two_parts_at_once_are_refused(run: Run) -> None:
    answer = run("show", "teller", "--system", "--license")

    assert answer.exit_code == 1
    assert answer.stderr == (
        "Error: only one of '--license', '--modelfile', '--parameters', '--system', or "
        "'--template' can be specified\n"
    )


def test_models_are_copied_stopped_and_removed_in_the_words_of_ollama(run: Run) -> None:
    assert run("cp", "base", "one").stdout == "copied 'base' to 'one'\n"
    assert run("cp", "base", "two").exit_code == 0
    assert (run("stop", "one").exit_code, run("stop", "one").output) == (0, "")
    assert run("rm", "one", "two").stdout == "deleted 'one'\ndeleted 'two'\n"
    assert "one:latest" not in run("list").stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("show", "absent"), "model 'absent' not found"),
        (("cp", "absent", "x"), "model 'absent:latest' not found"),
        (("rm", "absent"), "model 'absent:latest' not found"),
        (("stop", "absent"), 'couldn\'t find model "absent" to stop'),
    ],
)
def test_a_model_that_is_not_here_ends_a_command_with_status_1(
    run: Run, arguments: tuple[str, ...], error: str
) -> None:
    answer = run(*arguments)

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: ")
    assert error.split("'", maxsplit=1)[0] in answer.stderr


def test_a_loaded_model_is_listed_with_its_processor_and_context(run: Run) -> None:
    run("run", "base", "hello")

    header, *rows = run("ps", "base").stdout.splitlines()

    columns = ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
    assert re.split(r" {2,}", header) == columns
    name, _, _, processor, context, _ = re.split(r" {2,}", rows[0])
    assert (name, processor, context) == ("base:latest", "100% CPU", "4096")
    run("stop", "base")


def test_the_store_is_searched_by_name_and_details(run: Run) -> None:
    found = run("search", "tell", "llama")
    none = run("search", "tell", "bert")

    assert [row.split()[0] for row in found.stdout.splitlines()] == ["NAME", "teller:latest"]
    assert (none.exit_code, len(none.stdout.splitlines())) == (1, 1)


def test_embeddings_are_one_array_a_line(run: Run) -> None:
    two = run("embed", "embedder", "one", "two").stdout.splitlines()
    piped = run("embed", "embedder", stdin="one\ntwo\n").stdout.splitlines()
    of_run = run("run", "embedder", "one").stdout

    assert [type(json.loads(line)[0]) for line in two] == [float, float]
    assert piped == two
    assert json.loads(of_run) == json.loads(two[0])


def test_a_file_may_have_more_lines_than_a_request_may_have_texts(run: Run) -> None:
    lines = [str(number) for number in range(600)]

    answer = run("embed", "embedder", stdin="\n".join(lines))
    last = run("embed", "embedder", lines[-1])

    vectors = answer.stdout.splitlines()
    assert (answer.exit_code, len(vectors)) == (0, len(lines))
    assert vectors[-1] == last.stdout.rstrip()


def test_a_reader_that_has_enough_is_not_a_server_that_has_gone(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `paddock run base | head` does: the error is a ConnectionError too."""
    monkeypatch.setenv("OLLAMA_HOST", environment["OLLAMA_HOST"])

    with pytest.raises(BrokenPipeError), connected():
        raise BrokenPipeError


def test_without_a_server_elsewhere_a_command_says_how_to_start_one(run: Run) -> None:
    answer = run("list", OLLAMA_HOST="127.0.0.1:9")

    assert answer.exit_code == 1
    assert answer.stderr == (
        "Error: could not connect to a server at http://127.0.0.1:9; "
        "run 'paddock serve' to start one\n"
    )


def test_names_of_models_are_completed(run: Run, application: ServedApplication) -> None:
    variables = {
        "_PADDOCK_COMPLETE": "complete_bash",
        "COMP_WORDS": "paddock rm te",
        "COMP_CWORD": "2",
    }

    answer = run(**variables)

    assert "teller:latest" in answer.stdout
