"""What a registry wants before it answers: the challenge of a 401, and the URL for a token."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import httpx2

_PARAMETER = re.compile(r'([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_SCHEME = re.compile(r"\s*([A-Za-z]+)(?:\s|\Z)")
_LONGEST = 8192
_HASH_OF_NOTHING = base64.b64encode(
    b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
).decode()


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a WWW-Authenticate header says; every field is empty where it says nothing."""

    scheme: str = ""
    realm: str = ""
    service: str = ""
    scope: str = ""

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes, one by one."""
        return tuple(self.scope.split())


def parse_challenge(headers: Iterable[str]) -> Challenge:
    """Return what is asked for: a token, if that is one of the choices."""
    found = [_challenge(text[:_LONGEST]) for text in headers]
    tokens = [challenge for challenge in found if challenge.scheme == "bearer"]
    return next(iter(tokens or found), Challenge())


def _challenge(text: str) -> Challenge:
    scheme = _SCHEME.match(text)
    fields: dict[str, str] = {}
    for key, quoted, plain in _PARAMETER.findall(text):
        fields.setdefault(key.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
    # A header that gives only parameters means a token, too.
    return Challenge(
        scheme[1].lower() if scheme and "=" not in scheme[0] else "bearer",
        fields.get("realm", ""),
        fields.get("service", ""),
        fields.get("scope", ""),
    )


def token_url(realm: httpx2.URL, service: str, scopes: Iterable[str], **more: str) -> httpx2.URL:
    """Return the URL that a token is asked from: everything sorted into the query of `realm`."""
    pairs = parse_qsl(realm.query.decode("ascii", "replace"), keep_blank_values=True)
    if service:
        pairs.append(("service", service))
    pairs += [("scope", scope) for scope in scopes]
    pairs += list(more.items())
    return realm.copy_with(query=urlencode(sorted(pairs, key=lambda pair: pair[0])).encode())


def text_to_sign(url: httpx2.URL) -> bytes:
    """Return what a signed request for a token signs."""
    return f"GET,{url},{_HASH_OF_NOTHING}".encode()
