"""The Ed25519 key pair `id_ed25519`, in the files and the format of the reference."""

import base64
import contextlib
import os
import tempfile
from pathlib import Path

from model_store.errors import StorageFailed
from model_store.registry.errors import InvalidResponse

_PRIVATE, _PUBLIC = "id_ed25519", "id_ed25519.pub"


def ensure_key(folder: Path) -> None:
    """Generate a key pair in `folder` if it has no private key; raises StorageFailed."""
    private = folder / _PRIVATE
    if private.exists():
        return
    # Only the first start on a machine pays for this import.
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(folder / _PUBLIC, public + b"\n", 0o644)
        _write(private, secret, 0o600)
    except OSError as e:
        raise StorageFailed((e.strerror or "the key pair cannot be written").lower()) from e


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor, scratch = tempfile.mkstemp(prefix=".id_", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, mode)
        Path(scratch).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(scratch).unlink()
        raise


def signature(folder: Path, text: bytes) -> str:
    """Return `<public key>:<signature of text>`, both in base64; raises InvalidResponse.

    The key pair is generated if there is none.
    """
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    ensure_key(folder)
    try:
        key = form.load_ssh_private_key((folder / _PRIVATE).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as e:
        raise InvalidResponse(
            "the registry asks for a signature, but the key id_ed25519 of this server cannot be "
            "read"
        ) from e
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidResponse(
            "the registry asks for a signature, but the key id_ed25519 of this server is not an "
            "Ed25519 key"
        )
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    signed = base64.b64encode(key.sign(text)).decode()
    return f"{public.split()[1].decode()}:{signed}"
