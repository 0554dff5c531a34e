"""Prometheus gauges of the runners: requests, KV cache, memory, loads, evictions and crashes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runners.host.usage import MachineUsage, RunnerUsage


class RunnerCollector(Collector):
    """Turns one reading of the scheduler and its runners into metrics."""

    def __init__(self, usage: MachineUsage) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this reading."""
        usage = self._usage
        yield GaugeMetricFamily(
            "paddock_num_requests_queued",
            "Requests that wait for a model to be loaded.",
            value=usage.n_pending,
        )
        yield from _scheduler_counters(usage)
        yield from _runner_gauges(usage.runners)


def _scheduler_counters(usage: MachineUsage) -> Iterator[Metric]:
    counters = usage.counters
    for name, about, value in (
        ("paddock_model_loads", "Models that were loaded.", counters.loads),
        ("paddock_model_load_failures", "Loads that failed.", counters.failed_loads),
        ("paddock_model_evictions", "Models unloaded to make room.", counters.evictions),
        ("paddock_runner_crashes", "Runners that exited by themselves.", counters.crashes),
    ):
        yield CounterMetricFamily(name, about, value=value)


def _runner_gauges(runners: Sequence[RunnerUsage]) -> Iterator[Metric]:
    with_stats = [(each, each.stats) for each in runners if each.stats is not None]
    yield _per_model(
        "paddock_num_requests_running",
        "Sequences in the batch.",
        _sums((each, stats.n_running) for each, stats in with_stats),
    )
    yield _per_model(
        "paddock_num_requests_waiting",
        "Requests that wait for a place in the batch.",
        _sums((each, stats.n_waiting) for each, stats in with_stats),
    )
    n_used = _sums((each, stats.n_cells_used) for each, stats in with_stats)
    n_cells = _sums((each, each.n_cells) for each, _ in with_stats)
    yield _per_model(
        "paddock_kv_cache_usage_ratio",
        "Share of the KV cache's cells in use.",
        {model: used / max(1, n_cells[model]) for model, used in n_used.items()},
    )
    memory = GaugeMetricFamily(
        "paddock_runner_memory_bytes", "Memory of a loaded model.", labels=["model", "memory"]
    )
    vram = _sums((each, each.vram_bytes) for each in runners)
    for model, size in _sums((each, each.ram_bytes) for each in runners).items():
        memory.add_metric([model, "ram"], size)
        memory.add_metric([model, "vram"], vram[model])
    yield memory


def _sums(values: Iterable[tuple[RunnerUsage, float]]) -> dict[str, float]:
    """Return the sums of a value by models: several machines may have the same one."""
    sums: dict[str, float] = {}
    for runner, value in values:
        sums[runner.model] = sums.get(runner.model, 0) + value
    return sums


def _per_model(name: str, about: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=["model"])
    for model, value in values.items():
        family.add_metric([model], value)
    return family
