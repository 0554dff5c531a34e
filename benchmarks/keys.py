"""API keys, their limits, usage and audit log: what they cost, beside a server without keys.

`/api/version` is asked again and again over one connection, and one stream is decoded.
"""

import argparse
import time
from contextlib import AsyncExitStack
from functools import partial

import httpx

from benchmarks import published
from benchmarks.measure import Target, arguments, interleaved, report, run
from benchmarks.server import Server, serving
from benchmarks.texts import english
from server.access.key import KeyLimits, KeyRequest
from server.access.key_changes import create_key

_LIMITS = KeyLimits(
    requests_per_minute=10_000_000, tokens_per_minute=1_000_000_000, max_parallel=1000
)


async def benchmark(options: argparse.Namespace) -> None:
    """Compare two servers that differ in their keys alone."""
    (model,) = published.chosen([options.model or published.SMOLLM2_135M.name])
    async with AsyncExitStack() as stack:
        headers: dict[str, dict[str, str]] = {"without": {}, "with keys": {}}
        servers: dict[str, Server] = {}
        for name in headers:
            servers[name] = await stack.enter_async_context(serving(bench=model.path))
        file = servers["with keys"].store.parent / "paddock-api-keys.json"
        token = create_key(file, KeyRequest(name="bench", limits=_LIMITS), time.time())[1]
        headers["with keys"]["authorization"] = f"Bearer {token}"
        clients = {
            name: await stack.enter_async_context(
                httpx.AsyncClient(base_url=server.url, headers=headers[name], timeout=60)
            )
            for name, server in servers.items()
        }

        async def version_seconds(client: httpx.AsyncClient) -> float:
            started = time.perf_counter()
            for _ in range(options.requests):
                (await client.get("/api/version")).raise_for_status()
            return (time.perf_counter() - started) / options.requests

        async def token_seconds(client: httpx.AsyncClient) -> float:
            body = {
                "model": "bench", "prompt": english(24, 1), "raw": True,
                "options": {"num_predict": options.tokens, "seed": 1, "ignore_eos": True},
            }  # fmt: skip
            async with client.stream("POST", "/api/generate", json=body) as answer:
                answer.raise_for_status()
                times = [time.perf_counter() async for _ in answer.aiter_lines()]
            return (times[-1] - times[0]) / (len(times) - 1)

        for title, measure, most in (
            ("seconds of /api/version", version_seconds, 1.15),
            ("seconds of a token", token_seconds, 1.01),
        ):
            cases = {name: partial(measure, client) for name, client in clients.items()}
            report(
                title,
                await interleaved(options.rounds, cases),
                base="without",
                targets={"with keys": Target(most=most)},
            )


if __name__ == "__main__":
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--model", default="", help="default: the smallest one")
    parser.add_argument("--requests", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--tokens", type=int, default=200, help="default: %(default)s")
    run(benchmark, parser)
