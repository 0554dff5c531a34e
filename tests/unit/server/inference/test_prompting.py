"""What the tokenizer gets of a prompt."""

from types import SimpleNamespace

import pytest

from runners.protocol.messages import Ready
from server.errors import BadRequest
from server.inference.conversation import Conversation
from server.inference.growth import Room
from server.inference.prompting import fitted_prompt, without_bos
from server.parsing.families.passthrough import PASSTHROUGH
from server.prompt.messages import Message, Tool, ToolCall
from server.prompt.rendered_prompt import RenderedPrompt
from server.prompt.renderer import Renderer
from server.prompt.renderers.table import RENDERERS
from server.prompt.special_tokens import NO_SPECIAL_TEXTS
from server.prompt.template import GoTemplate
from server.rendering.messages import RenderInput


def ready(*, adds_bos: bool) -> Ready:
    return Ready(
        n_ctx=64, n_seq=1, n_cells=64, n_vocab=10, n_embd=8, pooled=False, adds_bos=adds_bos,
        n_layers=1, n_gpu_layers=0, memory=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("renderer", "prompt"),
    [
        (RENDERERS["deepseek3.1"], "<｜begin▁of▁sentence｜>Hi"),
        (RENDERERS["gemma4-small"], "<bos>Hi"),
        (GoTemplate("{{ .Prompt }}"), "<bos>Hi"),
    ],
)
def test_the_beginning_of_a_text_is_marked_once(renderer: Renderer, prompt: str) -> None:
    assert without_bos(RenderedPrompt(prompt), renderer, ready(adds_bos=True)).text == "Hi"
    assert without_bos(RenderedPrompt(prompt), renderer, ready(adds_bos=False)).text == prompt


class NoWorkers:
    """Fails the test when something is rendered."""

    async def render(self, renderer: Renderer, prompt: RenderInput) -> str:
        raise AssertionError


LONG = "a" * 2_000_000
TOO_LONG: list[tuple[list[Message], list[Tool]]] = [
    ([Message("user", LONG)], []),
    ([Message("system", LONG), Message("user", "Hi")], []),
    ([Message(LONG, "Hi")], []),
    ([Message("assistant", tool_calls=(ToolCall("a", 0, "f", {"x": [LONG]}),))], []),
    ([Message("user", "Hi")], [Tool("function", "f", LONG)]),
    ([Message("user", "Hi")], [Tool("function", "f", "", {"properties": {LONG: {}}})]),
]


@pytest.mark.anyio
@pytest.mark.parametrize("case", range(len(TOO_LONG)))
@pytest.mark.parametrize("truncate", [True, False])
async def test_what_fits_in_no_vocabulary_is_refused_before_it_is_rendered(
    case: int, *, truncate: bool
) -> None:
    """Wherever it stands: rendering and searching megabytes takes others' time."""
    messages, tools = TOO_LONG[case]
    lease = SimpleNamespace(ready=ready(adds_bos=False), max_n_ctx=0)
    with pytest.raises(BadRequest, match="does not fit the context of 4096 tokens"):
        await fitted_prompt(
            NoWorkers(), GoTemplate("{{ .Prompt }}"), PASSTHROUGH, messages,
            special=NO_SPECIAL_TEXTS, tools=tools, lease=lease,
            room=Room(lease, 4096, Conversation(model="m"), None), truncate=truncate,
        )  # fmt: skip
