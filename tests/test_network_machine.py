"""No order of failed calls, repeats, TC, ON and moments brings a hint too many or one too few."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.network_machine import NetworkMachine
from tests.network_world import NetworkWorld

STEPS = 30
FEWER = 4  # Examples on a disk, where each commit waits for it.


class InMemory(NetworkMachine):
    counts: ClassVar[Counter[str]] = Counter()


class OnDisk(NetworkMachine):
    def make_world(self, **options):
        self.folder = tempfile.TemporaryDirectory()
        return NetworkWorld(Path(self.folder.name) / "books.db", **options)

    def teardown(self):
        super().teardown()
        if self.world is not None:
            self.folder.cleanup()


@pytest.mark.rule("PFM-20", "NET-1", "NET-2", "NUM-5")
def test_hints_do_what_the_model_does():
    InMemory.counts.clear()
    run_state_machine_as_test(InMemory, settings=settings(stateful_step_count=STEPS))
    # A machine in which nobody is ever told proves little; far more is usual.
    assert InMemory.counts["hint.sent"] >= 0.03 * InMemory.counts.total(), InMemory.counts


@pytest.mark.rule("PFM-20", "NET-1")
def test_hints_do_the_same_on_disk():
    examples = max(FEWER, settings().max_examples // 12)
    run_state_machine_as_test(
        OnDisk, settings=settings(stateful_step_count=STEPS, max_examples=examples)
    )
