"""The sheet of a model that `paddock show` and `/show info` print."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from server.client import human

_GAP = "    "
_FIRST_LINES = 2
_LIST_WIDTH = 10
Rows = Sequence[Sequence[str]]


def sheet(model: Mapping[str, Any], *, verbose: bool = False) -> Iterator[str]:
    """Yield the lines of the sheet from what /api/show tells."""
    for title, rows in _sections(model, verbose=verbose):
        if rows:
            yield f"  {title}"
            yield from _aligned(rows)
            yield ""


def _sections(model: Mapping[str, Any], *, verbose: bool) -> Iterator[tuple[str, Rows]]:
    info = model.get("model_info") or {}
    yield "Model", list(_model(model, info))
    yield "Capabilities", [[str(c)] for c in model.get("capabilities") or ()]
    yield "Projector", list(_projector(model.get("projector_info") or {}))
    parameters = (model.get("parameters") or "").splitlines()
    yield "Parameters", [line.split(None, 1) for line in parameters if line.strip()]
    if verbose:
        yield "Metadata", [[key, _shown(value)] for key, value in sorted(info.items())]
        yield "Tensors", [_tensor(t) for t in model.get("tensors") or ()]
    yield "System", _first_lines(model.get("system") or "")
    yield "License", _first_lines(model.get("license") or "")


def _model(model: Mapping[str, Any], info: Mapping[str, Any]) -> Iterator[list[str]]:
    details = model.get("details") or {}
    architecture = info.get("general.architecture") or details.get("family", "")
    yield ["architecture", str(architecture)]
    n_parameters = info.get("general.parameter_count")
    size = details.get("parameter_size") or (human.number(n_parameters) if n_parameters else "")
    yield ["parameters", str(size)]
    for title, key in (
        ("context length", "context_length"),
        ("embedding length", "embedding_length"),
    ):
        if (value := info.get(f"{architecture}.{key}")) is not None:
            yield [title, str(value)]
    yield ["quantization", str(details.get("quantization_level", ""))]
    for title in ("renderer", "parser", "requires"):
        if value := model.get(title):
            yield [title, str(value)]


def _projector(info: Mapping[str, Any]) -> Iterator[list[str]]:
    if not info:
        return
    architecture = info.get("general.architecture", "")
    yield ["architecture", str(architecture)]
    if n_parameters := info.get("general.parameter_count"):
        yield ["parameters", human.number(n_parameters)]
    for title, key in (("embedding length", "embedding_length"), ("dimensions", "projection_dim")):
        if (value := info.get(f"{architecture}.vision.{key}")) is not None:
            yield [title, str(value)]


def _tensor(tensor: Mapping[str, Any]) -> list[str]:
    return [tensor["name"], tensor["type"], f"[{' '.join(map(str, tensor['shape']))}]"]


def _shown(value: Any) -> str:
    """Return a value of the metadata; of a long list the first items."""
    if not isinstance(value, list):
        return str(value).lower() if isinstance(value, bool) else str(value)
    items: list[str] = []
    for item in map(str, value):
        if items and 1 + sum(len(i) + 2 for i in items) + len(item) > _LIST_WIDTH:
            break
        items.append(item)
    rest = len(value) - len(items)
    return f"[{' '.join(items)}{f' ...+{rest} more' if rest else ''}]"


def _first_lines(text: str) -> Rows:
    lines = [[line] for raw in text.splitlines() if (line := re.sub(r"\s+", " ", raw).strip())]
    return lines[:_FIRST_LINES] + ([["..."]] if len(lines) > _FIRST_LINES else [])


def _aligned(rows: Rows) -> Iterable[str]:
    widths: dict[int, int] = {}
    for row in rows:
        for column, cell in enumerate(row):
            widths[column] = max(widths.get(column, 0), cell_len(cell))
    for row in rows:
        cells = (cell + " " * (widths[c] - cell_len(cell)) for c, cell in enumerate(row))
        yield (_GAP + _GAP.join(cells)).rstrip()
