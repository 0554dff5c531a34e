"""What the documents promise is what the program does."""

import re
from pathlib import Path

import pytest

from server.config.settings import VARIABLES
from server.config.variables import Variable

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_a_setting_is_explained_in_the_readme_as_in_the_help(variable: Variable) -> None:
    assert f"| `{variable.name}` | {variable.shown_default} | {variable.help} |" in README


def test_the_readme_promises_no_setting_that_does_not_exist() -> None:
    promised = set(re.findall(r"\b(?:OLLAMA|PADDOCK)_[A-Z_]+\b", README))

    assert promised <= {variable.name for variable in VARIABLES}
