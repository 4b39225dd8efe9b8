"""The numbers for Prometheus: each has a sentence, a unit, and an owner."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telcod.metrics import METRICS, Kind, Metrics, SubmitResult, TextResult

UNITS = ("_seconds", "_requests", "_texts", "_bytes")
# Gauges that are 0 or 1.
STATES = {"telcod_link_bound", "telcod_clock_jumped"}


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
        assert row.name.endswith(UNITS) or row.name in STATES
    assert bool(row.buckets) is (row.kind is Kind.HISTOGRAM)
    assert list(row.buckets) == sorted(set(row.buckets))


@pytest.mark.rule("HTTP-3")
def test_every_row_of_the_table_is_on_the_page_with_its_sentence():
    metrics = Metrics(process=False)
    metrics.link("smsc-a")
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
