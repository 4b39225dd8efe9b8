"""No order of words, inquiries, reviews, closed centres and cancellations makes money go wrong."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.payment_machine import PaymentMachine
from tests.payment_world import PaymentWorld

STEPS = 30
FEWER = 4  # Examples on a disk, where each commit waits for it.


class InMemory(PaymentMachine):
    counts: ClassVar[Counter[str]] = Counter()


class OnDisk(PaymentMachine):
    def make_world(self, **options):
        self.folder = tempfile.TemporaryDirectory()
        return PaymentWorld(Path(self.folder.name) / "books.db", **options)

    def teardown(self):
        super().teardown()
        if self.world is not None:
            self.folder.cleanup()


@pytest.mark.rule("PAY-3", "PAY-5", "PAY-6", "PAY-7", "PAY-8", "PAY-9", "PAY-10")
def test_payments_do_what_the_model_does():
    InMemory.counts.clear()
    run_state_machine_as_test(InMemory, settings=settings(stateful_step_count=STEPS))
    assert InMemory.counts["accepted"] >= 0.3 * InMemory.counts["asked"], InMemory.counts


@pytest.mark.rule("PAY-3", "PAY-5", "PAY-7", "PAY-9", "CLI-6")
def test_payments_do_the_same_on_disk():
    examples = max(FEWER, settings().max_examples // 12)
    run_state_machine_as_test(
        OnDisk, settings=settings(stateful_step_count=STEPS, max_examples=examples)
    )
