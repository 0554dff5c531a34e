"""Authentication with registries: the scheme for a 401 response.

Credentials are sent to the registry's own host, to a host of the same owner, or to a host that
they were stored for, and to nobody else.
"""

from collections.abc import Mapping

from model_store.registry.config import Endpoint, RegistryConfig
from model_store.registry.disk_threads import DiskThreads
from model_store.registry.errors import AccessDenied
from model_store.registry.http.auth.basic import BasicAuth
from model_store.registry.http.auth.bearer import BearerAuth
from model_store.registry.http.auth.challenge import parse_challenge
from model_store.registry.http.auth.scheme import AuthContext, AuthScheme
from model_store.registry.http.response import Response
from model_store.registry.http.transport import Transport

SCHEMES: Mapping[str, AuthScheme] = {"bearer": BearerAuth(), "basic": BasicAuth()}
"""By the name in WWW-Authenticate, in lower case; where a registry offers several, the first."""


class Authenticator:
    """Answers the challenges of registries."""

    def __init__(self, transport: Transport, threads: DiskThreads, config: RegistryConfig) -> None:
        self._context = AuthContext(transport, threads, config)

    async def authorization(self, endpoint: Endpoint, refusal: Response) -> str:
        """Return the Authorization header that `endpoint` asks for by the 401 `refusal`.

        Raises:
            AccessDenied: the scheme is unknown, or there are no credentials.
            RegistryError: see the schemes.
        """
        headers = refusal.headers.get_list("www-authenticate")
        challenge = parse_challenge(headers, SCHEMES)
        scheme = SCHEMES.get(challenge.scheme)
        if scheme is None:
            raise AccessDenied
        return await scheme.authorization(
            self._context, endpoint, challenge, public_only=refusal.public_only
        )
