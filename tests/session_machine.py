"""The machine that plays dialogues, questions on the screen and texts against the model: steps in
and out of turn, repeated in one batch and later, under the ids of others; time that stops at the
very millisecond before a dialogue dies or is forgotten, at it, and behind it.
"""

import re
from collections import Counter
from itertools import count
from typing import Any, ClassVar

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telcod.rows import HELD_TEXT, MO, QUARANTINE, ListKind
from telcod.text import is_gsm7, septets
from tests.network_world import with_gateways
from tests.session_model import (
    ANSWER_MS,
    DEAD_MS,
    FIRST_WORDS,
    HINTS,
    KEPT_MS,
    LEADS,
    OTHER_HINT,
    RESUME_MS,
    Person,
    SessionModel,
)
from tests.session_world import GATEWAY, SessionWorld, said
from tests.world import rules_with
from ussd.steps import PUSHED, end_request, shown

A, B, C = 84903000001, 84903000002, 84903000003
PEOPLE = (A, B, C)
NUMBERS = {"0903000001": A, "0903000002": B, "84903000003": C}
IDS = ("s1", "s2", "s3")
STRANGERS = "Dich vu chi danh cho"
EXPIRED = "Phien giao dich da het han"
NOTHING = "Yeu cau nay da het han hoac da duoc tra loi"
SORRY = "Xin loi Quy khach"
SAID = {
    "accept": "Quy khach da dong y nhan tin nhan",
    "refuse": "Quy khach da tu choi tin nhan",
    "again": "Chon sai. ",
}
PART_VND = 250
RICH_VND = 10_000_000
SCREEN_SEPTETS = 182
WRONG_KEY = ("key", "7")
CLEAR = ("3", "4", "1")
WAYS = (
    ("3", "2", "0903000001"),
    ("3", "2", "0903000002"),
    ("3", "2", "84903000003"),
    CLEAR,
    ("4", "1"),
    ("4", "2"),
    ("5", "2", "0903000002", "hello"),
)
# Nobody is to be told that he asks too often: that has a machine of its own.
OFTEN = {"per_pair_max": 100_000, "per_caller_max": 100_000}

# Mostly the same few, so that they get somewhere and meet one another.
people = st.sampled_from((A, A, A, B, B, C))
ids = st.sampled_from((*IDS, "s1"))
keys = st.sampled_from(("1", "2", "3", "4", "7"))
offsets = st.sampled_from((0, 0, 0, 0, -1, -1, 1))
edges = st.sampled_from((DEAD_MS, DEAD_MS, RESUME_MS, ANSWER_MS))
off_by = st.sampled_from((-1, 0, 0, 1))
fates = st.one_of(
    st.tuples(st.just("key"), st.sampled_from(("7", "7", "7", "3", "1", "2", "4"))),
    st.tuples(st.just("code"), st.booleans()),
    st.tuples(st.just("note"), st.sampled_from(("accepted", "failed", "expired"))),
    st.tuples(st.just("wait"), st.sampled_from((ANSWER_MS, ANSWER_MS, KEPT_MS))),
)


happenings = st.one_of(
    st.lists(fates, min_size=1, max_size=4),
    st.tuples(st.just(("wait", ANSWER_MS)), st.just(("note", "failed")), fates),
    st.tuples(st.just(("note", "failed")), *[st.tuples(st.just("code"), st.booleans())] * 2),
    st.tuples(st.tuples(st.just("key"), st.sampled_from("1234"))),
    st.tuples(st.just(WRONG_KEY), st.just(WRONG_KEY), fates, fates),
)


class SessionMachine(RuleBasedStateMachine):
    """Subclasses say which store."""

    counts: ClassVar[Counter[str]] = Counter()

    def make_world(self, **options):
        return SessionWorld(**options)

    def __init__(self):
        super().__init__()
        self._quiet = structlog.testing.capture_logs()
        self._quiet.__enter__()
        self.world: Any = None

    def teardown(self):
        if self.world is not None:
            self.world.store.close()
        self._quiet.__exit__(None, None, None)

    @initialize()
    def books_open(self):
        self.world = self.make_world(rules=with_gateways(rules_with(calls=OFTEN)))
        self.model = SessionModel(NUMBERS)
        self.more_ids = count(len(IDS) + 1)
        for number in PEOPLE:
            self.world.subscriber(number, balance_vnd=RICH_VND)
            self.model.people[number] = Person()

    # -- dialogues

    @rule(session=ids, who=people)
    def somebody_dials(self, session, who):
        self._step(session, who, "", 0)

    @rule(session=ids, who=people, data=st.data(), twice=st.booleans())
    def somebody_types_what_leads_on(self, session, who, data, twice):
        talk: Any = self.model.talks.get(session)
        if talk is None or talk.over:
            self._step(session, who, "", 0, twice=twice)
        else:
            self._step(session, talk.msisdn, data.draw(self._inputs(talk)), talk.step, twice=twice)

    @rule(session=ids, who=people, way=st.sampled_from(WAYS), twice=st.booleans())
    def somebody_goes_all_the_way(self, session, who, way, twice):
        self._step(session, who, "", 0, twice=twice)
        talk: Any = self.model.talks.get(session)
        if talk is not None and talk.msisdn == who and talk.step == 1 and talk.place[0] == "offer":
            self._step(session, who, "2", 1, twice=twice)
        if talk is not None and talk.msisdn == who and talk.place == ("main", None):
            for typed in way:
                talk = self.model.talks[session]
                self._step(session, who, typed, talk.step, twice=twice)

    @rule(session=ids, who=people, data=st.data(), offset=offsets, same=st.booleans())
    def a_step_comes_out_of_turn(self, session, who, data, offset, same):
        talk: Any = self.model.talks.get(session)
        step = max(0, (talk.step if talk else 0) + offset)
        again = talk is not None and same and offset == -1
        typed = talk.typed if again else data.draw(self._inputs(talk))
        who = talk.msisdn if again else who
        self._step(session, who, typed if step else "", step)

    @precondition(lambda self: self.world is not None and self.model.talks)
    @rule(data=st.data(), how=st.sampled_from(("the same", "another input", "one too far")))
    def the_last_step_comes_again_or_so(self, data, how):
        begun = sorted(each for each in self.model.talks if not each.startswith(PUSHED))
        if begun:
            session = data.draw(st.sampled_from(begun))
            talk = self.model.talks[session]
            step = talk.step + 1 if how == "one too far" else talk.step - 1
            other = how == "another input" and step > 0
            self._step(session, talk.msisdn, "zz" if other else talk.typed, step)

    @rule(session=ids)
    def a_dialogue_is_broken_off(self, session):
        known = self.model.ends(session, self.world.now_ms)
        answer = self.world.one(end_request(session, platform=GATEWAY))
        assert answer.outcome == ("ussd.ended" if known else "ussd.unknown")

    @rule(who=people, way=st.sampled_from((("3", "2"), ("5", "2", "0903000002"), ("4",))))
    def a_dialogue_is_broken_off_and_dialled_again(self, who, way):
        self.somebody_goes_all_the_way("s1", who, way, twice=False)
        self.a_dialogue_is_broken_off("s1")
        self._step("s2", who, "", 0)

    def _inputs(self, talk):
        """What may be typed where a dialogue stands: mostly what leads on."""
        if talk is None or talk.place is None:
            return st.sampled_from(("1", "0903000002"))
        name, _ = talk.place
        if name == "offer":
            return st.sampled_from(("1", "1", "2", "zz"))
        more = {"black_add": tuple(NUMBERS), "ask_text": tuple(NUMBERS), "what": ("hello",) * 3}
        wrong = () if name == "what" else ("zz",)
        return st.sampled_from((*LEADS[name], *more.get(name, ()), *wrong))

    def _step(self, session, who, typed, step, *, twice=False):
        before = len(self.model.texts)
        expected = self.model.step(session, who, typed, step, self.world.now_ms)
        request = said(session, who, typed, step=step)
        answers = self.world.run(*[request] * (2 if twice else 1))
        answer = answers[-1]
        assert all(each == answer for each in answers), answers
        kind, detail = expected
        self._check(kind, detail, answer)
        if kind in {"shows", "did"}:
            self.model.answered(session, answer)
        assert len(self.model.texts) - before == int(
            kind == "did" and detail == "forward" and len(self.model.texts) > before
        )

    def _check(self, kind, detail, answer):
        self.counts[kind] += 1
        if kind == "wrong":
            assert (answer.outcome, answer.data) == ("ussd.wrong_step", {"step": detail}), answer
            return
        if kind == "unknown":
            assert answer.outcome == "ussd.unknown", answer
            return
        screen = shown(answer)
        assert is_gsm7(screen.text)
        assert septets(screen.text) <= SCREEN_SEPTETS
        match kind:
            case "same":
                assert answer == detail
            case "stranger" | "expired" | "nothing":
                words = {"stranger": STRANGERS, "expired": EXPIRED, "nothing": NOTHING}[kind]
                assert screen.ends
                assert screen.text.startswith(words), screen
            case "shows":
                name, hinted = detail
                hint, _, text = screen.text.partition("\n") if hinted else ("", "", screen.text)
                assert hint.startswith(HINTS.get(name, OTHER_HINT) if hinted else "")
                assert text.startswith(FIRST_WORDS[name]), (screen, detail)
                assert not screen.ends
            case "did":
                assert screen.text.startswith(SAID.get(detail, ""))
                assert screen.ends is (detail != "again"), screen
                assert not screen.text.startswith(SORRY)

    # -- texts for somebody to pay

    @rule(sender=people, payer=people)
    def somebody_texts_for_another_to_pay(self, sender, payer):
        if self.model.people[sender].closed:
            return
        asked = self.model.forwards(sender, payer, self.world.now_ms)
        outcome = self.world.forward(sender, payer).outcome
        assert (outcome == "forward.waiting") is asked, outcome

    @precondition(lambda self: self.world is not None and self.model.texts)
    @rule(data=st.data(), key=keys, offset=offsets, other=st.sampled_from((False, False, True)))
    def a_key_is_pressed(self, data, key, offset, other):
        push = self._push(data)
        text = self.model.texts[push - 1]
        talk: Any = self.model.talks.get(f"{PUSHED}{push}")
        step = max(1, (talk.step if talk else 1) + offset)
        again = talk is not None and offset == -1
        who = A if other else text.payer
        self._press(push, who, talk.typed if again else key, step)

    def _press(self, push, who, key, step):
        kind, detail = self.model.pressed(push, who, key, step, self.world.now_ms)
        answer = self.world.press(who, key, step=step, seq=push)
        self._check(kind, detail, answer)
        if kind == "did" or detail == "kept":
            self.model.answered(f"{PUSHED}{push}", answer)
        if detail == "accept":
            self._arrives()

    @rule(payer=st.sampled_from((B, B, C)), happens=happenings)
    def a_question_is_put_and_much_happens_to_it(self, payer, happens):
        if self.model.people[payer].closed:
            self._comes_back(payer)
        if A in self.model.people[payer].black:
            self.somebody_goes_all_the_way(self._new_id(), payer, CLEAR, twice=False)
        before = len(self.model.texts)
        self.somebody_texts_for_another_to_pay(A, payer)
        if len(self.model.texts) == before:  # He was offered to go on, and has cleared nothing.
            return
        push = len(self.model.texts)
        for what, detail in happens:
            match what:
                case "key":
                    talk: Any = self.model.talks.get(f"{PUSHED}{push}")
                    step = talk.step if talk else 1
                    self._press(push, self.model.texts[-1].payer, detail, step)
                case "code":
                    self._code(push, accepts=detail)
                case "note":
                    self._note(push, detail)
                case "wait":
                    self._until(self.world.now_ms + detail)

    @rule(payer=st.sampled_from((B, C)), wrong=st.sampled_from(("3", "7", "")))
    def b_presses_nothing_but_wrong_keys(self, payer, wrong):
        self.a_question_is_put_and_much_happens_to_it(payer, [("key", wrong)] * 3)

    @precondition(lambda self: self.world is not None and self.model.texts)
    @rule(data=st.data(), accepts=st.booleans())
    def b_answers_by_the_code(self, data, accepts):
        self._code(self._push(data), accepts=accepts)

    def _code(self, push, *, accepts):
        text = self.model.texts[push - 1]
        codes = self._codes(text.payer)
        if not text.coded or self.model.people[text.payer].closed or not codes:
            return
        code = self.world.held_texts()[push - 1].code
        still = self.model.code(text, accepts=accepts)
        outcome = self.world.text(text.payer, f"{'Y' if accepts else 'N'} {code}").outcome
        done = "forward.accepted" if accepts else "forward.declined"
        if still:
            assert outcome == done, outcome
            assert code in codes
        if still and accepts:
            self._arrives()
        if not still:
            assert outcome == "forward.code_unknown", outcome

    @precondition(lambda self: self.world is not None and self.model.texts)
    @rule(data=st.data(), became=st.sampled_from(("accepted", "accepted", "failed", "expired")))
    def the_pusher_notes_what_became_of_a_push(self, data, became):
        self._note(self._push(data), became)

    def _note(self, push, became):
        self.model.noted(push, became)
        assert self.world.pushed(became, seq=push) == "push.noted"

    def _push(self, data):
        newest = len(self.model.texts)
        return data.draw(st.integers(max(1, newest - 2), newest))

    def _codes(self, payer):
        """The codes that a payer read in texts, oldest first."""
        asked = "\n".join(self.world.sent_to(payer))
        return re.findall(r"Soan Y (\d{4})", asked)

    def _arrives(self):
        row = self.world.forwarded()[-1]
        assert self.world.deliver(message_id=str(row.seq)) == "receipt.delivered"
        assert self.world.check() == []

    # -- time, numbers, restarts

    @rule(ms=st.sampled_from((1, 4_999, 60_000, DEAD_MS, RESUME_MS, KEPT_MS)))
    def time_passes(self, ms):
        self._until(self.world.now_ms + ms)

    @rule(session=ids, edge=edges, off=off_by, who=people)
    def time_passes_to_where_a_dialogue_dies_or_is_forgotten(self, session, edge, off, who):
        talk: Any = self.model.talks.get(session)
        if talk is None or talk.touched + edge + off <= self.world.now_ms:
            return
        self._until(talk.touched + edge + off)
        if edge == DEAD_MS and talk.place is not None and talk.place[0] != "offer":
            self._step(session, talk.msisdn, "9", talk.step)
        else:
            self._step("s2" if session != "s2" else "s3", talk.msisdn, "", 0)

    @rule(
        who=people,
        edge=st.sampled_from((DEAD_MS, RESUME_MS, RESUME_MS)),
        off=off_by,
        told=st.booleans(),
    )
    def a_dialogue_is_left_and_its_end_told_late_or_never(self, who, edge, off, told):
        session = self._new_id()
        self.somebody_goes_all_the_way(session, who, ("3",), twice=False)
        self._until(self.world.now_ms + edge + off)
        if told:
            self.a_dialogue_is_broken_off(session)
        self._step(self._new_id(), who, "", 0)

    def _new_id(self):
        return f"s{next(self.more_ids)}"

    @precondition(lambda self: self.world is not None and self.model.texts)
    @rule(key=keys, off=off_by)
    def a_key_is_pressed_at_the_last_moment(self, key, off):
        push = len(self.model.texts)
        text = self.model.texts[-1]
        if text.at + ANSWER_MS + off > self.world.now_ms:
            self._until(text.at + ANSWER_MS + off)
            talk: Any = self.model.talks.get(f"{PUSHED}{push}")
            self._press(push, text.payer, key, talk.step if talk else 1)

    def _until(self, moment_ms):
        self.world.pass_time(moment_ms - self.world.now_ms)
        self.model.clock(self.world.now_ms)

    @rule(who=st.sampled_from((B, C)), back=st.booleans())
    def a_number_leaves_and_may_be_somebody_elses(self, who, back):
        if not self.model.people[who].closed:
            assert self.world.set_state(who, "closed").outcome == "state.set"
            self.model.closes(who)
        if back:
            self._comes_back(who)

    @rule(who=st.sampled_from((B, C)), same=st.booleans())
    def the_next_owner_dials_or_goes_on_where_the_last_one_was(self, who, same):
        session = self._new_id()
        self.somebody_goes_all_the_way(session, who, ("3",), twice=False)
        self.a_number_leaves_and_may_be_somebody_elses(who, back=True)
        if same and session in self.model.talks:
            self._step(session, who, "2", self.model.talks[session].step)
        self._step(self._new_id(), who, "", 0)

    def _comes_back(self, who):
        self.world.import_({"msisdn": who, "balance_vnd": RICH_VND, "state": "active"})
        self.model.comes_back(who)
        assert self.world.check() == []

    @rule()
    def telcod_is_started_again(self):
        self.world.restart()

    # -- what must hold

    @invariant()
    def everybody_has_what_he_asked_for(self):
        if self.world is None:
            return
        for number, person in self.model.people.items():
            assert self.world.listed(number, ListKind.BLACK) == sorted(person.black), number
            row = self.world.subscriber_row(number)
            assert (bool(row.notices), row.life) == (person.notices, person.life), number

    @invariant()
    def each_text_is_where_it_should_be_and_was_asked_for_as_it_should(self):
        if self.world is None:
            return
        assert [row.state for row in self.world.store.scan(HELD_TEXT)] == [
            text.state for text in self.model.texts
        ]
        assert [row.msisdn for row in self.world.pushes()] == [
            text.payer for text in self.model.texts
        ]
        by_text = sum(len(self._codes(number)) for number in PEOPLE)
        assert by_text == self.model.asked_by_text
        for number in PEOPLE:
            taken = [t for t in self.model.texts if (t.payer, t.state) == (number, "delivered")]
            assert self.world.charges(number) == [PART_VND] * len(taken)

    @invariant()
    def the_books_hold_and_no_request_broke(self):
        if self.world is None:
            return
        assert list(self.world.store.scan(QUARANTINE)) == []
        seqs = [row.seq for row in self.world.store.scan(MO)]
        assert seqs == list(range(1, len(seqs) + 1))
