"""Clients compare the version with what they need, so it must be one they can read."""

import re

from server.versions import PADDOCK, REFERENCE


def test_the_matched_version_is_three_plain_numbers() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", REFERENCE)


def test_paddocks_own_version_is_the_installed_one() -> None:
    assert re.match(r"\d+\.\d+\.\d+", PADDOCK)
