"""The machine of hints finds every planted bug within the examples that CI gives it."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.network_machine import NetworkMachine
from tests.planted.choice import chosen
from tests.planted.network_bugs import BUGS
from tests.planted.test_planted import BUDGET

# Its edges are far apart: a hundred examples miss some of them.
AIMED = settings(BUDGET, max_examples=250)


@pytest.mark.parametrize("bug", chosen(BUGS))
def test_the_machine_finds(bug):
    with bug(), pytest.raises(AssertionError):
        run_state_machine_as_test(NetworkMachine, settings=AIMED)


@pytest.mark.thorough
def test_without_a_bug_the_same_examples_pass():
    run_state_machine_as_test(NetworkMachine, settings=AIMED)
