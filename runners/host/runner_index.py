"""Index of the runners of many machines by model and by machine, kept while they change."""

from collections.abc import Iterable, Iterator

from runners.host.model_request import ModelKey
from runners.host.policy import RunnerView


class RunnerIndex:
    """The runners of many machines, found by model and by machine without looking at all."""

    def __init__(self) -> None:
        self._by_id: dict[int, RunnerView] = {}
        self._by_key: dict[ModelKey, dict[int, RunnerView]] = {}
        self._by_machine: dict[str, dict[int, RunnerView]] = {}

    def __iter__(self) -> Iterator[RunnerView]:
        return iter(self._by_id.values())

    def put(self, runner: RunnerView) -> None:
        """Add a runner, or replace it by what it is now; it stays on its machine."""
        self._by_id[runner.id] = runner
        self._by_key.setdefault(runner.key, {})[runner.id] = runner
        self._by_machine.setdefault(runner.machine, {})[runner.id] = runner

    def remove(self, runner_id: int) -> None:
        """Remove a runner."""
        runner = self._by_id.pop(runner_id)
        del self._by_key[runner.key][runner_id]
        del self._by_machine[runner.machine][runner_id]

    def of_model(self, key: ModelKey) -> Iterable[RunnerView]:
        """Return the runners of a model."""
        return self._by_key.get(key, {}).values()

    def on_machine(self, name: str) -> Iterable[RunnerView]:
        """Return the runners of a machine."""
        return self._by_machine.get(name, {}).values()
