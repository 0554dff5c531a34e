"""Facts about architectures, measured once by tiny models of each."""

from pathlib import Path

import pytest

from tests.families.facts import Facts, measured
from tests.families.media import hears, sees
from tests.support.families.hyperparameters import HYPERPARAMETERS


class Measurements:
    """The facts of architectures, measured when they are first wanted."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._facts: dict[str, Facts] = {}
        self._media: dict[tuple[str, str], bool] = {}

    def of(self, architecture: str) -> Facts:
        if architecture not in self._facts:
            path = self._directory / f"{architecture}.gguf"
            self._facts[architecture] = measured(path, architecture)
            path.unlink()
        return self._facts[architecture]

    def sees(self, encoder: str) -> bool:
        """Tell whether images work with an encoder; "" is none."""
        key = "images", encoder
        if encoder and key not in self._media:
            self._media[key] = sees(self._directory, encoder)
        return bool(encoder) and self._media[key]

    def hears(self, encoder: str) -> bool:
        """Tell whether audio works with an encoder; "" is none."""
        key = "audio", encoder
        if encoder and key not in self._media:
            self._media[key] = hears(self._directory, encoder)
        return bool(encoder) and self._media[key]


@pytest.fixture(scope="session")
def measurements(tmp_path_factory: pytest.TempPathFactory) -> Measurements:
    return Measurements(tmp_path_factory.mktemp("families"))


@pytest.fixture(params=HYPERPARAMETERS)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)
