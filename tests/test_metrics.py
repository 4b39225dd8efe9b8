"""The numbers for Prometheus: each has a sentence, a unit, and an owner."""

import json
import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from telcod.metrics import METRICS, Kind, Metrics, SubmitResult, TextResult

UNITS = ("_seconds", "_requests", "_texts", "_bytes", "_vnd", "_events")
# Gauges that are 0 or 1.
STATES = {
    *("telcod_link_bound", "telcod_clock_jumped", "telcod_ready"),
    *("telcod_broker_connected", "telcod_on_duty"),
}
# Gauges that count what their name says.
COUNTED = ("telcod_open_", "telcod_waiting_", "telcod_daemons")


def values(metrics):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("row", METRICS.values(), ids=lambda row: row.name)
def test_every_metric_has_a_sentence_and_a_name_with_its_unit(row):
    assert re.fullmatch(r"telcod(_[a-z]+)+", row.name)
    assert re.fullmatch(r"[A-Z0-9].*\.", row.sentence)
    if row.kind is not Kind.COUNTER:
        assert row.name.endswith(UNITS) or row.name in STATES or row.name.startswith(COUNTED)
    assert bool(row.buckets) is (row.kind is Kind.HISTOGRAM)
    assert list(row.buckets) == sorted(set(row.buckets))


@pytest.mark.rule("HTTP-3")
def test_every_row_of_the_table_is_on_the_page_with_its_sentence():
    metrics = Metrics(process=False)
    metrics.link("smsc-a")
    metrics.broker("mqtt.example:1883")
    families = {
        family.name: family.documentation
        for family in text_string_to_metric_families(metrics.render().decode())
        if not family.name.endswith("_created")
    }
    assert families == {row.name: row.sentence for row in METRICS.values()}


def test_what_has_a_closed_set_of_values_is_on_the_page_before_it_happens():
    metrics = Metrics(process=False)
    metrics.link("smsc-a")
    page = values(metrics)
    assert all(page["telcod_texts_received_total", result.value] == 0 for result in TextResult)
    assert page["telcod_link_bound", "smsc-a"] == 0
    for result in SubmitResult:
        assert page["telcod_submits_total", *sorted(("smsc-a", result.value))] == 0


def test_what_is_counted_is_shown():
    metrics = Metrics(process=False)
    metrics.texts_received[TextResult.ANSWERED].inc(3)
    metrics.link("smsc-a").submits[SubmitResult.SENT].inc()
    metrics.link("smsc-a").bound.set(1)
    metrics.batch_committed(requests=40, commit_s=0.002, quarantined=2)
    page = values(metrics)
    assert page["telcod_texts_received_total", "answered"] == 3
    assert page["telcod_submits_total", "sent", "smsc-a"] == 1
    assert page["telcod_link_bound", "smsc-a"] == 1
    assert page["telcod_engine_batch_requests_sum",] == 40
    assert page["telcod_engine_commit_seconds_count",] == 1
    assert page["telcod_quarantined_total",] == 2


def test_two_daemons_in_one_process_count_apart():
    one, other = Metrics(), Metrics()
    one.replies.inc()
    assert values(one)["telcod_replies_total",] == 1
    assert values(other)["telcod_replies_total",] == 0


def test_the_process_is_measured_besides():
    assert ("process_resident_memory_bytes",) in values(Metrics())


def test_without_a_broker_there_is_no_word_of_one():
    assert "broker" not in {name.split("_")[1] for name, *_ in values(Metrics(process=False))}


def test_a_counter_and_a_histogram_can_be_read_back_over_all_their_labels():
    metrics = Metrics(process=False)
    metrics.texts_received[TextResult.ANSWERED].inc(3)
    metrics.texts_received[TextResult.SILENT].inc()
    for status, took_s in ((200, 0.0004), (200, 0.003), (503, 7.0)):
        metrics.answered(status, took_s)
    assert metrics.total("telcod_texts_received") == 4
    assert metrics.total("telcod_replies") == 0
    counts = metrics.counts("telcod_http_seconds")
    assert (counts[0], counts[3], counts[-2], counts[-1]) == (1, 2, 2, 3)
    assert set(metrics.counts("telcod_text_seconds")) == {0}


def every_name():
    """What may stand in a query: as Prometheus sees it, with what a histogram makes of itself."""
    metrics = Metrics()
    metrics.link("a")
    metrics.broker("b")
    for row in METRICS.values():
        if row.kind is Kind.HISTOGRAM:
            yield from (f"{row.name}_{part}" for part in ("bucket", "sum", "count"))
    for family in text_string_to_metric_families(metrics.render().decode()):
        yield from (sample.name for sample in family.samples)


CONFIG = Path(__file__).parents[1] / "config"
NAME = re.compile(r"\b(?:telcod|process)_[a-z_]+\b")


def dashboard_queries(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"expr", "query"} and isinstance(value, str):
                yield value
            else:
                yield from dashboard_queries(value)
    elif isinstance(node, list):
        for value in node:
            yield from dashboard_queries(value)


@pytest.mark.rule("HTTP-3")
def test_every_query_of_the_dashboard_asks_for_metrics_that_exist():
    dashboard = json.loads((CONFIG / "grafana" / "telcod.json").read_text(encoding="utf-8"))
    asked = {name for text in dashboard_queries(dashboard) for name in NAME.findall(text)}
    assert len(asked) > 20
    assert asked <= set(every_name())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(panel["description"].endswith((".", "!")) for panel in panels)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_metric_is_on_the_dashboard_or_in_an_alarm():
    dashboard = (CONFIG / "grafana" / "telcod.json").read_text(encoding="utf-8")
    alarms = (CONFIG / "alerts" / "telcod.rules.yml").read_text(encoding="utf-8")
    assert [name for name in METRICS if name not in dashboard + alarms] == []


def alarms():
    text = (CONFIG / "alerts" / "telcod.rules.yml").read_text(encoding="utf-8")
    [group] = yaml.safe_load(text)["groups"]
    return group["rules"]


@pytest.mark.rule("HTTP-3")
@pytest.mark.parametrize("alarm", alarms(), ids=lambda alarm: alarm["alert"])
def test_an_alarm_asks_for_metrics_that_exist_and_says_where_to_read_on(alarm):
    asked = set(NAME.findall(alarm["expr"]))
    assert asked <= set(every_name())
    assert asked or "up{" in alarm["expr"]
    assert re.fullmatch(r"Telcod[A-Za-z]+", alarm["alert"])
    assert alarm["labels"]["severity"] in {"page", "ticket"}
    assert alarm["annotations"]["summary"].endswith(".")
    assert alarm["annotations"]["runbook"] == f"docs/alarms.md#{alarm['alert'].lower()}"
    for result in re.findall(r'result=~?"([a-z|]+)"', alarm["expr"]):
        assert set(result.split("|")) <= {*TextResult, *SubmitResult}


def test_the_book_of_alarms_has_a_section_for_each_and_none_besides():
    text = (CONFIG.parent / "docs" / "alarms.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == [each["alert"] for each in alarms()]
    for name in re.findall(r"`(telcod_[a-z_]+)`", text):
        assert name in set(every_name())
