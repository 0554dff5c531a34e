"""/docs: the API reference, which loads nothing and runs nothing."""

import re

import pytest

from server.page.api_reference import api_reference
from tests.support.application import Server

pytestmark = pytest.mark.anyio


async def test_every_operation_and_schema_is_described(shared: Server) -> None:
    openapi = shared.app.openapi()

    reply = await shared.http.get("/docs")

    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    for path, methods in openapi["paths"].items():
        for method in methods:
            assert f"<b>{method.upper()}</b><code>{path}</code>" in reply.text
    names = set(re.findall(r'<div id="(\w+)">', reply.text))
    assert names == set(openapi["components"]["schemas"])
    assert set(re.findall(r'href="#(\w+)"', reply.text)) <= names


async def test_the_fields_of_a_body_have_their_types_and_defaults(shared: Server) -> None:
    text = re.sub(r"<[^>]+>", " ", (await shared.http.get("/docs")).text)

    assert re.search(r"options\.top_k\s+integer\s+default\s+40", text)
    assert re.search(r"keep_alive\s+number or string\s+Seconds, or a duration", text)


async def test_it_loads_nothing_from_anywhere(shared: Server) -> None:
    reply = await shared.http.get("/docs")

    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert not re.search(r"<(script|link|img|iframe)|\bsrc=|//[a-z]", reply.text)


def test_texts_are_no_markup() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    schema = {
        "type": "object",
        "description": hostile,
        "properties": {hostile: {"enum": [hostile]}},
    }
    operation = {"operationId": hostile, "description": hostile}

    text = api_reference(
        {
            "info": {"title": hostile, "version": "1", "description": hostile},
            "paths": {f"/api/{hostile}": {"get": operation}},
            "components": {"schemas": {hostile: schema}},
        }
    )

    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
