"""Remote images are downloaded from public addresses only, after every redirect too."""

from collections.abc import AsyncIterator, Callable, Mapping

import httpx2
import pytest

from server.errors import BadRequest
from server.media.image_downloads import ImageDownloads
from server.media.remote_images import RemoteImages

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
OWN = "93.184.216.35"
URL = "https://example.org/cat.png"
Answer = Callable[[httpx2.Request], httpx2.Response]


async def in_parts(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 2):
        yield content[start : start + 2]


class Network:
    """Machines by name, and what they answer; `asked` are the requests that reached one."""

    def __init__(self, answer: Answer | bytes = b"cat", **hosts: list[str]) -> None:
        self.hosts = {"example.org": [PUBLIC]} | hosts
        self.asked: list[httpx2.Request] = []
        self._answer = answer

    async def resolve(self, host: str, port: int) -> list[str]:
        if host not in self.hosts:
            raise OSError("no such host")
        return self.hosts[host]

    def images(self) -> RemoteImages:
        transport = httpx2.MockTransport(self._serve)
        downloads = ImageDownloads(resolve=self.resolve, own=lambda: [OWN], transport=transport)
        return RemoteImages(is_allowed=True, fetch=downloads.fetch)

    async def fetch(self, *urls: str) -> Mapping[str, bytes]:
        return await self.images().fetch(urls)

    async def refusal(self, url: str = URL) -> str:
        with pytest.raises(BadRequest) as refused:
            await self.fetch(url)
        text = str(refused.value)
        assert text.startswith(f'the image "{url[:200]}" cannot be fetched: ')
        return text.rpartition(": ")[2]

    def _serve(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        if isinstance(self._answer, bytes):
            return httpx2.Response(200, content=in_parts(self._answer))
        return self._answer(request)


async def test_an_image_is_downloaded_from_the_address_that_was_checked() -> None:
    network = Network()

    assert await network.fetch(URL) == {URL: b"cat"}

    [request] = network.asked
    assert request.url.host == PUBLIC
    assert request.headers["host"] == "example.org"
    assert request.extensions["sni_hostname"] == "example.org"


async def test_credentials_in_a_url_are_not_sent() -> None:
    network = Network()

    await network.fetch("https://name:secret@example.org/cat.png")

    assert "authorization" not in network.asked[0].headers


async def test_nothing_is_downloaded_unless_it_is_allowed() -> None:
    with pytest.raises(BadRequest, match="image URLs are not currently supported"):
        await RemoteImages(is_allowed=False).fetch([URL])

    assert await RemoteImages(is_allowed=False).fetch([]) == {}


INNER = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fe80::1%eth0", "nonsense", OWN,
]  # fmt: skip


@pytest.mark.parametrize("address", INNER)
async def test_a_private_address_is_never_contacted(address: str) -> None:
    network = Network(**{"example.org": [address]})

    assert await network.refusal() == "it is not on a public address"
    assert network.asked == []


async def test_one_private_address_among_public_ones_is_refused() -> None:
    network = Network(**{"example.org": [PUBLIC, "10.0.0.1"]})

    assert await network.refusal() == "it is not on a public address"


async def test_a_redirect_is_checked_like_the_first_url() -> None:
    def away(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(302, headers={"location": "http://inner/"})

    network = Network(away, inner=["10.0.0.1"])

    assert await network.refusal() == "it is not on a public address"
    assert len(network.asked) == 1


async def test_a_redirect_to_a_public_machine_is_followed() -> None:
    def moved(request: httpx2.Request) -> httpx2.Response:
        if request.headers["host"] == "example.org":
            return httpx2.Response(301, headers={"location": "//other/dog.png"})
        return httpx2.Response(200, content=in_parts(str(request.url).encode()))

    network = Network(moved, other=["1.1.1.1"])

    assert await network.fetch(URL) == {URL: b"https://1.1.1.1/dog.png"}


async def test_redirects_are_bounded() -> None:
    network = Network(lambda _: httpx2.Response(302, headers={"location": "/again"}))

    assert await network.refusal() == "it redirects too often"
    assert len(network.asked) == 4


async def test_an_image_that_is_too_large_is_not_read_completely() -> None:
    n_parts = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal n_parts
        while True:
            n_parts += 1
            yield bytes(1 << 20)

    network = Network(lambda _: httpx2.Response(200, content=endless()))

    assert await network.refusal() == f"it is larger than {20 << 20} bytes"
    assert n_parts == 21


async def test_images_that_are_too_large_together_are_refused() -> None:
    async def large() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield bytes(1 << 20)

    network = Network(lambda _: httpx2.Response(200, content=large()))
    urls = [f"https://example.org/{n}" for n in range(5)]

    with pytest.raises(BadRequest, match=f"larger than {64 << 20} bytes in all"):
        await network.fetch(*urls)
    assert len(network.asked) == 4


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/cat.png", "its URL is not an http or https URL"),
        ("http:///cat.png", "its URL is not an http or https URL"),
        ("http://nowhere/", "its server cannot be reached"),
        ("http://[::1/", "its server cannot be reached"),
    ],
)
async def test_a_url_that_cannot_be_downloaded_is_reported(url: str, why: str) -> None:
    assert await Network().refusal(url) == why


async def test_an_error_body_of_another_server_is_not_shown() -> None:
    network = Network(lambda _: httpx2.Response(404, content=b"secret"))

    assert await network.refusal() == "its server answers 404"


async def test_the_number_of_images_is_bounded() -> None:
    with pytest.raises(BadRequest, match="at most 16 images"):
        await Network().fetch(*(f"https://example.org/{n}" for n in range(17)))


async def test_the_downloader_is_imported_with_the_first_image() -> None:
    with pytest.raises(BadRequest, match="its URL is not an http or https URL"):
        await RemoteImages(is_allowed=True).fetch(["ftp://example.org/cat.png"])
