"""The models that come along do what they are there for, in a server that was just started.

What a model is given is taken from the server (`_debug_render_only`) and sent back as it is, so
that these tests look at the model's own text.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.live_server import LiveServer, live_server

NAMES = {"paddock:latest", "paddock-embed:latest"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
        },
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    directory = tmp_path_factory.mktemp("bundled")
    with live_server(directory, PADDOCK_NO_BUILTIN="0") as running:
        yield running


@pytest.fixture(scope="module")
def http(server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=120) as client:
        yield client


def post(http: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = http.post(path, json={"stream": False, **body})
    assert answer.is_success, answer.text
    return dict(answer.json())


def says(http: httpx.Client, messages: list[dict[str, Any]], **fields: Any) -> str:
    """Return what the guide writes after `messages`, in its own marks; it must end by itself."""
    rendered = post(
        http, "/api/chat", model="paddock", messages=messages, _debug_render_only=True, **fields
    )
    prompt = rendered["_debug_info"]["rendered_template"]
    answer = post(http, "/api/generate", model="paddock", prompt=prompt, raw=True)
    assert answer["done_reason"] == "stop"
    return str(answer["response"])


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(text: str) -> list[dict[str, Any]]:
    return [json.loads(call) for call in re.findall(r"<tool_call>\n(.*)\n</tool_call>", text)]


def installed(http: httpx.Client) -> set[str]:
    return {model["name"] for model in http.get("/api/tags").json()["models"]}


def test_they_are_listed_with_what_they_can_do(http: httpx.Client) -> None:
    guide, embedder = (
        set(post(http, "/api/show", model=name)["capabilities"])
        for name in ("paddock", "paddock-embed")
    )

    assert installed(http) == NAMES
    assert guide == {"completion", "tools", "insert", "thinking"}
    assert embedder == {"embedding"}


def test_the_request_that_a_start_prints_is_answered(server: LiveServer) -> None:
    [line] = re.findall(r"^Try: +(curl .*)$", server.log.read_text(), re.MULTILINE)
    _, url, option, body = shlex.split(line)

    answer = httpx.post(url, content=body, timeout=120)

    assert option == "-d"
    assert "ollama pull" in answer.json()["message"]["content"]


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("How do I pull a model?", "ollama pull"),
        ("How can I delete a model?", "ollama rm"),
        ("What does keep_alive do?", "in memory after its last use"),
        ("Where are the models stored?", "~/.ollama/models"),
        ("What does model not found mean?", "No model of that name"),
        ("Which port does paddock use?", "11434"),
    ],
)
def test_questions_about_paddock_are_answered(http: httpx.Client, question: str, part: str) -> None:
    assert part in says(http, [user(question)], think=False)


def test_it_thinks_when_asked_to_and_only_then(http: httpx.Client) -> None:
    question = [user("How do I pull a model?")]

    thoughts, mark, answer = says(http, question, think=True).partition("</think>")

    assert thoughts.strip()
    assert mark
    assert answer.strip() == says(http, question, think=False)


def test_a_tool_is_called_and_its_result_is_told(http: httpx.Client) -> None:
    messages = [user("What is the weather in Lisbon?")]
    [call] = called(says(http, messages, tools=[WEATHER], think=False))
    assert call == {"name": "get_weather", "arguments": {"city": "Lisbon"}}

    result = '{"temperature":23,"condition":"sunny"}'
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [{"function": call}]},
        {"role": "tool", "tool_name": "get_weather", "content": result},
    ]
    told = says(http, messages, tools=[WEATHER], think=False)

    assert called(told) == []
    assert "Lisbon" in told
    assert "23" in told


def test_a_question_that_needs_no_tool_is_answered(http: httpx.Client) -> None:
    text = says(http, [user("How do I pull a model?")], tools=[WEATHER], think=False)

    assert called(text) == []
    assert "ollama pull" in text


def test_it_answers_in_json_when_asked_to(http: httpx.Client) -> None:
    text = says(http, [user("Make a JSON object with name Anna and age 34.")], think=False)

    assert json.loads(text) == {"name": "Anna", "age": 34}


def test_it_fills_a_gap(http: httpx.Client) -> None:
    filled = post(
        http,
        "/api/generate",
        model="paddock",
        prompt="def add(a, b):\n    ",
        suffix="\n",
    )

    assert filled["done_reason"] == "stop"
    assert filled["response"] == "return a + b"


def test_texts_of_one_meaning_lie_closest(http: httpx.Client) -> None:
    known = [
        "How do I pull a model?",
        "How do I delete a model?",
        "What does keep_alive do?",
        "Which port does paddock use?",
        "Why is the sky blue?",
    ]
    asked = [
        "download a new model",
        "remove a model from disk",
        "what is keep_alive for",
        "on which port does the server listen",
        "what makes the sky blue",
    ]

    answer = post(http, "/api/embed", model="paddock-embed", input=[*known, *asked])

    vectors = np.array(answer["embeddings"])
    assert np.argmax(vectors[5:] @ vectors[:5].T, axis=1).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("text", ["", " ", "🙂 日本語\0\n", "x" * 5000])
def test_any_text_is_answered(http: httpx.Client, text: str) -> None:
    answer = post(http, "/api/chat", model="paddock", messages=[user(text)])

    assert answer["done"]


def test_what_was_deleted_is_away_after_a_restart(tmp_path: Path) -> None:
    with live_server(tmp_path, PADDOCK_NO_BUILTIN="0") as server, httpx.Client() as http:
        for name in NAMES:
            http.request("DELETE", f"{server.url}/api/delete", json={"model": name})
    with live_server(tmp_path, PADDOCK_NO_BUILTIN="0") as server:
        assert httpx.get(f"{server.url}/api/tags").json() == {"models": []}
        assert f"curl {server.url}/api/tags" in server.log.read_text()


def test_a_store_that_cannot_take_them_does_not_stop_the_server(tmp_path: Path) -> None:
    (tmp_path / "models" / "manifests").mkdir(parents=True)
    (tmp_path / "models" / "manifests" / "registry.ollama.ai").write_text("in the way")

    with live_server(tmp_path, PADDOCK_NO_BUILTIN="0") as server:
        assert httpx.get(f"{server.url}/api/tags").json() == {"models": []}
        assert "the bundled models are not installed" in server.log.read_text()


def test_they_can_be_left_out(tmp_path: Path) -> None:
    with live_server(tmp_path, PADDOCK_NO_BUILTIN="1") as server:
        assert httpx.get(f"{server.url}/api/tags").json() == {"models": []}
