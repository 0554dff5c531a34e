"""HTML of the API reference, made from the OpenAPI document; it needs no script, no other host."""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

_SCHEMAS = "#/components/schemas/"
_GROUPS = (
    ("Ollama and paddock", ("/api/", "/v2/")),
    ("Anthropic", ("/v1/messages",)),
    ("OpenAI", ("/v1/",)),
    ("Server", ("/",)),
)
_BOUNDS = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
)
_MOST_VALUES = 12

STYLE = """
:root{color-scheme:light dark;--line:light-dark(#d9d7cf,#3a3d38);--tint:light-dark(#f1efe9,#20231f);
--soft:light-dark(#5d5f58,#a5a89f);--link:light-dark(#1f6b45,#7fcf9f)}
body{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem;font:16px/1.5 system-ui,sans-serif;
background:light-dark(#fbfaf7,#161815);color:light-dark(#20221e,#e6e7e2)}
a{color:var(--link)}code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
details{border:1px solid var(--line);border-radius:8px;margin:.4rem 0}
details>:not(summary){margin-left:1rem;margin-right:1rem}
summary{cursor:pointer;padding:.5rem .8rem}details[open]>summary{background:var(--tint)}
summary b{display:inline-block;min-width:4.2rem;font:600 .8em ui-monospace,monospace}
summary span{color:var(--soft);margin-left:.6rem}
div{overflow-x:auto}table{border-collapse:collapse;width:100%;margin-bottom:1rem}
th,td{text-align:left;vertical-align:top}
th,td{padding:.3rem .8rem .3rem 0;border-top:1px solid var(--line)}
th{font-weight:400}small{color:var(--soft)}
"""
STYLE_SOURCE = f"'sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
"""What a Content-Security-Policy has to allow for the style sheet within the document."""


def api_reference(openapi: Schema) -> str:
    """Return the document: every operation of each API, then the schemas that they refer to."""
    info = openapi["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}: API"
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>"
        f"<p>{_text(info['description'])} "
        'For programs: <a href="openapi.json">openapi.json</a>.</p>'
    )
    parts = [head]
    operations, schemas = _operations(openapi), openapi["components"]["schemas"]
    for name, prefixes in _GROUPS:
        group = [each for each in operations if each[1].startswith(prefixes)]
        operations = [each for each in operations if each not in group]
        parts.append(f"<h2>{name}</h2>")
        parts.extend(_operation(*each, schemas) for each in group)
    parts.append("<h2>Schemas</h2>")
    for name, schema in sorted(schemas.items()):
        # A browser opens what a link leads into, not what it leads to.
        parts.append(
            f"<details><summary><code>{escape(name)}</code></summary>"
            f'<div id="{escape(name)}">{_paragraphs(schema.get("description", ""))}'
            f"{_fields(schema) or _type(schema)}</div></details>"
        )
    parts.append("</main></body></html>\n")
    return "".join(parts)


def _operations(openapi: Schema) -> list[tuple[str, str, Schema]]:
    return [
        (method.upper(), path, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]


def _operation(method: str, path: str, operation: Schema, schemas: Schema) -> str:
    first, _, rest = operation.get("description", "").partition("\n")
    body = operation.get("requestBody", {}).get("content", {})
    parameters = [
        _row(each["name"], each.get("schema", {}), f"in the {each['in']}")
        for each in operation.get("parameters", [])
    ]
    contents = "".join(
        f"<p>Body: {escape(kind)}, {_type(schema := content.get('schema', {}))}</p>"
        + _fields(schemas.get(schema.get("$ref", "").removeprefix(_SCHEMAS), schema))
        for kind, content in body.items()
    )
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b>{method}</b>'
        f"<code>{escape(path)}</code><span>{_text(first)}</span></summary>"
        f"{_paragraphs(rest)}{_table(parameters)}{contents}</details>"
    )


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(each)}</p>" for each in text.strip().split("\n\n") if each)


def _text(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _fields(schema: Schema) -> str:
    required = set(schema.get("required", ()))
    return _table(
        [
            _row(name, field, "required" if name in required else "")
            for name, field in _properties(schema)
        ]
    )


def _properties(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield the fields of an object, with those of the objects that are described within it."""
    for name, field in schema.get("properties", {}).items():
        yield prefix + name, field
        yield from _properties(field, f"{prefix}{name}.")


def _table(rows: list[str]) -> str:
    return f"<div><table>{''.join(rows)}</table></div>" if rows else ""


def _row(name: str, schema: Schema, note: str) -> str:
    notes = [note] if note else []
    if schema.get("default") not in (None, "", [], {}):
        notes.append(f"default {_value(schema['default'])}")
    text = _text(schema.get("description", ""))
    return (
        f"<tr><th><code>{escape(name)}</code></th><td>{_type(schema)}</td>"
        f"<td>{text} <small>{'; '.join(notes)}</small></td></tr>"
    )


def _type(schema: Schema) -> str:
    """Return the type of a value as a text, with links to the schemas that it names."""
    if reference := schema.get("$ref"):
        name = escape(reference.removeprefix(_SCHEMAS))
        return f'<a href="#{name}">{name}</a>'
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(map(_type, choices)))
    if "const" in schema:
        return _value(schema["const"])
    if values := schema.get("enum"):
        more = " …" if len(values) > _MOST_VALUES else ""
        return " or ".join(map(_value, values[:_MOST_VALUES])) + more
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    bounds = [f"{sign} {schema[name]}" for name, sign in _BOUNDS if name in schema]
    return " ".join([escape(str(kind)), *bounds])


def _value(value: object) -> str:
    return f"<code>{escape(json.dumps(value, ensure_ascii=False))}</code>"
