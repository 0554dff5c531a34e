"""Items of /v1/responses, and a model that says which messages they became."""

from base64 import b64encode
from typing import Any

import httpx

from tests.clients_send.sending import RESPONSES, Sender
from tests.support.image_files import plain

TEMPLATE = (
    "{% for m in messages %}{{ m.role }}:"
    "{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}{{ m.content }}"
    "{% for t in m.tool_calls or [] %}[{{ t.function.name }}|"
    "{{ t.function.arguments | tojson }}]{% endfor %} {% endfor %}{# tools #}"
)
IMAGE = "data:image/png;base64," + b64encode(plain()).decode()
Item = dict[str, Any]


def user(text: str) -> Item:
    return {"role": "user", "content": text}


def of(kind: str, /, **fields: Any) -> Item:
    return {"type": kind, **fields}


def call(arguments: object = "{}", name: str = "f", **fields: Any) -> Item:
    return of("function_call", call_id="c", name=name, arguments=arguments, **fields)


def output(value: object, **fields: Any) -> Item:
    return of("function_call_output", call_id="c", output=value, **fields)


def said(*parts: object, role: str = "assistant", **fields: Any) -> Item:
    return of("message", role=role, content=list(parts), **fields)


GO = user("Go")


async def ask(sender: Sender, items: list[Item], **fields: Any) -> httpx.Response:
    """Send the items to a model that says its prompt."""
    name = await sender.model(TEMPLATE)
    return await sender.server.post(RESPONSES, model=name, input=items, **fields)


def words_of(reply: httpx.Response) -> list[str]:
    """Return the words of the prompt that the model said."""
    assert reply.status_code == 200, reply.text
    return "".join(part["text"] for part in reply.json()["output"][-1]["content"]).split()
