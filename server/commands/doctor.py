"""`paddock doctor`: check this machine and the server, and say what to do."""

import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from server.client.connection import connected
from server.client.output import console, print_json
from server.commands.checks import Finding, Status, Surroundings, findings

_SIGNS = {
    Status.OK: ("✓", "green"),
    Status.WARNING: ("!", "yellow"),
    Status.PROBLEM: ("✗", "red"),
}


def doctor(*, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check engine, compiler, processor, GPU, settings, store, port and server.

    The exit status is 1 if something has to be mended.
    """
    results = []
    with connected() as client:
        for finding in findings(Surroundings(os.environ, client)):
            results.append(finding)
            if not json:
                _print(finding)
    if json:
        print_json({"checks": [asdict(finding) for finding in results]})
    if any(finding.status is Status.PROBLEM for finding in results):
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    out = console()
    sign, colour = _SIGNS[finding.status]
    line = Text()
    line.append(sign if out.is_terminal else f"{finding.status:<8}", style=colour)
    line.append(f" {finding.name:<10}", style="bold")
    line.append(finding.text)
    out.print(line)
    if finding.advice:
        out.print(Text(f"  → {finding.advice}", style="dim"))
