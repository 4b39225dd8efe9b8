"""What telcod measures, as one table, and the object that holds the numbers.

The registry belongs to the `Metrics` object, not to the process, so that two daemons in one test do
not share it.  A row's name carries its unit; its sentence is what the page says.  Children with
labels are looked up once, when the object or a link is made: an increment is one call.
"""

from bisect import bisect_left
from collections.abc import Iterator
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from telcod.types import Channel

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 350, 512)

SERVICES: Final = ("package", "voice", "sms")
"""What money is earned by, as the names of the revenue accounts have it."""


class TextResult(StrEnum):
    """What became of a received text."""

    ANSWERED = "answered"
    SILENT = "silent"
    REDELIVERED = "redelivered"
    OVERLOADED = "overloaded"
    MALFORMED = "malformed"
    MISROUTED = "misrouted"
    QUARANTINED = "quarantined"
    UNAVAILABLE = "unavailable"


class SubmitResult(StrEnum):
    """What became of a text we sent."""

    SENT = "sent"
    THROTTLED = "throttled"
    RETRIED = "retried"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    EXPIRED = "expired"


class Kind(StrEnum):
    """What a row counts by."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Row(NamedTuple):
    """One metric: the full name (without Prometheus's `_total`), a sentence, labels, buckets."""

    kind: Kind
    name: str
    sentence: str
    labels: tuple[str, ...] = ()
    buckets: tuple[int | float, ...] = ()


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_LINK: Final = ("link",)

_ROWS: Final = (
    Row(_C, "telcod_texts_received", "Texts received, by what became of them.", ("result",)),
    Row(_H, "telcod_text_seconds", "From a text to its response, after COMMIT.", (), SECONDS),
    Row(_C, "telcod_replies", "Replies committed to the outbox."),
    Row(_C, "telcod_redeliveries", "Texts known to be a redelivery by the SMSC."),
    Row(_C, "telcod_requests", "Requests but for texts, by the door they came by.", ("channel",)),
    Row(_C, "telcod_overloads", "Such requests not taken because too many were waiting."),
    Row(_C, "telcod_quarantined", "Requests set aside because their handler failed."),
    Row(_G, "telcod_engine_queue_requests", "Requests that wait for the writer."),
    Row(_H, "telcod_engine_batch_requests", "Requests in one commit.", (), BATCH_SIZES),
    Row(_H, "telcod_engine_commit_seconds", "From taking a batch to its commit.", (), SECONDS),
    Row(_G, "telcod_outbox_pending_texts", "Texts committed and not yet sent."),
    Row(_G, "telcod_outbox_oldest_seconds", "Age of the oldest text not yet sent."),
    Row(_G, "telcod_waiting_pushes", "USSD pushes committed and not yet brought."),
    Row(_G, "telcod_waiting_mails", "E-mails committed and not yet sent."),
    Row(_G, "telcod_open_calls", "Calls that are supervised now."),
    Row(_G, "telcod_open_sessions", "USSD dialogues touched in the last three minutes."),
    Row(_G, "telcod_open_payments", "Payments on their way, not at an end."),
    Row(_G, "telcod_open_cases", "Payments that a person must look at."),
    Row(_G, "telcod_earned_vnd", "What the revenue accounts hold, by service.", ("service",)),
    Row(_G, "telcod_link_bound", "Whether a link is bound (1) or not (0).", _LINK),
    Row(_C, "telcod_link_reconnects", "Attempts to connect a link after the first.", _LINK),
    Row(_C, "telcod_link_malformed_pdus", "PDUs received that made no sense.", _LINK),
    Row(_C, "telcod_submits", "Texts sent, by what became of them.", ("link", "result")),
    Row(_H, "telcod_http_seconds", "From a request to its response.", ("status",), SECONDS),
    Row(_G, "telcod_broker_connected", "Whether the MQTT broker is there (1) or not.", ("broker",)),
    Row(_G, "telcod_broker_behind_events", "Events that the broker has not taken.", ("broker",)),
    Row(_G, "telcod_books_bytes", "Size of the database with its log."),
    Row(_G, "telcod_log_bytes", "Size of the database's log, which a long reader makes grow."),
    Row(_G, "telcod_disk_free_bytes", "Room left where the database is."),
    Row(_G, "telcod_clock_jumped", "1 while a wall clock that jumped awaits a person."),
    Row(_G, "telcod_ready", "1 while telcod can serve: what `/readyz` says."),
    Row(_G, "telcod_on_duty", "1 while this daemon does what only one of several may do."),
    Row(_G, "telcod_daemons", "Daemons on the same books that live, this one among them."),
)

METRICS: Final = MappingProxyType({row.name: row for row in _ROWS})


class Count:
    """A counter on the way of every text: an int, counted up by the loop's thread alone.

    The library's own takes a lock at each step, which is a fortieth of what a text costs.
    """

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    def inc(self, more: int = 1) -> None:
        """Count so many more."""
        self.n += more


class Spread:
    """A histogram on the way of every text, of seconds; as `Count`, for the loop's thread alone."""

    __slots__ = ("_bounds", "hits", "sum_s")

    def __init__(self, bounds: tuple[int | float, ...]) -> None:
        self._bounds = bounds
        self.hits = [0] * (len(bounds) + 1)
        self.sum_s: float = 0

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self.hits[bisect_left(self._bounds, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> tuple[int, ...]:
        """How many were at most each bound, and last, how many in all."""
        total, found = 0, []
        for hits in self.hits:
            total += hits
            found.append(total)
        return tuple(found)


class _Plain(Collector):
    """Shows the plain counters on the page as the library shows its own."""

    def __init__(self) -> None:
        self.counts: Final[dict[str, dict[tuple[str, ...], Count]]] = {}
        self.spreads: Final[dict[str, dict[tuple[str, ...], Spread]]] = {}

    def count(self, name: str, *labels: str) -> Count:
        """The counter of these labels, made at first asking."""
        return self.counts.setdefault(name, {}).setdefault(labels, Count())

    def spread(self, name: str, *labels: str) -> Spread:
        """The histogram of these labels, made at first asking."""
        of_name = self.spreads.setdefault(name, {})
        found = of_name.get(labels)
        if found is None:
            found = of_name[labels] = Spread(METRICS[name].buckets)
        return found

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """What the library asks for at each look at the page."""
        for name, counts in self.counts.items():
            row = METRICS[name]
            counter = CounterMetricFamily(name, row.sentence, labels=row.labels)
            for labels, count in counts.items():
                counter.add_metric(labels, count.n)
            yield counter
        for name, spreads in self.spreads.items():
            row = METRICS[name]
            names = (*map(floatToGoString, row.buckets), "+Inf")
            histogram = HistogramMetricFamily(name, row.sentence, labels=row.labels)
            for labels, spread in spreads.items():
                buckets = list(zip(names, spread.cumulative(), strict=True))
                histogram.add_metric(labels, buckets, spread.sum_s)
            yield histogram


class LinkMetrics(NamedTuple):
    """The numbers of one link, ready to be incremented."""

    bound: Gauge
    reconnects: Counter
    malformed: Counter
    submits: dict[SubmitResult, Count]


class BrokerMetrics(NamedTuple):
    """The numbers of the broker; without one they are not on the page."""

    connected: Gauge
    behind_events: Gauge


class Metrics:
    """All numbers of one daemon.

    Methods may be called from any thread; `Count` and `Spread` belong to the loop's.
    """

    def __init__(self, *, process: bool = True) -> None:
        """`process` adds memory, CPU and open files of the process, where the system tells them."""
        self.registry: Final = CollectorRegistry(auto_describe=True)
        self._counters: Final[dict[str, Counter]] = {}
        self._histograms: Final[dict[str, Histogram]] = {}
        if process:
            ProcessCollector(registry=self.registry)
        self._plain: Final = _Plain()
        self.registry.register(self._plain)
        self.texts_received: Final = {
            result: self._plain.count("telcod_texts_received", result.value)
            for result in TextResult
        }
        self.text_seconds: Final = self._plain.spread("telcod_text_seconds")
        self.replies: Final = self._counter("telcod_replies")
        self.redeliveries: Final = self._counter("telcod_redeliveries")
        self.requests: Final = {
            channel: self._plain.count("telcod_requests", channel.value) for channel in Channel
        }
        self.overloads: Final = self._counter("telcod_overloads")
        self.quarantined: Final = self._counter("telcod_quarantined")
        self.queue_requests: Final = self._gauge("telcod_engine_queue_requests")
        self.batch_requests: Final = self._histogram("telcod_engine_batch_requests")
        self.commit_seconds: Final = self._histogram("telcod_engine_commit_seconds")
        self.outbox_pending_texts: Final = self._gauge("telcod_outbox_pending_texts")
        self.outbox_oldest_seconds: Final = self._gauge("telcod_outbox_oldest_seconds")
        self.waiting_pushes: Final = self._gauge("telcod_waiting_pushes")
        self.waiting_mails: Final = self._gauge("telcod_waiting_mails")
        self.open_calls: Final = self._gauge("telcod_open_calls")
        self.open_sessions: Final = self._gauge("telcod_open_sessions")
        self.open_payments: Final = self._gauge("telcod_open_payments")
        self.open_cases: Final = self._gauge("telcod_open_cases")
        earned = self._gauge("telcod_earned_vnd")
        self.earned_vnd: Final = {service: earned.labels(service) for service in SERVICES}
        self._plain.spreads["telcod_http_seconds"] = {}
        self.books_bytes: Final = self._gauge("telcod_books_bytes")
        self.log_bytes: Final = self._gauge("telcod_log_bytes")
        self.disk_free_bytes: Final = self._gauge("telcod_disk_free_bytes")
        self.clock_jumped: Final = self._gauge("telcod_clock_jumped")
        self.ready: Final = self._gauge("telcod_ready")
        self.on_duty: Final = self._gauge("telcod_on_duty")
        self.daemons: Final = self._gauge("telcod_daemons")
        self._bound: Final = self._gauge("telcod_link_bound")
        self._reconnects: Final = self._counter("telcod_link_reconnects")
        self._malformed: Final = self._counter("telcod_link_malformed_pdus")
        self._connected: Final = self._gauge("telcod_broker_connected")
        self._behind: Final = self._gauge("telcod_broker_behind_events")

    def link(self, name: str) -> LinkMetrics:
        """The numbers of a configured link; each starts at 0, so that its absence is seen."""
        return LinkMetrics(
            bound=self._bound.labels(name),
            reconnects=self._reconnects.labels(name),
            malformed=self._malformed.labels(name),
            submits={
                result: self._plain.count("telcod_submits", name, result.value)
                for result in SubmitResult
            },
        )

    def answered(self, status: int, took_s: float) -> None:
        """Count one HTTP request."""
        self._plain.spread("telcod_http_seconds", str(status)).observe(took_s)

    def broker(self, address: str) -> BrokerMetrics:
        """The numbers of the configured broker."""
        return BrokerMetrics(self._connected.labels(address), self._behind.labels(address))

    def counts(self, name: str) -> tuple[int, ...]:
        """How often a histogram saw at most each of its bounds, and last, how often at all."""
        if name in self._plain.spreads:
            cumulative = [spread.cumulative() for spread in self._plain.spreads[name].values()]
            return tuple(map(sum, zip(*cumulative, strict=True))) if cumulative else ()
        bounds = len(METRICS[name].buckets) + 1
        total = [0] * bounds
        [family] = self._histograms[name].collect()
        buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
        for at, sample in enumerate(buckets):
            total[at % bounds] += int(sample.value)
        return tuple(total)

    def total(self, name: str) -> int:
        """A counter since the start, all its labels together."""
        if name in self._plain.counts:
            return sum(count.n for count in self._plain.counts[name].values())
        [family] = self._counters[name].collect()
        return sum(int(each.value) for each in family.samples if each.name.endswith("_total"))

    def batch_committed(self, *, requests: int, commit_s: float, quarantined: int) -> None:
        """Count one commit of the engine."""
        self.batch_requests.observe(requests)
        self.commit_seconds.observe(commit_s)
        if quarantined:
            self.quarantined.inc(quarantined)

    def render(self) -> bytes:
        """The page for Prometheus, of `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _counter(self, name: str) -> Counter:
        row = METRICS[name]
        made = Counter(row.name, row.sentence, row.labels, registry=self.registry)
        self._counters[name] = made
        return made

    def _gauge(self, name: str) -> Gauge:
        row = METRICS[name]
        return Gauge(row.name, row.sentence, row.labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        row = METRICS[name]
        made = Histogram(
            row.name, row.sentence, row.labels, registry=self.registry, buckets=row.buckets
        )
        self._histograms[name] = made
        return made
