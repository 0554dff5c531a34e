"""Conversations that fit the context: what the server cuts before the runner sees the prompt."""

from collections.abc import Sequence

from runners.host.client import RunnerClient
from server.prompt.messages import Message, Think, Tool
from server.prompt.render import Renderer
from server.prompt.truncate import fit_history


async def fitted_prompt(
    renderer: Renderer,
    messages: Sequence[Message],
    *,
    tools: Sequence[Tool] = (),
    think: Think | None = None,
    runner: RunnerClient,
    n_ctx: int,
    truncate: bool,
) -> str:
    """Render `messages`, without the oldest turns when `truncate` is set and they do not fit."""

    def render(kept: Sequence[Message]) -> str:
        return renderer.render(kept, tools, think)

    async def count(text: str) -> int:
        return len(await runner.tokenize(text))

    if not truncate:
        return render(messages)
    return render(await fit_history(messages, render, count, n_ctx))
