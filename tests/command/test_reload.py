"""`paddock reload` tells what the server took over, and what needs a restart."""

from server.config_file.document import ConfigError
from server.reloading import ReloadOutcome
from tests.command.conftest import Path, Run
from tests.support.served import ServedApplication


def test_what_changed_is_told(application: ServedApplication, run: Run) -> None:
    async def reloader() -> ReloadOutcome:
        return ReloadOutcome(["keep_alive"], ["addresses"], models=True)

    application.server.app.state.reloader = reloader

    result = run("reload")

    assert result.exit_code == 0
    assert result.stdout == "changed: keep_alive, models\n"
    assert "need a restart: addresses" in result.stderr


def test_a_mistake_in_the_file_is_told(application: ServedApplication, run: Run) -> None:
    async def reloader() -> ReloadOutcome:
        raise ConfigError(Path("/etc/paddock/paddock.toml"), 3, "it is wrong")

    application.server.app.state.reloader = reloader

    result = run("reload")

    assert result.exit_code == 1
    assert result.stderr.endswith("Error: paddock.toml:3: it is wrong\n")
