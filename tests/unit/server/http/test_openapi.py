"""The OpenAPI description is complete and valid, so that client generators can read it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.app import create_app
from server.config.settings import Settings
from server.versions import PADDOCK


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    found = create_app(Settings(models=Path("unused"))).openapi()
    assert isinstance(found, dict)
    return found


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(target := value.get("$ref"), str):
            yield target
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_it_is_json_and_names_the_version(description: dict[str, Any]) -> None:
    assert json.loads(json.dumps(description))["info"]["version"] == PADDOCK


def test_every_operation_has_an_id_of_its_own(description: dict[str, Any]) -> None:
    """Generators of clients name their functions by it."""
    ids = [each["operationId"] for path in description["paths"].values() for each in path.values()]

    assert sorted(ids) == sorted(set(ids))


def test_every_reference_resolves(description: dict[str, Any]) -> None:
    found = set(references(description))

    assert found
    for target in found:
        place: Any = description
        for part in target.removeprefix("#/").split("/"):
            place = place[part]
        assert place


@pytest.mark.parametrize(
    ("method", "path", "model"),
    [
        ("post", "/api/generate", "GenerateRequest"),
        ("post", "/api/chat", "ChatRequest"),
        ("post", "/api/embed", "EmbedRequest"),
        ("post", "/api/embeddings", "EmbeddingsRequest"),
        ("post", "/api/show", "ShowRequest"),
        ("post", "/api/copy", "CopyRequest"),
        ("delete", "/api/delete", "DeleteRequest"),
        ("post", "/api/create", "CreateRequest"),
        ("post", "/api/tokenize", "TokenizeRequest"),
        ("post", "/api/detokenize", "DetokenizeRequest"),
        ("post", "/api/rerank", "RerankRequest"),
        ("post", "/v1/rerank", "RerankRequest"),
        ("post", "/v1/chat/completions", "ChatCompletionRequest"),
        ("post", "/v1/completions", "CompletionRequest"),
        ("post", "/v1/embeddings", "EmbeddingRequest"),
        ("post", "/v1/messages", "MessagesRequest"),
        ("post", "/v1/messages/count_tokens", "CountTokensRequest"),
        ("post", "/v1/responses", "ResponsesRequest"),
    ],
)
def test_a_route_describes_its_body(
    description: dict[str, Any], method: str, path: str, model: str
) -> None:
    body = description["paths"][path][method]["requestBody"]["content"]["application/json"]

    assert body["schema"] == {"$ref": f"#/components/schemas/{model}"}
    assert description["components"]["schemas"][model]["properties"]


@pytest.mark.parametrize(
    ("model", "field", "kinds"),
    [
        ("GenerateRequest", "keep_alive", {"number", "string"}),
        ("EmbedRequest", "input", {"string", "array"}),
        ("CreateRequest", "license", {"string", "array"}),
        ("FunctionCall", "arguments", {"object", "string"}),
    ],
)
def test_a_field_of_several_types_is_described_with_each(
    description: dict[str, Any], model: str, field: str, kinds: set[str]
) -> None:
    schema = description["components"]["schemas"][model]["properties"][field]

    assert {each["type"] for each in schema["anyOf"]} == kinds


@pytest.mark.parametrize(
    ("path", "name"),
    [("/api/chat", "Error"), ("/v1/chat/completions", "OpenAIError")],
)
def test_errors_are_described_in_the_format_of_their_api(
    description: dict[str, Any], path: str, name: str
) -> None:
    responses = description["paths"][path]["post"]["responses"]

    assert set(responses) == {"200", "default"}
    schema = responses["default"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": f"#/components/schemas/{name}"}


def test_streams_are_described_with_their_content_type(description: dict[str, Any]) -> None:
    found = {
        path: set(operations["post"]["responses"]["200"]["content"])
        for path, operations in description["paths"].items()
        if "post" in operations and len(operations["post"]["responses"].get("200", {})) > 1
    }

    assert found["/api/chat"] == {"application/json", "application/x-ndjson"}
    assert found["/v1/chat/completions"] == {"application/json", "text/event-stream"}
    assert found["/v1/embeddings"] == {"application/json"}


def test_fields_have_the_names_of_the_wire_format(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]

    assert "from" in schemas["CreateRequest"]["properties"]
    assert "_debug_render_only" in schemas["ChatRequest"]["properties"]
