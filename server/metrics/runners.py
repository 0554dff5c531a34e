"""Prometheus gauges of the runners: requests, KV cache, memory, loads, evictions and crashes."""

from collections.abc import Iterable, Iterator, Sequence

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
        ((each, stats.n_running) for each, stats in with_stats),
    )
    yield _per_model(
        "paddock_num_requests_waiting",
        "Requests that wait for a place in the batch.",
        ((each, stats.n_waiting) for each, stats in with_stats),
    )
    yield _per_model(
        "paddock_kv_cache_usage_ratio",
        "Share of the KV cache's cells in use.",
        ((each, stats.n_cells_used / max(1, each.n_cells)) for each, stats in with_stats),
    )
    memory = GaugeMetricFamily(
        "paddock_runner_memory_bytes", "Memory of a loaded model.", labels=["model", "memory"]
    )
    for each in runners:
        memory.add_metric([each.model, "ram"], each.ram_bytes)
        memory.add_metric([each.model, "vram"], each.vram_bytes)
    yield memory


def _per_model(name: str, about: str, values: Iterable[tuple[RunnerUsage, float]]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=["model"])
    for runner, value in values:
        family.add_metric([runner.model], value)
    return family
