"""Basic authentication: user and password from `docker login`."""

from model_store.registry.config import Endpoint
from model_store.registry.errors import AccessDenied
from model_store.registry.http.auth.challenge import Challenge
from model_store.registry.http.auth.scheme import AuthContext


class BasicAuth:
    """Sends user and password with each request to the registry that they were stored for."""

    async def authorization(
        self, context: AuthContext, endpoint: Endpoint, challenge: Challenge, *, public_only: bool
    ) -> str:
        """Return the header for user and password; see `AuthScheme`."""
        credentials = await context.credentials(endpoint.host)
        if credentials is None or not credentials.basic:
            raise AccessDenied
        return credentials.basic
