"""What the tokenizer gets of a prompt."""

import pytest

from runners.protocol.messages import Ready
from server.inference.prompting import without_bos
from server.prompt.rendered_prompt import RenderedPrompt
from server.prompt.renderer import Renderer
from server.prompt.renderers.table import RENDERERS
from server.prompt.template import GoTemplate


def ready(*, adds_bos: bool) -> Ready:
    return Ready(
        n_ctx=64, n_seq=1, n_cells=64, n_vocab=10, n_embd=8, pooled=False, adds_bos=adds_bos,
        can_shift=True, n_layers=1, n_gpu_layers=0, memory=(),
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
