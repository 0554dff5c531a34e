"""OLLAMA_DEBUG=1 says what each request went through: one line, without its texts."""

import logging

import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

WRONG_TYPE = 'field "model" must be a string, not a number'


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "server.requests")
    return caplog


def fields_of(lines: pytest.LogCaptureFixture) -> dict[str, object]:
    """Return the facts of the last request."""
    return [r for r in lines.records if r.name == "server.requests"][-1].fields


@pytest.mark.parametrize("stream", [True, False])
async def test_a_chat_is_logged_with_its_facts(
    shared: Server, lines: pytest.LogCaptureFixture, stream: bool
) -> None:
    messages = [{"role": "user", "content": "secret"}]

    answer = await shared.post("/api/chat", model="teller", messages=messages, stream=stream)

    fields = fields_of(lines)
    assert fields["request_id"] == answer.headers["x-request-id"]
    assert fields["route"] == "POST /api/chat"
    assert (fields["status"], fields["model"], fields["end"]) == (200, "teller", "length")
    assert fields["generated_tokens"] == 2
    assert (fields["renderer"], fields["format_reason"]) == ("go template", "go template")
    assert fields["parser"]
    assert fields["runner_pid"] in {runner.pid for runner in shared.runners}
    assert fields["prompt_tokens_computed"] > 0
    assert "secret" not in lines.text


@pytest.mark.parametrize(
    ("request_line", "status", "error"),
    [
        (("/api/chat", {"model": "absent"}), 404, "model 'absent' not found"),
        (
            ("/v1/chat/completions", {"model": 1}),
            400,
            'field "model" must be a string, not a number',
        ),
        (("/api/nothing", {}), 404, "404 page not found"),
    ],
)
async def test_an_error_is_logged_with_its_text(
    shared: Server,
    lines: pytest.LogCaptureFixture,
    request_line: tuple[str, dict[str, object]],
    status: int,
    error: str,
) -> None:
    path, body = request_line
    await shared.post(path, **body)

    assert (fields_of(lines)["status"], fields_of(lines)["error"]) == (status, error)


async def test_a_refused_page_is_logged_with_its_origin(
    shared: Server, lines: pytest.LogCaptureFixture
) -> None:
    await shared.http.get("/api/tags", headers={"origin": "https://evil.example"})

    assert fields_of(lines)["status"] == 403
    assert '"https://evil.example"' in fields_of(lines)["error"]


async def test_a_route_is_logged_without_its_values(
    shared: Server, lines: pytest.LogCaptureFixture
) -> None:
    """So that lines can be counted by route."""
    await shared.http.get("/v1/models/teller")

    assert fields_of(lines)["route"] == "GET /v1/models/{model:path}"


async def test_a_prompt_that_is_cut_is_a_warning(
    shared: Server, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [{"role": "user", "content": "word " * 40} for _ in range(9)]

    await shared.post("/api/chat", model="teller", messages=messages, options={"num_ctx": 128})

    assert "messages were dropped, as the prompt did not fit the context" in caplog.text


async def test_an_anthropic_error_has_the_id_of_its_request(shared: Server) -> None:
    answer = await shared.post("/v1/messages", model="absent", messages=[], max_tokens=1)

    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
