"""Structured output in the fields of vLLM, SGLang and llama-server: schemas, regexes, grammars.

Clients of those servers send them beside, or instead of, OpenAI's `response_format`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from runners.protocol.constraints import GBNF, Choice, Constraint, Lark, Literal, Regex
from server.errors import BadRequest
from server.schemas.base import ApiModel
from server.schemas.constraints import any_json_object, json_schema

_MAX_CHOICES: Final = 1024
Choices = Annotated[list[str], Field(max_length=_MAX_CHOICES)]


class StructuredOutputs(ApiModel):
    """vLLM's `structured_outputs`: one of these says what the answer is."""

    json_: Any = Field(default=None, alias="json")
    json_object: bool = False
    regex: str = ""
    choice: Choices | None = None
    grammar: str = ""
    structural_tag: Any = None
    whitespace_pattern: str = ""


class StructuredOutputFields(ApiModel):
    """The fields of a request that say what the answer is.

    `structured_outputs` and `guided_…` are vLLM's; `regex` and `ebnf` are SGLang's; `grammar` and
    `json_schema` llama-server's. A grammar is GBNF, or Lark where it has no `::=`.
    """

    structured_outputs: StructuredOutputs | None = None
    guided_json: Any = None
    guided_json_object: bool = False
    guided_regex: str = ""
    guided_choice: Choices | None = None
    guided_grammar: str = ""
    guided_whitespace_pattern: str = ""
    structural_tag: Any = None
    regex: str = ""
    ebnf: str = ""
    grammar: str = ""
    grammar_lazy: bool = False
    json_schema: Any = None


def constraint_of_fields(request: StructuredOutputFields) -> Constraint | None:
    """Return the constraint of these fields, None when there is none.

    Raises:
        BadRequest: one cannot be held, or several differ.
    """
    _refuse_unsupported(request)
    constraints = dict(_constraints(request))
    if len(set(constraints.values())) > 1:
        raise BadRequest(
            f"only one of {' and '.join(constraints)} can say what the answer is; send one of them"
        )
    return next(iter(constraints.values()), None)


def _refuse_unsupported(request: StructuredOutputFields) -> None:
    nested = request.structured_outputs or StructuredOutputs()
    unsupported = {
        "structural_tag": request.structural_tag or nested.structural_tag,
        "whitespace_pattern": request.guided_whitespace_pattern or nested.whitespace_pattern,
        "grammar_lazy": request.grammar_lazy,
    }
    for name, value in unsupported.items():
        if value:
            raise BadRequest(f'field "{name}" is not supported; leave it out')


def _constraints(request: StructuredOutputFields) -> Iterator[tuple[str, Constraint]]:
    """Yield the name and the constraint of each field that is set."""
    nested = request.structured_outputs
    if nested is not None:
        yield from _each(
            "structured_outputs.",
            json=nested.json_,
            json_object=nested.json_object or None,
            regex=nested.regex or None,
            choice=nested.choice,
            grammar=nested.grammar or None,
        )
    yield from _each(
        "guided_",
        json=request.guided_json,
        json_object=request.guided_json_object or None,
        regex=request.guided_regex or None,
        choice=request.guided_choice,
        grammar=request.guided_grammar or None,
    )
    yield from _each(
        "",
        json_schema=request.json_schema,
        regex=request.regex or None,
        ebnf=request.ebnf or None,
        grammar=request.grammar or None,
    )


def _each(prefix: str, **values: Any) -> Iterator[tuple[str, Constraint]]:
    for name, value in values.items():
        if value is not None:
            yield prefix + name, _READERS[name](prefix + name, value)


def _schema(name: str, value: object) -> Constraint:
    """Read a JSON Schema, which may be written as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise BadRequest(f'field "{name}" must be a JSON Schema, or one as JSON text') from None
    if not isinstance(value, dict):
        raise BadRequest(f'field "{name}" must be a JSON Schema')
    return json_schema(value) if value else any_json_object()


def _choice(name: str, texts: list[str]) -> Constraint:
    if not texts:
        raise BadRequest(f'field "{name}" needs at least one text')
    return Choice(tuple(map(Literal, dict.fromkeys(texts))))


def _grammar(_: str, text: str) -> Constraint:
    return GBNF(text) if "::=" in text else Lark(text)


_READERS: Final[Mapping[str, Callable[[str, Any], Constraint]]] = {
    "json": _schema,
    "json_schema": _schema,
    "json_object": lambda _, __: any_json_object(),
    "regex": lambda _, text: Regex(text),
    "choice": _choice,
    "grammar": _grammar,
    "ebnf": _grammar,
}
