"""What can go wrong between here and a registry; like all errors of the store, fit for a client.

RegistryError
├── RegistryUnreachable    no connection, or it broke; worth another try
├── RegistryRefused        the registry answered with an error status
│   ├── RegistryBusy       … and asks to come back later
│   ├── NotInRegistry      … because it has no such thing
│   └── AccessDenied       … because it does not know us, or knows us too well
├── RealmRefused           a registry names a stranger to give our credentials to
├── AnswerInvalid          an answer that makes no sense
│   └── RangesRefused      a whole file where a part was asked for
├── TransferFailed         a blob could not be moved, after many tries
├── ContentMismatch        a blob that is not what its digest says
├── ManifestUnavailable    any of these, met while the manifest was fetched
├── ModelUnsupported       a model that cannot be used here
└── NotEnoughSpace         the disk cannot hold the model
"""

from model_store.errors import StoreError

_LONGEST_TEXT = 500


class RegistryError(StoreError):
    """Base of all errors of this package."""


class RegistryUnreachable(RegistryError):
    """No answer came from `host`, or not all of it; `reason` says why in a few words."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"cannot reach {host}: {reason}")
        self.host = host
        self.reason = reason


class RegistryRefused(RegistryError):
    """A registry answered with the error `status`; `body` is its own explanation."""

    def __init__(self, status: int, body: str = "") -> None:
        shown = "".join(c for c in body if c.isprintable())[:_LONGEST_TEXT]
        super().__init__(f"{status}: {shown}" if shown else str(status))
        self.status = status


class RegistryBusy(RegistryRefused):
    """A registry asks to come back later, in `wait` seconds if it says when."""

    def __init__(self, status: int, body: str, wait: float | None) -> None:
        super().__init__(status, body)
        self.wait = wait


class NotInRegistry(RegistryRefused):
    """The registry has no such model, tag or blob."""

    def __init__(self) -> None:
        super().__init__(404)

    def __str__(self) -> str:
        return "file does not exist"


class AccessDenied(RegistryRefused):
    """The registry does not let us; clients look for these words."""

    def __init__(self) -> None:
        super().__init__(401)

    def __str__(self) -> str:
        return "unauthorized: access denied"


class RealmRefused(RegistryError):
    """A registry wants our credentials sent to `realm`, which is not the registry's own host."""

    def __init__(self, realm: str, host: str) -> None:
        super().__init__(f'realm host "{realm}" does not match original host "{host}"')


class AnswerInvalid(RegistryError):
    """An answer of a registry makes no sense; the text says in what way."""


class RangesRefused(AnswerInvalid):
    """A server sends whole files where parts were asked for."""

    def __init__(self) -> None:
        super().__init__("the server cannot send a part of a file")


class TransferFailed(RegistryError):
    """A blob could not be moved; `reason` is what happened last."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"max retries exceeded: {reason}")


class ContentMismatch(RegistryError):
    """A blob came whole, and is not what its digest says."""

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(
            f"digest mismatch, file must be downloaded again: want {wanted}, got {found}"
        )


class ManifestUnavailable(RegistryError):
    """A model's manifest could not be had; `cause` is why."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__(f"pull model manifest: {cause}")
        self.cause = cause


class ModelUnsupported(RegistryError):
    """A registry has something that cannot be used here; the text says why."""


class NotEnoughSpace(RegistryError):
    """The disk has `free` bytes left where `needed` are."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(
            f"not enough disk space: the model needs {needed} more bytes, but the disk that holds "
            f"the models has {free} left"
        )
        self.needed = needed
        self.free = free
