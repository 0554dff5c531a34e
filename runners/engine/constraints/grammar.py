"""Translate constraints to llguidance grammars (Lark with JSON Schema); compiling is in `matcher`.

The parts of a constraint become rules, JSON Schemas are prepared and get rules for whitespace, and
grammars that a client wrote are translated and bounded.
"""

import json
import re
from collections.abc import Callable, Iterable

from llguidance import LLMatcher, LLParserLimits
from llguidance.gbnf_to_lark import gbnf_to_lark

from runners.engine.constraints.json_schema import BadSchema, plain, prepare
from runners.protocol.constraints import (
    GBNF,
    Choice,
    Concatenation,
    Constraint,
    JSONSchema,
    Lark,
    Literal,
    Regex,
    Repeat,
    SeparatedList,
    Until,
    Voluntary,
    Without,
)

MAX_BYTES = 64 * 1024
"""Largest grammar that a client may send."""

# What a step costs grows with the square of the rules that may apply at one place.
MAX_SYMBOLS = 1_500
"""Symbols of a grammar that a client may send; one of JSON has 28."""
_CLIENT_LIMITS = LLParserLimits(max_grammar_size=MAX_SYMBOLS, verbose_errors=False)

# With unlimited whitespace a weak model can write nothing else until its limit.
_WHITESPACE = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
# Without forced tokens the model may tokenise the text that a grammar forces as it likes: then a
# mask and a test of one token always agree, and llguidance needs no tokenizer.
_HEAD = '%llguidance {"no_forcing": true}\n'


class BadGrammar(ValueError):
    """The constraint cannot be translated; the message is a sentence for the client."""


def grammar_of(constraint: Constraint, usable: Callable[[str], bool] | None = None) -> str:
    """Return the Lark grammar of `constraint`. Raises BadGrammar.

    With `usable`, which returns whether a grammar compiles, lenient schemas that do not compile are
    reduced to their basic keywords.
    """
    match constraint:
        case Lark() | GBNF():
            return _HEAD + _lark(constraint)
        case _:
            rules = _Rules(usable)
            return _HEAD + rules.text(rules.expression(constraint))


class _Rules:
    """The rules of one grammar, numbered in order; equal parts share a rule."""

    def __init__(self, usable: Callable[[str], bool] | None) -> None:
        self._usable = usable
        self._names: dict[str, str] = {}

    def text(self, start: str) -> str:
        """Return the whole grammar with `start` as its start rule."""
        return f"start: {start}\n" + "".join(f"{n}{body}\n" for body, n in self._names.items())

    def expression(self, part: Constraint) -> str:  # noqa: C901, PLR0912 - one case a kind
        """Return the expression of `part` within a rule."""
        match part:
            case Literal():
                return json.dumps(part.text)
            case JSONSchema():
                return self._rule(f": {self._json(part)}")
            case Regex():
                return self._rule(f": /{_slashed(_bounded(part.pattern))}/", terminal=True)
            case Until():
                text = f"(?:{_slashed(_bounded(part.pattern))})" if part.pattern else "(?s:.*)"
                return self._rule(f"[lazy]: /{text}{_escaped(part.end)}/")
            case Without():
                free = f" & ~/(?s:.*){_escaped(part.mark)}(?s:.*)/" if part.mark else ""
                return self._rule(f": /(?s:.*)/{free}", terminal=True)
            case Concatenation():
                return self._group(" ", part.parts)
            case Choice():
                return self._group(" | ", part.options)
            case Repeat():
                most = "" if part.most is None else part.most
                return f"({self.expression(part.part)}){{{part.least},{most}}}"
            case SeparatedList():
                return self._list(part)
            case Voluntary():
                return self.expression(part.part)
            case Lark() | GBNF():
                return self._rule(f": %lark {{\n{_lark(part)}\n}}")

    def _json(self, part: JSONSchema) -> str:
        if not part.lenient or self._usable is None:
            return _json(part)
        try:
            expression = _json(part)
            if self._usable(f"{_HEAD}start: {expression}\n"):
                return expression
        except BadGrammar:
            pass
        return _json(JSONSchema(plain(part.schema), lenient=True))

    def _list(self, part: SeparatedList) -> str:
        """Write two rules per item: at the start of the list, and behind another item.

        So the grammar grows with the items, not with the combinations of those left out.
        """
        first = rest = '""'
        separator = json.dumps(part.separator)
        for item, needed in zip(reversed(part.parts), reversed(part.required), strict=True):
            one = self._rule(f": {self.expression(item)}")
            first = f"({one} {rest})" if needed else f"({one} {rest} | {first})"
            rest = f"({separator} {one}){'' if needed else '?'} {rest}"
            first, rest = self._rule(f": {first}"), self._rule(f": {rest}")
        return first

    def _group(self, separator: str, parts: Iterable[Constraint]) -> str:
        return "(" + (separator.join(map(self.expression, parts)) or '""') + ")"

    def _rule(self, body: str, *, terminal: bool = False) -> str:
        letter = "T" if terminal else "r"
        return self._names.setdefault(body, f"{letter}{len(self._names)}")


def _json(part: JSONSchema) -> str:
    try:
        schema = prepare(part.schema)
    except BadSchema as e:
        raise BadGrammar(str(e)) from e
    options = {**_WHITESPACE, "coerce_one_of": True, "lenient": part.lenient}
    return f"%json {json.dumps({**schema, 'x-guidance': options})}"


def _lark(constraint: Lark | GBNF) -> str:
    text = _bounded(constraint.grammar)
    text = text if isinstance(constraint, Lark) else _from_gbnf(text)
    error = LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(text), limits=_CLIENT_LIMITS)
    if "(number of symbols) too big" in error.partition("\n")[0]:
        raise BadGrammar(f"the grammar has more than {MAX_SYMBOLS} symbols; leave out rules")
    return text


def _bounded(text: str) -> str:
    if len(text) > MAX_BYTES:
        raise BadGrammar(f"the grammar is larger than {MAX_BYTES // 1024} KiB")
    return text


def _from_gbnf(grammar: str) -> str:
    try:
        # The head that llguidance writes would conflict with `_HEAD`.
        return gbnf_to_lark(grammar).replace("%llguidance {}\n", "", 1)
    except RecursionError:
        reason = "it is nested too deeply"
    except Exception as e:
        reason = _reason(str(e))
    raise BadGrammar(f"the GBNF grammar cannot be used: {reason}")


def _reason(message: str) -> str:
    if rule := re.search(r"Rule '([\w-]{1,40})' not found", message):
        return f'there is no rule "{rule[1]}"'
    if message.startswith("No 'root'"):
        return 'there is no rule "root"'
    line = re.search(r"at line (\d{1,6})", message)
    return f"line {line[1]} is not in its syntax" if line else "it is not in its syntax"


def _slashed(pattern: str) -> str:
    """Escape unescaped slashes, which would end the expression in a grammar."""
    return re.sub(r"\\.|/", lambda m: r"\/" if m[0] == "/" else m[0], pattern, flags=re.DOTALL)


def _escaped(text: str) -> str:
    return "".join(rf"\x{{{ord(c):x}}}" for c in text)
