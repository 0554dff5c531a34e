"""Server time of a chat's prompt: its chat template rendered, beside a raw prompt of one word."""

import argparse
import asyncio
import time

from benchmarks import models
from benchmarks.measure import arguments, interleaved, report, run
from benchmarks.server import Server, serving

JINJA = """\
{%- if tools %}{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- "# Tools\\n\\n<tools>" }}
{%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
{{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages[::-1] %}
{%- set index = (messages|length - 1) - loop.index0 %}
{%- if message.role == "user" and index > ns.last %}{%- set ns.last = index %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- if message.role == "user" or (message.role == "system" and not loop.first) %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- elif message.role == "assistant" %}
{%- set content = message.content %}
{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}
{{- '<|im_start|>assistant\\n' + content.lstrip('\\n') }}
{%- for call in message.tool_calls or [] %}
{{- '\\n<tool_call>\\n' ~ (call.function.arguments | tojson) ~ '\\n</tool_call>' }}
{%- endfor %}{{- '<|im_end|>\\n' }}
{%- elif message.role == "tool" %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content }}
{{- '\\n</tool_response><|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
GO = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n"
)
SHAPE = models.Shape("templated", 2, 64, 2, 2, 128, 1024)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"tool_{number}",
            "description": models.words(20, seed=number),
            "parameters": {
                "type": "object",
                "properties": {
                    name: {"type": "string", "description": models.words(8, seed=number)}
                    for name in ("path", "query", "limit")
                },
                "required": ["path"],
            },
        },
    }
    for number in range(20)
]


def turns(count: int) -> list[dict[str, str]]:
    """Return a conversation of so many turns of about 250 characters."""
    roles = ("user", "assistant")
    return [
        {"role": roles[number % 2], "content": models.words(50, seed=number)}
        for number in range(count)
    ]


async def benchmark(options: argparse.Namespace) -> None:
    """Ask for rendered prompts only, so that no model computes."""
    async with serving(jinja=models.generative(SHAPE, chat_template=JINJA)) as server:
        create = {"model": "go", "from": "jinja", "template": GO, "stream": False}
        await server.client.post("/api/create", create)
        render = Renders(server)
        cases = {
            "raw": render.raw,
            "jinja, 9 turns": lambda: render.chat("jinja", turns(9)),
            "jinja, 9 turns, 20 tools": lambda: render.chat("jinja", turns(9), tools=TOOLS),
            "jinja, 101 turns": lambda: render.chat("jinja", turns(101)),
            "go, 9 turns": lambda: render.chat("go", turns(9)),
            "jinja, 9 turns, 8 at once": lambda: render.at_once(8, "jinja", turns(9)),
        }
        await interleaved(5, cases)
        report(
            "seconds of a request that only renders its prompt",
            await interleaved(options.rounds, cases),
            base="raw",
        )


class Renders:
    """Requests that end when their prompt is rendered."""

    def __init__(self, server: Server) -> None:
        self._client = server.client

    async def raw(self) -> float:
        """Return the seconds of a prompt that needs no template."""
        return await self._timed("/api/generate", model="jinja", prompt="x", raw=True)

    async def chat(self, model: str, messages: list[dict[str, str]], **more: object) -> float:
        """Return the seconds of a conversation."""
        return await self._timed("/api/chat", model=model, messages=messages, **more)

    async def at_once(self, count: int, model: str, messages: list[dict[str, str]]) -> float:
        """Return the seconds that each of so many simultaneous conversations takes on average."""
        started = time.perf_counter()
        await asyncio.gather(*(self.chat(model, messages) for _ in range(count)))
        return (time.perf_counter() - started) / count

    async def _timed(self, path: str, **body: object) -> float:
        fields = {"_debug_render_only": True, "stream": False, "options": {"num_ctx": 1 << 18}}
        started = time.perf_counter()
        await self._client.post(path, body | fields)
        return time.perf_counter() - started


if __name__ == "__main__":
    run(benchmark, arguments(__doc__, rounds=200))
