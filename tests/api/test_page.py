"""/ui: the web page, its headers and its size; and who is led to it."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from server.page.static_files import FOLDER, INDEX, page
from tests.support.application import Server

pytestmark = pytest.mark.anyio

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
NAVIGATION = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
MAX_BYTES = 150_000
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())
SOURCES = [path.relative_to(FOLDER).as_posix() for path in FILES]


async def test_a_browser_is_led_to_the_page(shared: Server) -> None:
    headers = {"accept": NAVIGATION, "user-agent": FIREFOX}

    answer = await shared.http.get("/", headers=headers)

    assert (answer.status_code, answer.headers["location"]) == (302, "ui")
    assert answer.headers["vary"] == "Accept, User-Agent"
    page = await shared.http.get("/", headers=headers, follow_redirects=True)
    assert page.url.path == "/ui"
    assert page.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "user_agent"),
    [
        ("*/*", "curl/8.14.1"),
        ("*/*", FIREFOX),
        ("application/json, text/plain, */*", FIREFOX),
        ("text/plain, text/html;q=0.9", FIREFOX),
        ("text/html;q=0", FIREFOX),
        ("text/html;q=x, */*;q=0.1", FIREFOX),
        ("text/html, image/gif, image/jpeg, */*; q=.2", "Java/21.0.5"),
        ("", ""),
    ],
)
async def test_a_program_gets_the_words_it_waits_for(
    shared: Server, accept: str, user_agent: str
) -> None:
    answer = await shared.http.get("/", headers={"accept": accept, "user-agent": user_agent})

    assert (answer.status_code, answer.text) == (200, "Ollama is running")


async def test_the_page_may_run_and_reach_nothing_but_itself(shared: Server) -> None:
    headers = (await shared.http.get("/ui")).headers
    rules = headers["content-security-policy"].split("; ")
    policy = dict(rule.partition(" ")[::2] for rule in rules)

    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["trusted-types"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_the_index_is_asked_for_again_and_only_confirmed_while_it_is_the_same(
    shared: Server,
) -> None:
    for coding in ("gzip", "identity"):
        asked = {"accept-encoding": coding}
        first = await shared.http.get("/ui", headers=asked)
        etag = first.headers["etag"]
        again = await shared.http.get("/ui", headers={**asked, "if-none-match": f'"x", W/{etag}'})

        assert first.headers["cache-control"] == "no-cache"
        assert first.headers["vary"] == "Accept-Encoding"
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag


@pytest.mark.parametrize("path", sorted(set(SOURCES) - {INDEX}))
async def test_any_other_file_is_kept_for_good_at_the_address_of_its_version(
    shared: Server, path: str
) -> None:
    answer = await shared.http.get(f"/ui/{page().version}/{path}")
    other = await shared.http.get(f"/ui/{page().version[::-1]}/{path}")

    assert answer.content == page().files[path].plain.content
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-security-policy"]
    assert other.status_code == 404


async def test_the_page_is_small_and_its_files_are_all_needed(shared: Server) -> None:
    """A browser loads what the page and its modules name: everything, and little of it.

    The limit is on the bytes before any compression.
    """
    root = f"/ui/{page().version}/"
    size, waiting, known = 0, ["/ui"], {"/ui"}
    while waiting:
        address = waiting.pop()
        answer = await shared.http.get(address, headers={"accept-encoding": "identity"})
        size += int(answer.headers["content-length"])
        for name in re.findall(r'(?:from|href=|src=|import) ?"(ui/[^"]+|\.[^"]+)"', answer.text):
            target = urljoin(address, name)
            if target not in known:
                known.add(target)
                waiting.append(target)

    assert size <= MAX_BYTES
    types = "api/types.js"  # for the type checker alone
    assert known == {"/ui"} | {root + path for path in SOURCES if path not in (INDEX, types)}


@pytest.mark.parametrize(
    "path", ["nothing.js", "main.js", "../app.py", "..%2f..%2fapp.py", "main.js/", "api"]
)
async def test_nothing_but_the_files_of_the_page_is_sent(shared: Server, path: str) -> None:
    answer = await shared.http.get(f"/ui/{path}")

    assert answer.status_code in (307, 404)
    assert "import" not in answer.text


async def test_a_slash_at_the_end_leads_to_the_page(shared: Server) -> None:
    answer = await shared.http.get("/ui/", follow_redirects=True)

    assert (answer.url.path, answer.status_code) == ("/ui", 200)


@pytest.mark.parametrize("path", SOURCES)
def test_a_file_names_no_other_host_and_makes_no_markup_from_text(path: str) -> None:
    text = (FOLDER / path).read_text()
    hosts = set(re.findall(r"(?:https?:)?//([a-z0-9-]+(?:\.[a-z0-9-]+)+)", text))

    assert hosts <= {"www.w3.org"}, "the namespace of SVG is no address"
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc="
    assert not re.search(sinks, text)


def test_every_language_has_every_text_with_the_same_values() -> None:
    english, chinese = (_texts(FOLDER / "strings" / f"{code}.js") for code in ("en", "zh"))

    assert len(english) > 100
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        values = re.compile(r"\{\w+\}")
        assert sorted(values.findall(text)) == sorted(values.findall(chinese[key])), key


@pytest.mark.parametrize("path", SOURCES)
def test_a_file_can_be_read_in_one_sitting(path: str) -> None:
    assert len((FOLDER / path).read_text().splitlines()) <= 400


def _texts(path: Path) -> dict[str, str]:
    return dict(re.findall(r'^  (\w+):\s+"((?:[^"\\]|\\.)*)",$', path.read_text(), re.MULTILINE))
