"""No order of steps, repeats, hang-ups, keys, texts and moments has an effect twice, loses one, or
shows somebody what is another's.
"""

import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.session_machine import SessionMachine
from tests.session_world import SessionWorld

STEPS = 30
FEWER = 4  # Examples on a disk, where each commit waits for it.


class InMemory(SessionMachine):
    counts: ClassVar[Counter[str]] = Counter()


class OnDisk(SessionMachine):
    def make_world(self, **options):
        self.folder = tempfile.TemporaryDirectory()
        return SessionWorld(Path(self.folder.name) / "books.db", **options)

    def teardown(self):
        super().teardown()
        if self.world is not None:
            self.folder.cleanup()


@pytest.mark.rule("USSD-1", "USSD-3", "USSD-4", "PFM-30", "NUM-5")
def test_dialogues_do_what_the_model_does():
    InMemory.counts.clear()
    run_state_machine_as_test(InMemory, settings=settings(stateful_step_count=STEPS))
    # A machine in which nobody gets anywhere proves little; far more is usual.
    total = InMemory.counts.total()
    assert InMemory.counts["did"] >= 0.04 * total, InMemory.counts
    assert InMemory.counts["shows"] >= 0.2 * total, InMemory.counts


@pytest.mark.rule("USSD-1", "USSD-3", "USSD-4")
def test_dialogues_do_the_same_on_disk():
    examples = max(FEWER, settings().max_examples // 12)
    run_state_machine_as_test(
        OnDisk, settings=settings(stateful_step_count=STEPS, max_examples=examples)
    )
