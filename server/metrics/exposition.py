"""The text of /metrics, in the format of Prometheus or of OpenMetrics."""

from collections.abc import Iterator, Mapping
from itertools import chain

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
from server.caller import Caller
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

    def exposition(self, usage: MachineUsage, accept: str, caller: Caller) -> tuple[bytes, str]:
        """Return the text for a client that accepts the types `accept`, and its own type.

        A caller whose key is for some models sees the series of these, and no other keys.
        """
        reading = _Reading(self._registry, RunnerCollector(usage), caller)
        if "application/openmetrics-text" in accept:
            text = openmetrics.generate_latest(reading)  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(reading), CONTENT_TYPE_PLAIN_0_0_4


class _Reading(Collector):
    """What has been counted so far, and one reading of the runners, as far as `caller` sees it."""

    def __init__(
        self, registry: CollectorRegistry, runners: RunnerCollector, caller: Caller
    ) -> None:
        self._registry, self._runners, self._caller = registry, runners, caller

    def collect(self) -> Iterator[Metric]:
        for metric in chain(self._registry.collect(), self._runners.collect()):
            if self._caller.models:
                metric.samples = [each for each in metric.samples if self._may_see(each.labels)]
            yield metric

    def _may_see(self, labels: Mapping[str, str]) -> bool:
        model, key = labels.get("model", ""), labels.get("key", "")
        return (not model or self._caller.may_use(model)) and key in ("", self._caller.name)
