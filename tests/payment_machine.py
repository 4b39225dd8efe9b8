"""The machine that plays card payments against the model: words of the gateway in any order,
doubled, late, contradictory, for other amounts, while centres close and numbers change hands.
"""

from collections import Counter
from itertools import count
from typing import Any, ClassVar

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telcod.billing.accounts import FRAUD_LOSS, GATEWAY_RECEIVABLE, TRANSIT
from telcod.days import DAY_MS, HOUR_MS, MINUTE_MS
from telcod.errors import KeyReused
from telcod.rows import LIMIT_COUNTER, OUTBOX_SMS, PAYMENT, PAYMENT_CASE, QUARANTINE
from tests.payment_model import (
    BILLS_VND,
    ENDED_WITHOUT,
    IN_TRANSIT,
    LARGE_VND,
    OPEN,
    STOLEN,
    STOPPED_ADDRESS,
    TOPUPS_VND,
    PaymentModel,
    Setting,
)
from tests.payment_world import PaymentWorld, large, often, rules_of_payments, stopped
from tests.service_model import Person
from tests.world import START_MS

A, B, C, D = 84903000001, 84903000002, 84903000003, 84903000004
PREPAID, POSTPAID = (A, B), (C, D)
PEOPLE = (*PREPAID, *POSTPAID)
STRANGER = 84977000001
ACTORS = ("token:an", "token:an", "token:binh", "C1_ePayment", "")
TEXTS = {
    "Quy khach da thanh toan": "paid",
    "Quy khach da nap": "topped_up",
    "khong duoc chap nhan": "rejected",
    "dang cho gach no": "delayed",
    "da bi huy do khong hop le": "cancelled",
}
AMOUNTS = (50_000, 50_000, 60_000, 200_000, 999_999, LARGE_VND, 4_950_000)
EDGES = (49_999, 50_000, 5_000_000, 5_000_001, 9_950_000, 10_000_000, 10_000_001)
RESULTS = ("authorised", "authorised", "authorised", "declined", "unknown")
ASKED = ("authorised", "declined", "unknown", "none", "none", "silent")
RULES = rules_of_payments(
    large(LARGE_VND),
    often("card", 2),
    stopped("card", STOLEN),
    stopped("address", STOPPED_ADDRESS),
    **Setting().limits(),
)

people = st.sampled_from(PEOPLE)
amounts = st.one_of(st.sampled_from(AMOUNTS), st.sampled_from(EDGES))
results = st.sampled_from(RESULTS)
off_by = st.integers(-1, 1)
actors = st.sampled_from(ACTORS)
tokens = st.sampled_from(("t1", "t2", "t3", "t4", "t5", STOLEN))
# What the gateway says of the amount: mostly the right one.
named = st.sampled_from(("right", "right", "right", "right", "none", "other"))


class PaymentMachine(RuleBasedStateMachine):
    """Subclasses say which store."""

    counts: ClassVar[Counter[str]] = Counter()

    def make_world(self, **options):
        return PaymentWorld(**options)

    def __init__(self):
        super().__init__()
        self._quiet = structlog.testing.capture_logs()
        self._quiet.__enter__()
        self.world: Any = None

    def teardown(self):
        if self.world is not None:
            try:
                assert self.world.check() == []
            finally:
                self.world.store.close()
        self._quiet.__exit__(None, None, None)

    @initialize(
        balances=st.lists(st.sampled_from((0, 900, 60_000, 250_000)), min_size=4, max_size=4)
    )
    def books_open(self, balances):
        self.world = self.make_world(rules=RULES)
        self.model = PaymentModel(START_MS, Setting())
        self.ids = count(1)
        self.said = {}  # Notifications by their key: the request, and what was answered.
        for at, (number, balance_vnd) in enumerate(zip(PEOPLE, balances, strict=True)):
            kind = "prepaid" if number in PREPAID else "postpaid"
            person = self.model.people[number] = Person(kind=kind)
            self.model.lives[number], self.model.centres[number] = 1, 1 + at % 2
            self.model.owed[number] = 0
            line = {"kind": kind, "centre": 1 + at % 2}
            if kind == "prepaid":
                person.balance_vnd = balance_vnd
                self.world.subscriber(number, balance_vnd=balance_vnd, **line)
            else:
                person.balance_vnd = -balance_vnd
                self.world.subscriber(number, debt_vnd=balance_vnd, **line)

    # -- payers

    @rule(number=people, amount_vnd=amounts, wrong=st.integers(0, 9), address=st.integers(0, 9))
    def somebody_wants_to_pay(self, number, amount_vnd, wrong, address):
        number = STRANGER if wrong == 9 else number
        address = STOPPED_ADDRESS if address == 9 else f"203.0.113.{address}"
        self._create(number, amount_vnd, address=address, wrong=wrong == 8)

    @rule(number=people, amount_vnd=amounts, token=tokens)
    def somebody_pays(self, number, amount_vnd, token):
        name = self._create(number, amount_vnd)
        self._redirect(name)
        self._hear(name, "authorised", token=token)

    @rule(number=people, off_by_vnd=off_by, token=tokens)
    def somebody_pays_what_the_day_still_allows(self, number, off_by_vnd, token):
        if self.model.today(number)[0] == 0:
            self._create(number, 4_000_000)
        _, bills_vnd, topups_vnd = self.model.today(number)
        left_vnd = TOPUPS_VND - topups_vnd if number in PREPAID else BILLS_VND - bills_vnd
        name = self._create(number, max(0, left_vnd + off_by_vnd))
        self._hear(name, "authorised", token=token)

    @rule(number=people, times=st.integers(2, 7), amount_vnd=st.sampled_from(AMOUNTS))
    def several_at_once_in_one_batch(self, number, times, amount_vnd):
        names = [self._new_id() for _ in range(times)]
        requests = [self.world.create_request(name, number, amount_vnd) for name in names]
        answers = [result.outcome for result in self.world.run(*requests)]
        purpose = self._purpose(number)
        assert answers == [self.model.create(n, number, purpose, amount_vnd) for n in names]

    @precondition(lambda self: self._known())
    @rule(data=st.data(), number=people, amount_vnd=amounts, same=st.booleans())
    def an_id_is_used_again(self, data, number, amount_vnd, same):
        name = self._draw(data)
        before = self.model.payments[name]
        if same:
            number, amount_vnd = before.number, before.amount_vnd
        self._create(number, amount_vnd, name=name)

    # -- the gateway

    @precondition(lambda self: self._known())
    @rule(data=st.data(), result=results, amount=named, token=tokens, times=st.integers(1, 2))
    def the_gateway_notifies(self, data, result, amount, token, times):
        name = self._draw(data)
        for _ in range(times):
            self._hear(name, result, amount=amount, token=token)

    @precondition(lambda self: self._known())
    @rule(data=st.data(), first=results, second=results, token=tokens)
    def two_words_come_in_one_batch(self, data, first, second, token):
        name = self._draw(data)
        requests = [self.world.notify_request(name, word, token=token) for word in (first, second)]
        answers = [result.outcome for result in self.world.run(*requests)]
        assert answers == [self._model_hears(name, word, token=token) for word in (first, second)]

    @precondition(lambda self: self._known())
    @rule(data=st.data(), result=st.sampled_from(ASKED), amount=named, token=tokens)
    def the_gateway_is_asked(self, data, result, amount, token):
        self._hear(self._draw(data), result, amount=amount, token=token, asked=True)

    @precondition(lambda self: self._known())
    @rule(data=st.data())
    def the_gateway_names_its_page(self, data):
        self._redirect(self._draw(data))

    @precondition(lambda self: self._known())
    @rule(data=st.data())
    def the_gateway_does_not_take_it(self, data):
        name = self._draw(data)
        assert self.world.refuse(name).outcome == self.model.refuse(name)

    @precondition(lambda self: self._known())
    @rule(data=st.data(), fate=st.sampled_from(("done", "failed")))
    def the_gateway_gives_money_back_or_not(self, data, fate):
        name = self._draw(data, lambda pay: pay.voiding == 1)
        assert self.world.void(name, fate).outcome == self.model.void(name, fate)

    @rule(number=people, token=tokens, result=st.sampled_from(("declined", "expires")))
    def a_yes_comes_after_no(self, number, token, result):
        name = self._create(number, 50_000)
        if name not in self.model.payments:
            return
        if result == "expires":
            self._pass(15 * MINUTE_MS)
            self._hear(name, "none", asked=True)
        else:
            self._hear(name, "declined")
        self._hear(name, "authorised", token=token)

    @precondition(lambda self: self.said)
    @rule(data=st.data(), other=st.booleans())
    def a_notification_comes_again_much_later(self, data, other):
        key = data.draw(st.sampled_from(sorted(self.said)))
        (name, result), answer = self.said[key]
        request = self.world.notify_request(name, result, key=key)
        if other:
            request = self.world.notify_request(name, "unknown", "other", key=key)
            (again,) = self.world.run(request)
            assert isinstance(again, KeyReused)
        else:
            assert self.world.run(request) == [answer]

    @precondition(lambda self: self._known())
    @rule(data=st.data(), result=results)
    def a_notification_has_a_key(self, data, result):
        name = self._draw(data)
        key = f"gateway:n{len(self.said)}"
        (answer,) = self.world.run(self.world.notify_request(name, result, key=key))
        assert answer.outcome == self._model_hears(name, result)
        self.said[key] = ((name, result), answer)

    @rule(number=people, times=st.integers(0, 5), result=st.sampled_from(ASKED))
    def the_gateway_is_silent(self, number, times, result):
        """It is asked in growing intervals; meanwhile he may not try again."""
        name = self._create(number, 50_000)
        self._hear(name, "unknown")
        self._create(number, 50_000)
        for _ in range(times):
            pay = self.model.payments.get(name)
            if pay is None or pay.state != "unknown":
                return
            self._pass(pay.next_ms - self.model.now_ms)
            self._hear(name, "silent", asked=True)
        self._hear(name, result, asked=True)

    # -- people

    @rule(number=people, token=tokens, verdict=st.sampled_from(("pass", "reject", "reject")))
    def a_large_one_is_reviewed(self, number, token, verdict):
        name = self._create(number, LARGE_VND)
        self._hear(name, "authorised", token=token)
        answer = self.world.staff("review", name, verdict, "why")
        assert answer.outcome == self.model.review(name, verdict)

    @precondition(lambda self: self._known())
    @rule(data=st.data(), verdict=st.sampled_from(("pass", "reject")))
    def somebody_reviews(self, data, verdict):
        name = self._draw(data, lambda pay: pay.state == "in_review")
        answer = self.world.staff("review", name, verdict, "why")
        assert answer.outcome == self.model.review(name, verdict)

    @precondition(lambda self: self._known())
    @rule(data=st.data())
    def somebody_clears_by_hand(self, data):
        name = self._draw(data, lambda pay: pay.state in IN_TRANSIT)
        answer = self.world.staff("clear_by_hand", name, "why")
        assert answer.outcome == self.model.by_hand(name)

    @precondition(lambda self: self._known())
    @rule(data=st.data(), first=actors, second=actors, spends=st.sampled_from(("", "DK", "DK7")))
    def fraud_is_found(self, data, first, second, spends):
        """Before or after some of it was spent; by one, two or nobody."""
        name = self._draw(data, lambda pay: pay.state == "cleared")
        if spends:
            self._text(self.model.payments[name].number, spends)
        for op, actor in (("propose", first), ("confirm", second)):
            if actor:
                self._cancel(op, name, actor)

    @rule(number=st.sampled_from(PREPAID), token=st.sampled_from(("t1", "t2")))
    def a_topup_is_spent_and_was_fraud(self, number, token):
        name = self._create(number, 50_000)
        self._hear(name, "authorised", token=token)
        for text in ("DK", "HUY", "DK7"):
            self._text(number, text)
        self._cancel("propose", name, "token:an")
        self._cancel("confirm", name, "token:binh")

    @rule(number=people, token=st.sampled_from(("t3", "t4")))
    def fraud_is_found_when_the_number_is_another_ones(self, number, token):
        name = self._create(number, 50_000)
        self._hear(name, "authorised", token=token)
        self._set_state(number, "closed")
        self._set_state(number, "active")
        self._cancel("propose", name, "token:an")
        self._cancel("confirm", name, "token:binh")

    @rule(number=st.sampled_from(POSTPAID), off_by_vnd=st.sampled_from((-1, -1, 0, 1)))
    def who_is_blocked_pays_what_he_owes(self, number, off_by_vnd):
        """All of it, or one đồng less or more."""
        self._set_state(number, "debt_blocked")
        self._centre(self.model.centres[number], "open")
        owed_vnd = -self.model.people[number].balance_vnd
        name = self._create(number, max(50_000, owed_vnd + off_by_vnd))
        self._hear(name, "authorised", token=f"own-{name}")

    @rule(centre=st.sampled_from((1, 2)), word=st.sampled_from(("closed", "open")))
    def a_centre_goes_or_comes_back(self, centre, word):
        self._centre(centre, word)

    @rule(
        number=people,
        token=tokens,
        waits_h=st.sampled_from((1, 23, 24, 25, 47, 48, 49)),
        off_by_ms=off_by,
        by_hand=st.booleans(),
    )
    def a_centre_is_away_for_long(self, number, token, waits_h, off_by_ms, by_hand):
        self._centre(self.model.centres[number], "closed")
        name = self._create(number, 50_000)
        self._hear(name, "authorised", token=token)
        self._pass(waits_h * HOUR_MS + off_by_ms)
        if by_hand and name in self.model.payments:
            answer = self.world.staff("clear_by_hand", name, "why")
            assert answer.outcome == self.model.by_hand(name)
        self._centre(self.model.centres[number], "open")

    # -- what else happens meanwhile

    @rule(number=people, amount_vnd=st.sampled_from((1, 1_000, 50_000)))
    def top_up(self, number, amount_vnd):
        answer = self.world.topup(number, amount_vnd)
        assert answer.outcome == self.model.topup(number, amount_vnd)

    @rule(number=st.sampled_from(PREPAID), text=st.sampled_from(("DK", "DK7", "HUY")))
    def spend(self, number, text):
        self._text(number, text)

    @rule(
        number=people,
        state=st.sampled_from(
            ("active", "active", "out_of_money", "debt_blocked", "suspended", "closed")
        ),
    )
    def set_state(self, number, state):
        self._set_state(number, state)

    @rule(number=people, comes_back=st.booleans(), token=tokens)
    def a_number_goes_while_its_owner_pays(self, number, comes_back, token):
        name = self._create(number, 50_000)
        self._set_state(number, "closed")
        if comes_back:
            self._set_state(number, "active")
        self._hear(name, "authorised", token=token)

    @rule(number=st.sampled_from(PREPAID), token=st.sampled_from(("t3", "t4")))
    def a_topup_wakes_a_package(self, number, token):
        """It was not renewed while he was barred."""
        self._set_state(number, "active")
        self._text(number, "DK")
        self._set_state(number, "suspended")
        self._pass(7 * DAY_MS)
        self._set_state(number, "active")
        name = self._create(number, 50_000)
        self._hear(name, "authorised", token=token)

    @rule(number=people, centre=st.integers(1, 2))
    def a_subscriber_moves_to_another_centre(self, number, centre):
        person = self.model.people[number]
        line = {"msisdn": number, "kind": person.kind, "state": person.state, "centre": centre}
        self.world.import_(line)
        self.model.centres[number] = centre

    @rule(ms=st.sampled_from((1, MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, DAY_MS)))
    def time_passes(self, ms):
        self._pass(ms)

    @rule(ms=st.sampled_from((10 * MINUTE_MS, HOUR_MS, DAY_MS)))
    def nobody_looks_for_a_while(self, ms):
        self.world.clock.advance(ms)
        self.model.now_ms += ms

    @rule()
    def midnight_comes(self):
        self._pass(DAY_MS - (self.model.now_ms + 7 * HOUR_MS) % DAY_MS - 1)

    @precondition(lambda self: any(pay.next_ms for pay in self._payments()))
    @rule(data=st.data(), off_by_ms=off_by)
    def time_passes_to_the_edge_of_a_payment(self, data, off_by_ms):
        name = self._draw(data, lambda pay: pay.next_ms > 0)
        self._pass(max(0, self.model.payments[name].next_ms + off_by_ms - self.model.now_ms))

    @precondition(lambda self: any(pay.state in OPEN for pay in self._payments()))
    @rule(data=st.data(), off_by_ms=off_by, result=st.sampled_from(ASKED))
    def the_gateway_is_asked_at_the_edge_of_expiry(self, data, off_by_ms, result):
        name = self._draw(data, lambda pay: pay.state in OPEN)
        over_ms = self.model.payments[name].over_ms
        ms = max(0, over_ms + off_by_ms - self.model.now_ms)
        self.world.clock.advance(ms)
        self.model.now_ms += ms
        self._hear(name, result, asked=True)

    @rule()
    def restart(self):
        self.world.restart()

    # -- what must be so after every step

    @invariant()
    def payments_are_what_the_model_says(self):
        if self.world is None:
            return
        rows = {
            row.id: (row.state, row.slot, row.centre, row.voiding, row.next_at, row.asked)
            for row in self.world.store.scan(PAYMENT)
        }
        said = {
            name: (p.state, int(p.slot), p.centre, p.voiding, p.next_ms, p.asked)
            for name, p in self.model.payments.items()
        }
        assert rows == said

    @invariant()
    def a_day_never_sees_more_than_the_limits(self):
        if self.world is None:
            return
        for row in self.world.store.scan(LIMIT_COUNTER):
            assert row.payments <= 5, row
            assert row.bills_vnd <= BILLS_VND, row
            assert row.topups_vnd <= TOPUPS_VND, row
        for number in PEOPLE:
            assert self.world.counter(number) == self.model.today(number)

    @invariant()
    def money_is_where_the_model_says(self):
        if self.world is None:
            return
        for number, person in self.model.people.items():
            owed_vnd = self.world.debt(number)
            if person.kind == "prepaid":
                assert self.world.balance(number) == person.balance_vnd
                assert owed_vnd == self.model.owed[number]
            else:
                assert owed_vnd == -person.balance_vnd
        for centre in (1, 2):
            assert self.world.account(TRANSIT[centre]) == self.model.transit_vnd(centre)
        assert self.world.account(GATEWAY_RECEIVABLE) == self.model.receivable_vnd()
        assert self.world.account(FRAUD_LOSS) == -self.model.lost_vnd

    @invariant()
    def people_are_told_what_the_model_says(self):
        if self.world is None:
            return
        told = Counter(
            (int(row.destination), next(what for words, what in TEXTS.items() if words in row.text))
            for row in self.world.store.scan(OUTBOX_SMS)
            if row.kind == "payment"
        )
        assert told == Counter(self.model.texts)
        cases = Counter((row.payment, row.kind) for row in self.world.store.scan(PAYMENT_CASE))
        assert cases == Counter(self.model.cases)
        asked = self.world.events().count("subscriber/unblock_requested")
        assert asked == self.model.unblocks
        assert not list(self.world.store.scan(QUARANTINE))

    # -- how it is done

    def _payments(self):
        return self.model.payments.values() if self.world is not None else ()

    def _known(self):
        return self.world is not None and bool(self.model.payments)

    def _draw(self, data, wanted=None):
        """A payment: mostly a wanted or an open one, and a young one; now and then any."""
        names = list(reversed(self.model.payments))
        if data.draw(st.integers(0, 9)):
            wanted = wanted or (lambda pay: pay.state not in {*ENDED_WITHOUT, "cancelled"})
            names = [name for name in names if wanted(self.model.payments[name])] or names
        return data.draw(st.sampled_from(names[:8]))

    def _new_id(self):
        return f"P{next(self.ids)}"

    def _purpose(self, number):
        return "bill" if number in POSTPAID else "topup"

    def _create(self, number, amount_vnd, *, name="", address="", wrong=False):
        name = name or self._new_id()
        purpose = self._purpose(number)
        if wrong:
            purpose = "topup" if purpose == "bill" else "bill"
        more = {"purpose": purpose, "address": address}
        answer = self.world.create(name, number, amount_vnd, **more)
        said = self.model.create(name, number, purpose, amount_vnd, address)
        assert answer.outcome == said
        self.counts["asked"] += 1
        self.counts["accepted"] += said == "payment.created"
        return name

    def _redirect(self, name):
        assert self.world.redirect(name).outcome == self.model.redirect(name)

    def _amount(self, name, result, amount):
        pay = self.model.payments.get(name)
        right_vnd = pay.amount_vnd if pay is not None else 0
        if amount == "right":
            return right_vnd if result == "authorised" else 0
        return 0 if amount == "none" else right_vnd + 1

    def _hear(self, name, result, *, amount="right", token="t1", asked=False):
        amount_vnd = self._amount(name, result, amount)
        say = self.world.inquire if asked else self.world.notify
        answer = say(name, result, "05", amount_vnd=amount_vnd, token=token)
        assert answer.outcome == self._model_hears(
            name, result, amount=amount, code="05", token=token, asked=asked
        )

    def _model_hears(self, name, result, *, amount="right", code="", token="tok-1", asked=False):
        amount_vnd = self._amount(name, result, amount)
        return self.model.hear(name, result, amount_vnd, code, token, asked=asked)

    def _cancel(self, op, name, actor):
        answer = self.world.staff(f"{op}_cancel", name, "why", actor=actor)
        pay = self.model.payments.get(name)
        if pay is not None and actor.startswith("C1") and pay.centre != 1:
            assert answer.outcome == "payment.other_centre"
            return
        assert answer.outcome == getattr(self.model, op)(name, actor)

    def _centre(self, centre, word):
        assert self.world.centre(centre, word).outcome == "payment.centre_set"
        (self.model.closed.add if word == "closed" else self.model.closed.discard)(centre)

    def _text(self, number, text):
        answer = self.world.text(number, text)
        nobody = self.model.nobody(number)
        if nobody:
            assert answer.outcome == nobody
        elif text == "HUY":
            assert answer.outcome == self.model.cancel(number)
        else:
            package = "day" if text == "DK" else "week"
            assert answer.outcome == self.model.register(number, package)

    def _set_state(self, number, state):
        answer = self.world.set_state(number, state)
        assert answer.outcome == self.model.set_state(number, state)

    def _pass(self, ms):
        """What comes due is done at its moment: packages first, then the cashier looks.

        Of a long time, he looks in the last half hour only: he was away.
        """
        target_ms = self.model.now_ms + ms
        if ms > HOUR_MS:
            self._advance(ms - HOUR_MS // 2)
            self._look()
        while True:
            due = [pay.next_ms for pay in self._payments() if pay.next_ms]
            if not due or min(due) > target_ms:
                break
            self._advance(max(0, min(due) - self.model.now_ms))
            self._look()
        self._advance(target_ms - self.model.now_ms)

    def _advance(self, ms):
        self.world.pass_time(ms)
        self.model.pass_time(ms)

    def _look(self):
        """The cashier's look at what is due, which a crash may repeat."""
        names = self.world.due_payments()
        assert set(names) == self.model.due_ids()
        twice = [name for name in names for _ in range(2)]
        answers = self.world.run(*[self.world.due_request(name) for name in twice])
        for name, answer in zip(twice, answers, strict=True):
            assert (answer.outcome, answer.data["job"]) == self.model.due(name)
