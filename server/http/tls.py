"""TLS: the certificate of the server, read again when it was renewed."""

import logging
import ssl
from pathlib import Path

from server.config.variables import SettingError

_log = logging.getLogger(__name__)


class Certificate:
    """A certificate and its key, in PEM files; without `key` both are in one file.

    Raises:
        SettingError: they cannot be used.
    """

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        self._certificate, self._key = certificate, key
        self._versions = self._read_versions()
        self.context = self._load()
        """What listeners use; new connections see a renewed certificate."""

    def reload_if_renewed(self) -> bool:
        """Read the files again if they have changed; one that cannot be used is a warning.

        Returns whether there is another certificate now.
        """
        versions = self._read_versions()
        if versions == self._versions:
            return False
        self._versions = versions
        try:
            self._load()  # of files that do not fit, one would be in use
        except SettingError as e:
            _log.warning("the renewed certificate is not used: %s", e)
            return False
        self.context.load_cert_chain(self._certificate, self._key)
        _log.info("a renewed certificate is in use")
        return True

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except FileNotFoundError:
            missing = next(p for p in (self._certificate, self._key) if p and not p.exists())
            raise SettingError(
                f"the file {missing} of the TLS certificate does not exist"
            ) from None
        except PermissionError:
            raise SettingError("a file of the TLS certificate cannot be read") from None
        except (ssl.SSLError, OSError, ValueError) as e:
            reason = getattr(e, "reason", None)
            hint = (
                "the key is not that of the certificate"
                if reason in _MISMATCH
                else ("the files must be PEM, and the key without a password")
            )
            raise SettingError(f"the TLS certificate cannot be used: {hint}") from None
        return context

    def _read_versions(self) -> tuple[tuple[int, int], ...]:
        """Return what changes with the files; nothing for one that is not there at the moment."""
        versions = []
        for path in (self._certificate, self._key):
            if path is not None and path.exists():
                status = path.stat()
                versions.append((status.st_mtime_ns, status.st_size))
        return tuple(versions)


_MISMATCH = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")


def _no_password() -> str:
    raise ValueError("the key has a password")
