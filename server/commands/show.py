"""`paddock show`: what a model is, or one part of it."""

from typing import Annotated

import typer

from server.client.arguments import MODEL
from server.client.connection import connected
from server.client.exit import fail
from server.client.model_sheet import sheet
from server.client.output import print_json

_WITHOUT_NEWLINE = ("system", "template")


def show(
    model: Annotated[str, MODEL],
    *,
    license: Annotated[bool, typer.Option("--license", help="Show license of a model.")] = False,  # noqa: A002
    modelfile: Annotated[
        bool, typer.Option("--modelfile", help="Show Modelfile of a model.")
    ] = False,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="Show parameters of a model.")
    ] = False,
    system: Annotated[
        bool, typer.Option("--system", help="Show system message of a model.")
    ] = False,
    template: Annotated[bool, typer.Option("--template", help="Show template of a model.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show detailed model information.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show information for a model."""
    flags = {
        "license": license, "modelfile": modelfile, "parameters": parameters, "system": system,
        "template": template,
    }  # fmt: skip
    parts = [name for name, is_set in flags.items() if is_set]
    if len(parts) > 1:
        fail(
            "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' "
            "can be specified"
        )
    with connected() as client:
        shown = client.post("/api/show", model=model, verbose=verbose)
    if json:
        print_json(shown if not parts else shown.get(parts[0], ""))
    elif parts:
        typer.echo(shown.get(parts[0], ""), nl=parts[0] not in _WITHOUT_NEWLINE)
    else:
        for line in sheet(shown, verbose=verbose):
            typer.echo(line)
