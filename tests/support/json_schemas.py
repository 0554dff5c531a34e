"""JSON Schemas drawn at random: every keyword that can be enforced, alone and combined."""

from collections.abc import Callable
from random import Random
from typing import Any

Schema = dict[str, Any]

_PATTERNS = ("^[A-Z]{2}-[0-9]{3}$", "^(red|green|blue)+$", "^[^aeiou ]{1,6}$", r"^\d+(\.\d+)?$")
_FORMATS = ("date", "time", "date-time", "uuid", "ipv4", "email", "uri")
_VALUES: tuple[Any, ...] = ("cat", "größe", 'a "quote"', 0, -7, 2.5, True, None, [], {"a": 1})
_DEEPEST = 3


def random_schema(random: Random, depth: int = 0) -> Schema:
    """Return a schema that some JSON value satisfies."""
    makers: list[Callable[[Random, int], Schema]] = [_string, _number, _choice, _plain]
    if depth < _DEEPEST:
        makers += [_object, _object, _array, _union]
    schema = random.choice(makers)(random, depth)
    if random.random() < 0.2:
        schema["description"] = "what it is"
    return schema


def _plain(random: Random, depth: int) -> Schema:
    return {"type": random.choice(["boolean", "null", "integer"])}


def _string(random: Random, depth: int) -> Schema:
    kind = random.randrange(4)
    if kind == 0:
        return {"type": "string", "pattern": random.choice(_PATTERNS)}
    if kind == 1:
        return {"type": "string", "format": random.choice(_FORMATS)}
    least = random.randrange(4)
    return {"type": "string", "minLength": least, "maxLength": least + random.randrange(12)}


def _number(random: Random, depth: int) -> Schema:
    low = random.randrange(-1000, 1000)
    schema: Schema = {"type": random.choice(["integer", "number"])}
    if random.random() < 0.8:
        schema[random.choice(["minimum", "exclusiveMinimum"])] = low
        schema[random.choice(["maximum", "exclusiveMaximum"])] = low + random.randrange(2, 5000)
    if schema["type"] == "integer" and random.random() < 0.2:
        return {"type": "integer", "multipleOf": random.choice([2, 3, 10]), "minimum": 0}
    return schema


def _choice(random: Random, depth: int) -> Schema:
    if random.random() < 0.3:
        return {"const": random.choice(_VALUES)}
    return {"enum": random.sample(_VALUES, random.randrange(1, 5))}


def _object(random: Random, depth: int) -> Schema:
    names = random.sample(["name", "age", "größe", "a b", "$id", "tags", "x"], random.randrange(5))
    schema: Schema = {
        "type": "object",
        "properties": {name: random_schema(random, depth + 1) for name in names},
        "required": [name for name in names if random.random() < 0.7],
    }
    if random.random() < 0.5:
        schema["additionalProperties"] = False
    if not names:
        schema["additionalProperties"] = {"type": "boolean"}
        schema["maxProperties"] = 3
    return schema


def _array(random: Random, depth: int) -> Schema:
    if random.random() < 0.2:
        items = [random_schema(random, depth + 1) for _ in range(random.randrange(1, 4))]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    least = random.randrange(3)
    return {
        "type": "array",
        "items": random_schema(random, depth + 1),
        "minItems": least,
        "maxItems": least + random.randrange(3),
    }


def _union(random: Random, depth: int) -> Schema:
    if not depth and random.random() < 0.5:  # references begin at the root
        inner = random_schema(random, depth + 1)
        return {"$defs": {"it": inner}, "anyOf": [{"$ref": "#/$defs/it"}, {"type": "null"}]}
    return {"anyOf": [random_schema(random, depth + 1) for _ in range(random.randrange(1, 4))]}
