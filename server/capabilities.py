"""What a model can do, told alike by every endpoint."""

from collections.abc import Iterator

from model_store.model import Model
from server.errors import TemplateError
from server.prompt.render import go_template_of, uses_go_template


def capabilities(model: Model, go_template: bool | None) -> tuple[str, ...]:
    """Return the capabilities of `model` in the order in which clients are used to see them."""
    return tuple(dict.fromkeys(_found(model, go_template)))


def _found(model: Model, go_template: bool | None) -> Iterator[str]:
    yield from model.config.capabilities
    header, go = model.header(), uses_go_template(model, go_template)
    if not go:
        yield from _of_jinja(header.chat_template)
    arch = header.architecture
    yield "embedding" if header.has(f"{arch}.pooling_type") else "completion"
    if model.projectors or header.has(f"{arch}.vision.block_count"):
        yield "vision"
    if header.has(f"{arch}.audio.block_count"):
        yield "audio"
    if go and model.template is not None:
        yield from _of_go(model)
    if model.config.model_family in ("gptoss", "gpt-oss"):
        yield "thinking"


def _of_jinja(source: str) -> Iterator[str]:
    if "tools" in source or "tool_call" in source:
        yield "tools"
    if "<think>" in source and "</think>" in source:
        yield "thinking"


def _of_go(model: Model) -> Iterator[str]:
    try:
        template = go_template_of(model)
    except TemplateError:
        return
    if "tools" in template.variables:
        yield "tools"
    if "suffix" in template.variables:
        yield "insert"
    if template.thinking_tags:
        yield "thinking"
