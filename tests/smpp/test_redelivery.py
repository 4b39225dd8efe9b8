"""A text that the SMSC sends again is not run again, and a person's honest repeat is."""

from collections import Counter

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from telcod.ports import DOUBT_S
from telcod.smpp.redelivery import PENDING_DOUBT_S, RECORDS_MAX, STABLE_S, Redelivery

KT, DK = b"KT", b"DK"
JUST_BEFORE = 0.001

pytestmark = pytest.mark.rule("SMPP-2")


@pytest.fixture
def evidence():
    redelivery = Redelivery()
    redelivery.connection_up(1)
    redelivery.connection_up(2)
    return redelivery


def carried_out(evidence, fingerprint=KT, *, connection=1, now=0.0, seq=1):
    record, again = evidence.take(fingerprint, connection, now=now)
    assert not again
    record.seq = seq
    evidence.answered(record, written=True, now=now)
    return record


def test_an_honest_repeat_on_a_healthy_link_is_new_at_once_and_later(evidence):
    for seq, now in enumerate((0.0, 0.0, 1.0, STABLE_S, DOUBT_S), start=1):
        carried_out(evidence, now=now, seq=seq)
        evidence.confirmed(now=now)


def test_what_was_answered_on_a_connection_that_went_down_too_soon_comes_again(evidence):
    record = carried_out(evidence, seq=7)
    evidence.connection_down(1, now=STABLE_S - JUST_BEFORE)
    taken, again = evidence.take(KT, 2, now=STABLE_S)
    assert again
    assert taken is record
    assert taken.seq == 7


def test_what_was_answered_on_a_connection_that_stayed_up_is_not_in_doubt(evidence):
    carried_out(evidence, seq=7)
    assert evidence.confirmed(now=STABLE_S) == {1: 7}
    evidence.connection_down(1, now=STABLE_S)
    assert evidence.take(KT, 2, now=STABLE_S)[1] is False


def test_an_answered_unbind_confirms_what_was_answered_and_nothing_else(evidence):
    carried_out(evidence, seq=7)
    pending, _ = evidence.take(DK, 1, now=0)
    assert evidence.unbound(1) == 7
    evidence.connection_down(1, now=0)
    assert evidence.take(KT, 2, now=1)[1] is False
    assert evidence.take(DK, 2, now=1) == (pending, True)


def test_what_could_not_be_answered_is_in_doubt(evidence):
    record, _ = evidence.take(KT, 1, now=0)
    evidence.connection_down(1, now=1)
    record.seq = 3
    evidence.answered(record, written=False, now=2)
    assert evidence.take(KT, 2, now=3) == (record, True)


def test_an_answer_written_to_a_connection_that_is_no_longer_bound_is_none(evidence):
    record, _ = evidence.take(KT, 1, now=0)
    evidence.connection_down(1, now=1)
    record.seq = 3
    evidence.answered(record, written=True, now=2)
    assert evidence.take(KT, 2, now=3) == (record, True)


@pytest.mark.parametrize(("age_s", "again"), [(DOUBT_S - 1, True), (DOUBT_S, False)])
def test_doubt_lasts_ten_minutes_from_the_loss(evidence, age_s, again):
    carried_out(evidence)
    evidence.connection_down(1, now=4)
    assert evidence.take(KT, 2, now=4 + age_s)[1] is again


def test_doubt_begins_anew_when_the_second_answer_is_lost_too(evidence):
    record = carried_out(evidence)
    evidence.connection_down(1, now=0)
    assert evidence.take(KT, 2, now=500) == (record, True)
    evidence.answered(record, written=True, now=500)
    evidence.connection_down(2, now=501)
    evidence.confirmed(now=DOUBT_S + 1)
    assert evidence.take(KT, 3, now=900) == (record, True)


def test_two_that_were_lost_are_two_redeliveries_and_a_third_is_new(evidence):
    for seq in (1, 2):
        carried_out(evidence, seq=seq)
    evidence.connection_down(1, now=1)
    found = [evidence.take(KT, 2, now=2) for _ in range(3)]
    assert [again for _, again in found] == [True, True, False]
    assert [record.seq for record, _ in found] == [1, 2, 0]


def test_a_redelivery_that_was_answered_makes_the_next_one_new(evidence):
    record = carried_out(evidence)
    evidence.connection_down(1, now=1)
    evidence.take(KT, 2, now=2)
    evidence.answered(record, written=True, now=2)
    assert evidence.take(KT, 2, now=2)[1] is False


def test_another_text_is_never_a_redelivery(evidence):
    carried_out(evidence)
    evidence.connection_down(1, now=1)
    assert evidence.take(DK, 2, now=2)[1] is False


@pytest.mark.parametrize(
    ("age_s", "again"), [(PENDING_DOUBT_S - JUST_BEFORE, False), (PENDING_DOUBT_S, True)]
)
def test_while_the_first_copy_is_carried_out_a_later_one_waits_for_it(evidence, age_s, again):
    record, _ = evidence.take(KT, 1, now=0)
    taken, is_again = evidence.take(KT, 2, now=age_s)
    assert is_again is again
    assert (taken is record) is again


@pytest.mark.parametrize(
    ("pending_s", "later_s", "again"),
    [
        (PENDING_DOUBT_S, 0.0, True),
        (PENDING_DOUBT_S, STABLE_S - JUST_BEFORE, True),
        (PENDING_DOUBT_S, STABLE_S, False),
        (PENDING_DOUBT_S - JUST_BEFORE, 0.0, False),
    ],
)
def test_a_copy_that_met_a_late_answer_on_its_way_is_a_redelivery(
    evidence, pending_s, later_s, again
):
    record, _ = evidence.take(KT, 1, now=0)
    record.seq = 3
    evidence.answered(record, written=True, now=pending_s)
    assert evidence.take(KT, 1, now=pending_s + later_s)[1] is again


def test_a_late_answer_met_one_copy_and_the_next_is_new(evidence):
    record, _ = evidence.take(KT, 1, now=0)
    record.seq = 3
    evidence.answered(record, written=True, now=12)
    assert evidence.take(KT, 1, now=12) == (record, True)
    evidence.answered(record, written=True, now=12)
    assert evidence.take(KT, 1, now=12)[1] is False


def test_a_copy_may_meet_a_late_answer_also_when_the_first_one_could_not_be_answered(evidence):
    record, _ = evidence.take(KT, 1, now=0)
    evidence.connection_down(1, now=1)
    assert evidence.take(KT, 2, now=2) == (record, True)
    record.seq = 3
    evidence.answered(record, written=False, now=2 + PENDING_DOUBT_S)  # To the first connection.
    evidence.answered(record, written=True, now=2 + PENDING_DOUBT_S)  # To the follower's.
    assert evidence.take(KT, 2, now=2 + PENDING_DOUBT_S) == (record, True)


def test_a_copy_of_a_pending_text_whose_connection_went_down_waits_for_it(evidence):
    record, _ = evidence.take(KT, 1, now=0)
    evidence.connection_down(1, now=1)
    assert evidence.take(KT, 2, now=1) == (record, True)
    assert record.seq == 0
    record.seq = 5
    evidence.answered(record, written=False, now=2)  # To the first connection.
    evidence.answered(record, written=True, now=2)  # To the follower's.
    assert evidence.take(KT, 2, now=3)[1] is False
    assert evidence.confirmed(now=2 + STABLE_S) == {2: 5}


def test_what_was_refused_is_as_good_as_never_sent(evidence):
    record, _ = evidence.take(KT, 1, now=0)
    evidence.refused(record)
    assert len(evidence) == 0
    evidence.connection_down(1, now=1)
    assert evidence.take(KT, 2, now=PENDING_DOUBT_S)[1] is False


def test_one_of_two_equal_texts_may_be_refused_without_the_other(evidence):
    first, _ = evidence.take(KT, 1, now=0)
    second, _ = evidence.take(KT, 1, now=0)
    evidence.refused(second)
    assert evidence.take(KT, 1, now=PENDING_DOUBT_S) == (first, True)


def test_the_journal_s_doubts_are_taken_over_until_their_own_ten_minutes_end(evidence):
    evidence.doubt(KT, 8, age_s=599, now=100)
    evidence.doubt(DK, 9, age_s=-5, now=100)  # The wall clock went back.
    assert evidence.take(KT, 1, now=102)[1] is False
    record, again = evidence.take(DK, 1, now=100 + DOUBT_S - 1)
    assert again
    assert record.seq == 9


def test_marks_rise_as_answers_become_safe(evidence):
    for seq in range(1, 5):
        carried_out(evidence, connection=1 + seq % 2, now=seq, seq=seq)
    assert evidence.confirmed(now=STABLE_S) == {}
    assert evidence.confirmed(now=STABLE_S + 2) == {2: 1, 1: 2}
    assert evidence.confirmed(now=STABLE_S + 2) == {}
    assert evidence.confirmed(now=STABLE_S + 4) == {2: 3, 1: 4}
    assert len(evidence) == 0


def test_what_is_remembered_is_bounded():
    evidence = Redelivery()
    for number in range(RECORDS_MAX + 10):
        evidence.doubt(b"%d" % number, number + 1, age_s=0, now=0)
    evidence.confirmed(now=0)
    assert len(evidence) <= RECORDS_MAX
    assert evidence.take(b"0", 1, now=0)[1] is False  # The oldest gave way.
    assert evidence.take(b"%d" % RECORDS_MAX, 1, now=0)[1] is True
    evidence.confirmed(now=DOUBT_S)
    assert len(evidence) == 2


# ------------------------------------------------------------------------------------- the machine


class Message:
    """A text that the SMSC has, until it is sure that we took it."""

    def __init__(self, fingerprint):
        self.fingerprint = fingerprint
        self.connection = 0  # Where it waits for its answer; 0: it is to be sent again.
        self.delivery = 0  # Which sending of it that is; earlier ones are answered in vain.
        self.answered_at = None
        self.lost_at = None
        self.committed_at = None


class Evidence(RuleBasedStateMachine):
    """An SMSC that keeps what was not answered, and the daemon's journal, which outlives it.

    The SMSC sends again, within ten minutes, what it did not see answered.  Then no text may ever
    run more often than people sent it; and less often only as often as there was an excuse.
    """

    make = Redelivery

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.evidence = self.make()
        self.connections = set()
        self.last_connection = 0
        self.at_smsc = []
        self.pending = []  # (record, where it and its followers are to be answered)
        self.journal = []  # (seq, fingerprint, connection, at)
        self.marks: Counter[int] = Counter()
        self.sent: Counter[bytes] = Counter()
        self.ran: Counter[bytes] = Counter()
        self.excused: Counter[bytes] = Counter()
        self.late: dict[bytes, float] = {}  # When an answer came so late that a copy may meet it.

    def confirm(self):
        for connection, seq in self.evidence.confirmed(now=self.now).items():
            self.marks[connection] = max(self.marks[connection], seq)

    @rule()
    def connect(self):
        self.last_connection += 1
        self.connections.add(self.last_connection)
        self.evidence.connection_up(self.last_connection)

    def take(self, message, connection):
        fingerprint = message.fingerprint
        # When a commit takes so long, the SMSC's own timer is the likelier reason to hear it twice.
        slow = any(
            record.fingerprint == fingerprint and self.now - record.at_s >= PENDING_DOUBT_S
            for record, _ in self.pending
        )
        slow = slow or self.now - self.late.get(fingerprint, -STABLE_S) < STABLE_S
        message.connection, message.answered_at = connection, None
        message.delivery += 1
        ticket = (message, message.delivery, connection)
        record, again = self.evidence.take(fingerprint, connection, now=self.now)
        self.excused[fingerprint] += again and slow
        if not again:
            self.pending.append((record, [ticket]))
        elif record.seq:
            self.answer(record, *ticket)
        else:
            [tickets] = [tickets for pending, tickets in self.pending if pending is record]
            tickets.append(ticket)

    def answer(self, record, message, delivery, connection):
        message.committed_at = self.journal[record.seq - 1][3]
        if not record.answered and not record.lost and self.now - record.at_s >= PENDING_DOUBT_S:
            self.late[record.fingerprint] = self.now
        written = connection in self.connections
        self.evidence.answered(record, written=written, now=self.now)
        if written and delivery == message.delivery:
            message.answered_at = self.now

    @precondition(lambda self: self.connections)
    @rule(fingerprint=st.sampled_from((KT, DK)), data=st.data())
    def a_person_sends(self, fingerprint, data):
        message = Message(fingerprint)
        self.at_smsc.append(message)
        self.sent[fingerprint] += 1
        self.take(message, data.draw(st.sampled_from(sorted(self.connections))))

    @precondition(lambda self: self.connections and self.to_be_sent_again())
    @rule(data=st.data())
    def the_smsc_sends_again(self, data):
        message = data.draw(st.sampled_from(self.to_be_sent_again()))
        self.take(message, data.draw(st.sampled_from(sorted(self.connections))))

    def to_be_sent_again(self):
        return [message for message in self.at_smsc if not message.connection]

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def a_batch_is_committed(self, data):
        for record, tickets in self.pending[: data.draw(st.integers(1, len(self.pending)))]:
            record.seq = len(self.journal) + 1
            # The journal says where the first copy came from, whatever became of that connection.
            first_connection = tickets[0][2]
            self.journal.append((record.seq, record.fingerprint, first_connection, self.now))
            self.ran[record.fingerprint] += 1
            for ticket in tickets:
                self.answer(record, *ticket)
        self.pending = [each for each in self.pending if not each[0].seq]

    @precondition(lambda self: self.pending)
    @rule()
    def one_is_refused(self):
        record, tickets = self.pending.pop()
        self.evidence.refused(record)
        for message, delivery, _ in tickets:
            if delivery == message.delivery:
                message.connection, message.lost_at = 0, self.now

    @rule(seconds=st.sampled_from((0.5, 1.0, 4.0, STABLE_S, 30.0, 250.0)))
    def time_passes(self, seconds):
        self.now += seconds
        self.confirm()
        for message in list(self.at_smsc):
            if message.connection and message.answered_at is not None:
                if self.now - message.answered_at >= STABLE_S:
                    self.at_smsc.remove(message)  # It saw the answer long ago.
            elif not message.connection and self.now - message.lost_at >= DOUBT_S:
                self.at_smsc.remove(message)  # Its validity is over.
                self.excused[message.fingerprint] += 1

    def lose(self, message, data):
        """Its connection is gone; whether the SMSC saw an answer that was written is chance."""
        stable = message.answered_at is not None and self.now - message.answered_at >= STABLE_S
        if message.answered_at is not None and (stable or data.draw(st.booleans())):
            self.at_smsc.remove(message)
            if not stable:
                self.excused[message.fingerprint] += 1  # We can't know that it won't come again.
        else:
            message.connection, message.lost_at = 0, self.now

    @precondition(lambda self: self.connections)
    @rule(data=st.data())
    def a_connection_goes_down(self, data):
        connection = data.draw(st.sampled_from(sorted(self.connections)))
        self.connections.discard(connection)
        self.confirm()
        self.evidence.connection_down(connection, now=self.now)
        for message in list(self.at_smsc):
            if message.connection == connection:
                self.lose(message, data)

    @rule(data=st.data())
    def the_daemon_is_killed_and_starts_again(self, data):
        self.connections.clear()
        self.pending.clear()
        for message in list(self.at_smsc):
            if message.connection:
                self.lose(message, data)
            if message.committed_at is not None and message in self.at_smsc:
                # The journal knows when it was committed, not when its last answer was lost.
                message.lost_at = min(message.lost_at, message.committed_at)
        self.evidence = self.make()
        for seq, fingerprint, connection, at in self.journal:
            if seq > self.marks[connection] and self.now - at < DOUBT_S:
                self.evidence.doubt(fingerprint, seq, age_s=self.now - at, now=self.now)
                self.excused[fingerprint] += 1
        self.time_passes(0.0)

    @invariant()
    def nothing_runs_more_often_than_it_was_sent(self):
        assert all(self.ran[each] <= self.sent[each] for each in self.ran)

    def teardown(self):
        self.connect()
        for message in self.to_be_sent_again():
            self.take(message, self.last_connection)
        for record, _ in self.pending:
            self.ran[record.fingerprint] += 1
        for fingerprint, times in self.sent.items():
            least = times - self.excused[fingerprint]
            assert least <= self.ran[fingerprint] <= times


TestEvidence = Evidence.TestCase


@pytest.mark.thorough
def test_the_machine_for_long():
    run_machine(Evidence, settings=settings(max_examples=3_000, stateful_step_count=60))


class NeverInDoubt(Redelivery):
    def connection_down(self, connection, *, now):
        self._up.discard(connection)


class AlwaysInDoubt(Redelivery):
    def answered(self, record, *, written, now):
        super().answered(record, written=False, now=now)


class ForgetsTheJournal(Redelivery):
    def doubt(self, fingerprint, seq, *, age_s, now):
        pass


@pytest.mark.parametrize("planted", [NeverInDoubt, AlwaysInDoubt, ForgetsTheJournal])
def test_the_machine_finds_a_planted_mistake(planted):
    class Planted(Evidence):
        make = planted

    quiet = settings(
        max_examples=500, database=None, print_blob=False, phases=[Phase.generate], deadline=None
    )
    with pytest.raises(AssertionError):
        run_machine(Planted, settings=quiet)
