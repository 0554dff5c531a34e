"""TLS: the certificate, its renewal, and mistakes in its files."""

import asyncio
import ssl
from pathlib import Path

import pytest

from server.config.variables import SettingError
from server.http.tls import Certificate
from tests.support.certificates import write_certificate

pytestmark = pytest.mark.anyio


async def common_name(certificate: Certificate, trusted: Path) -> str:
    """Return whose certificate a client sees that trusts the one in a file."""
    server = await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=certificate.context
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        context = ssl.create_default_context(cafile=trusted)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        subject = writer.get_extra_info("peercert")["subject"]
        writer.close()
    return str(dict(part for [part] in subject)["commonName"])


async def test_a_renewed_certificate_is_used_for_new_connections(tmp_path: Path) -> None:
    paths = write_certificate(tmp_path, "first")
    certificate = Certificate(*paths)
    assert await common_name(certificate, paths[0]) == "first"
    assert not certificate.reload_if_renewed()

    write_certificate(tmp_path, "second")

    assert certificate.reload_if_renewed()
    assert await common_name(certificate, paths[0]) == "second"


async def test_half_a_renewal_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The program that renews writes one file after the other."""
    paths = write_certificate(tmp_path, "first")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(paths[0].read_bytes())
    certificate = Certificate(*paths)
    other = tmp_path / "other"
    other.mkdir()
    new = write_certificate(other, "second")

    paths[0].write_bytes(new[0].read_bytes())
    assert not certificate.reload_if_renewed()
    assert await common_name(certificate, trusted) == "first"
    assert "the key is not that of the certificate" in caplog.text

    paths[1].write_bytes(new[1].read_bytes())
    assert certificate.reload_if_renewed()
    assert await common_name(certificate, paths[0]) == "second"


async def test_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "first")
    with pytest.raises(SettingError, match=r"none\.pem of the TLS certificate does not exist"):
        Certificate(certificate, tmp_path / "none.pem")
    key.write_text("no key")
    with pytest.raises(SettingError, match="the files must be PEM, and the key without a password"):
        Certificate(certificate, key)
