"""The machine that plays failed calls against the model: events in any order, doubled, with the id
of another; TC and ON between them; subscribers that come, change and go; time that stops at the
very millisecond before an hour or a day is over, at it, and behind it.
"""

from collections import Counter
from itertools import count
from typing import Any, ClassVar

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from telcod.errors import KeyReused
from telcod.rows import QUARANTINE, RECENT
from telcod.text import count_parts, is_gsm7
from tests.network_model import DAY_MS, HOUR_MS, NetworkModel, Person
from tests.network_world import NetworkWorld, with_gateways
from tests.world import rules_with

A, B, C, D = 84903000001, 84903000002, 84903000003, 84903000004  # C is postpaid.
PEOPLE = (A, B, C, D)
STRANGER = 84977000001
DIALLED = {
    "0903000001": (True, A),
    "0903000002": (True, B),
    "+84 903 000 002": (True, B),
    "84903000003": (True, C),
    "0903000004": (True, D),
    "0977000001": (True, STRANGER),
    "+44 7911 123456": (True, 0),
    "02438255555": (True, 0),
    "1566": (False, 0),
    "15660903000002": (False, 0),
    "9090": (False, 0),
    "*101#": (False, 0),
}
NUMBERS = tuple(called for called, (is_number, _) in DIALLED.items() if is_number)
NO_MONEY = "insufficient_balance"
REASONS = (*[NO_MONEY] * 8, "busy")
STATES = (*["active"] * 3, *["out_of_money"] * 3, "suspended", "debt_blocked", "closed")

# Mostly the same few, so that limits are met.
callers = st.sampled_from((A, A, A, A, B, B, C, D, STRANGER))
called = st.sampled_from((*NUMBERS, *DIALLED))
prepaid = st.sampled_from((A, B, D))
# The longest go beyond midnight, but not over 24 hours.
pauses = st.sampled_from((1, HOUR_MS // 2, HOUR_MS, 5 * HOUR_MS, 15 * HOUR_MS))
edges = st.sampled_from((HOUR_MS, HOUR_MS, HOUR_MS, DAY_MS))
off_by = st.sampled_from((-1, 0, 0, 1))


class NetworkMachine(RuleBasedStateMachine):
    """Subclasses say which store."""

    counts: ClassVar[Counter[str]] = Counter()

    def make_world(self, **options):
        return NetworkWorld(**options)

    def __init__(self):
        super().__init__()
        self._quiet = structlog.testing.capture_logs()
        self._quiet.__enter__()
        self.world: Any = None

    def teardown(self):
        if self.world is not None:
            self.world.store.close()
        self._quiet.__exit__(None, None, None)

    @initialize(
        per_hour=st.sampled_from((1, 1, 2)),
        per_day=st.sampled_from((1, 2, 3)),
        pushes=st.booleans(),
    )
    def books_open(self, per_hour, per_day, pushes):
        limits = rules_with(notices={"per_hour_max": per_hour, "per_day_max": per_day})
        self.world = self.make_world(rules=with_gateways(limits, pushes=pushes))
        self.model = NetworkModel(DIALLED, per_hour, per_day)
        self.screens = pushes
        self.ids = count(1)
        self.expected = []  # Every hint so far: whom, and the number that it names.
        for number in PEOPLE:
            kind = "postpaid" if number == C else "prepaid"
            language = "en" if number == B else "vi"
            self.world.subscriber(number, kind=kind, language=language)
            self.model.people[number] = Person(kind)

    # -- what happens

    @rule(caller=callers, called=called, reason=st.sampled_from(REASONS))
    def a_call_fails(self, caller, called, reason):
        self._fails(f"e{next(self.ids)}", caller, called, reason)

    @rule(caller=callers, called=st.sampled_from(NUMBERS), times=st.integers(2, 4))
    def calls_fail_one_behind_the_other(self, caller, called, times):
        for _ in range(times):
            self._fails(f"e{next(self.ids)}", caller, called, NO_MONEY)

    @rule(data=st.data())
    def an_event_is_told_again(self, data):
        if self.model.heard:
            event_id = data.draw(st.sampled_from(sorted(self.model.heard)))
            (said, _) = self.model.heard[event_id]
            self._fails(event_id, *said)

    @rule(data=st.data(), caller=callers, called=called)
    def an_id_is_used_for_another_event(self, data, caller, called):
        if self.model.heard:
            event_id = data.draw(st.sampled_from(sorted(self.model.heard)))
            self._fails(event_id, caller, called, NO_MONEY)

    @rule(number=callers, wants=st.sampled_from((True, True, False)))
    def somebody_texts_tc_or_on(self, number, wants):
        self.world.text(number, "ON" if wants else "TC")
        self.model.texts(number, wants=wants)

    @rule(number=st.sampled_from((A, B, D, C)), state=st.sampled_from(STATES), swap=st.booleans())
    def the_network_says_how_somebody_is(self, number, state, swap):
        kind = self.model.people[number].kind
        if swap and number == D:
            kind = "prepaid" if kind == "postpaid" else "postpaid"
        self.world.put(number, kind=kind, state=state)
        self.model.put(number, kind, state)

    @rule(number=prepaid)
    def a_number_becomes_somebody_elses(self, number):
        for state in ("closed", "active"):
            self.world.put(number, kind="prepaid", state=state)
            self.model.put(number, "prepaid", state)
        self._fails(f"e{next(self.ids)}", number, "0903000002", NO_MONEY)

    @rule(ms=pauses, caller=callers, called=st.sampled_from(NUMBERS))
    def time_passes_and_a_call_fails(self, ms, caller, called):
        self.world.clock.advance(ms)
        self._fails(f"e{next(self.ids)}", caller, called, NO_MONEY)

    @rule(number=callers, back=st.integers(1, 3), edge=edges, off=off_by)
    def time_passes_to_where_a_hint_is_forgotten(self, number, back, edge, off):
        person = self.model.people.get(number)
        if person is None or len(person.told_at) < back:
            return
        target_ms = person.told_at[-back] + edge + off
        if target_ms > self.world.now_ms:
            self.world.clock.advance(target_ms - self.world.now_ms)
            self._fails(f"e{next(self.ids)}", number, "0903000002", NO_MONEY)

    @rule(number=prepaid, edge=edges, off=off_by)
    def a_call_fails_and_fails_again_where_the_hint_is_forgotten(self, number, edge, off):
        self._fails(f"e{next(self.ids)}", number, "0903000002", NO_MONEY)
        self.world.clock.advance(edge + off)
        self._fails(f"e{next(self.ids)}", number, "0903000002", NO_MONEY)

    @rule()
    def telcod_is_started_again(self):
        self.world.restart()

    def _fails(self, event_id, caller, called, reason):
        expected, named = self.model.failed(event_id, caller, called, reason, self.world.now_ms)
        got = self.world.failed(caller, called, event_id=event_id, reason=reason)
        if isinstance(got, KeyReused):
            got = "reused"
        assert got == expected, (got, expected, caller, called, reason)
        self.counts[expected] += 1
        if named is not None:
            language = self.world.subscriber_row(caller).language
            self.expected.append((caller, named, language))

    # -- what must hold

    @invariant()
    def everybody_was_told_what_he_should_be_and_nothing_else(self):
        if self.world is None:
            return
        guides = [(int(row.destination), row.text) for row in self.world.hints()]
        notices = [(row.msisdn, row.text) for row in self.world.pushes()]
        assert guides == [self._text("guide", *hint) for hint in self.expected]
        if self.screens:
            assert notices == [self._text("notice", *hint) for hint in self.expected]
        else:
            assert notices == []
        assert all(is_gsm7(text) and count_parts(text).count == 1 for _, text in guides + notices)
        assert len(self.world.events("hint")) == len(self.expected)

    @invariant()
    def the_books_hold_and_no_request_broke(self):
        if self.world is None:
            return
        assert list(self.world.store.scan(QUARANTINE)) == []
        hints = [row for row in self.world.store.scan(RECENT) if row.subject.startswith("hint:")]
        # As much is kept as the limits need, and no more.
        assert all(len(row.times.split(",")) <= self.model.per_day for row in hints)

    def _text(self, what, caller, named, language):
        key, values = (f"hint.{what}", {"number": named}) if named else (f"hint.{what}_any", {})
        return caller, self.world.rules.catalogue.render(key, values, language)
