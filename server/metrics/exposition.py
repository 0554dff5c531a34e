"""The text of /metrics, in the format of Prometheus or of OpenMetrics."""

from collections.abc import Iterator

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from runners.host.usage import MachineUsage
from server.metrics.requests import RequestMetrics
from server.metrics.runners import RunnerCollector

# They are a series more for each counter, which few scrapers read.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = RequestMetrics(self._registry)

    def exposition(self, usage: MachineUsage, accept: str) -> tuple[bytes, str]:
        """Return the text for a client that accepts the types `accept`, and its own type."""
        reading = _Reading(self._registry, RunnerCollector(usage))
        if "application/openmetrics-text" in accept:
            text = openmetrics.generate_latest(reading)  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(reading), CONTENT_TYPE_PLAIN_0_0_4


class _Reading(Collector):
    """What has been counted so far, and one reading of the runners."""

    def __init__(self, registry: CollectorRegistry, runners: RunnerCollector) -> None:
        self._registry, self._runners = registry, runners

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from self._runners.collect()
