"""What is sent to registries: signatures, proxies, challenges, and where names lead."""

import base64
import json
import stat
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from model_store.names import ModelName
from model_store.registry.config import Endpoint, Mirror, Proxies, RegistryConfig
from model_store.registry.http.addresses import is_public, parsed_address
from model_store.registry.http.auth.authenticator import SCHEMES
from model_store.registry.http.auth.bearer import token_url
from model_store.registry.http.auth.challenge import Challenge, parse_challenge
from model_store.registry.http.auth.docker_config import Credentials, credentials_for
from model_store.registry.http.auth.key_pair import ensure_key, signature
from model_store.registry.http.auth.signed_key import signed_text
from model_store.registry.http.proxies import proxy_for

SIGNED = (
    "GET,https://registry.ollama.ai/v2/token?account=x&nonce=AAECAwQFBgcICQoLDA0ODw"
    "&scope=repository%3Ame%2Ffoo%3Apull%2Cpush&scope=b+c&service=ollama.com&ts=1700000000,"
    "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ=="
)
AUTHORIZATION = (
    "AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4:"
    "9iJUKx0whTSAvXk3R+wUuVV1cPPrLJVutYVSwlfEfHUFj6wDqHIPsahLKVWz8nGSrSCQ9NmYcltUlcmqPwPsAA=="
)


def test_a_request_for_a_token_is_signed_as_the_reference_signs_it(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    (tmp_path / "id_ed25519").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )

    url = token_url(
        httpx2.URL("https://registry.ollama.ai/v2/token?account=x"),
        "ollama.com",
        ["repository:me/foo:pull,push", "b c"],
        ts="1700000000",
        nonce="AAECAwQFBgcICQoLDA0ODw",
    )

    assert signed_text(str(url)).decode() == SIGNED
    assert signature(tmp_path, signed_text(str(url))) == AUTHORIZATION


def test_a_key_pair_is_made_once_and_only_we_can_read_it(tmp_path: Path) -> None:
    ensure_key(tmp_path / "keys")
    private, public = (tmp_path / "keys" / name for name in ("id_ed25519", "id_ed25519.pub"))
    before = private.read_bytes()
    ensure_key(tmp_path / "keys")

    assert private.read_bytes() == before
    assert before.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert len(public.read_bytes()) == 81
    assert {path.name for path in private.parent.iterdir()} == {private.name, public.name}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Challenge("bearer")),
        (
            ['Bearer realm="https://a/t",service="s",scope="repository:x/y:pull,push other"'],
            Challenge("bearer", "https://a/t", "s", "repository:x/y:pull,push other"),
        ),
        (['realm="https://a/t"'], Challenge("bearer", "https://a/t")),
        (['Basic realm="R"', 'Bearer realm="https://a"'], Challenge("bearer", "https://a")),
        (['Basic realm="R"'], Challenge("basic", "R")),
        (
            ['Basic realm="R", Bearer realm="https://a",scope="x, y"'],
            Challenge("bearer", "https://a", scope="x, y"),
        ),
        (["Negotiate"], Challenge("negotiate")),
        ([r'Bearer realm="a\"b"'], Challenge("bearer", 'a"b')),
    ],
)
def test_a_challenge_is_parsed(headers: list[str], expected: Challenge) -> None:
    assert parse_challenge(headers, SCHEMES) == expected


PROXIES = Proxies("http://plain:3128", "http://secure:3128")


@pytest.mark.parametrize(
    ("exempt", "host", "expected"),
    [
        ((), "registry.ollama.ai", "http://secure:3128"),
        (("*",), "registry.ollama.ai", ""),
        (("ollama.ai",), "registry.ollama.ai", ""),
        ((".ollama.ai",), "registry.ollama.ai", ""),
        (("ama.ai",), "registry.ollama.ai", "http://secure:3128"),
        (("registry.ollama.ai:443",), "registry.ollama.ai", ""),
        (("registry.ollama.ai:5000",), "registry.ollama.ai", "http://secure:3128"),
        (("10.0.0.0/8",), "10.1.2.3", ""),
        (("10.0.0.0/8",), "11.1.2.3", "http://secure:3128"),
        ((), "localhost", ""),
        ((), "127.0.0.1", ""),
    ],
)
def test_a_proxy_is_used_unless_the_host_is_exempt(
    exempt: tuple[str, ...], host: str, expected: str
) -> None:
    proxies = Proxies(PROXIES.http, PROXIES.https, exempt)

    assert proxy_for(proxies, "https", host, 443) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.0.0.1", False),
        ("192.168.1.1", False), ("169.254.169.254", False), ("::1", False), ("fe80::1", False),
        ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False), ("0.0.0.0", False), ("100.64.0.1", False), ("224.0.0.1", False),
    ],
)  # fmt: skip
def test_inner_addresses_are_known_as_such(address: str, expected: bool) -> None:
    parsed = parsed_address(address)
    assert parsed is not None
    assert is_public(parsed) is expected


def test_names_lead_to_their_registries(tmp_path: Path) -> None:
    config = RegistryConfig(
        keys=tmp_path,
        default=Endpoint.parse("http://inner:5000"),
        mirrors=(Mirror.parse("hf.co=https://mirror"),),
    )

    def urls(name: str, *, insecure: bool = False) -> list[str]:
        return [e.url for e in config.sources(ModelName.parse(name), insecure=insecure)]

    assert urls("llama3") == ["http://inner:5000"]
    assert urls("quay.io/me/x") == ["https://quay.io"]
    assert urls("quay.io/me/x", insecure=True) == ["http://quay.io"]
    assert urls("hf.co/me/x") == ["https://mirror", "https://hf.co"]


@pytest.mark.parametrize("text", ["", "ftp://a", "a/b", "a b", "http://", "https://u@h", "a:b"])
def test_an_endpoint_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid registry address"):
        Endpoint.parse(text)


def _config(folder: Path, **auths: object) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": auths}))


def test_credentials_are_found_by_host(tmp_path: Path) -> None:
    packed = base64.b64encode(b"ada:se:cret").decode()
    _config(
        tmp_path,
        **{
            "https://index.docker.io/v1/": {"auth": packed},
            "quay.io": {"username": "bob", "password": "pw"},
            "ghcr.io:443": {"registrytoken": "t"},
        },
    )

    assert credentials_for(tmp_path, "docker.io") == Credentials("ada", "se:cret")
    assert credentials_for(tmp_path, "QUAY.io") == Credentials("bob", "pw")
    assert credentials_for(tmp_path, "ghcr.io:443") == Credentials(registry_token="t")
    assert credentials_for(tmp_path, "ghcr.io") is None
    assert credentials_for(None, "quay.io") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"auths": []}', '{"auths": {"h": {"auth": "%"}}}']
)
def test_a_damaged_file_of_credentials_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)

    found = credentials_for(tmp_path, "h")

    assert found is None or not found.basic
