"""Prometheus counters and histograms of requests, filled from their records when they end."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from server.request_record import RequestRecord

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
_NANOSECOND = 1e-9


class RequestMetrics:
    """Adds up the requests that have ended.

    Series grow with the routes of the API, the installed models and the API keys, never with what
    clients send: a path without a route, and a model that no runner served, have an empty label.
    Deleted models are to be forgotten: in years their series would be more than the others.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._of_models: list[Histogram | Counter] = []

        def histogram(
            name: str, about: str, *labels: str, buckets: tuple[float, ...] = _SECONDS
        ) -> Histogram:
            metric = Histogram(name, about, labels, buckets=buckets, registry=registry)
            self._of_models += [metric] if "model" in labels else []
            return metric

        def counter(name: str, about: str, *labels: str) -> Counter:
            metric = Counter(name, about, labels, registry=registry)
            self._of_models += [metric] if "model" in labels else []
            return metric

        self._requests = counter(
            "paddock_requests",
            "Requests that have ended.",
            "route",
            "method",
            "status",
            "model",
            "key",
        )
        self._durations = histogram(
            "paddock_request_duration_seconds", "Time from a request to the end of its reply.",
            "route",
        )  # fmt: skip
        self._queue = histogram(
            "paddock_request_queue_time_seconds",
            "Wait for a place in memory and in the batch, without the load.", "model",
        )  # fmt: skip
        self._load = histogram(
            "paddock_model_load_time_seconds", "Wait for the model to be loaded.", "model"
        )
        self._first_token = histogram(
            "paddock_time_to_first_token_seconds", "Wait, load and prompt of an answer.", "model"
        )
        self._token = histogram(
            "paddock_time_per_output_token_seconds", "Mean time of the tokens after the first.",
            "model", buckets=_TOKEN_SECONDS,
        )  # fmt: skip
        self._computed = counter(
            "paddock_prompt_tokens", "Prompt tokens that were computed.", "model"
        )
        self._cached = counter(
            "paddock_prompt_tokens_cached", "Prompt tokens taken from the KV cache.", "model"
        )
        self._generated = counter("paddock_generation_tokens", "Generated tokens.", "model")
        self._drafted = counter(
            "paddock_spec_decode_draft_tokens", "Tokens drafted by speculative decoding.", "model"
        )
        self._accepted = counter(
            "paddock_spec_decode_accepted_tokens", "Drafted tokens that were sampled.", "model"
        )

    def add(self, record: RequestRecord, route: str) -> None:
        """Add a request that has ended; `route` is its path template, "" if it has none."""
        model = record.served_model
        # A client that left before there was a status has ended its own request: as nginx, 499.
        status = str(record.status or 499)
        method, key = record.method if route else "", record.caller.name
        self._requests.labels(route, method, status, model, key).inc()
        self._durations.labels(route).observe(record.elapsed_ns * _NANOSECOND)
        if not model:
            return
        self._queue.labels(model).observe(record.queue_ns * _NANOSECOND)
        if record.load_ns:
            self._load.labels(model).observe(record.load_ns * _NANOSECOND)
        self._computed.labels(model).inc(max(0, record.n_computed))
        self._cached.labels(model).inc(record.n_cached)
        self._generated.labels(model).inc(record.n_generated)
        self._drafted.labels(model).inc(record.n_drafted)
        self._accepted.labels(model).inc(record.n_accepted)
        if record.n_generated:
            waited = record.queue_ns + record.load_ns + record.prompt_ns
            self._first_token.labels(model).observe(waited * _NANOSECOND)
        if record.n_generated > 1:
            each = record.decode_ns / (record.n_generated - 1)
            self._token.labels(model).observe(each * _NANOSECOND)

    def forget(self, model: str) -> None:
        """Remove the series of a model that was deleted."""
        for metric in self._of_models:
            metric.remove_by_labels({"model": model})
