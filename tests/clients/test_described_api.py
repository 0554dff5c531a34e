"""The server keeps to its own description, whatever is sent to it.

Requests are drawn from the OpenAPI document, valid ones and others. None may end in a status that
the document does not tell, and none in an error of the server.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from server.app import create_app
from server.config.settings import Settings
from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_models import CHATML, write_llama

NOWHERE = "http://127.0.0.1:9"
"""A proxy that nothing listens on, so that no request leaves this machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    gguf = write_llama(tmp_path_factory.mktemp("gguf") / "tiny.gguf", chat_template=CHATML)
    proxies = {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "http_proxy": NOWHERE}
    with live_server(tmp_path_factory.mktemp("described"), **proxies) as running:
        running.create("tiny", gguf)
        yield running


@pytest.fixture(scope="module")
def described(server: LiveServer) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def operations() -> list[tuple[str, str]]:
    """Return the path and the method of every operation."""
    paths = create_app(Settings(models=Path("unused"))).openapi()["paths"]
    return [(path, method.upper()) for path, item in paths.items() for method in item]


@pytest.mark.parametrize(("path", "method"), operations(), ids=str)
def test_no_request_is_answered_otherwise_than_described(
    described: schemathesis.BaseSchema, path: str, method: str
) -> None:
    @given(case=described[path][method].as_strategy())
    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=HealthCheck)
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=[not_a_server_error, status_code_conformance])

    ask()
