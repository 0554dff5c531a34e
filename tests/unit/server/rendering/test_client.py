"""Prompts are rendered alike in this process and in workers, and what goes wrong there is told."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from model_store.gguf import ChatTemplate
from server.errors import ServerBusy, TemplateError
from server.isolation.errors import Crashed, Overrun, Unavailable, WorkerError
from server.isolation.pool import WorkerPool
from server.isolation.process import WorkerProcess
from server.prompt.messages import Message, Tool, ToolCall
from server.prompt.renderer import Renderer
from server.prompt.renderers.table import RENDERERS
from server.prompt.template import GoTemplate
from server.rendering.client import LIMITS, PromptRenderer
from server.rendering.messages import RenderInput
from tests.support.rendering import InlineJobs

pytestmark = pytest.mark.anyio
USER = Message("user", "hi")
JINJA = ChatTemplate("{% for m in messages %}{{ m | tojson }}{% endfor %}{{ tools | tojson }}")
GO = GoTemplate("{{ range .Messages }}{{ json . }}{{ end }}{{ .Tools }}{{ .ThinkLevel }}")


@pytest.fixture(params=["inline", "worker"])
async def prompts(request: pytest.FixtureRequest) -> AsyncIterator[PromptRenderer]:
    if request.param == "inline":
        yield PromptRenderer(InlineJobs())
        return
    limits = replace(LIMITS, cpu_seconds=20.0)
    pool = WorkerPool(partial(WorkerProcess.start, "server.rendering", limits), size=1)
    yield PromptRenderer(pool)
    await pool.close()


@pytest.mark.parametrize(
    ("renderer", "prompt"),
    [
        (ChatTemplate("{{ bos_token }}{{ messages[0].content }}", bos="<s>"), "<s>hi"),
        (GoTemplate("[{{ .Prompt }}]"), "[hi]"),
        (RENDERERS["deepseek3.1"], "<｜begin▁of▁sentence｜><｜User｜>hi<｜Assistant｜></think>"),
    ],
    ids=["jinja", "go", "family"],
)
async def test_every_kind_of_renderer_writes_prompts(
    prompts: PromptRenderer, renderer: Renderer, prompt: str
) -> None:
    assert await prompts.render(renderer, RenderInput([USER])) == prompt


async def test_calls_and_tools_arrive_as_they_were_sent(prompts: PromptRenderer) -> None:
    """In their order, with numbers of any size as near as the other side can have them."""
    call = ToolCall("id", 0, "f", {"b": 1, "a": [None, True, 1.5, {"z": "é", "y": {}}]})
    tool = Tool("function", "f", "F", {"type": "object", "properties": {"b": {}, "a": {}}})
    message = Message("assistant", "x", tool_calls=(call,), thinking="t")

    shown = await prompts.render(JINJA, RenderInput([USER, message], [tool]))

    assert '"arguments": {"b": 1, "a": [null, true, 1.5, {"z": "é", "y": {}}]}' in shown
    assert '"properties": {"b": {}, "a": {}}' in shown
    huge = replace(call, arguments={"n": 10**30, "m": -(10**400), "t": "\ud800"})
    shown = await prompts.render(JINJA, RenderInput([replace(message, tool_calls=(huge,))], [tool]))
    assert '{"n": 1e+30, "m": "-1000' in shown
    assert "\ufffd" in shown


async def test_the_number_of_images_is_known_to_a_template_but_not_their_content(
    prompts: PromptRenderer,
) -> None:
    message = Message("user", "hi", images=(b"secret", b"secret"))
    template = GoTemplate("{{ range .Messages }}{{ len .Images }}{{ .Images }}{{ end }}")

    assert await prompts.render(template, RenderInput([message])) == "2[[] []]"


async def test_several_conversations_get_a_prompt_or_an_error_each(prompts: PromptRenderer) -> None:
    template = ChatTemplate(
        "{% if messages | length == 2 %}{{ raise_exception('two') }}{% endif %}"
        "{{ messages[0].role }}"
    )
    conversations = [RenderInput([USER] * count, as_sent=True) for count in (1, 2, 3)]

    first, second, third = await prompts.render_each(template, conversations)

    assert (first, third) == ("user", "user")
    assert isinstance(second, TemplateError)
    assert str(second) == "the model's chat template failed: line 1: two"


async def test_a_conversation_with_images_is_not_reordered_either(prompts: PromptRenderer) -> None:
    template = ChatTemplate(
        "{% if messages[0].role != 'user' %}{{ raise_exception('first user') }}{% endif %}"
    )
    messages = [Message("assistant", "hi"), Message("user", "hi", images=(b"image",))]

    with pytest.raises(TemplateError, match="first user"):
        await prompts.render(template, RenderInput(messages, as_sent=True))


async def test_a_broken_template_is_an_error_of_its_own(prompts: PromptRenderer) -> None:
    with pytest.raises(TemplateError, match="cannot be parsed"):
        await prompts.render(ChatTemplate("{{ a"), RenderInput([USER]))
    with pytest.raises(TemplateError, match="can't evaluate field"):
        await prompts.render(GoTemplate("{{ .Prompt.x }}"), RenderInput([USER]))


async def test_what_is_nested_too_deeply_is_an_error(prompts: PromptRenderer) -> None:
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    call = Message("assistant", tool_calls=(ToolCall("", 0, "f", deep),))

    with pytest.raises(TemplateError, match="nested too deeply"):
        await prompts.render(JINJA, RenderInput([call]))


async def test_a_prompt_with_a_suffix_is_rendered(prompts: PromptRenderer) -> None:
    template = GoTemplate("<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>{{ .ThinkLevel }}")

    assert await prompts.render_suffix(template, "a", "b", "low") == "<PRE>a<SUF>b<MID>low"
    with pytest.raises(TemplateError, match="can't evaluate field"):
        await prompts.render_suffix(GoTemplate("{{ .Suffix.x }}"), "a", "b", None)


async def test_text_that_is_no_unicode_is_replaced(prompts: PromptRenderer) -> None:
    shown = await prompts.render(ChatTemplate("{{ '\\ud800' }}a"), RenderInput([USER]))

    assert shown == "\ufffda"


async def test_a_developer_is_read_by_templates_that_do_not_know_the_role(
    prompts: PromptRenderer,
) -> None:
    template = ChatTemplate(
        "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}"
    )

    shown = await prompts.render(template, RenderInput([Message("developer", "d"), USER]))

    assert shown == "d"


class FailingJobs:
    """Every job fails, or is answered with nonsense."""

    def __init__(self, failure: WorkerError | bytes) -> None:
        self._failure = failure

    async def call(self, job: bytes, key: object = None) -> bytes:
        if isinstance(self._failure, bytes):
            return self._failure
        raise self._failure


@pytest.mark.parametrize(
    ("failure", "error", "text"),
    [
        (Overrun(), TemplateError, "the model's chat template takes too much time or space"),
        (Crashed(), TemplateError, "crashes the process that renders it"),
        (b"nonsense", TemplateError, "crashes the process that renders it"),
        (Unavailable(), ServerBusy, "too busy to render the prompt, try again"),
    ],
)
async def test_what_happens_to_a_worker_is_told(
    failure: WorkerError | bytes, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        await PromptRenderer(FailingJobs(failure)).render(JINJA, RenderInput([USER]))


async def test_a_conversation_too_large_for_a_worker_is_not_sent() -> None:
    message = Message("user", "x" * LIMITS.memory_bytes)
    with pytest.raises(TemplateError, match="too much time or space"):
        await PromptRenderer(InlineJobs()).render(JINJA, RenderInput([message]))
