"""Bearer tokens: fetched from the realm of a challenge, in exchange for what we have.

That is, in this order: a token that `docker login` stored, its identity token, user and password,
a signature by our key pair as the reference's registry expects it, or nothing.
"""

import json
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlencode

import httpx2

from model_store.registry.config import Endpoint
from model_store.registry.errors import InvalidResponse, RealmRefused, RegistryRefused
from model_store.registry.http.auth.challenge import Challenge
from model_store.registry.http.auth.docker_config import Credentials
from model_store.registry.http.auth.scheme import AuthContext
from model_store.registry.http.auth.signed_key import signed_request
from model_store.registry.http.response import Response
from model_store.registry.http.urls import origin_of, parse_url

_LARGEST_TOKEN = 64 << 10
_FORM = "application/x-www-form-urlencoded"

_SAME_OWNER = (
    frozenset({"hf.co", "huggingface.co"}),
    frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "auth.docker.io"}),
    frozenset({"registry.gitlab.com", "gitlab.com"}),
)
"""Hosts that belong together: one may ask for the credentials of another."""


class BearerAuth:
    """Fetches a token; our credentials go to the registry's own host and its relatives alone."""

    async def authorization(
        self, context: AuthContext, endpoint: Endpoint, challenge: Challenge, *, public_only: bool
    ) -> str:
        """Return the header for a token; see `AuthScheme`.

        Raises:
            RealmRefused: the realm is on a host that must not see our credentials.
            RegistryRefused, InvalidResponse, RegistryUnreachable: the realm gives no token.
        """
        credentials = await context.credentials(endpoint.host)
        if credentials is not None and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        realm = _realm(challenge, endpoint)
        if not _has_same_owner(realm, endpoint):
            credentials = await _realm_credentials(context, realm, endpoint)
        request = _TokenRequest(context, realm, challenge, public_only=public_only)
        return f"Bearer {await request.token(credentials)}"


class _TokenRequest:
    """Requests for a token at one realm."""

    def __init__(
        self, context: AuthContext, realm: httpx2.URL, challenge: Challenge, *, public_only: bool
    ) -> None:
        self._context, self._realm, self._challenge = context, realm, challenge
        self._public_only = public_only

    async def token(self, credentials: Credentials | None) -> str:
        if credentials is not None and credentials.identity_token:
            return await self._exchange(credentials.identity_token)
        if credentials is not None and credentials.basic:
            return await self._get(credentials.basic)
        try:
            return await self._get_signed()
        except RegistryRefused as e:
            # Registries of other makers do not know the reference's signature.
            if e.status >= 500:
                raise
            return await self._get("")

    def _url(self, **extra: str) -> httpx2.URL:
        return token_url(self._realm, self._challenge.service, self._challenge.scopes, **extra)

    async def _get(self, authorization: str) -> str:
        url = self._url()
        return await self._request("GET", url, authorization=authorization)

    async def _get_signed(self) -> str:
        config = self._context.config
        extra, sign = signed_request(config.keys)
        url = self._url(**extra)
        authorization = await self._context.threads.run(sign, str(url))
        return await self._request("GET", url, authorization=authorization)

    async def _exchange(self, identity_token: str) -> str:
        form = {
            "grant_type": "refresh_token",
            "service": self._challenge.service,
            "scope": self._challenge.scope,
            "client_id": "paddock",
            "refresh_token": identity_token,
        }
        return await self._request("POST", self._realm, content=urlencode(form).encode())

    async def _request(
        self, method: str, url: httpx2.URL, *, authorization: str = "", content: bytes | None = None
    ) -> str:
        async with self._context.transport.stream(
            method,
            url,
            headers={"Content-Type": _FORM} if content is not None else None,
            authorization=authorization,
            content=content,
            follow=False,
            public_only=self._public_only,
        ) as response:
            return await _token_in(response)


async def _token_in(response: Response) -> str:
    await response.raise_for_status()
    body = await response.read(_LARGEST_TOKEN)
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    fields = fields if isinstance(fields, Mapping) else {}
    token = fields.get("token") or fields.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise InvalidResponse("the registry's token response has no valid token")
    return token


def token_url(realm: httpx2.URL, service: str, scopes: Iterable[str], **extra: str) -> httpx2.URL:
    """Return the URL to fetch a token from: all parameters sorted into the query of `realm`."""
    pairs = parse_qsl(realm.query.decode("ascii", "replace"), keep_blank_values=True)
    if service:
        pairs.append(("service", service))
    pairs += [("scope", scope) for scope in scopes]
    pairs += list(extra.items())
    return realm.copy_with(query=urlencode(sorted(pairs, key=lambda pair: pair[0])).encode())


def _realm(challenge: Challenge, endpoint: Endpoint) -> httpx2.URL:
    try:
        return parse_url(challenge.realm)
    except InvalidResponse:
        raise RealmRefused("", endpoint.host) from None


def _has_same_owner(realm: httpx2.URL, endpoint: Endpoint) -> bool:
    _, host, port = origin_of(realm)
    own = httpx2.URL(endpoint.url)
    _, own_host, own_port = origin_of(own)
    if realm.scheme not in ("https", own.scheme):
        return False
    pair = {host, own_host}
    return port == own_port and (len(pair) == 1 or any(pair <= hosts for hosts in _SAME_OWNER))


async def _realm_credentials(
    context: AuthContext, realm: httpx2.URL, endpoint: Endpoint
) -> Credentials:
    """Return what `docker login` stored for the realm's own host; raises RealmRefused."""
    host = realm.netloc.decode("ascii", "replace")
    credentials = await context.credentials(host)
    if credentials is None or (endpoint.scheme == "https" and realm.scheme != "https"):
        raise RealmRefused(host, endpoint.host)
    return credentials
