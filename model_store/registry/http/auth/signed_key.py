"""The reference's signature on token requests: an Ed25519 key signs the URL."""

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from model_store.registry.http.auth.key_pair import signature

_SHA256_OF_EMPTY_BODY = base64.b64encode(
    b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
).decode()


def signed_request(keys: Path) -> tuple[Mapping[str, str], Callable[[str], str]]:
    """Return query parameters for a token request, and what signs its URL.

    The second returns the value of the Authorization header; it reads the key pair in the
    directory `keys`, so it blocks on the disk, and raises InvalidResponse where that fails.
    """
    nonce = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
    parameters = {"ts": str(int(time.time())), "nonce": nonce}
    return parameters, lambda url: signature(keys, signed_text(url))


def signed_text(url: str) -> bytes:
    """Return the bytes that are signed for a GET request of `url`."""
    return f"GET,{url},{_SHA256_OF_EMPTY_BODY}".encode()
