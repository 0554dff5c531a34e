"""POST /api/generate: a prompt, made as the request and the model say, and its continuation."""

from typing import Any

import pytest

from tests.support.application import COUNTERS, Server, lines_of

pytestmark = pytest.mark.anyio


async def rendered(server: Server, **body: Any) -> str:
    """Return the prompt that the model would read."""
    answer = await server.post("/api/generate", **body, _debug_render_only=True)
    told = answer.json()
    assert (answer.status_code, told["response"], told["done"]) == (200, "", False)
    return str(told["_debug_info"]["rendered_template"])


async def test_a_stream_is_one_line_per_piece_and_a_last_one_with_the_counters(
    shared: Server,
) -> None:
    answer = await shared.post("/api/generate", model="base", prompt="Once upon")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    *pieces, last = lines_of(answer)
    assert "".join(piece["response"] for piece in pieces) == "Once upon "
    for piece in pieces:
        assert set(piece) == {"model", "created_at", "response", "done"}
        assert piece["done"] is False
    assert set(last) == {
        "model",
        "created_at",
        "response",
        "done",
        "done_reason",
        "context",
        *COUNTERS,
    }
    assert (last["response"], last["done"], last["done_reason"]) == ("", True, "stop")
    assert last["eval_count"] == 2


async def test_an_answer_in_one_piece_is_the_stream_joined(shared: Server) -> None:
    streamed = await shared.post("/api/generate", model="base", prompt="Once upon")
    whole = await shared.post("/api/generate", model="base", prompt="Once upon", stream=False)

    assert whole.headers["content-type"] == "application/json; charset=utf-8"
    assert not whole.text.endswith("\n")
    last = lines_of(streamed)[-1]
    assert whole.json()["response"] == "Once upon "
    assert set(whole.json()) == set(last)
    assert whole.json()["context"] == last["context"]


async def test_the_models_name_comes_back_as_it_was_sent(shared: Server) -> None:
    """Clients look their models up by it."""
    answer = await shared.post("/api/generate", model=" BASE:Latest ", prompt="a")

    assert {line["model"] for line in lines_of(answer)} == {" BASE:Latest "}


async def test_moments_are_told_in_utc(shared: Server) -> None:
    answer = await shared.post("/api/generate", model="base", prompt="a", stream=False)

    assert answer.json()["created_at"].endswith("Z")


async def test_text_that_a_browser_could_take_for_html_leaves_escaped(shared: Server) -> None:
    answer = await shared.post("/api/generate", model="base", prompt="<b>&é日", stream=False)

    assert r"\u003cb\u003e\u0026é日" in answer.text
    assert answer.json()["response"].startswith("<b>&é日")


HISTORY = "<user>Hi\n<assistant>Hello\n"
ASKED = "<user>Go\n<assistant>"


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        ({}, f"<system>Be brief.\n{HISTORY}{ASKED}"),
        ({"system": "Sing."}, f"<system>Sing.\n{HISTORY}{ASKED}"),
        ({"system": ""}, f"<system>Be brief.\n{HISTORY}{ASKED}"),
        ({"template": "[{{ .System }}|{{ .Prompt }}]"}, "[Be brief.|Hi]Hello[|Go]"),
        ({"context": []}, f"<system>Be brief.\n{ASKED}"),
        ({"context": None}, f"<system>Be brief.\n{HISTORY}{ASKED}"),
        ({"context": [65, 66]}, f"AB<system>Be brief.\n{ASKED}"),
        ({"raw": True}, "Go"),
    ],
)
async def test_the_prompt_is_made_of_what_the_model_and_the_request_bring(
    shared: Server, body: dict[str, Any], prompt: str
) -> None:
    assert await rendered(shared, model="teller", prompt="Go", **body) == prompt


@pytest.mark.parametrize(
    ("body", "beginning"),
    [
        ({"system": "checkpoint é"}, "checkpoint é"),
        ({"system": "checkpoint é\n"}, "checkpoint é"),
        ({"system": ""}, ""),
        ({"raw": True, "template": "", "system": ""}, ""),
    ],
)
async def test_the_runner_learns_where_the_system_message_ends(
    shared: Server, body: dict[str, Any], beginning: str
) -> None:
    """There it keeps a checkpoint, so that another prompt with that message need not compute it."""
    asked = {"model": "base", "template": "{{ .System }} {{ .Prompt }}", "prompt": "checkpoint"}

    answer = await shared.post("/api/generate", **{**asked, **body}, stream=False)

    assert answer.json()["response"] == beginning


async def test_a_gap_is_rendered_from_both_its_sides_alone(shared: Server) -> None:
    asked = {"model": "filler", "prompt": "def f(", "suffix": "return", "system": "Sing."}

    assert await rendered(shared, **asked) == "def f(|return|"


async def test_a_prompt_of_blanks_is_text_and_not_a_request_to_load(shared: Server) -> None:
    answer = await shared.post("/api/generate", model="base", prompt=" ", stream=False)

    assert answer.json()["done_reason"] == "stop"


async def test_a_raw_answer_has_no_context(shared: Server) -> None:
    answer = await shared.post("/api/generate", model="base", prompt="a", raw=True, stream=False)

    assert answer.json()["done"]
    assert "context" not in answer.json()


async def test_the_context_of_an_answer_continues_the_conversation(shared: Server) -> None:
    first = await shared.post("/api/generate", model="base", prompt="one two", stream=False)
    asked = {"model": "base", "prompt": " three", "context": first.json()["context"]}

    assert await rendered(shared, **asked) == "one twoone two  three"


@pytest.mark.parametrize(
    ("options", "response"),
    [
        ({}, "one two "),
        (None, "one two "),
        ({"num_predict": 3}, "one two three "),
        ({"num_predict": 1.9}, "one "),
        ({"num_predict": None}, "one two "),
        ({"num_predict": 0}, "one two three four "),
        ({"num_predict": -1}, "one two three four "),
        ({"num_predict": -2}, "one two three four "),
        ({"NUM_PREDICT": 1}, "one two "),
    ],
    ids=str,
)
async def test_options_of_the_request_go_before_those_of_the_model(
    shared: Server, options: dict[str, Any] | None, response: str
) -> None:
    answer = await shared.post(
        "/api/generate",
        model="teller",
        prompt="one two three four",
        raw=True,
        stream=False,
        options=options,
    )

    assert answer.json()["response"] == response
    limited = response != "one two three four "
    assert answer.json()["done_reason"] == ("length" if limited else "stop")


@pytest.mark.parametrize(
    "options",
    [
        {"mirostat": 1, "tfs_z": "x", "num_gqa": None, "use_mlock": {}},
        {"temperature": None, "stop": None},
        {"stop": "one string instead of a list"},
        {"stop": []},
        {"repeat_last_n": -1, "top_k": 0, "temperature": -1, "seed": -1, "num_ctx": 0},
        {"seed": 2.0, "top_p": 1},
    ],
    ids=str,
)
async def test_options_that_clients_send_out_of_habit_do_no_harm(
    shared: Server, options: dict[str, Any]
) -> None:
    answer = await shared.post(
        "/api/generate", model="base", prompt="a", stream=False, options=options
    )

    assert (answer.status_code, answer.json()["response"]) == (200, "a ")


@pytest.mark.parametrize("think", [False, None])
async def test_a_model_that_cannot_think_may_be_told_not_to(
    shared: Server, think: bool | None
) -> None:
    answer = await shared.post("/api/generate", model="base", prompt="a", think=think)

    assert answer.status_code == 200


async def test_the_older_name_field_is_not_one_of_this_request(shared: Server) -> None:
    answer = await shared.post("/api/generate", name="base", prompt="a")

    assert answer.status_code == 404
