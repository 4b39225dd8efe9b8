"""The machine of dialogues finds every planted bug, given a few more examples than CI gives it:
some of the bugs need three things to happen to one of many dialogues.
"""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from telcod.errors import LedgerCorrupt
from tests.planted.choice import chosen
from tests.planted.session_bugs import BUGS
from tests.planted.test_planted import BUDGET as CI_BUDGET
from tests.session_machine import SessionMachine

BUDGET = settings(CI_BUDGET, max_examples=250)


@pytest.mark.parametrize("bug", chosen(BUGS))
def test_the_machine_finds(bug):
    # What the books themselves refuse is found as well.
    with bug(), pytest.raises((AssertionError, LedgerCorrupt)):
        run_state_machine_as_test(SessionMachine, settings=BUDGET)


@pytest.mark.thorough
def test_without_a_bug_the_same_examples_pass():
    run_state_machine_as_test(SessionMachine, settings=BUDGET)
