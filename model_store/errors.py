"""Errors of the store; they carry data, and the server maps them to HTTP answers.

    StoreError
    ├── InvalidName           a text that is no model name
    ├── InvalidDigest         a text that is no digest
    ├── ModelNotFound         no manifest under that name, or a blob of the model is gone
    │   ├── ParentNotFound    the model that another one should be made from is not installed
    │   └── RepositoryNotFound  no model of that namespace and name is installed under any tag
    ├── ManifestInvalid       a manifest or one of its small layers cannot be read
    ├── BlobNotFound          a blob that was referred to is not there
    ├── BlobDamaged           the bytes of an uploaded blob have changed on the disk
    ├── DigestMismatch        bytes that are not what their digest says
    ├── UploadConflict        an upload that cannot be resumed in this way
    ├── GGUFError             a model file that is damaged, hostile or no model file
    │   └── WeightsDamaged    the model file of an installed model cannot be read
    ├── ModelfileError        a Modelfile that cannot be parsed
    ├── CreateError           a model that cannot be made as asked
    ├── ArchiveInvalid        a file that is no archive of models, or a damaged one
    ├── ConversionDied        the process that converts files ended before it was done
    └── StorageFailed         the disk is full, read-only or broken
        ├── NoSpace           the disk has less room than the work needs
        └── StorageUnreadable     the operating system does not let the store read
            ├── StorageMissing    the models directory has vanished
            └── TooManyOpenFiles  the process has no file descriptor left

The text of every one may be shown to a client: none holds a path.
"""


class StoreError(Exception):
    """Base of all errors of this package."""


class InvalidName(StoreError):
    """`text` is no model name."""

    def __init__(self, text: str, reason: str = "invalid model name") -> None:
        super().__init__(reason)
        self.text = text
        self.reason = reason


class InvalidDigest(StoreError):
    """`text` is no digest."""

    def __init__(self, text: str) -> None:
        super().__init__("invalid digest format")
        self.text = text


class AliasReserved(StoreError):
    """A name cannot be installed or deleted, because the configuration makes it an alias."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'"{name}" is an alias in the configuration of the server; use another name, or change '
            "the configuration"
        )


class ModelNotFound(StoreError):
    """No complete model is installed as `name` (its short form)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"model '{name}' not found")
        self.name = name


class ParentNotFound(ModelNotFound):
    """The model that another one should be made from is not installed."""

    def __str__(self) -> str:
        return f'model "{self.name}" not found, try pulling it first'


class RepositoryNotFound(ModelNotFound):
    """No model is installed in a repository that somebody pulls from."""

    def __str__(self) -> str:
        """Name the repository as the client did."""
        return f"repository '{self.name}' has no model here"


class ManifestInvalid(StoreError):
    """The manifest of `name`, or a small layer that it names, cannot be read."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the manifest of model '{name}' is damaged: {reason}")
        self.name = name
        self.reason = reason


class BlobNotFound(StoreError):
    """No blob has the digest `digest`."""

    def __init__(self, digest: str) -> None:
        super().__init__(f'blob "{digest}" not found')
        self.digest = digest


class BlobDamaged(StoreError):
    """The bytes of the blob `digest` have changed on the disk."""

    def __init__(self, digest: str) -> None:
        super().__init__(f'blob "{digest}" is damaged on the disk; upload it again')
        self.digest = digest


class DigestMismatch(StoreError):
    """The bytes received have another digest than the one that was announced."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f'digest mismatch, expected "{expected}", got "{actual}"')
        self.expected = expected
        self.actual = actual


class UploadConflict(StoreError):
    """An upload cannot be resumed in this way; the text says why, and `offset` how much is there.

    `offset` is None where another server or a later request receives the blob.
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason)
        self.offset = offset


class GGUFError(StoreError):
    """A model file is damaged, hostile or of an unknown kind; the text says where."""


class WeightsDamaged(GGUFError):
    """The model file of the installed model `name` (its short form) cannot be read."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the file of model '{name}' is damaged: {reason}")
        self.name = name
        self.reason = reason


class ModelfileError(StoreError):
    """A Modelfile cannot be parsed.

    `line` is where the instruction at fault begins, 0 where it is not about one.
    """

    line = 0


class CreateError(StoreError):
    """A model cannot be made as asked; the text says why."""


class ArchiveInvalid(StoreError):
    """A file is no archive of models, or is damaged; the text says where."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is no archive of models: {reason}")


class ConversionDied(StoreError):
    """The process that converts a model's files ended before it was done."""

    def __init__(self) -> None:
        super().__init__("the conversion stopped unexpectedly; the server's log says more")


class StorageFailed(StoreError):
    """The operating system refused to write; `reason` is its word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the models directory cannot be written: {reason}")
        self.reason = reason


class StorageUnreadable(StorageFailed):
    """The operating system refused to read `subject`, which may well be there."""

    def __init__(self, reason: str, subject: str = "the models directory") -> None:
        StoreError.__init__(self, f"{subject} cannot be read: {reason}")
        self.reason = reason


class StorageMissing(StorageUnreadable):
    """The models directory, or the manifests that belong to its blobs, are gone."""

    def __init__(self) -> None:
        super().__init__("it is not there; check that its disk is mounted")


class TooManyOpenFiles(StorageUnreadable):
    """The process, or the machine, has no file descriptor left."""

    def __init__(self) -> None:
        super().__init__("too many files are open; close idle connections or raise the limit")


class NoSpace(StorageFailed):
    """The disk of the models directory has `free` bytes, and the work needs `needed`."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(f"{_gigabytes(needed)} are needed and {_gigabytes(free)} are free")
        self.needed = needed
        self.free = free


def _gigabytes(size: int) -> str:
    return f"{size / 10**9:.1f} GB"
