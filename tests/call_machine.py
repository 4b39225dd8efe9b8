"""The machine that plays receiver-paid calls against the model: events in any order, doubled, late,
from two platforms, aimed at the seconds, moments and amounts where mistakes live.
"""

from collections import Counter
from itertools import count
from typing import Any, ClassVar

import msgspec
import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telcod.billing.accounts import main_account
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.rows import ASKING, CALL, ENTRY, HOLD, OUTBOX_SMS, SUBSCRIPTION, PackageStatus
from tests.call_model import SECOND_MS, CallModel, Setting, Terms
from tests.call_world import CallWorld, call_request, dialled, rules_of_calls
from tests.service_model import PRICE_VND, Person
from tests.world import START_MS

A, B, C, D = 84903000001, 84903000002, 84903000003, 84903000004  # C is postpaid.
PEOPLE = (A, B, C, D)
PREPAID = (A, B, D)
STRANGER = 84977000001
PLATFORMS = ("pbx", "vxml")
ENTRIES_MAX = 2
OPEN = ("asking", "granted", "talking")
OPS = ("offer", "offer", "dial", "consent", "consent", "answered", "progress", "ended", "show")
# Prices change while people talk; for a while talk is free.
TERMS = (
    Terms("2018-09-15", 0, 1_500, 6),
    Terms("uneven", START_MS + 12 * HOUR_MS, 1_000, 7),
    Terms("free", START_MS + 3 * DAY_MS, 0, 6),
    Terms("dear", START_MS + 4 * DAY_MS, 4_999, 1),
    Terms("again", START_MS + 8 * DAY_MS, 1_500, 6),
)
BALANCES = (149, 150, 175, 325, 1_500, 3_000, 20_000, 40_000, 40_000)
REACTIONS = ("silence", "silence", "hangup", "no_answer", "busy", "voicemail")
DIGITS = ("1", "1", "3", "2", "4", "5", "", "13")

people = st.sampled_from(PEOPLE)
prepaid = st.sampled_from(PREPAID)
anybody = st.sampled_from((*PREPAID, *PEOPLE, STRANGER))
off_by = st.integers(-1, 1)
COUPLES = tuple((a, b) for a in PREPAID for b in PREPAID if a != b)
couples = st.sampled_from(COUPLES)
pairs = st.sampled_from((*COUPLES, (A, A)))
no_answers = st.sampled_from((("silence", ""), ("silence", ""), ("digit", "5"), ("digit", "")))
seconds_of_talk = st.one_of(
    st.sampled_from((0, 1, 5, 6, 7, 8, 20, 50, 60, 10**9)), st.integers(0, 70)
)
keys = st.tuples(st.just("digit"), st.sampled_from(DIGITS))
reactions = st.one_of(keys, st.tuples(st.sampled_from(REACTIONS), st.just("")))
pauses = st.sampled_from((0, 0, 8 * SECOND_MS, 3 * MINUTE_MS))


@st.composite
def settings_of_calls(draw):
    """Small ones, so that their edges are near."""
    pair_max = draw(st.sampled_from((3, 10)))
    return Setting(
        whole=draw(st.sampled_from((False, False, True))),
        slice_s=draw(st.sampled_from((1, 7, 20, 20))),
        call_max_s=draw(st.sampled_from((50, 60))),
        per_pair_max=pair_max,
        per_caller_max=pair_max + 2,
        measured=draw(st.sampled_from((True, True, False))),
    )


class CallMachine(RuleBasedStateMachine):
    """Subclasses say which store."""

    counts: ClassVar[Counter[str]] = Counter()

    def make_world(self, **options):
        return CallWorld(**options)

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
        setting=settings_of_calls(),
        balances=st.lists(st.sampled_from(BALANCES), min_size=4, max_size=4),
        packages=st.lists(st.sampled_from(("", "DK")), min_size=4, max_size=4),
    )
    def books_open(self, setting, balances, packages):
        self.setting = setting
        dated = ((each.name, each.from_ms, each.minute_vnd, each.block_s) for each in TERMS[1:])
        rules = rules_of_calls(*dated, **self.setting.limits())
        lists = msgspec.structs.replace(rules.limits.lists, entries_max=ENTRIES_MAX)
        rules = msgspec.structs.replace(
            rules, limits=msgspec.structs.replace(rules.limits, lists=lists)
        )
        self.world = self.make_world(rules=rules, asks_twice=True)
        self.model = CallModel(START_MS, ENTRIES_MAX, self.setting, TERMS)
        self.ids = count(1)
        self.seen = {}  # By call: what was granted and charged so far.
        for number, balance_vnd in zip(PEOPLE, balances, strict=True):
            person = self.model.people[number] = Person()
            if number == C:
                person.kind, person.balance_vnd = "postpaid", -balance_vnd
                self.world.subscriber(number, kind="postpaid", debt_vnd=balance_vnd)
            else:
                person.balance_vnd = balance_vnd
                self.world.subscriber(number, balance_vnd=balance_vnd)
        for number, text in zip(PEOPLE, packages, strict=True):
            if text:
                self._text(number, text)

    # -- events, as they come from the platforms

    @rule(data=st.data())
    def an_event_comes(self, data):
        self._happen(self._drawn_event(data))

    @rule(data=st.data(), times=st.integers(2, 4))
    def events_come_in_one_batch(self, data, times):
        self._happen(*[self._drawn_event(data) for _ in range(times)])

    @rule(data=st.data())
    def an_event_comes_doubled(self, data):
        """At once, and after others: the call's row is its own idempotency record."""
        key, op, args = self._drawn_event(data)
        if op != "consent":  # Two silences are two silences.
            self._happen((key, op, args), (key, op, args))

    @rule(pair=pairs, digit=st.sampled_from(("1", "1", "3")), talks=st.booleans())
    def a_call_is_agreed_to(self, pair, digit, talks):
        if digit == "3":
            self._text(pair[1], "DK")
        key = self._connect(pair[0], pair[1], digit)
        if talks:
            self._happen((key, "answered", (0,)))

    @rule(
        pair=couples,
        talked=st.lists(seconds_of_talk, min_size=1, max_size=4),
        end_s=seconds_of_talk,
        order=st.randoms(use_true_random=False),
    )
    def reports_come_in_any_order(self, pair, talked, end_s, order):
        """The end between them, and the answer after it."""
        key = self._ask(*pair)
        self._happen((key, "consent", ("digit", "1")))
        reports = [(key, "progress", (used_s,)) for used_s in talked]
        events = [*reports, (key, "answered", (0,)), (key, "ended", (end_s, 0))]
        if order.random() < 0.5:  # Only the reports, or everything.
            order.shuffle(events)
        for event in events:
            self._happen(event)

    @rule(pair=couples, seconds=st.sampled_from((1, 6, 7, 20, 50)), off_by_vnd=off_by)
    def a_call_at_the_edge_of_the_balance(self, pair, seconds, off_by_vnd):
        """Who has just so much money for so many seconds, or one đồng less or more."""
        price_vnd = self.model.terms_now().price(seconds)
        self._bring_spendable_to(pair[1], max(0, price_vnd + off_by_vnd))
        key = self._connect(pair[0], pair[1], "1")
        self._happen((key, "progress", (seconds,)), (key, "ended", (seconds + 1, 0)))

    @rule(
        pair=couples,
        seconds=st.integers(14, 40),
        first_s=st.integers(0, 60),
        second_s=st.integers(0, 60),
    )
    def two_callers_on_one_balance(self, pair, seconds, first_s, second_s):
        """Both talk, both ask for more, and together never exceed it."""
        first, payer = pair
        (second,) = (caller for caller in PREPAID if caller not in pair)
        keys = [self._talk(first, payer), self._talk(second, payer)]
        self._bring_spendable_to(payer, self.model.terms_now().price(seconds))
        for used_s, more_s in ((first_s, second_s), (second_s, first_s)):
            self._happen((keys[0], "progress", (used_s,)), (keys[1], "progress", (more_s,)))
        self._happen((keys[1], "ended", (second_s, 0)), (keys[0], "progress", (60,)))

    @rule(payer=prepaid)
    def two_callers_ask_at_once(self, payer):
        """The second is told that B is busy."""
        first, second = (caller for caller in PREPAID if caller != payer)
        keys = self._new_key(), self._new_key()
        self._happen(
            (keys[0], "offer", (first, payer)),
            (keys[1], "offer", (second, payer)),
            (keys[0], "consent", ("digit", "1")),
        )

    @rule(pair=pairs, reactions=st.lists(reactions, min_size=1, max_size=4), later_ms=pauses)
    def somebody_is_asked_and_reacts(self, pair, reactions, later_ms):
        """Once or several times, whether or not the question was answered before."""
        key = self._new_key()
        self._happen((key, "offer", pair))
        for reaction in reactions:
            self._happen((key, "consent", reaction))
            self._pass(later_ms)

    @rule(pair=couples, times=st.sampled_from((3, 10, 13)))
    def somebody_asks_too_often(self, pair, times):
        self._happen((self._ask(*pair), "ended", (0, 0)))
        for _ in range(times):
            key = self._new_key()
            self._happen((key, "offer", pair), (key, "ended", (0, 0)))

    @precondition(lambda self: self._of("granted", "talking"))
    @rule(data=st.data(), off_by_s=off_by, ends=st.booleans())
    def talk_at_the_edge_of_the_grant(self, data, off_by_s, ends):
        key = data.draw(st.sampled_from(self._of("granted", "talking")))
        used_s = max(0, self.model.calls[key].granted_s + off_by_s)
        self._happen((key, "ended", (used_s, 0)) if ends else (key, "progress", (used_s,)))

    @precondition(lambda self: self._of("talking"))
    @rule(data=st.data(), seconds=st.integers(0, 70), ms=st.sampled_from((0, 1, 999)))
    def the_platform_names_the_moment_of_the_end(self, data, seconds, ms):
        key = data.draw(st.sampled_from(self._of("talking")))
        call = self.model.calls[key]
        at_ms = (call.said_ms or call.answered_ms) + seconds * SECOND_MS + ms
        self._happen((key, "ended", (-1, at_ms)))

    @rule(pair=couples, digit=st.sampled_from(DIGITS), off_by_ms=off_by)
    def an_answer_at_the_edge_of_its_deadline(self, pair, digit, off_by_ms):
        """While the clock's work is behind: the handler itself must know that it is too late."""
        key = self._ask(*pair)
        self._stand_still(self.model.calls[key].due_ms + off_by_ms - self.model.now_ms)
        self._happen((key, "consent", ("digit", digit)))

    @rule(pair=couples, no_answer=no_answers, times=st.integers(2, 4), digit=st.sampled_from("123"))
    def the_question_is_put_until_it_is_enough(self, pair, no_answer, times, digit):
        key = self._ask(*pair)
        for _ in range(times):
            self._happen((key, "consent", no_answer))
        self._happen((key, "consent", ("digit", digit)))

    @rule(
        pair=couples,
        kind=st.sampled_from(("white", "black")),
        package=st.sampled_from(("DK", "DK", "HUY", "fails")),
        op=st.sampled_from(("offer", "offer", "offer", "dial")),
    )
    def a_listed_caller_calls(self, pair, kind, package, op):
        """With a package that works, has ended, or could not be renewed."""
        caller, payer = pair
        self._happen((self._ask(*pair), "ended", (0, 0)))
        if not self.model.people[payer].package:
            self._text(payer, "DK")
        self._list(payer, kind, caller)
        if package == "HUY":
            self._text(payer, "HUY")
        elif package == "fails":
            self._set_state(payer, "suspended")
            self._pass(7 * DAY_MS)
            self._set_state(payer, "active")
        self._happen((self._new_key(), op, pair))

    @rule(
        pair=couples,
        digit=st.sampled_from("1344"),
        leaver=st.sampled_from((0, 1, 1)),
        state=st.sampled_from(("closed", "suspended")),
    )
    def a_number_is_barred_while_it_is_asked(self, pair, digit, leaver, state):
        key = self._ask(*pair)
        self._set_state(pair[leaver], state)
        self._happen((key, "consent", ("digit", digit)))

    @rule(
        pair=couples,
        leaver=st.sampled_from((0, 1, 1)),
        state=st.sampled_from(("suspended", "out_of_money", "closed")),
        comes_back=st.booleans(),
    )
    def somebody_is_barred_in_mid_call(self, pair, leaver, state, comes_back):
        """What was granted may still be talked; who is barred promises no more."""
        key = self._talk(*pair)
        granted_s = self.model.calls[key].granted_s
        self._set_state(pair[leaver], state)
        self._happen((key, "progress", (granted_s - 1,)))
        if comes_back:
            self._set_state(pair[leaver], "active")
        self._happen((key, "progress", (granted_s,)), (key, "ended", (granted_s + 1, 0)))

    @rule(
        pair=couples,
        reported_s=seconds_of_talk,
        late_s=seconds_of_talk,
        drained=st.booleans(),
        times=st.integers(1, 2),
    )
    def an_end_is_lost_and_comes_late(self, pair, reported_s, late_s, drained, times):
        key = self._talk(*pair)
        self._happen((key, "progress", (reported_s,)))
        self._pass(10 * MINUTE_MS)
        assert self.model.calls[key].suspect
        if drained:
            self._text(pair[1], "DK7")
        for _ in range(times):
            self._happen((key, "ended", (late_s, 0)))

    @precondition(lambda self: any(call.suspect for call in self.model.calls.values()))
    @rule(data=st.data(), used_s=st.integers(0, 70), spend=st.booleans())
    def a_lost_end_comes_late(self, data, used_s, spend):
        late = [key for key, call in self.model.calls.items() if call.suspect]
        key = data.draw(st.sampled_from(late))
        if spend:
            self._text(self.model.calls[key].payer, "DK")
        self._happen((key, "ended", (used_s, 0)))

    # -- what else happens meanwhile

    @rule(number=prepaid, amount_vnd=st.sampled_from((1, 25, 150, 1_000, 20_000)))
    def top_up(self, number, amount_vnd):
        self._top_up(number, amount_vnd)

    @rule(number=people, text=st.sampled_from(("DK", "DK", "DK7", "HUY")))
    def text_about_the_package(self, number, text):
        self._text(number, text)

    @rule(number=prepaid, other=prepaid, kind=st.sampled_from(("white", "white", "black")))
    def list_somebody(self, number, other, kind):
        self._list(number, kind, other)

    @rule(
        number=people,
        state=st.sampled_from(
            ("active", "active", "active", "out_of_money", "suspended", "closed")
        ),
    )
    def set_state(self, number, state):
        self._set_state(number, state)

    @rule(
        ms=st.sampled_from(
            (1, SECOND_MS, 10 * SECOND_MS, MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, DAY_MS)
        )
    )
    def time_passes(self, ms):
        self._pass(ms)

    @precondition(lambda self: self._of(*OPEN))
    @rule(data=st.data(), off_by_ms=off_by, behind=st.booleans())
    def time_passes_to_the_edge_of_a_call(self, data, off_by_ms, behind):
        key = data.draw(st.sampled_from(self._of(*OPEN)))
        ms = max(0, self.model.calls[key].due_ms + off_by_ms - self.model.now_ms)
        if behind:
            self._stand_still(ms)
        else:
            self._pass(ms)

    @rule(number=prepaid, off_by_ms=off_by)
    def time_passes_to_the_edge_of_a_package(self, number, off_by_ms):
        """A renewal may drain the balance in mid-call, and takes nothing of what is held."""
        package = self.model.people[number].package
        if package:
            self._pass(max(0, package.due_ms + off_by_ms - self.model.now_ms))

    @precondition(lambda self: self.model.now_ms < TERMS[-1].from_ms)
    @rule(pair=couples, before_s=st.sampled_from((1, 20)), used_s=st.integers(1, 60))
    def prices_change_in_mid_call(self, pair, before_s, used_s):
        change_ms = next(each.from_ms for each in TERMS if each.from_ms > self.model.now_ms)
        self._happen((self._ask(*pair), "ended", (0, 0)))
        ready_ms = change_ms - before_s * SECOND_MS
        self._pass(max(0, ready_ms - self.model.now_ms))
        key = self._talk(*pair)
        self._pass(before_s * SECOND_MS)
        self._happen((key, "progress", (before_s,)), (key, "ended", (used_s, 0)))

    @rule(ms=st.sampled_from((MINUTE_MS, 10 * MINUTE_MS, HOUR_MS)))
    def the_clocks_work_falls_behind(self, ms):
        self._stand_still(ms)

    @rule()
    def restart(self):
        self.world.restart()

    @rule()
    def all_calls_end_when_enough_time_has_passed(self):
        self._pass(2 * HOUR_MS)
        assert self.world.open_calls() == []
        assert self.world.open_holds() == []
        assert list(self.world.store.scan(ASKING)) == []
        assert {self.world.held(number) for number in PREPAID} == {0}

    # -- how it is done

    def _of(self, *states):
        """Calls in these states, the newest first: what is young is likelier to be under way."""
        if self.world is None:
            return []
        calls = reversed(self.model.calls.items())
        return [key for key, call in calls if call.state in states]

    def _other(self, number):
        return next(other for other in PREPAID if other != number)

    def _new_key(self, platform=PLATFORMS[0]):
        return platform, f"c{next(self.ids)}"

    def _drawn_event(self, data):
        """Any event of any call: open, over, another platform's, or unheard-of."""
        draw = data.draw
        known = [*self._of(*OPEN), *self._of("ended", "refused")]
        key = self._new_key(draw(st.sampled_from(PLATFORMS)))
        if known and draw(st.integers(0, 9)):
            key = draw(st.sampled_from(known))
            if not draw(st.integers(0, 9)):
                key = PLATFORMS[1 - PLATFORMS.index(key[0])], key[1]
        op = draw(st.sampled_from(OPS))
        now_ms = self.model.now_ms
        match op:
            case "offer" | "dial":
                if key in self.model.calls:
                    call = self.model.calls[key]
                    return key, op, (call.caller, call.payer)
                return key, op, (draw(anybody), draw(anybody))
            case "consent":
                return key, op, draw(reactions)
            case "answered":
                moments = (0, now_ms, now_ms - 5_001, now_ms + HOUR_MS, 10**18)
                return key, op, (draw(st.sampled_from(moments)),)
            case "progress":
                return key, op, (draw(seconds_of_talk),)
            case "ended":
                used_s = draw(st.one_of(st.just(-1), seconds_of_talk))
                return key, op, (used_s, draw(st.sampled_from((0, 1, now_ms, 10**18))))
            case _:
                return key, op, ()

    def _happen(self, *events):
        """All events in one batch, and each is answered as the model says."""
        requests = [self._request(*event) for event in events]
        expected = [getattr(self.model, op)(key, *args) for key, op, args in events]
        for event, answer, (outcome, said) in zip(
            events, self.world.run(*requests), expected, strict=True
        ):
            data = answer.data or {}
            assert answer.outcome == outcome, (event, answer, said)
            assert {name: data.get(name) for name in said} == said, (event, answer)
            self.counts["asked"] += 1
            self.counts["done"] += outcome == "call.ok" and said.get("action") != "refuse"

    def _request(self, key, op, args):
        platform, call_id = key
        if op in {"offer", "dial"}:
            caller, payer = args
            digits = dialled(payer) if op == "offer" else f"0{payer % 10**9}"
            return call_request("offer", call_id, digits, sender=caller, platform=platform)
        more = ("",) if op == "consent" else ()
        return call_request(op, call_id, *args, *more, platform=platform)

    def _connect(self, caller, payer, digit):
        key = self._new_key()
        self._happen((key, "offer", (caller, payer)), (key, "consent", ("digit", digit)))
        return key

    def _ask(self, caller, payer):
        """A question that is put for certain: nothing else is in the way."""
        for number in (caller, payer):
            self._set_state(number, "active")
        kind = self.model.people[payer].lists.get(caller)
        if kind:
            letter = {"white": "W", "black": "B"}[kind]
            expected = self.model.remove(payer, kind, [caller])
            assert self.world.text(payer, f"XOA{letter} {caller}").outcome == expected
        if self.model.asks_too_often(caller, payer):
            self._pass(DAY_MS)
        if payer in {self.model.calls[key].payer for key in self._of("asking")}:
            self._pass(5 * MINUTE_MS)
        self._top_up_to(payer, 6_000)
        key = self._new_key()
        self._happen((key, "offer", (caller, payer)))
        assert self.model.calls[key].state == "asking"
        return key

    def _talk(self, caller, payer):
        """A call that is answered for certain."""
        key = self._ask(caller, payer)
        self._happen((key, "consent", ("digit", "1")), (key, "answered", (self.model.now_ms,)))
        assert self.model.calls[key].state == "talking"
        return key

    def _set_state(self, number, state):
        assert self.world.set_state(number, state).outcome == self.model.set_state(number, state)

    def _text(self, number, text):
        if text == "HUY":
            expected = self.model.nobody(number) or self.model.cancel(number)
        else:
            name = {"DK": "day", "DK7": "week"}[text]
            expected = self.model.nobody(number) or self.model.register(number, name)
        assert self.world.text(number, text).outcome == expected

    def _list(self, number, kind, other):
        letter = {"white": "W", "black": "B"}[kind]
        expected = self.model.nobody(number) or self.model.add(number, kind, [other])
        assert self.world.text(number, f"{letter} {other}").outcome == expected

    def _top_up(self, number, amount_vnd):
        expected = self.model.topup(number, amount_vnd)
        assert self.world.topup(number, amount_vnd).outcome == expected

    def _top_up_to(self, number, wanted_vnd):
        missing_vnd = wanted_vnd - self.model.spendable(number)
        if missing_vnd > 0:
            self._top_up(number, missing_vnd)

    def _bring_spendable_to(self, number, wanted_vnd):
        """By packages that are cancelled at once, as long as there is too much."""
        self._set_state(number, "active")
        self._text(number, "HUY")
        if not self.model.people[number].trial_used:
            self._text(number, "DK")
            self._text(number, "HUY")
        uneven_vnd = (wanted_vnd - self.model.spendable(number)) % PRICE_VND["day"]
        if uneven_vnd:
            self._top_up(number, uneven_vnd)
        while self.model.spendable(number) > wanted_vnd:
            far = self.model.spendable(number) >= wanted_vnd + PRICE_VND["week"]
            self._text(number, "DK7" if far else "DK")
            self._text(number, "HUY")
        self._top_up_to(number, wanted_vnd)
        assert self.model.spendable(number) == wanted_vnd

    def _pass(self, ms):
        self.world.pass_time(ms)
        self.model.pass_time(ms)

    def _stand_still(self, ms):
        """Time passes and the clock's work is not done; the platforms go on."""
        self.world.pass_time(ms, down=True)
        self.model.now_ms += ms

    # -- what must be so

    @invariant()
    def the_books_are_in_order(self):
        assert self.world.check() == []

    @invariant()
    def every_call_stands_as_the_model_says(self):
        for row in self.world.store.scan(CALL):
            platform, _, call_id = row.id.partition(":")
            call = self.model.calls.get((platform, call_id))
            assert call is not None, row
            assert (row.state, row.reason, row.granted_s, row.used_s, row.due_at) == (
                call.state,
                call.reason,
                call.granted_s,
                call.used_s,
                call.due_ms,
            ), row
            assert (row.billed_s, row.charged_vnd, row.written_off_vnd, bool(row.suspect)) == (
                call.billed_s,
                call.charged_vnd,
                call.written_off_vnd,
                call.suspect,
            ), row
            assert (row.tariff, row.answered_at) == (call.terms.name, call.answered_ms)
            assert call.agreed or not (row.granted_s or row.charged_vnd), "silence is no consent"
            assert row.charged_vnd <= call.terms.price(row.granted_s)
            before = self.seen.get(row.id, (0, 0))
            assert before <= (row.granted_s, row.charged_vnd) or row.granted_s > before[0]
            self.seen[row.id] = (row.granted_s, row.charged_vnd)

    @invariant()
    def a_call_is_charged_once_and_corrected_once(self):
        charged = Counter(row.command for row in self.world.store.scan(ENTRY) if row.kind == "call")
        assert not charged or max(charged.values()) == 1
        for command in charged:
            cause, platform, call_id = command.split(":")
            assert cause == "call" or self.model.calls[platform, call_id].suspect
        receipts = Counter(
            row.destination for row in self.world.store.scan(OUTBOX_SMS) if row.kind == "receipt"
        )
        assert receipts == Counter(map(str, self.model.receipts))

    @invariant()
    def everybody_has_and_holds_what_the_model_says(self):
        for number in PREPAID:
            person = self.model.people[number]
            assert self.world.balance(number) == person.balance_vnd
            assert self.world.held(number) == self.model.held(number) <= person.balance_vnd
            assert self.world.subscriber_row(number).state == person.state
            for kind in ("black", "white"):
                assert self.world.listed(number, kind) == sorted(self.model.numbers(number, kind))
            package = self.world.row(SUBSCRIPTION, number)
            works = package is not None and package.status == PackageStatus.ACTIVE
            assert works is self.model.works(number)

    @invariant()
    def at_most_one_call_asks_a_payer(self):
        asked = {row.payer: row.call for row in self.world.store.scan(ASKING)}
        asking = [row for row in self.world.store.scan(CALL) if row.state == "asking"]
        assert {row.payer: row.id for row in asking} == asked
        assert len(asking) == len(asked)

    @invariant()
    def a_hold_is_the_payers_and_of_an_open_call(self):
        for hold in self.world.open_holds():
            platform, _, call_id = hold.id.removeprefix("call:").partition(":")
            call = self.model.calls[platform, call_id]
            assert (hold.account, hold.amount) == (main_account(call.payer), call.held_vnd)
        assert all(hold.posted <= hold.amount for hold in self.world.store.scan(HOLD))
