"""Jobs of a rendering worker: compile templates, keep them compiled, render conversations."""

from functools import lru_cache
from typing import Final

from model_store.gguf import ChatTemplate
from server.errors import TemplateError
from server.prompt.messages import Message
from server.prompt.roles import in_known_roles
from server.prompt.template import GoTemplate
from server.rendering.go import GoRenderer
from server.rendering.jinja import JinjaRenderer
from server.rendering.messages import (
    Answer,
    Failed,
    Job,
    RenderChat,
    Rendered,
    RenderInput,
    decode_job,
    encode_answer,
)

_MAX_KEPT: Final = 32
_WARM_UP: Final = RenderInput((Message("user", "x"),))


def answer(data: bytes | bytearray) -> bytes:
    """Return the encoded answer to an encoded job; raises MemoryError where memory is limited."""
    return encode_answer(_answer(decode_job(data)))


def warm_up() -> None:
    """Have the interpreter load all that a template can use: later it can open no file."""
    jinja = ChatTemplate(
        "{% for m in messages %}{{ m | tojson(indent=1) }}{% endfor %}{{ 'b\u00e4' | upper }}"
        "{{ strftime_now('%A %B') }}{{ '%s' | format(1) }}{{ 1.5 | round }}{{ raise_exception() }}"
    )
    go = '{{ range .Messages }}{{ json . }}{{ printf "%v" .Content }}{{ currentDate }}{{ end }}'
    for template in (jinja, go):
        _answer(RenderChat(template, (_WARM_UP,)))


def _answer(job: Job) -> Answer:
    if isinstance(job, RenderChat):
        return tuple(_render(job.template, each) for each in job.inputs)
    try:
        text = _go(job.template).render_suffix(job.prompt, job.suffix, job.think)
    except TemplateError as e:
        return (Failed(str(e)),)
    return (Rendered(text),)


def _render(template: ChatTemplate | str, render_input: RenderInput) -> Rendered | Failed:
    try:
        renderer = _go(template) if isinstance(template, str) else _jinja(template)
        messages = in_known_roles(render_input.messages, renderer)
        return Rendered(
            renderer.render(
                messages, render_input.tools, render_input.think, as_sent=render_input.as_sent
            )
        )
    except TemplateError as e:
        return Failed(str(e))


@lru_cache(_MAX_KEPT)
def _jinja(template: ChatTemplate) -> JinjaRenderer:
    return JinjaRenderer(template)


@lru_cache(_MAX_KEPT)
def _go(source: str) -> GoRenderer:
    return GoRenderer(GoTemplate(source))
