"""A server with a scripted model for agents: `python -m tests.support.agent_server FOLDER`.

It prints its URL and serves the model `agent` until standard input ends.
"""

import asyncio
import os
import socket
import sys
from pathlib import Path

import uvicorn

from runners.host.machine import LocalMachine
from runners.host.process import RunnerProcess
from tests.support.application import NoStandby, serving
from tests.support.gguf_bytes import STRING, U32, key, model
from tests.support.runners import ROOTS

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<tool_call>\n{{ call.function | tojson }}\n</tool_call>"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}</tools>"
    "{% endif %}"
    "<|im_start|>assistant\n"
)
N_CTX = 1 << 20


async def start_agent_runner() -> RunnerProcess:
    """Start `tests.support.agent_runner`, which see, as a runner process."""
    paths = os.pathsep.join(str(root) for root in ROOTS)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": paths}
    command = (sys.executable, "-m", "tests.support.agent_runner")
    return await RunnerProcess.start(command, env=environment)


async def serve(folder: Path) -> None:
    machine = LocalMachine(NoStandby(start_agent_runner))
    async with serving(folder, machine=machine, context_length=N_CTX) as server:
        weights = model(
            "llama",
            key("llama.context_length", U32, N_CTX),
            key("tokenizer.chat_template", STRING, TEMPLATE),
        )
        await server.create("agent", weights)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(server.app, lifespan="off", log_level="critical", ws="none")
            http = uvicorn.Server(config)
            print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
            serving_task = asyncio.create_task(http.serve([listener]))
            await asyncio.to_thread(sys.stdin.read)
            http.should_exit = True
            await serving_task


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
