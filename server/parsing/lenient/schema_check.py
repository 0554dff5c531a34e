"""Check a value against a JSON Schema within a bounded number of steps.

Schemas come from untrusted clients. A validation library would follow references into exponentially
many alternatives and run their regular expressions, on the event loop; here every visit costs a
step, and running out of steps means that the value doesn't fit. `pattern`, `format` and keywords
that are rare in tools are not checked.
"""

import re
from collections.abc import Mapping
from typing import Final

from server.prompt.tools import type_names

_MAX_STEPS: Final = 20_000
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "null": type(None),
    "any": object,
}
_REFERENCE: Final = re.compile(r"#/(\$defs|definitions)/([^/]+)")


def arguments_fit(arguments: Mapping[str, object], schema: Mapping[str, object]) -> bool:
    """Tell whether a tool's arguments satisfy its schema.

    Names that the schema doesn't declare fit only where it allows additional properties explicitly:
    a model that writes them does not mean this tool.
    """
    declared = schema.get("properties")
    if isinstance(declared, Mapping) and not schema.get("additionalProperties"):
        schema = {**schema, "additionalProperties": False}
    try:
        return _Checker(schema).fits(arguments, schema)
    except _TooManySteps:
        return False


class _TooManySteps(Exception):
    """The schema has too many alternatives for this value."""


class _Checker:
    """Checks values against parts of the schema `root`, whose definitions references point to."""

    def __init__(self, root: Mapping[str, object]) -> None:
        self._root = root
        self._n_steps = 0

    def fits(self, value: object, schema: object) -> bool:
        self._n_steps += 1
        if self._n_steps > _MAX_STEPS:
            raise _TooManySteps
        if not isinstance(schema, Mapping):
            return schema is not False
        if value is None and schema.get("nullable") is True:
            return True
        return (
            self._fits_reference(value, schema.get("$ref"))
            and _has_type(value, schema)
            and _is_allowed(value, schema)
            and self._fits_alternatives(value, schema)
            and self._fits_content(value, schema)
        )

    def _fits_reference(self, value: object, reference: object) -> bool:
        if not isinstance(reference, str):
            return True
        if reference == "#":
            return self.fits(value, self._root)
        match = _REFERENCE.fullmatch(reference)
        group = None if match is None else self._root.get(match[1])
        if match is None or not isinstance(group, Mapping) or match[2] not in group:
            return False
        return self.fits(value, group[match[2]])

    def _fits_alternatives(self, value: object, schema: Mapping[str, object]) -> bool:
        any_of, one_of = schema.get("anyOf"), schema.get("oneOf")
        return (
            all(self.fits(value, item) for item in _items(schema.get("allOf")))
            and (not _items(any_of) or any(self.fits(value, item) for item in _items(any_of)))
            and (not _items(one_of) or sum(self.fits(value, i) for i in _items(one_of)) == 1)
            and ("not" not in schema or not self.fits(value, schema["not"]))
        )

    def _fits_content(self, value: object, schema: Mapping[str, object]) -> bool:
        match value:
            case str():
                return _within(len(value), schema, "minLength", "maxLength")
            case bool():
                return True
            case int() | float():
                return _in_range(value, schema)
            case list():
                return _within(len(value), schema, "minItems", "maxItems") and all(
                    self.fits(item, schema.get("items", True)) for item in value
                )
            case dict():
                return self._fits_properties(value, schema)
            case _:
                return True

    def _fits_properties(self, value: Mapping[str, object], schema: Mapping[str, object]) -> bool:
        properties = schema.get("properties")
        declared = properties if isinstance(properties, Mapping) else {}
        additional = schema.get("additionalProperties", True)
        return all(name in value for name in _items(schema.get("required"))) and all(
            self.fits(item, declared.get(name, additional)) for name, item in value.items()
        )


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _has_type(value: object, schema: Mapping[str, object]) -> bool:
    names = type_names(schema)
    return not names or any(_is_of_type(value, name) for name in names)


def _is_of_type(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name.lower() in ("boolean", "any")
    if name.lower() == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(name.lower(), ()))


def _is_allowed(value: object, schema: Mapping[str, object]) -> bool:
    """Check `const` and `enum`; Python holds True equal to 1, JSON does not."""
    allowed = [schema["const"]] if "const" in schema else _items(schema.get("enum"))
    return not allowed or any(
        value == item and isinstance(value, bool) == isinstance(item, bool) for item in allowed
    )


def _within(size: float, schema: Mapping[str, object], least: str, most: str) -> bool:
    low, high = schema.get(least), schema.get(most)
    return (not isinstance(low, int | float) or size >= low) and (
        not isinstance(high, int | float) or size <= high
    )


def _in_range(value: float, schema: Mapping[str, object]) -> bool:
    below, above = schema.get("exclusiveMaximum"), schema.get("exclusiveMinimum")
    return (
        _within(value, schema, "minimum", "maximum")
        and (isinstance(below, bool) or not isinstance(below, int | float) or value < below)
        and (isinstance(above, bool) or not isinstance(above, int | float) or value > above)
    )
