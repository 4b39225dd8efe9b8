"""No order of events, reports, answers, top-ups and renewals makes a call cost wrongly."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.call_machine import CallMachine
from tests.call_world import CallWorld

STEPS = 30
FEWER = 4  # Examples on a disk, where each commit waits for it.


class InMemory(CallMachine):
    counts: ClassVar[Counter[str]] = Counter()


class OnDisk(CallMachine):
    def make_world(self, **options):
        self.folder = tempfile.TemporaryDirectory()
        return CallWorld(Path(self.folder.name) / "books.db", **options)

    def teardown(self):
        super().teardown()
        if self.world is not None:
            self.folder.cleanup()


@pytest.mark.rule("PFM-1", "PFM-10", "PFM-11", "PFM-12", "PFM-13", "PFM-14", "PFM-15", "PFM-16")
@pytest.mark.rule("PFM-17", "PFM-18", "IVR-3")
def test_calls_do_what_the_model_does():
    InMemory.counts.clear()
    examples = 2 * settings().max_examples
    run_state_machine_as_test(
        InMemory, settings=settings(stateful_step_count=STEPS, max_examples=examples)
    )
    assert InMemory.counts["done"] >= 0.3 * InMemory.counts["asked"], InMemory.counts


@pytest.mark.rule("PFM-15", "PFM-16", "PFM-17", "CLI-6")
def test_calls_do_the_same_on_disk():
    examples = max(FEWER, settings().max_examples // 12)
    run_state_machine_as_test(
        OnDisk, settings=settings(stateful_step_count=STEPS, max_examples=examples)
    )
