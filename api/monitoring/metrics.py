"""`/metrics`: readings as Prometheus knows them.

Laws of this file: it counts nothing itself; every figure is some part's `statistics()`. Labels hold
names of ours only. docs/operations.md lists every metric, and a test holds it to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from quart import Blueprint, Response, request

from api.monitoring.readings import Instruments, Readings
from engine.activation import ActivationStatistics
from engine.admission import AdmissionStatistics
from engine.histogram import HistogramStatistics
from engine.meter import WorkStatistics
from engine.store import StoreStatistics, Tally
from engine.stream import StreamStatistics
from engine.supervisor import SupervisorStatistics

_BROWSER = "browser"
_OPERATION = "operation/"


def metrics_routes(instruments: Instruments) -> Blueprint:
    """Return the route; it is guarded as every other one."""
    routes = Blueprint("metrics", __name__)
    board = Board()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(board)
    ProcessCollector(registry=registry)

    @routes.get("/metrics")
    async def metrics() -> Response:
        """Give all figures, in the format that the scraper accepts."""
        board.readings = await instruments.read()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), content_type=content_type)

    return routes


class Board(Collector):
    """Gives the newest readings as metrics; none before the first."""

    readings: Readings | None = None

    def collect(self) -> Iterator[Metric]:
        if self.readings is not None:
            yield from families(self.readings)


def families(readings: Readings) -> Iterator[Metric]:
    """Yield every metric of the readings; the same ones whatever they hold."""
    yield _counted(
        "mooring_info", "Which Mooring this is.", ("version",), [((version("mooring"),), 1)]
    )
    yield from _of_sessions(readings)
    yield from _of_work(readings)
    yield from _of_browsers(readings)
    yield from _of_actors(readings)
    yield from _of_store(readings.store, readings.tally)
    yield from _of_streams(readings.streams)
    yield from _of_requests(readings)


# -- what the families do --------------------------------------------------------------------------


def _of_sessions(readings: Readings) -> Iterator[Metric]:
    browser, conversations = readings.browser, readings.conversations
    sessions = [] if browser is None else [(_BROWSER, *each) for each in browser.sessions.items()]
    for kind, in_memory in _in_memory(readings):
        sessions.append((kind, "in_memory", in_memory))
    sessions.append((conversations.actors.kind, "replying", conversations.writing))
    yield _counted(
        "mooring_sessions",
        "Sessions that are live or in memory, by what they do.",
        ("kind", "state"),
        [((kind, state), count) for kind, state, count in sessions],
    )
    admission = None if browser is None else browser.admission
    yield from _of_admission(admission)


def _in_memory(readings: Readings) -> Iterator[tuple[str, int]]:
    for each in (readings.conversations.actors, *readings.activations):
        yield each.kind, each.in_memory


def _of_admission(found: AdmissionStatistics | None) -> Iterator[Metric]:
    kind = ("kind",)
    own = [] if found is None else [found]
    yield _counted(
        "mooring_session_capacity",
        "Sessions that may be live at a time.",
        kind,
        [((_BROWSER,), each.capacity) for each in own],
    )
    yield _counted(
        "mooring_sessions_in_use",
        "Sessions that somebody uses.",
        kind,
        [((_BROWSER,), each.leased) for each in own],
    )
    yield _counted(
        "mooring_capacity_waiting",
        "Callers that wait for capacity.",
        kind,
        [((_BROWSER,), each.waiting) for each in own],
    )
    yield _histogram(
        "mooring_capacity_wait_seconds",
        "How long starts waited for capacity.",
        kind,
        [((_BROWSER,), each.waits) for each in own],
    )
    yield _counter(
        "mooring_sessions_ended",
        "Sessions that have ended, by reason: evicted, idle_timeout, closed, crashed, login_lost; "
        "moved: its lease was lost.",
        ("kind", "reason"),
        [((_BROWSER, why), count) for each in own for why, count in each.ended.items()],
    )
    yield _counter(
        "mooring_sessions_refused",
        "Callers that got no session, by reason.",
        ("kind", "reason"),
        [((_BROWSER, why), count) for each in own for why, count in each.refused.items()],
    )


def _of_work(readings: Readings) -> Iterator[Metric]:
    browser = () if readings.browser is None else readings.browser.work
    for work, help_ in (
        ("login", "How long logins took."),
        ("refresh", "How long checks of a login took."),
        ("recovery", "How long it took to get a lost page back."),
        ("restore", "How long it took to restore a session of an earlier server."),
    ):
        yield _durations(f"mooring_{work}_seconds", help_, work, browser)
    operations = [each for each in browser if each.work.startswith(_OPERATION)]
    yield _histogram(
        "mooring_operation_seconds",
        "How long operations at the portal took.",
        ("operation", "outcome"),
        [((each.work.removeprefix(_OPERATION), each.outcome), each.seconds) for each in operations],
    )
    replies = readings.conversations.work
    yield _durations("mooring_reply_seconds", "How long replies took.", "reply", replies)


def _durations(name: str, help_: str, work: str, found: Iterable[WorkStatistics]) -> Metric:
    samples = [((each.outcome,), each.seconds) for each in found if each.work == work]
    return _histogram(name, help_, ("outcome",), samples)


def _of_browsers(readings: Readings) -> Iterator[Metric]:
    own = [] if readings.browser is None else [readings.browser]
    for name, help_, figures in (
        (
            "mooring_chromium_processes",
            "Processes of all Chromiums, their children included.",
            [readings.chromium.processes],
        ),
        (
            "mooring_chromium_memory_bytes",
            "Memory of all Chromiums, what they share counted once.",
            [readings.chromium.memory_bytes],
        ),
        (
            "mooring_chromium_browsers",
            "Chromiums that run or start.",
            [each.pool.processes for each in own],
        ),
        (
            "mooring_browser_contexts",
            "Browser contexts that sessions have.",
            [each.pool.contexts for each in own],
        ),
        (
            "mooring_browser_contexts_waiting",
            "Sessions that wait for a context.",
            [each.pool.waiting for each in own],
        ),
    ):
        yield _counted(name, help_, (), [((), figure) for figure in figures])
    yield _counter(
        "mooring_captchas",
        "Captchas that were asked for.",
        ("outcome",),
        [
            ((outcome,), count)
            for each in own
            for outcome, count in (
                ("solved", each.captchas.solved),
                ("failed", each.captchas.failed),
            )
        ],
    )
    yield _counter(
        "mooring_captcha_cost",
        "What the captcha service said it charged, in its currency.",
        (),
        [((), each.captchas.cost) for each in own],
    )


# -- what carries them -----------------------------------------------------------------------------


def _of_actors(readings: Readings) -> Iterator[Metric]:
    found = tuple(_supervisors(readings))
    name = ("supervisor",)
    yield _counted(
        "mooring_actors", "Actors that run.", name, [((each.name,), each.actors) for each in found]
    )
    yield _counted(
        "mooring_inbox_depth",
        "Messages that no actor has begun, of all of a supervisor's actors.",
        name,
        [((each.name,), each.inbox_depth) for each in found],
    )
    yield _counted(
        "mooring_inbox_deepest",
        "Messages not begun in the fullest inbox of a supervisor's actors.",
        name,
        [((each.name,), each.deepest_inbox) for each in found],
    )
    yield _counter(
        "mooring_actor_restarts",
        "Restarts of actors.",
        name,
        [((each.name,), each.restarts) for each in found],
    )
    yield _counter(
        "mooring_actor_crashes",
        "Crashes of actors.",
        name,
        [((each.name,), each.crashes) for each in found],
    )
    vitals = readings.vitals
    yield _histogram(
        "mooring_loop_delay_seconds",
        "How late the event loop woke a task that was due.",
        (),
        [((), vitals.loop_delay)],
    )


def _supervisors(readings: Readings) -> Iterator[SupervisorStatistics]:
    if readings.browser is not None:
        yield from readings.browser.supervisors
    each: ActivationStatistics
    for each in (readings.conversations.actors, *readings.activations):
        yield from each.supervisors


def _of_store(found: StoreStatistics, tally: tuple[Tally, ...] | None) -> Iterator[Metric]:
    yield _counted(
        "mooring_catalogue_sessions",
        "Sessions that the store keeps, ended ones too; counted once a minute.",
        ("kind", "status"),
        [((each.kind, each.status), each.count) for each in tally or ()],
    )
    yield _counter(
        "mooring_commits",
        "Commits, by outcome: refused ones met another writer, failed ones no working storage.",
        ("outcome",),
        [
            (("committed",), found.commits),
            (("refused",), found.refused),
            (("failed",), found.failed),
        ],
    )
    yield _counter("mooring_events", "Events that were made durable.", (), [((), found.events)])
    yield _counter("mooring_store_reads", "Reads of the store.", (), [((), found.reads)])
    yield _counted("mooring_commits_waiting", "Commits in line.", (), [((), found.waiting)])
    yield _counted(
        "mooring_commits_waiting_bytes", "Size of the line.", (), [((), found.waiting_bytes)]
    )
    yield _histogram(
        "mooring_commit_batch_size",
        "Commits made durable together.",
        (),
        [((), found.batch_sizes)],
    )
    yield _histogram(
        "mooring_commit_batch_seconds",
        "How long the storage took for a batch.",
        (),
        [((), found.batch_seconds)],
    )
    yield _counted(
        "mooring_store_refusing",
        "1 when the store takes nothing, or its newest batch has failed.",
        (),
        [((), int(found.refusing is not None or found.failing is not None))],
    )


def _of_streams(found: StreamStatistics) -> Iterator[Metric]:
    for name, help_, figure in (
        ("mooring_streams_watched", "Streams that have subscribers.", found.streams),
        ("mooring_stream_subscribers", "Subscribers of all streams.", found.subscribers),
        (
            "mooring_stream_lag_events",
            "How many events subscribers have yet to be given, all together.",
            found.lag_events,
        ),
        (
            "mooring_stream_largest_lag_events",
            "How many events the subscriber has yet to be given that is furthest behind.",
            found.largest_lag,
        ),
        (
            "mooring_stream_window_bytes",
            "Newest events of watched streams that are kept in memory.",
            found.window_bytes,
        ),
    ):
        yield _counted(name, help_, (), [((), figure)])


def _of_requests(readings: Readings) -> Iterator[Metric]:
    found = readings.requests
    yield _counter(
        "mooring_requests",
        "Requests that have ended, websockets too.",
        ("method", "status"),
        [((each.method, str(each.status)), each.count) for each in found.counts],
    )
    yield _counted("mooring_requests_running", "Requests under way.", (), [((), found.running)])
    yield _histogram(
        "mooring_request_seconds",
        "How long requests took that were no websockets.",
        (),
        [((), found.seconds)],
    )


# -- Prometheus' forms -----------------------------------------------------------------------------

_Labels = tuple[str, ...]


def _counted(
    name: str, help_: str, labels: _Labels, samples: Iterable[tuple[_Labels, float]]
) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=labels)
    for values, figure in samples:
        family.add_metric(values, figure)
    return family


def _counter(
    name: str, help_: str, labels: _Labels, samples: Iterable[tuple[_Labels, float]]
) -> Metric:
    family = CounterMetricFamily(name, help_, labels=labels)
    for values, figure in samples:
        family.add_metric(values, figure)
    return family


def _histogram(
    name: str, help_: str, labels: _Labels, samples: Iterable[tuple[_Labels, HistogramStatistics]]
) -> Metric:
    family = HistogramMetricFamily(name, help_, labels=labels)
    for values, found in samples:
        family.add_metric(values, buckets=_cumulative(found), sum_value=found.total)
    return family


def _cumulative(found: HistogramStatistics) -> list[tuple[str, float]]:
    buckets, count = [], 0
    for bound, here in zip((*found.bounds, "+Inf"), found.counts, strict=True):
        count += here
        buckets.append((str(bound), float(count)))
    return buckets
