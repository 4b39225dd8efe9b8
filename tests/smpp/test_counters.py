"""Every counter says what it counts."""

from dataclasses import fields

from telcod.smpp.counters import COUNTERS, Counters


def test_every_counter_has_its_sentence():
    assert {field.name for field in fields(Counters)} == set(COUNTERS)
    assert all(sentence.endswith(".") for sentence in COUNTERS.values())


def test_counters_begin_at_nothing():
    counters = Counters()
    assert not any(getattr(counters, field.name) for field in fields(counters))
