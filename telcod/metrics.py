"""What telcod measures, as one table, and the object that holds the numbers.

The registry belongs to the `Metrics` object, not to the process, so that two daemons in one test do
not share it.  A row's name carries its unit; its sentence is what the page says.  Children with
labels are looked up once, when the object or a link is made: an increment is one call.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 350, 512)


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
    Row(_C, "telcod_replies", "Replies committed to the outbox."),
    Row(_C, "telcod_redeliveries", "Texts known to be a redelivery by the SMSC."),
    Row(_C, "telcod_requests", "Requests answered, by the door they came by.", ("channel",)),
    Row(_C, "telcod_refusals", "Requests that the rules refused, by outcome.", ("outcome",)),
    Row(_C, "telcod_overloads", "Requests not taken because too many were waiting."),
    Row(_C, "telcod_quarantined", "Requests set aside because their handler failed."),
    Row(_G, "telcod_engine_queue_requests", "Requests that wait for the writer."),
    Row(_H, "telcod_engine_batch_requests", "Requests in one commit.", (), BATCH_SIZES),
    Row(_H, "telcod_engine_commit_seconds", "From taking a batch to its commit.", (), SECONDS),
    Row(_G, "telcod_outbox_pending_texts", "Texts committed and not yet sent."),
    Row(_G, "telcod_outbox_oldest_seconds", "Age of the oldest text not yet sent."),
    Row(_G, "telcod_link_bound", "Whether a link is bound (1) or not (0).", _LINK),
    Row(_C, "telcod_link_reconnects", "Attempts to connect a link after the first.", _LINK),
    Row(_C, "telcod_link_malformed_pdus", "PDUs received that made no sense.", _LINK),
    Row(_C, "telcod_submits", "Texts sent, by what became of them.", ("link", "result")),
    Row(_H, "telcod_http_seconds", "From a request to its response.", ("status",), SECONDS),
    Row(_G, "telcod_clock_jumped", "1 while a wall clock that jumped awaits a person."),
)

METRICS: Final = MappingProxyType({row.name: row for row in _ROWS})


class LinkMetrics(NamedTuple):
    """The numbers of one link, ready to be incremented."""

    bound: Gauge
    reconnects: Counter
    malformed: Counter
    submits: dict[SubmitResult, Counter]


class Metrics:
    """All numbers of one daemon.  Methods may be called from any thread."""

    def __init__(self, *, process: bool = True) -> None:
        """`process` adds memory, CPU and open files of the process, where the system tells them."""
        self.registry: Final = CollectorRegistry(auto_describe=True)
        if process:
            ProcessCollector(registry=self.registry)
        texts = self._counter("telcod_texts_received")
        self.texts_received: Final = {result: texts.labels(result.value) for result in TextResult}
        self.replies: Final = self._counter("telcod_replies")
        self.redeliveries: Final = self._counter("telcod_redeliveries")
        self.requests: Final = self._counter("telcod_requests")
        self.refusals: Final = self._counter("telcod_refusals")
        self.overloads: Final = self._counter("telcod_overloads")
        self.quarantined: Final = self._counter("telcod_quarantined")
        self.queue_requests: Final = self._gauge("telcod_engine_queue_requests")
        self.batch_requests: Final = self._histogram("telcod_engine_batch_requests")
        self.commit_seconds: Final = self._histogram("telcod_engine_commit_seconds")
        self.outbox_pending_texts: Final = self._gauge("telcod_outbox_pending_texts")
        self.outbox_oldest_seconds: Final = self._gauge("telcod_outbox_oldest_seconds")
        self.http_seconds: Final = self._histogram("telcod_http_seconds")
        self.clock_jumped: Final = self._gauge("telcod_clock_jumped")
        self._bound: Final = self._gauge("telcod_link_bound")
        self._reconnects: Final = self._counter("telcod_link_reconnects")
        self._malformed: Final = self._counter("telcod_link_malformed_pdus")
        self._submits: Final = self._counter("telcod_submits")

    def link(self, name: str) -> LinkMetrics:
        """The numbers of a configured link; each starts at 0, so that its absence is seen."""
        return LinkMetrics(
            bound=self._bound.labels(name),
            reconnects=self._reconnects.labels(name),
            malformed=self._malformed.labels(name),
            submits={result: self._submits.labels(name, result.value) for result in SubmitResult},
        )

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
        return Counter(row.name, row.sentence, row.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        row = METRICS[name]
        return Gauge(row.name, row.sentence, row.labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        row = METRICS[name]
        return Histogram(
            row.name, row.sentence, row.labels, registry=self.registry, buckets=row.buckets
        )
