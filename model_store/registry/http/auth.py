"""Credentials for registries: who gets which, and tokens in exchange for them.

Three ways: user and password (or a token) from a `config.json`, our signature as Ollama's
registry wants it, or nothing. A credential is sent to the registry's own host, to a host that is
known to belong to it, or to a host that it was kept for; to nobody else.
"""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlencode

import httpx2

from model_store.registry.config import Endpoint, RegistryConfig
from model_store.registry.errors import AccessDenied, AnswerInvalid, RealmRefused, RegistryRefused
from model_store.registry.http.bounded_read import LARGEST_TOKEN
from model_store.registry.http.challenge import (
    Challenge,
    parse_challenge,
    text_to_sign,
    token_url,
)
from model_store.registry.http.docker_credentials import Credentials, credentials_for
from model_store.registry.http.key_pair import signature
from model_store.registry.http.transport import Answer, Transport, url_of
from model_store.registry.workers import Workers

_PORTS = {"http": 80, "https": 443}
_FAMILIES = (
    frozenset({"hf.co", "huggingface.co"}),
    frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "auth.docker.io"}),
    frozenset({"registry.gitlab.com", "gitlab.com"}),
)
"""Hosts that belong together: one may ask for the credentials of another."""

_FORM = "application/x-www-form-urlencoded"


class Authorizer:
    """Finds the value of an Authorization header that satisfies a registry."""

    def __init__(self, transport: Transport, workers: Workers, config: RegistryConfig) -> None:
        self._transport, self._workers, self._config = transport, workers, config

    async def authorization(self, endpoint: Endpoint, refusal: Answer) -> str:
        """Return what `endpoint` wants, as the 401 `refusal` says.

        Raises:
            RealmRefused: a stranger would get our credentials.
            AccessDenied: there are none to give.
            RegistryRefused, AnswerInvalid, RegistryUnreachable: no token could be had.
        """
        challenge = parse_challenge(refusal.headers.get_list("www-authenticate"))
        kept = await self._workers.run(credentials_for, self._config.docker_config, endpoint.host)
        if challenge.scheme == "basic":
            if kept is None or not kept.basic:
                raise AccessDenied
            return kept.basic
        if kept is not None and kept.registry_token:
            return f"Bearer {kept.registry_token}"
        realm = _realm(challenge, endpoint)
        if not _belongs_to(realm, endpoint):
            kept = await self._kept_for(realm, endpoint)
        return f"Bearer {await self._token(realm, challenge, kept)}"

    async def _kept_for(self, realm: httpx2.URL, endpoint: Endpoint) -> Credentials:
        host = _authority(realm)
        kept = await self._workers.run(credentials_for, self._config.docker_config, host)
        if kept is None or (endpoint.scheme == "https" and realm.scheme != "https"):
            raise RealmRefused(host, endpoint.host)
        return kept

    async def _token(
        self, realm: httpx2.URL, challenge: Challenge, kept: Credentials | None
    ) -> str:
        if kept is not None and kept.identity_token:
            return await self._exchanged(realm, challenge, kept.identity_token)
        if kept is not None and kept.basic:
            url = token_url(realm, challenge.service, challenge.scopes)
            return await self._asked(url, kept.basic)
        url = token_url(
            realm,
            challenge.service,
            challenge.scopes,
            ts=str(int(time.time())),
            nonce=base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode(),
        )
        signed = await self._workers.run(signature, self._config.keys, text_to_sign(url))
        try:
            return await self._asked(url, signed)
        except RegistryRefused as e:
            # A registry of another kind does not know our way of signing.
            if e.status >= 500:
                raise
            return await self._asked(token_url(realm, challenge.service, challenge.scopes), "")

    async def _asked(self, url: httpx2.URL, authorization: str) -> str:
        async with self._transport.stream(
            "GET", url, authorization=authorization, follow=False
        ) as answer:
            return await _token_in(answer)

    async def _exchanged(self, realm: httpx2.URL, challenge: Challenge, token: str) -> str:
        form = {
            "grant_type": "refresh_token",
            "service": challenge.service,
            "scope": challenge.scope,
            "client_id": "paddock",
            "refresh_token": token,
        }
        async with self._transport.stream(
            "POST",
            realm,
            headers={"Content-Type": _FORM},
            content=urlencode(form).encode(),
            follow=False,
        ) as answer:
            return await _token_in(answer)


async def _token_in(answer: Answer) -> str:
    await answer.check()
    body = await answer.read(LARGEST_TOKEN)
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    found = fields if isinstance(fields, Mapping) else {}
    token = found.get("token") or found.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise AnswerInvalid("the registry gave no token")
    return token


def _realm(challenge: Challenge, endpoint: Endpoint) -> httpx2.URL:
    try:
        return url_of(challenge.realm)
    except AnswerInvalid:
        raise RealmRefused("", endpoint.host) from None


def _belongs_to(realm: httpx2.URL, endpoint: Endpoint) -> bool:
    own = httpx2.URL(endpoint.url)
    if realm.scheme not in ("https", own.scheme):
        return False
    pair = {realm.host.lower(), own.host.lower()}
    is_family = len(pair) == 1 or any(pair <= family for family in _FAMILIES)
    return is_family and _port(realm) == _port(own)


def _port(url: httpx2.URL) -> int:
    return url.port or _PORTS[url.scheme]


def _authority(url: httpx2.URL) -> str:
    return url.netloc.decode("ascii", "replace")
