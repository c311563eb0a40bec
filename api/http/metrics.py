"""`/metrics`, in the text format of Prometheus: the platform as it is, and the requests of this replica."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from api.domain.host import Host
from api.domain.metrics import Snapshot
from api.domain.status import TaskStatus
from api.errors import NestboxError
from api.http.caller import Callers
from api.http.errors import error_response_for
from api.services.metrics import Metrics

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the histogram's buckets: from a query to a command that waits for its outcome."""
_ROUTES = ("/graphql", "/sandboxes", "/auth", "/hosts", "/metrics")
MIB = 1024 * 1024


class Traffic:
    """How long the requests of this replica took, by route and status."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "nestbox_http_request_duration_seconds",
            "Requests over HTTP to this replica, from their first byte to the last of the answer.",
            ("route", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )

    def note(self, path: str, status: int, seconds: float) -> None:
        """Counts one request; status 0 is that of a client that went away first, which nginx calls 499. Its path is
        shortened to a few routes: what comes from outside must not grow a metric."""
        route = next((route for route in _ROUTES if path == route or path.startswith(f"{route}/")), "other")
        self._seconds.labels(route, str(status or 499)).observe(seconds)


class MetricsEndpoint:
    """For platform admins: `authorization: Bearer nb_…`, as a scraper sends it."""

    def __init__(
        self, metrics: Metrics, callers: Callers, traffic: Traffic, tasks: Callable[[], tuple[TaskStatus, ...]]
    ) -> None:
        self._metrics = metrics
        self._callers = callers
        self._traffic = traffic
        self._tasks = tasks

    async def metrics(self, request: Request) -> Response:
        """Answers one request."""
        try:
            principal = await self._callers.principal(request.scope)
            snapshot = await self._metrics.snapshot(principal)
        except NestboxError as error:
            return error_response_for(error, request.state.request_id)
        registry = CollectorRegistry()
        registry.register(_Collected(snapshot, self._tasks()))
        text = generate_latest(registry) + generate_latest(self._traffic.registry)
        return Response(text, headers={"cache-control": "no-store"}, media_type=CONTENT_TYPE_LATEST)


class _Collected(Collector):
    """A snapshot, as the library asks for it."""

    def __init__(self, snapshot: Snapshot, tasks: tuple[TaskStatus, ...]) -> None:
        self._snapshot = snapshot
        self._tasks = tasks

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        sandboxes = GaugeMetricFamily("nestbox_sandboxes", "Sandboxes of all teams, by state.", labels=["state"])
        for state, count in self._snapshot.sandboxes.items():
            sandboxes.add_metric([state.value], count)
        operations = GaugeMetricFamily("nestbox_operations", "Commands that have not ended, by kind.", labels=["kind"])
        for kind, count in self._snapshot.operations.items():
            operations.add_metric([kind.value], count)
        yield sandboxes
        yield operations
        yield from _hosts(self._snapshot.hosts)
        yield from _pools(self._snapshot.hosts)
        yield from _tasks(self._tasks)


def _hosts(hosts: tuple[Host, ...]) -> Iterator[Metric]:
    figures: tuple[tuple[str, str, Callable[[Host], float]], ...] = (
        ("reachable", "Whether the host's agent answers: 1 or 0.", lambda host: float(host.reachable)),
        ("sandboxes", "Sandboxes on the host that are not deleted.", lambda host: host.sandbox_count),
        ("shortcomings", "What the host cannot give.", lambda host: len(host.shortcomings)),
        ("memory_bytes", "The host's memory.", lambda host: host.memory_total_mb * MIB),
        ("memory_free_bytes", "Its memory that is free, as it last said.", lambda host: host.memory_free_mb * MIB),
        ("disk_bytes", "The disk that holds its sandboxes.", lambda host: host.disk_total_mb * MIB),
        ("disk_free_bytes", "What is free of that disk, as it last said.", lambda host: host.disk_free_mb * MIB),
    )
    for name, text, figure in figures:
        family = GaugeMetricFamily(f"nestbox_host_{name}", text, labels=["host", "name"])
        for host in hosts:
            family.add_metric([str(host.id), host.name], figure(host))
        yield family


def _pools(hosts: tuple[Host, ...]) -> Iterator[Metric]:
    labels = ["host", "template", "vcpus", "memory_mb"]
    ready = GaugeMetricFamily("nestbox_pool_ready", "Clones that stand ready.", labels=labels)
    wanted = GaugeMetricFamily("nestbox_pool_wanted", "Clones that are to stand ready.", labels=labels)
    handed_over = CounterMetricFamily("nestbox_pool_handed_over", "Sandboxes that got one.", labels=labels)
    missed = CounterMetricFamily("nestbox_pool_missed", "Sandboxes that found none.", labels=labels)
    for host in hosts:
        for pool in host.pools:
            values = [str(host.id), pool.template_name, str(pool.vcpus), str(pool.memory_mb)]
            for family, value in (
                (ready, pool.ready),
                (wanted, pool.wanted),
                (handed_over, pool.handed_over),
                (missed, pool.missed),
            ):
                family.add_metric(values, value)
    yield from (ready, wanted, handed_over, missed)


def _tasks(tasks: tuple[TaskStatus, ...]) -> Iterator[Metric]:
    runs = CounterMetricFamily("nestbox_reconciler_runs", "Runs of this replica's tasks.", labels=["task"])
    failures = CounterMetricFamily("nestbox_reconciler_failures", "Those that failed.", labels=["task"])
    succeeded = GaugeMetricFamily(
        "nestbox_reconciler_last_success_timestamp_seconds", "When a task last ran well.", labels=["task"]
    )
    for task in tasks:
        runs.add_metric([task.name], task.runs)
        failures.add_metric([task.name], task.failures)
        if task.last_success_at is not None:
            succeeded.add_metric([task.name], task.last_success_at.timestamp())
    yield from (runs, failures, succeeded)
