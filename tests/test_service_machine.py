"""No order of texts, top-ups, states, time and failures makes telcod break its rules."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.service_machine import ServiceMachine
from tests.world import World

STEPS = 30
FEWER = 8  # Examples on a disk, where each commit waits for it.


class InMemory(ServiceMachine):
    counts: ClassVar[Counter[str]] = Counter()


class OnDisk(ServiceMachine):
    def make_world(self, **options):
        self.folder = tempfile.TemporaryDirectory()
        return World(Path(self.folder.name) / "books.db", **options)

    def teardown(self):
        super().teardown()
        self.folder.cleanup()


@pytest.mark.rule("PKG-1", "PKG-2", "PKG-3", "PKG-4", "PKG-6", "PKG-7")
@pytest.mark.rule("LST-1", "LST-2", "KW-1", "KW-3", "KW-4", "KW-5", "NUM-4", "NUM-5", "PAY-1")
def test_the_service_does_what_the_model_does():
    InMemory.counts.clear()
    run_state_machine_as_test(InMemory, settings=settings(stateful_step_count=STEPS))
    assert InMemory.counts["done"] >= 0.3 * InMemory.counts["asked"], InMemory.counts


@pytest.mark.rule("PKG-6", "CLI-6")
def test_the_service_does_the_same_on_disk():
    examples = max(FEWER, settings().max_examples // 12)
    run_state_machine_as_test(
        OnDisk, settings=settings(stateful_step_count=STEPS, max_examples=examples)
    )
