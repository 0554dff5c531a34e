"""Minify JavaScript and CSS: leave out comments, and the whitespace that separates nothing.

Nothing is renamed or rewritten. The sources end statements with semicolons, as the formatter writes
them, have no regular expression after a closing bracket, and no template literal within another.
"""

import re

_SCRIPT_TOKEN = re.compile(
    r"""
    (?P<space> (?: \s | //[^\n]* | /\*[\s\S]*?\*/ )+ )
  | (?P<string> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | `(?:\\[\s\S]|[^`\\])*` )
  | (?P<word> [\w$#\\]+ )
  | (?P<other> [\s\S] )
    """,
    re.VERBOSE,
)
_REGEX = re.compile(r"/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/\w*")
_BEFORE_REGEX = frozenset("(,=:[!&|?{;+-*%<>~^\n")
_KEYWORDS_BEFORE_REGEX = frozenset({"return", "typeof", "case", "in", "of", "await", "yield"})

_STYLE_SPACE = r"(?:\s|/\*[\s\S]*?\*/)"
_STYLE_TOKEN = re.compile(
    rf"""("(?:\\.|[^"\\\n])*")|{_STYLE_SPACE}*([{{}};,>]){_STYLE_SPACE}*|(:){_STYLE_SPACE}+|({_STYLE_SPACE}+)"""
)


def minify_script(source: str) -> str:
    """Return a JavaScript module without comments and needless whitespace.

    Raises:
        ValueError: the source is not written in the way that this module relies on.
    """
    parts: list[str] = []
    last, gap, at = "\n", "", 0
    while at < len(source):
        match = _REGEX.match(source, at) if _may_begin_regex(source, at, last) else None
        if match is None:
            match = _SCRIPT_TOKEN.match(source, at)
        assert match is not None  # the last alternative matches anything
        token, at = match[0], match.end()
        if match.re is _SCRIPT_TOKEN and match["space"] is not None:
            gap = token
            continue
        if token[0] == "`" and token.count("{") != token.count("}"):
            raise ValueError(f"a template literal within another: {token}")
        if gap and _needs_separator(last, token):
            parts.append("\n" if "\n" in gap else " ")
        parts.append(token)
        last, gap = token, ""
    return "".join(parts)


def minify_style(source: str) -> str:
    """Return a style sheet without comments and needless whitespace."""

    def replacement(match: re.Match[str]) -> str:
        string, mark, colon, _space = match.groups()
        return string or mark or colon or " "

    return _STYLE_TOKEN.sub(replacement, source).replace(";}", "}").strip()


def _may_begin_regex(source: str, at: int, last: str) -> bool:
    return source[at] == "/" and (last[-1] in _BEFORE_REGEX or last in _KEYWORDS_BEFORE_REGEX)


def _needs_separator(before: str, after: str) -> bool:
    """Whether two tokens would be read as one, or otherwise, without whitespace."""
    a, b = before[-1], after[0]
    if _is_word(b):
        # A regular expression would take a word after it for its flags.
        return _is_word(a) or (a == "/" and len(before) > 1)
    return a == b and a in "+-/"


def _is_word(character: str) -> bool:
    return character.isalnum() or character in "_$#\\"
