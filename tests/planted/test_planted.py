"""The machine finds every planted bug within the examples that CI gives it."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.planted.bugs import BUGS
from tests.planted.choice import chosen
from tests.service_machine import ServiceMachine

# The same examples as in CI wherever it runs; what was found needs no shrinking.
BUDGET = settings(
    max_examples=100,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    print_blob=False,
)


@pytest.mark.parametrize("bug", chosen(BUGS))
def test_the_machine_finds(bug):
    with bug(), pytest.raises(AssertionError):
        run_state_machine_as_test(ServiceMachine, settings=BUDGET)


@pytest.mark.thorough
def test_without_a_bug_the_same_examples_pass():
    run_state_machine_as_test(ServiceMachine, settings=BUDGET)
