"""The machine of calls finds every planted bug within the examples that CI gives it."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from telcod.errors import LedgerCorrupt
from tests.call_machine import CallMachine
from tests.planted.call_bugs import BUGS
from tests.planted.choice import chosen
from tests.planted.test_planted import BUDGET as TEXTS_BUDGET

# More than there are for texts: a call has more ways to go wrong.
BUDGET = settings(TEXTS_BUDGET, max_examples=3 * TEXTS_BUDGET.max_examples)


@pytest.mark.parametrize("bug", chosen(BUGS))
def test_the_machine_finds(bug):
    # Where the books themselves say no, the process would stop: that is found as well.
    with bug(), pytest.raises((AssertionError, LedgerCorrupt)):
        run_state_machine_as_test(CallMachine, settings=BUDGET)


@pytest.mark.thorough
def test_without_a_bug_the_same_examples_pass():
    run_state_machine_as_test(CallMachine, settings=BUDGET)
