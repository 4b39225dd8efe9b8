"""The machine that plays telcod against the model: everything that people, staff, time and bad luck
can do, in any order, aimed at the moments and amounts where mistakes live.
"""

from collections import Counter
from typing import ClassVar

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import handlers
from telcod.billing.accounts import OPENING, main_account
from telcod.billing.ledger import Transfer, post
from telcod.dispatch import Route
from telcod.errors import KeyReused
from telcod.rows import LIST_ENTRY, PAYMENT_PASSWORD, SUBSCRIPTION, ListEntry, PackageStatus
from telcod.types import Request, say
from tests.service_model import (
    DAY_MS,
    GIVE_UP_MS,
    HOUR_MS,
    LENGTH_MS,
    LETTER,
    PRICE_VND,
    RETRY_MS,
    Model,
    Person,
)
from tests.world import START_MS, World, rules_with

A, B, C, D = 84903000001, 84903000002, 84903000003, 84903000004  # C is postpaid.
PEOPLE = (A, B, C, D)
PREPAID = (A, B, D)
REGISTER = {"day": "DK", "week": "DK7"}
STRANGER = 84977000001
ENTRIES_MAX = 2
# What is not a refusal; at least three in ten of all commands must be.
DONE = frozenset(
    {
        "package.started",
        "package.trial_started",
        "package.cancelled",
        "list.b.added",
        "list.b.moved",
        "list.b.removed",
        "list.b.all_removed",
        "list.w.added",
        "list.w.moved",
        "list.w.removed",
        "list.w.all_removed",
        "list.b.mixed",
        "list.w.mixed",
        "notices.on",
        "notices.off",
        "language.set",
        "password.set",
        "password.changed",
        "topup.done",
        "state.set",
    }
)
NUMBER_FORMS = (
    lambda number: f"0{number % 10**9:09d}",
    str,
    lambda number: f"+{number}",
    lambda number: f"00{number}",
    lambda number: f"0{number % 10**9 // 10**6}.{number % 10**6 // 1000:03d} {number % 1000:03d}",
)


def break_half_way(request, tx):
    """A handler with a mistake: it moves money and a list entry, and then fails."""
    main = main_account(request.sender)
    post(tx, Transfer(OPENING, main, 777, "opening", "poison", 0))
    other = next(number for number in PEOPLE if number != request.sender)
    tx.put(LIST_ENTRY, ListEntry(request.sender, other, "black", tx.now_ms))
    say("never.said")
    raise RuntimeError("half-way")


people = st.sampled_from(PEOPLE)
senders = st.sampled_from((*PEOPLE, *PEOPLE, STRANGER))
names = st.sampled_from(("day", "week"))
kinds = st.sampled_from(("black", "white"))
others = st.lists(st.sampled_from((*PEOPLE, *PEOPLE, STRANGER, None)), min_size=1, max_size=3)
forms = st.sampled_from(NUMBER_FORMS)
separators = st.sampled_from((", ", "; ", ","))


def spelled(*variants):
    return st.sampled_from(variants)


@st.composite
def registrations(draw):
    sender, name = draw(senders), draw(names)
    words = {
        "day": ("DK", "dk", '"DK" gui 1566', "đăng ký", "D K", "DK1"),
        "week": ("DK7", "DK 7", "dk_7", "Đăng ký 7", "DK7 gui 1566."),
    }
    text = draw(st.sampled_from(words[name]))
    return sender, text, "1566", lambda model: model.register(sender, name)


@st.composite
def simple_texts(draw):
    sender = draw(senders)
    text, code, answer = draw(
        st.sampled_from(
            (
                ("HUY", "1566", lambda model: model.cancel(sender)),
                ("hủy 7", "1566", lambda model: model.cancel(sender)),
                ("KT", "1566", lambda model: model.show(sender)),
                ("k t", "1566", lambda model: model.show(sender)),
                ("KTB", "1566", lambda model: model.show_list(sender, "black")),
                ("kt  w", "1566", lambda model: model.show_list(sender, "white")),
                ("TC", "1566", lambda model: model.set_notices(sender, wanted=False)),
                ("on", "1566", lambda model: model.set_notices(sender, wanted=True)),
                ("NN EN", "1566", lambda model: model.set_language(sender, "en")),
                ("nnvi", "9223", lambda model: model.set_language(sender, "vi")),
                ("MK abcd1", "9223", lambda model: model.set_password(sender)),
                ("hd", "9223", lambda _: "help.epayment"),
                ("Y", "1566", lambda _: "confirm.nothing"),
                ("alo", "1566", lambda model: model.limited(sender, "text.unknown_payforme")),
                ("alo", "9223", lambda model: model.limited(sender, "text.unknown_epayment")),
                ("MK a", "9223", lambda model: model.limited(sender, "usage.mk")),
                ("B", "1566", lambda model: model.limited(sender, "usage.b")),
                ("HUY xx", "1566", lambda model: model.limited(sender, "usage.huy")),
            )
        )
    )
    return sender, text, code, answer


@st.composite
def list_texts(draw):
    sender, kind = draw(senders), draw(kinds)
    letter = {"black": "B", "white": "W"}[kind]
    numbers, form, separator = draw(others), draw(forms), draw(separators)
    typed = separator.join("xyz" if number is None else form(number) for number in numbers)
    match draw(st.sampled_from(("add", "add", "add", "remove", "remove", "all", "bare"))):
        case "add":
            text = f"{letter} {typed}"
            return sender, text, "1566", lambda model: model.add(sender, kind, numbers)
        case "remove":
            text = f"xoa {letter} {typed}"
            return sender, text, "1566", lambda model: model.remove(sender, kind, numbers)
        case "all":
            text = f"XOA{letter} all"
            return sender, text, "1566", lambda model: model.remove(sender, kind, "all")
        case _:
            text = f"xóa{letter}"
            return sender, text, "1566", lambda model: model.remove(sender, kind, [])


texts = st.one_of(registrations(), registrations(), simple_texts(), list_texts(), list_texts())


class ServiceMachine(RuleBasedStateMachine):
    """Subclasses say which store."""

    counts: ClassVar[Counter[str]] = Counter()

    def make_world(self, **options):
        return World(**options)

    def __init__(self):
        super().__init__()
        # What is quarantined on purpose is not worth pages of log.
        self._quiet = structlog.testing.capture_logs()
        self._quiet.__enter__()
        self.world = self.make_world(
            rules=rules_with(lists={"entries_max": ENTRIES_MAX}),
            routes={**handlers.ROUTES, "test.break": Route("test.break", break_half_way)},
            asks_twice=True,
        )
        self.model = Model(START_MS, ENTRIES_MAX)
        self.answers = {}

    def teardown(self):
        self.world.store.close()
        self._quiet.__exit__(None, None, None)

    @initialize(
        balances=st.lists(st.sampled_from((0, 999, 1000, 9000, 40_000)), min_size=4, max_size=4)
    )
    def subscribers_come(self, balances):
        for number, balance_vnd in zip(PEOPLE, balances, strict=True):
            person = self.model.people.setdefault(number, Person())
            if number == C:
                person.kind = "postpaid"
                person.balance_vnd = -balance_vnd
                self.world.subscriber(number, kind="postpaid", debt_vnd=balance_vnd)
            else:
                person.balance_vnd = balance_vnd
                self.world.subscriber(number, balance_vnd=balance_vnd)

    # -- texts

    @rule(said=st.lists(texts, min_size=1, max_size=5))
    def people_text_in_one_batch(self, said):
        requests = [
            self.world.text_request(sender, text, code=code) for sender, text, code, _ in said
        ]
        expected = [self.model.nobody(sender) or answer(self.model) for sender, *_, answer in said]
        outcomes = [result.outcome for result in self.world.run(*requests)]
        assert outcomes == expected, [text for _, text, *_ in said]
        self._count(outcomes)

    @rule(sender=people, text=spelled("DK", "DK7", "HUY"), poisoned=people)
    def a_request_breaks_between_two_others(self, sender, text, poisoned):
        before = self.world.text_request(sender, text)
        poison = Request(route="test.break", sender=poisoned)
        expected = self.model.nobody(sender) or self._answer_of(text, sender)
        results = self.world.run(before, poison, self.world.topup_request(sender, 1))
        assert [result.outcome for result in results] == [
            expected,
            "ours.sorry",
            self.model.topup(sender, 1),
        ]

    def _answer_of(self, text, sender):
        if text == "HUY":
            return self.model.cancel(sender)
        return self.model.register(sender, {"DK": "day", "DK7": "week"}[text])

    # -- money

    @rule(number=people, amount_vnd=st.sampled_from((0, 1, 500, 1_000, 5_000, 20_000)))
    def top_up(self, number, amount_vnd):
        self._top_up(number, amount_vnd)

    @rule(number=people, name=names, off_by_vnd=st.integers(-1, 1))
    def top_up_to_the_edge_of_a_price(self, number, name, off_by_vnd):
        missing = PRICE_VND[name] + off_by_vnd - self.model.people[number].balance_vnd
        if missing > 0:
            self._top_up(number, missing)

    @rule(number=st.sampled_from(PREPAID), name=names, off_by_vnd=st.integers(-1, 1))
    def register_at_the_edge_of_the_balance(self, number, name, off_by_vnd):
        """After the trial, with exactly as much as it costs, one less, or one more."""
        self._bring_balance_to(number, PRICE_VND[name] + off_by_vnd)
        self._say(number, REGISTER[name])

    @rule(
        number=st.sampled_from(PREPAID),
        name=names,
        off_by_vnd=st.sampled_from((-1, -1, 0, 1)),
        then_ms=st.sampled_from((0, RETRY_MS, GIVE_UP_MS)),
        off_by_ms=st.integers(-1, 1),
    )
    def renew_at_the_edge_of_the_balance(self, number, name, off_by_vnd, then_ms, off_by_ms):
        """What is left after registering is just enough to renew, or just not; then time passes."""
        self._bring_balance_to(number, 2 * PRICE_VND[name] + off_by_vnd)
        self._say(number, REGISTER[name])
        self._pass(self.model.people[number].package.ends_ms - self.model.now_ms)
        self._pass(max(0, then_ms + off_by_ms))
        self._top_up(number, 1)

    def _bring_balance_to(self, number, wanted_vnd):
        """A subscriber who may register, without package and trial, with so much money."""
        person = self.model.people[number]
        self._set_state(number, "active")
        self._say(number, "HUY")
        if not person.trial_used:
            self._say(number, "DK")
            self._say(number, "HUY")
        uneven_vnd = (wanted_vnd - person.balance_vnd) % PRICE_VND["day"]
        if uneven_vnd:
            self._top_up(number, uneven_vnd)
        while person.balance_vnd > wanted_vnd:
            far = person.balance_vnd >= wanted_vnd + PRICE_VND["week"]
            self._say(number, "DK7" if far else "DK")
            self._say(number, "HUY")
        if person.balance_vnd < wanted_vnd:
            self._top_up(number, wanted_vnd - person.balance_vnd)
        assert person.balance_vnd == wanted_vnd

    @rule(first=people, amount_vnd=st.integers(1, 3_000), second=people)
    def top_up_twice_in_one_batch(self, first, amount_vnd, second):
        requests = [self.world.topup_request(number, amount_vnd) for number in (first, second)]
        expected = [self.model.topup(number, amount_vnd) for number in (first, second)]
        assert [result.outcome for result in self.world.run(*requests)] == expected

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), together=st.booleans())
    def the_same_again(self, data, together):
        """A repeated key is answered as at first, byte by byte, and does nothing."""
        request, answer = self.answers[data.draw(st.sampled_from(sorted(self.answers)))]
        repeats = (request, request) if together else (request,)
        assert self.world.run(*repeats) == [answer] * len(repeats)

    @rule(number=people, other=people, amount_vnd=st.integers(1, 999), more_vnd=st.integers(0, 1))
    def the_same_key_for_something_else(self, number, other, amount_vnd, more_vnd):
        request = self._top_up(number, amount_vnd)
        changed = self.world.topup_request(other, amount_vnd + more_vnd, key=request.key)
        (result,) = self.world.run(changed)
        assert isinstance(result, KeyReused) is ((number, 0) != (other, more_vnd))

    def _top_up(self, number, amount_vnd):
        request = self.world.topup_request(number, amount_vnd)
        expected = self.model.topup(number, amount_vnd)
        (answer,) = self.world.run(request)
        assert answer.outcome == expected
        self.answers[request.key] = (request, answer)
        self._count([answer.outcome])
        return request

    def _say(self, number, text):
        request = self.world.text_request(number, text)
        expected = self.model.nobody(number) or self._answer_of(text, number)
        (answer,) = self.world.run(request)
        assert answer.outcome == expected
        self._count([answer.outcome])

    # -- states

    @rule(
        number=people,
        state=st.sampled_from(("active", "active", "out_of_money", "suspended", "closed")),
    )
    def set_state(self, number, state):
        self._set_state(number, state)

    @rule(number=people, other=people, kind=kinds)
    def leave_and_come_back(self, number, other, kind):
        """With a number on his own list, and on the list of another."""
        self._list(number, kind, other)
        self._list(other, kind, number)
        self._set_state(number, "closed")
        self._set_state(number, "active")

    @rule(number=people, kind=kinds, first=people, second=people)
    def two_numbers_in_one_text(self, number, kind, first, second):
        self._list(number, kind, first, second)

    def _list(self, number, kind, *others):
        typed = " ".join(str(other) for other in others)
        request = self.world.text_request(number, f"{LETTER[kind]} {typed}")
        expected = self.model.nobody(number) or self.model.add(number, kind, others)
        (answer,) = self.world.run(request)
        assert answer.outcome == expected

    def _set_state(self, number, state):
        expected = self.model.set_state(number, state)
        outcome = self.world.set_state(number, state).outcome
        assert outcome == expected
        self._count([outcome])

    # -- time

    @rule(ms=st.sampled_from((1, HOUR_MS - 1, HOUR_MS, 6 * HOUR_MS, DAY_MS, 8 * DAY_MS)))
    def time_passes(self, ms):
        self._pass(ms)

    @rule(number=people, off_by_ms=st.integers(-1, 1))
    def time_passes_to_the_edge_of_a_period(self, number, off_by_ms):
        package = self.model.people[number].package
        if package:
            self._pass(max(0, package.due_ms + off_by_ms - self.model.now_ms))

    @rule(number=people, off_by_ms=st.integers(-1, 1))
    def time_passes_to_the_edge_of_thirty_days(self, number, off_by_ms):
        package = self.model.people[number].package
        if package and package.failed_ms:
            give_up_ms = package.failed_ms + GIVE_UP_MS
            self._pass(max(0, give_up_ms + off_by_ms - self.model.now_ms))

    @rule(
        ms=st.sampled_from((HOUR_MS, DAY_MS, 3 * DAY_MS - 1, 3 * DAY_MS, 15 * DAY_MS, 31 * DAY_MS))
    )
    def telcod_is_down(self, ms):
        self.world.pass_time(ms, down=True)
        self.model.now_ms += ms

    @rule(
        number=st.sampled_from(PREPAID),
        name=names,
        periods=st.integers(0, 3),
        off_by_ms=st.integers(-1, 1),
    )
    def telcod_is_down_over_whole_periods(self, number, name, periods, off_by_ms):
        """There is money for all of them, and the current one alone may be charged."""
        self._bring_balance_to(number, 10 * PRICE_VND[name])
        self._say(number, REGISTER[name])
        ms = (1 + periods) * LENGTH_MS[name] + off_by_ms
        self.world.pass_time(ms, down=True)
        self.model.now_ms += ms
        self._pass(0)

    @rule()
    def restart(self):
        before_ms = self.world.batcher.commit_ms
        self.world.restart()
        assert self.world.batcher.commit_ms == before_ms

    def _pass(self, ms):
        self.world.pass_time(ms)
        self.model.pass_time(ms)

    # -- what must be so

    @invariant()
    def the_books_are_in_order(self):
        assert self.world.check() == []

    @invariant()
    def everybody_has_what_the_model_says(self):
        for number, person in self.model.people.items():
            if person.kind == "prepaid":
                balance_vnd = self.world.balance(number)
            else:
                balance_vnd = -self.world.debt(number)
            assert balance_vnd == person.balance_vnd or person.state == "closed"
            row = self.world.subscriber_row(number)
            assert (row.state, row.language, row.notices, bool(row.trial_used)) == (
                person.state,
                person.language,
                person.notices,
                person.trial_used,
            )
            assert (self.world.row(PAYMENT_PASSWORD, number) is not None) == person.password
            self._same_package(number, person.package)
            for kind in ("black", "white"):
                assert self.world.listed(number, kind) == sorted(self.model.numbers(number, kind))

    def _same_package(self, number, package):
        row = self.world.row(SUBSCRIPTION, number)
        if package is None:
            assert row is None or row.status == PackageStatus.CANCELLED
            return
        assert row is not None
        assert (row.package, row.ends_at, row.failed_since) == (
            package.name,
            package.ends_ms,
            package.failed_ms,
        )
        assert row.status == ("suspended" if package.failed_ms else "active")
        assert not package.failed_ms or row.next_at == package.retry_ms
        assert bool(row.trial) == package.trial

    def _count(self, outcomes):
        self.counts["asked"] += len(outcomes)
        self.counts["done"] += sum(outcome in DONE for outcome in outcomes)
