"""Errors of pulls and pushes; like all errors of the store, their texts may be shown to a client.

RegistryError
├── RegistryUnreachable    no connection, or it broke
├── AddressRefused         the address policy forbids a connection
├── RegistryRefused        the registry answered with an error status
│   ├── RegistryBusy       … and asks to retry later
│   ├── NotInRegistry      … 404
│   └── AccessDenied       … 401, with or without credentials
├── RealmRefused           the token realm is on a host that must not see our credentials
├── InvalidResponse        a response that breaks the protocol
│   └── RangesUnsupported  a whole file in response to a range request
├── TransferFailed         a blob could not be transferred, after several tries
├── ContentMismatch        a blob has another digest than its name
├── ManifestUnavailable    any of these, while the manifest was fetched
├── ModelUnsupported       a model that this server cannot run
└── NotEnoughSpace         the disk cannot hold the model
"""

from http import HTTPStatus

from model_store.errors import StoreError

_TRANSIENT = frozenset({408, 416, 425, 429})
"""Client errors that may pass: timeout, part out of order, too early, too many requests."""

_EXPLANATIONS = {
    412: "Precondition Failed: the registry requires a newer client version for this model"
}


class RegistryError(StoreError):
    """Base of all errors of this package."""

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return False


class RegistryUnreachable(RegistryError):
    """`host` sent no response, or only a part of it; `reason` says why in a few words."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"cannot reach {host}: {reason}")
        self.host = host
        self.reason = reason

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return True


class AddressRefused(RegistryError):
    """The address policy forbids a connection to `host`.

    The text is the same for a name that does not resolve and for one with a private address:
    otherwise it would tell an untrusted client which names there are in this network.
    """

    def __init__(self, host: str, *, is_forbidden: bool) -> None:
        reason = (
            "its address is link-local or that of a metadata service"
            if is_forbidden
            else "it has no public address; PADDOCK_REGISTRIES can allow registries in private "
            "networks"
        )
        super().__init__(f"connections to {host} are not allowed: {reason}")
        self.host = host


class RegistryRefused(RegistryError):
    """A registry answered with the error `status`.

    `message` is the registry's own, from the `errors` of an OCI error response; any other body
    could be that of some inner server and is not shown.
    """

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(f"{status}: {message or _phrase(status)}")
        self.status = status

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status >= 500 or self.status in _TRANSIENT


class RegistryBusy(RegistryRefused):
    """A registry asks to retry later: after `retry_after` seconds, if it says when."""

    def __init__(self, status: int, message: str, retry_after: float | None) -> None:
        super().__init__(status, message)
        self.retry_after = retry_after

    def __str__(self) -> str:
        if self.retry_after is None:
            return super().__str__()
        return f"{super().__str__()} (the registry asks to retry after {self.retry_after:.0f} s)"


class NotInRegistry(RegistryRefused):
    """The registry has no such model, tag or blob."""

    def __init__(self) -> None:
        super().__init__(404)

    def __str__(self) -> str:
        return "file does not exist"


class AccessDenied(RegistryRefused):
    """The registry denies access; clients look for these words."""

    def __init__(self) -> None:
        super().__init__(401)

    def __str__(self) -> str:
        return "unauthorized: access denied"


class HubAccessDenied(AccessDenied):
    """The hub does not let us read the repository `id`; the text says what to do."""

    def __init__(self, id: str, *, has_token: bool) -> None:
        super().__init__()
        self.id, self.has_token = id, has_token

    def __str__(self) -> str:
        token = (
            "use a token (HF_TOKEN) of an account that has"
            if self.has_token
            else "set HF_TOKEN to a token of an account that has"
        )
        return (
            f"{super().__str__()}: {self.id} is gated or private; accept its conditions on its "
            f"page, and {token} access"
        )


class NotOnHub(NotInRegistry):
    """The hub has no repository `id`, or does not tell us that it has."""

    def __init__(self, id: str, *, has_token: bool) -> None:
        super().__init__()
        self.id, self.has_token = id, has_token

    def __str__(self) -> str:
        hint = "" if self.has_token else "; if it is private, set HF_TOKEN to a token for it"
        return f"{super().__str__()}: there is no repository {self.id}{hint}"


class RealmRefused(RegistryError):
    """The token realm of a registry is on `realm`, which is not the registry's own host."""

    def __init__(self, realm: str, host: str) -> None:
        super().__init__(f'realm host "{realm}" does not match original host "{host}"')


class InvalidResponse(RegistryError):
    """A response of a registry breaks the protocol; the text says in what way."""


class RangesUnsupported(InvalidResponse):
    """A server sends whole files in response to range requests."""

    def __init__(self) -> None:
        super().__init__("the server does not support range requests")


class TransferFailed(RegistryError):
    """A blob could not be transferred, after several tries; `last_error` says why."""

    def __init__(self, last_error: RegistryError) -> None:
        super().__init__(f"max retries exceeded: {last_error}")
        self.last_error = last_error


class ContentMismatch(RegistryError):
    """A blob was downloaded whole and has the digest `actual` instead of `expected`."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(
            f"digest mismatch, file must be downloaded again: want {expected}, got {actual}"
        )


class ManifestUnavailable(RegistryError):
    """A model's manifest cannot be fetched or used; `cause` says why."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__(f"pull model manifest: {cause}")
        self.cause = cause


class ModelUnsupported(RegistryError):
    """A registry has a model that cannot be used here; the text says why."""


class NotEnoughSpace(RegistryError):
    """The disk has `free` bytes left where `required` are needed."""

    def __init__(self, required: int, free: int) -> None:
        super().__init__(
            f"not enough disk space: the model needs {required} more bytes, but the disk that "
            f"holds the models has {free} left"
        )
        self.required = required
        self.free = free


def _phrase(status: int) -> str:
    if status in _EXPLANATIONS:
        return _EXPLANATIONS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "the registry returned an error"
