"""Who asks much waits for himself, and for nobody else."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from telcod.web.turns import Turns

pytestmark = pytest.mark.rule("HTTP-4")

MOST = 3
CALLERS = ("a", "b", "")


class TurnsMachine(RuleBasedStateMachine):
    """Things come and end in any order; some end while they are begun."""

    def __init__(self):
        super().__init__()
        self.turns = Turns(self.begin, most=MOST)
        self.came: dict[str, list[Any]] = {caller: [] for caller in CALLERS}
        self.begun: dict[str, list[Any]] = {caller: [] for caller in CALLERS}
        self.under_way = []
        self.number = 0

    def begin(self, thing):
        caller, _, at_once = thing
        self.begun[caller].append(thing)
        if at_once:
            self.turns.over(caller)
        else:
            self.under_way.append(thing)

    @rule(caller=st.sampled_from(CALLERS), at_once=st.booleans())
    def come(self, caller, at_once):
        self.number += 1
        thing = (caller, self.number, at_once)
        self.came[caller].append(thing)
        self.turns.take(caller, thing)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def end(self, data):
        at = data.draw(st.integers(0, len(self.under_way) - 1))
        caller, *_ = self.under_way.pop(at)
        self.turns.over(caller)

    @invariant()
    def begun_in_order_and_as_soon_as_there_is_room(self):
        for caller in CALLERS:
            begun = self.begun[caller]
            assert begun == self.came[caller][: len(begun)]
            at_work = sum(thing[0] == caller for thing in self.under_way)
            assert at_work <= MOST
            assert at_work == MOST or len(begun) == len(self.came[caller])

    @invariant()
    def callers_that_have_nothing_are_forgotten(self):
        assert set(self.turns._callers) == {thing[0] for thing in self.under_way}


TestTurns = TurnsMachine.TestCase
TestTurns.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_many_that_are_over_at_once_are_no_nested_calls():
    began = []

    def begin(number):
        began.append(number)
        if number:
            turns.over("a")

    turns: Turns[int] = Turns(begin, most=1)
    for number in range(5_000):
        turns.take("a", number)
    assert began == [0]
    turns.over("a")
    assert began == list(range(5_000))


def test_what_waits_no_more_is_forgotten_up_to_what_does():
    turns: Turns[int] = Turns(lambda _: None, most=1)
    for number in range(6):
        turns.take("a", number)
    turns.leave_out("a", lambda number: number > 3)
    turns.leave_out("nobody", lambda _: False)
    assert list(turns._callers["a"].waiting) == [4, 5]


def test_what_others_have_goes_on_between_what_one_begins():
    began: list[int] = []
    soon: list[Any] = []
    turns: Turns[int] = Turns(began.append, most=10, at_a_time=3, soon=soon.append)
    for number in range(12):
        turns.take("a", number)
    turns.take("b", 100)
    assert began == [0, 1, 2, 100]
    assert len(soon) == 1
    for expected in ([3, 4, 5], [6, 7, 8], [9]):
        before = len(began)
        soon.pop(0)()
        assert began[before:] == expected
    soon.pop(0)()
    assert not soon, "the loop is not kept busy for nothing"
    turns.over("a")
    assert began[-1] == 10
