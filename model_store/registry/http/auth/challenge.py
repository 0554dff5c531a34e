"""WWW-Authenticate headers: the challenges of a 401 response."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

_TOKEN = re.compile(
    r'([A-Za-z][\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))|([A-Za-z][\w-]*)(?=[\s,]|\Z)',
    re.ASCII,
)
_LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge; `scheme` is in lower case, and absent parameters are empty."""

    scheme: str = ""
    realm: str = ""
    service: str = ""
    scope: str = ""

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes, one by one."""
        return tuple(self.scope.split())


def parse_challenge(headers: Iterable[str], schemes: Collection[str]) -> Challenge:
    """Return the challenge of the first of `schemes` that occurs, else the first one.

    Without a header, or with parameters only, a bearer token is asked for.
    """
    challenges = [one for text in headers for one in _challenges(text[:_LONGEST])]
    for scheme in schemes:
        for challenge in challenges:
            if challenge.scheme == scheme:
                return challenge
    return challenges[0] if challenges else Challenge("bearer")


def _challenges(text: str) -> list[Challenge]:
    parsed: list[tuple[str, dict[str, str]]] = []
    for key, quoted, plain, scheme in _TOKEN.findall(text):
        if scheme:
            parsed.append((scheme.lower(), {}))
            continue
        if not parsed:
            parsed.append(("bearer", {}))
        parsed[-1][1].setdefault(key.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
    return [
        Challenge(scheme, *(fields.get(key, "") for key in ("realm", "service", "scope")))
        for scheme, fields in parsed
    ]
