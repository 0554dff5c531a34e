"""Conversations that fit the context: what the server cuts before the runner sees the prompt."""

from collections.abc import Callable, Sequence

from runners.host.client import RunnerClient
from server.prompt.messages import Message, Think, Tool
from server.prompt.render import Renderer
from server.prompt.truncate import fit_history
from server.threads import in_thread


async def fitted_prompt(
    renderer: Callable[[], Renderer],
    messages: Sequence[Message],
    *,
    tools: Sequence[Tool] = (),
    think: Think | None = None,
    runner: RunnerClient,
    n_ctx: int,
    truncate: bool,
) -> str:
    """Render `messages`, without the oldest turns when `truncate` is set and they do not fit.

    Templates come from strangers and may take seconds, to parse and to render, so both happen in
    another thread: `renderer` gives the parsed template, and is asked each time.
    """

    async def render(kept: Sequence[Message]) -> str:
        return await in_thread(lambda: renderer().render(kept, tools, think))

    async def count(text: str) -> int:
        return len(await runner.tokenize(text))

    if not truncate:
        return await render(messages)
    return await fit_history(messages, render, count, n_ctx)
