"""/ui: the web page, its headers and its size; and who is led to it."""

import re
from pathlib import Path

import pytest

from server.page.static_files import FOLDER, INDEX
from tests.support.application import Server

pytestmark = pytest.mark.anyio

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
NAVIGATION = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
MAX_SENT_BYTES = 150_000
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


@pytest.mark.parametrize("path", SOURCES)
async def test_a_file_is_sent_once_and_then_only_confirmed(shared: Server, path: str) -> None:
    address = "/ui" if path == INDEX else f"/ui/{path}"
    for coding in ("gzip", "identity"):
        first = await shared.http.get(address, headers={"accept-encoding": coding})
        etag = first.headers["etag"]
        again = await shared.http.get(
            address, headers={"accept-encoding": coding, "if-none-match": f'"x", W/{etag}'}
        )

        assert first.content == (FOLDER / path).read_bytes()
        assert first.headers["cache-control"] == "no-cache"
        assert first.headers["vary"] == "Accept-Encoding"
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag


async def test_the_page_is_small_and_its_files_are_all_needed(shared: Server) -> None:
    """A browser loads what the page and its modules name; that is everything, and not much."""
    sent, waiting, known = 0, [INDEX], {INDEX}
    while waiting:
        path = waiting.pop()
        address = "/ui" if path == INDEX else f"/ui/{path}"
        answer = await shared.http.get(address, headers={"accept-encoding": "gzip"})
        sent += int(answer.headers["content-length"])
        named = re.findall(r'(?:from|href=|src=|import\() ?"(ui/[^"]+|\.[^"]+\.js)"', answer.text)
        for name in named:
            base = FOLDER.parent / "ui" if path == INDEX else (FOLDER / path).parent
            target = FOLDER / name.removeprefix("ui/") if path == INDEX else base / name
            relative = target.resolve().relative_to(FOLDER.resolve()).as_posix()
            if relative not in known:
                known.add(relative)
                waiting.append(relative)

    assert sent <= MAX_SENT_BYTES
    assert sorted(known) == SOURCES


@pytest.mark.parametrize("path", ["nothing.js", "../app.py", "..%2f..%2fapp.py", "main.js/", "api"])
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
