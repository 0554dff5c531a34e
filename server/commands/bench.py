"""`paddock bench`: how fast a model is on this server, as a table to paste into a report."""

from dataclasses import asdict
from typing import Annotated

import typer

from server.client import human
from server.client.arguments import MODEL
from server.client.bench import Result, measure
from server.client.connection import connected
from server.client.exit import fail
from server.client.models import ensure_model
from server.client.output import console, print_json
from server.client.start import ensure_server


def bench(
    models: Annotated[list[str], MODEL],
    *,
    prompt_tokens: Annotated[int, typer.Option(help="Words of each prompt.", min=1)] = 512,
    tokens: Annotated[int, typer.Option(help="Tokens of each answer.", min=1)] = 128,
    repeats: Annotated[int, typer.Option(help="Answers to measure.", min=1)] = 3,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure prompt and decode speed, time to the first token, load time and memory of models.

    A loaded model is unloaded first, so that its load is measured too.
    """
    results = []
    with connected() as client, console(stderr=True).status("") as status:
        ensure_server(client)
        for model in models:
            if "completion" not in (ensure_model(client, model).get("capabilities") or ()):
                fail(f"{model} does not generate text; only models that do can be measured")
            results.append(
                measure(
                    client,
                    model,
                    n_prompt=prompt_tokens,
                    n_tokens=tokens,
                    repeats=repeats,
                    note=lambda step, model=model: status.update(f"{model}: {step}"),  # type: ignore[misc]
                )
            )
        version = client.get("/api/version")
    if json:
        print_json({"version": version, "results": [asdict(result) for result in results]})
        return
    typer.echo(
        f"paddock {version['paddock']}" if "paddock" in version else f"Ollama {version['version']}"
    )
    _print(results)


def _print(results: list[Result]) -> None:
    """Print a table in Markdown, which issues and terminals show alike."""
    typer.echo(
        "| model | prompt tokens/s | decode tokens/s | first token | load | memory | context |"
    )
    typer.echo("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for r in results:
        memory = human.size(r.memory) + (
            f" ({human.size(r.gpu_memory)} GPU)" if r.gpu_memory else ""
        )
        cells = (
            r.model, f"{r.prompt_rate:.1f}", f"{r.decode_rate:.1f}",
            f"{r.first_token * 1000:.0f} ms", f"{r.cold_load:.2f} s", memory, str(r.context),
        )  # fmt: skip
        typer.echo(f"| {' | '.join(cells)} |")
