"""The page in a real browser: each file of tests in JavaScript is one test here."""

from pathlib import Path

import pytest

from tests.page.conftest import RunScript

SCRIPTS = sorted(path.name for path in Path(__file__).parent.glob("*.test.mjs"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_page_in_a_browser(script: str, run_script: RunScript) -> None:
    run_script(script)
