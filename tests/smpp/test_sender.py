"""Texts leave in order, once if it can be helped, and none is forgotten.  Time is numbers here."""

from typing import Any

import msgspec
import pytest
import structlog

from telcod.errors import Unavailable
from telcod.metrics import Metrics
from telcod.rows import OutboxSms, OutboxState
from telcod.smpp.consts import CommandStatus, TlvTag
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.sender import (
    ATTEMPTS_MAX,
    BACKLOG_SLICE,
    MEMORY_MAX,
    RETRY_AFTER_S,
    OwnTexts,
    Sender,
)

OK = 0
THROTTLED = int(CommandStatus.ESME_RTHROTTLED)
NO_SUCH_NUMBER = int(CommandStatus.ESME_RINVDSTADR)
BUSY = int(CommandStatus.ESME_RX_T_APPN)
NOT_HERE = int(CommandStatus.ESME_RINVSRCADR)
VALID_MS = 1_000_000
LONG = "x" * 400  # Three parts.

pytestmark = pytest.mark.rule("SMPP-5")


class FakeLink:
    """Takes as many submits as it has room for, and remembers who was told to come back."""

    def __init__(self, name="a", *, short_codes=("1566",), room=100, takes_tlvs=True, **settings):
        self.name = name
        self.short_codes = short_codes
        self.settings = LinkSettings(
            name=name, host="h", system_id="s", password="p", short_codes=short_codes, **settings
        )
        self.room = room
        self.bound = True
        self.peer_takes_tlvs = takes_tlvs
        self.starved = False
        self.flying = []  # (body, token)
        self.sent = []

    def can_submit(self):
        self.starved = self.starved or not (self.bound and self.room > 0)
        return self.bound and self.room > 0

    def submit(self, body, token):
        if not self.can_submit():
            return False
        if "UNSENDABLE" in body.destination_addr:
            raise ValueError("destination_addr: 21 octets, 20 at most")
        self.room -= 1
        self.flying.append((body, token))
        self.sent.append(body)
        return True


class World:
    """A sender, its links, the books behind it, and a clock that is set by hand."""

    def __init__(self, *links):
        self.links: Any = links or (FakeLink(),)
        self.settled: Any = []
        self.books = []
        self.now_s = 0.0
        self.woken = 0
        self.sender: Any = Sender(
            self.links,
            self.settled.append,
            wall_ms=lambda: int(self.now_s * 1_000),
            clock=lambda: self.now_s,
            metrics=Metrics(process=False),
            valid_ms=lambda: VALID_MS,
        )
        self.sender.behind = False
        self.sender.wake_backlog = self.wake

    def wake(self):
        self.woken += 1

    @property
    def link(self):
        return self.links[0]

    def take(self, *texts, source="1566", **fields):
        rows = [self.row(text, source=source, **fields) for text in texts]
        self.sender.take(rows)
        return rows

    def row(self, text, *, source="1566", expires_at=0, receipt=0, destination="84903000001"):
        seq = len(self.books) + 1
        values: dict[str, Any] = dict.fromkeys(OutboxSms.__struct_fields__, 0) | {
            "seq": seq,
            "at": int(self.now_s * 1_000),
            "source": source,
            "destination": destination,
            "text": text,
            "kind": "reply",
            "expires_at": expires_at,
            "receipt": receipt,
            "link": "",
            "message_id": "",
        }
        self.books.append(OutboxSms(**values))
        return self.books[-1]

    async def pending_sms(self, *, after, most):
        done = {each.seq for each in self.settled}
        return [row for row in self.books if row.seq > after and row.seq not in done][:most]

    def answer(self, status=OK, *, link=None, message_id="m", at=0):
        link = link or self.link
        _, token = link.flying.pop(at)
        link.room += 1
        self.sender.on_submit_done(link, token, status, message_id)
        self.freed(link)
        return token

    def lose(self, *, link=None, at=0):
        """Its response timer ends."""
        link = link or self.link
        _, token = link.flying.pop(at)
        link.room += 1
        self.sender.on_submit_unknown(link, token)
        self.freed(link)
        return token

    def late(self, token, status=OK, *, link=None):
        self.sender.on_submit_done(link or self.link, token, status, "m")

    def freed(self, link):
        """What a real link does: it says that there is room to who asked in vain."""
        if link.starved and link.bound and link.room > 0:
            link.starved = False
            self.sender.on_ready(link)

    def down(self, link):
        link.bound = False
        flying, link.flying = link.flying, []
        for _, token in flying:
            link.room += 1
            self.sender.on_submit_unknown(link, token)

    def up(self, link):
        link.bound = True
        self.sender.on_ready(link)

    def later(self, seconds):
        self.now_s += seconds
        self.sender.on_time()

    def states(self):
        return {each.seq: OutboxState(each.state) for each in self.settled}


def texts(link):
    return [body.short_message.decode() for body in link.sent]


def parts(link):
    return [body.short_message[5] for body in link.sent]


# ------------------------------------------------------------------------------------------ order


def test_texts_leave_in_order_and_are_settled_when_accepted():
    world = World()
    world.take("one", "two", receipt=1)
    world.take("three")
    assert texts(world.link) == ["one", "two", "three"]
    assert world.settled == []
    world.answer(message_id="x1", at=1)
    [settled] = world.settled
    assert (settled.seq, settled.state, settled.attempts) == (2, OutboxState.ACCEPTED, 1)
    assert (settled.link, settled.message_id) == ("a", "x1")
    assert world.sender.in_memory == 2


def test_a_message_id_is_kept_for_texts_with_a_receipt_only():
    world = World()
    world.take("one")
    world.answer(message_id="x1")
    assert world.settled[0].message_id == ""


def test_what_finds_no_room_waits_and_leaves_in_order_over_both_short_codes():
    link = FakeLink(short_codes=("1566", "9223"), room=1)
    world = World(link)
    world.take("one", "two")
    world.take("three", source="9223")
    world.take("four")
    for _ in range(4):
        world.answer()
    assert texts(link) == ["one", "two", "three", "four"]
    assert world.sender.in_memory == 0


def test_what_was_lost_with_its_connection_leaves_again_before_the_others_in_its_old_order():
    world = World(FakeLink(room=3))
    world.take("one", "two", "three", "four")
    with structlog.testing.capture_logs() as lines:
        world.down(world.link)
    assert [line["outbox"] for line in lines] == [1, 2, 3]
    assert {line["event"] for line in lines} == {"text.possibly_doubled"}
    world.up(world.link)
    assert texts(world.link) == ["one", "two", "three", "one", "two", "three"]
    for _ in range(4):
        world.answer()
    assert texts(world.link)[-1] == "four"
    assert set(world.states().values()) == {OutboxState.ACCEPTED}
    assert [each.attempts for each in world.settled] == [2, 2, 2, 1]


def test_a_text_without_an_answer_is_sent_again_and_its_late_yes_still_counts():
    world = World()
    world.take("one")
    token = world.lose()
    assert texts(world.link) == ["one", "one"]
    world.late(token)
    assert world.states() == {1: OutboxState.ACCEPTED}
    world.answer()  # The copy's own answer changes nothing any more.
    assert len(world.settled) == 1
    assert world.sender.in_memory == 0


def test_a_late_yes_spares_sending_it_again():
    world = World()
    world.take("one")
    world.link.bound = False
    token = world.lose()
    world.late(token)
    world.up(world.link)
    assert texts(world.link) == ["one"]
    assert world.states() == {1: OutboxState.ACCEPTED}


def test_a_late_no_changes_nothing():
    world = World()
    world.take("one")
    world.late(world.lose(), NO_SUCH_NUMBER)
    assert world.settled == []
    world.answer()
    assert world.states() == {1: OutboxState.ACCEPTED}


# ---------------------------------------------------------------------------------------- refusals


def test_a_throttled_text_waits_for_the_link_and_counts_no_attempt():
    world = World()
    world.take("one", "two")
    world.link.room = -10  # The link pauses.
    world.answer(THROTTLED)
    world.answer(THROTTLED)
    assert world.link.starved, "who was not asked does not say when there is room"
    assert texts(world.link) == ["one", "two"]
    world.link.room = 10
    world.freed(world.link)
    world.answer()
    world.answer()
    assert texts(world.link) == ["one", "two", "one", "two"]
    assert [each.attempts for each in world.settled] == [1, 1]


def test_a_busy_smsc_is_tried_again_after_growing_pauses():
    world = World()
    world.take("one", expires_at=10**12)
    for tried, wait_s in enumerate((*RETRY_AFTER_S, RETRY_AFTER_S[-1]), start=1):
        world.answer(BUSY)
        world.later(wait_s - 1)
        assert len(world.link.sent) == tried
        world.later(1)
        assert len(world.link.sent) == tried + 1
    world.answer()
    assert world.states() == {1: OutboxState.ACCEPTED}


def test_attempts_are_limited():
    world = World()
    world.take("one", expires_at=10**12)
    for _ in range(ATTEMPTS_MAX):
        world.answer(BUSY)
        world.later(RETRY_AFTER_S[-1])
    assert world.states() == {1: OutboxState.FAILED}
    assert world.settled[0].attempts == ATTEMPTS_MAX
    assert len(world.link.sent) == ATTEMPTS_MAX


def test_a_text_that_is_refused_for_good_is_given_up_and_holds_up_nobody():
    world = World(FakeLink(room=1))
    world.take("one", "two")
    with structlog.testing.capture_logs() as lines:
        world.answer(NO_SUCH_NUMBER)
    assert [(line["event"], line["command_status"]) for line in lines] == [
        ("text.refused", NO_SUCH_NUMBER)
    ]
    assert world.states() == {1: OutboxState.FAILED}
    assert texts(world.link) == ["one", "two"]


def test_what_this_account_may_not_send_goes_over_the_other_link():
    a, b = FakeLink("a"), FakeLink("b")
    world = World(a, b)
    world.take("one")
    first = a if a.sent else b
    other = b if first is a else a
    world.answer(NOT_HERE, link=first)
    assert texts(other) == ["one"]
    world.answer(NOT_HERE, link=other)  # Nobody may: later, everywhere.
    assert len(a.sent) == len(b.sent) == 1
    world.later(RETRY_AFTER_S[0])
    world.later(RETRY_AFTER_S[1])
    assert len(a.sent) + len(b.sent) == 3


def test_what_only_the_other_link_may_send_does_not_hammer_while_that_one_is_down():
    a, b = FakeLink("a"), FakeLink("b")
    b.bound = False
    world = World(a, b)
    world.take("one")
    world.answer(NOT_HERE, link=a)
    assert len(a.sent) == 1
    assert world.settled == []
    b.bound = True
    world.later(RETRY_AFTER_S[0])
    assert texts(b) == ["one"]


# ----------------------------------------------------------------------------------------- links


def test_texts_take_turns_over_the_links_of_their_short_code():
    a, b = FakeLink("a"), FakeLink("b")
    world = World(a, b, FakeLink("c", short_codes=("9223",)))
    world.take(*"12345678")
    assert len(a.sent) == len(b.sent) == 4


def test_a_link_that_went_down_is_stood_in_for():
    a, b = FakeLink("a"), FakeLink("b", room=0)
    world = World(a, b)
    world.take("one")
    b.room = 10
    world.down(a)
    assert texts(b) == ["one"]


def test_a_short_code_that_no_link_carries_is_an_error_that_is_said():
    world = World()
    with structlog.testing.capture_logs() as lines:
        world.take("one", source="9223")
    assert world.states() == {1: OutboxState.FAILED}
    assert lines[0]["event"] == "text.unroutable"


def test_a_text_that_no_pdu_can_hold_is_given_up_and_the_next_one_leaves():
    world = World()
    world.row("first", destination="UNSENDABLE")
    world.row("second")
    with structlog.testing.capture_logs() as lines:
        world.sender.take(world.books)
    assert world.states() == {1: OutboxState.FAILED}
    assert lines[0]["event"] == "text.unsendable"
    assert texts(world.link)[-1] == "second"


# ----------------------------------------------------------------------------------------- parts


def test_a_long_text_is_settled_when_all_parts_are_accepted():
    world = World()
    world.take(LONG)
    world.answer(at=2)
    world.answer(at=0)
    assert world.settled == []
    world.answer()
    assert world.states() == {1: OutboxState.ACCEPTED}


def test_only_the_parts_that_failed_go_again_when_the_others_are_back():
    world = World()
    world.take(LONG)
    world.answer(BUSY, at=1)
    world.answer(at=0)
    world.later(RETRY_AFTER_S[0])
    assert parts(world.link) == [1, 2, 3]  # One is still on its way.
    world.answer()
    world.later(RETRY_AFTER_S[0])
    assert parts(world.link) == [1, 2, 3, 2]
    world.answer()
    assert world.states() == {1: OutboxState.ACCEPTED}


@pytest.mark.parametrize("statuses", [(NO_SUCH_NUMBER, BUSY, OK), (OK, BUSY, NO_SUCH_NUMBER)])
def test_the_gravest_of_several_answers_decides(statuses):
    world = World()
    world.take(LONG)
    for status in statuses:
        world.answer(status)
    assert world.states() == {1: OutboxState.FAILED}


def test_a_long_text_given_up_while_parts_of_it_wait_is_gone():
    world = World(FakeLink(room=1))
    world.take(LONG, "two")
    world.answer(NO_SUCH_NUMBER)
    world.answer()
    assert world.states() == {1: OutboxState.FAILED, 2: OutboxState.ACCEPTED}
    assert len(world.link.sent) == 2
    assert world.sender.in_memory == 0
    world.later(VALID_MS)
    assert len(world.settled) == 2


def test_parts_wait_for_room_on_the_link_where_the_text_began():
    a, b = FakeLink("a", room=2), FakeLink("b", room=0)
    world = World(a, b)
    world.take(LONG)
    b.room = 10
    world.sender.on_ready(b)
    assert parts(a) == [1, 2]
    assert b.sent == []
    world.answer(link=a)
    assert parts(a) == [1, 2, 3]


def test_a_half_sent_text_begins_anew_over_another_link_under_the_same_reference():
    a, b = FakeLink("a", room=2), FakeLink("b", room=0, source_addr_ton=3)
    world = World(a, b)
    world.take(LONG)
    world.answer(link=a)
    b.room = 10
    world.down(a)
    world.sender.on_ready(b)
    assert parts(b) == [1, 2, 3]
    assert {body.short_message[3] for body in (*a.sent, *b.sent)} == {1}
    assert {body.source_addr_ton for body in b.sent} == {3}
    for _ in range(3):
        world.answer(link=b)
    assert world.states() == {1: OutboxState.ACCEPTED}


def test_a_half_sent_text_waits_for_its_only_link_and_goes_on_where_it_was():
    a = FakeLink("a", room=2)
    world = World(a)
    world.take(LONG)
    world.answer()
    a.peer_takes_tlvs = False  # As of no peer: none is there.
    world.down(a)
    a.room = 10
    world.later(1)
    assert parts(a) == [1, 2, 3]
    a.peer_takes_tlvs = True
    world.up(a)
    assert parts(a) == [1, 2, 3, 2, 3]  # Of these nobody knows what became of them.
    world.answer()
    world.answer()
    assert world.states() == {1: OutboxState.ACCEPTED}


def test_a_late_yes_to_a_part_counts_while_others_are_on_their_way():
    world = World()
    world.take(LONG)
    token = world.lose(at=0)
    world.late(token)
    world.answer()
    world.answer()
    assert world.states() == {1: OutboxState.ACCEPTED}
    assert len(world.link.sent) == 3


def test_a_peer_that_turns_out_to_take_no_tlvs_gets_none_the_next_time():
    world = World()
    world.take("one")
    assert world.link.sent[0].tlvs[0].tag == TlvTag.USER_MESSAGE_REFERENCE
    world.down(world.link)
    world.link.peer_takes_tlvs = False
    world.up(world.link)
    assert world.link.sent[1].tlvs == ()


# ------------------------------------------------------------------------------------ staleness


def test_a_text_that_waited_too_long_is_given_up_though_no_link_is_up():
    world = World(FakeLink(room=0))
    world.take("one")
    world.take("two", expires_at=5_000)
    world.later(VALID_MS / 1_000 - 1)
    assert world.settled == []
    world.later(1)
    assert world.states() == {1: OutboxState.EXPIRED, 2: OutboxState.EXPIRED}
    assert world.sender.in_memory == 0


def test_a_stale_text_is_not_sent_again():
    world = World()
    world.take("one", expires_at=3_000)
    world.answer(BUSY)
    world.later(RETRY_AFTER_S[0])
    assert world.states() == {1: OutboxState.EXPIRED}
    assert len(world.link.sent) == 1


def test_the_smsc_is_told_how_long_a_text_is_worth_delivering():
    world = World()
    world.take("one", expires_at=61_000)
    assert world.link.sent[0].validity_period == "000000000101000R"


# -------------------------------------------------------------------------------------- backlog


@pytest.mark.anyio
async def test_what_an_earlier_run_left_goes_before_what_comes_now():
    world = World()
    world.sender.behind = True
    world.row("old")
    world.take("new")
    assert world.link.sent == []
    await world.sender.refill(world)
    assert texts(world.link) == ["old", "new"]
    world.take("newer")
    assert texts(world.link)[-1] == "newer"


@pytest.mark.anyio
async def test_more_than_memory_holds_stays_in_the_books_and_leaves_in_order():
    total = 2 * MEMORY_MAX + BACKLOG_SLICE
    link = FakeLink(room=0)
    world = World(link)
    for number in range(total):
        world.take(str(number))
    assert world.sender.in_memory == MEMORY_MAX
    assert world.sender.behind
    link.room = 100
    world.sender.on_ready(link)
    while len(world.settled) < total:
        before = len(world.settled)
        while link.flying:
            world.answer()
            assert world.sender.in_memory <= MEMORY_MAX
        if world.woken:
            world.woken = 0
            await world.sender.refill(world)
        assert len(world.settled) > before or link.flying
    assert texts(link) == [str(number) for number in range(total)]
    assert not world.sender.behind


@pytest.mark.anyio
async def test_what_is_committed_while_the_books_are_read_is_neither_lost_nor_doubled():
    world = World()
    world.sender.behind = True
    world.row("one")

    class Slow:
        async def pending_sms(self, *, after, most):
            found = await world.pending_sms(after=after, most=most)
            if len(world.books) < 3:
                world.take("two", "three")  # Not yet in what was read.
            return found

    await world.sender.refill(Slow())
    assert texts(world.link) == ["one", "two", "three"]
    assert not world.sender.behind


@pytest.mark.rule("SMPP-5")
@pytest.mark.anyio
async def test_the_first_text_committed_while_empty_books_are_read_is_sent():
    world = World()
    world.sender.behind = True

    class Slow:
        async def pending_sms(self, *, after, most):
            found = await world.pending_sms(after=after, most=most)
            if not world.books:
                world.take("one")  # Committed and announced after the look, before its answer.
            return found

    await world.sender.refill(Slow())
    assert texts(world.link) == ["one"]
    assert not world.sender.behind


@pytest.mark.rule("SMPP-5")
@pytest.mark.anyio
async def test_a_look_at_the_books_that_nobody_needs_sends_nothing_twice():
    world = World()
    world.sender.behind = False

    class Slow:
        async def pending_sms(self, *, after, most):
            world.take("one", "two")  # Committed, and announced before the answer comes.
            return await world.pending_sms(after=after, most=most)

    await world.sender.refill(Slow())
    world.take("three")
    assert texts(world.link)[-1] == "three"
    assert len(texts(world.link)) == len(set(texts(world.link)))


@pytest.mark.anyio
async def test_what_was_read_before_it_was_announced_is_sent_once():
    world = World()
    world.sender.behind = True
    rows = [world.row("one"), world.row("two")]
    await world.sender.refill(world)
    world.sender.take(rows)
    world.take("three")
    assert texts(world.link) == ["one", "two", "three"]


@pytest.mark.anyio
async def test_what_was_announced_and_is_no_longer_in_the_books_is_not_waited_for():
    world = World()
    world.sender.behind = True
    world.sender.take([world.row("one")])
    world.books.clear()
    await world.sender.refill(world)
    assert not world.sender.behind
    assert world.link.sent == []


def test_an_answer_to_what_was_begun_anew_elsewhere_changes_nothing():
    a, b = FakeLink("a"), FakeLink("b")
    world = World(a, b)
    world.take("one")
    first, other = (a, b) if a.sent else (b, a)
    first.bound = False
    token = world.lose(link=first)
    assert texts(other) == ["one"]
    world.late(token, link=first)
    world.answer(link=other)
    assert world.states() == {1: OutboxState.ACCEPTED}
    world.sender.on_submit_unknown(first, token)
    assert len(world.settled) == 1


@pytest.mark.anyio
async def test_books_that_cannot_be_read_are_told_and_read_again():
    world = World()
    world.sender.behind = True
    world.row("one")

    class Broken:
        async def pending_sms(self, *, after, most):
            raise Unavailable("the file is locked")

    with pytest.raises(Unavailable):
        await world.sender.refill(Broken())
    await world.sender.refill(world)
    assert texts(world.link) == ["one"]


@pytest.fixture
def anyio_backend():
    return "asyncio"


# ------------------------------------------------------------------ one link is ill, another is not


def test_a_long_text_that_is_half_sent_by_a_throttled_link_holds_up_nobody_else():
    a, b = FakeLink("a"), FakeLink("b")
    b.bound = False
    world = World(a, b)
    world.take(LONG)
    world.answer(link=a)
    a.room = -100  # It throttles from now on.
    world.answer(THROTTLED, link=a)
    world.answer(THROTTLED, link=a)
    world.up(b)
    world.take("one", "two")
    world.later(1)
    assert texts(b) == ["one", "two"]
    a.room = 100
    world.freed(a)
    world.answer(link=a)
    world.answer(link=a)
    world.answer(link=b)
    world.answer(link=b)
    assert set(world.states().values()) == {OutboxState.ACCEPTED}
    assert world.sender.in_memory == 0
    assert parts(a) == [1, 2, 3, 2, 3]


def test_a_long_text_whose_link_has_gone_begins_anew_by_another_one():
    a, b = FakeLink("a"), FakeLink("b", room=0)
    world = World(a, b)
    world.take(LONG)
    world.answer(link=a)
    world.down(a)
    b.room = 100
    world.freed(b)
    assert parts(b) == [1, 2, 3]


def test_a_long_text_that_finds_room_for_one_part_only_holds_up_nobody_else():
    a, b = FakeLink("a", room=0), FakeLink("b")
    b.bound = False
    world = World(a, b)
    world.take(LONG, "one")
    a.room = 1
    world.freed(a)
    world.up(b)
    assert texts(b) == ["one"]
    assert parts(a) == [1]
    world.answer(link=a)
    world.answer(link=a)
    world.answer(link=a)
    assert parts(a) == [1, 2, 3]


# --------------------------------------------------------- several daemons share the books


class Shared(World):
    """One daemon's sender; `owners` is whose each text is, by the books."""

    ME = 7

    def __init__(self, *links):
        super().__init__(*links)
        self.sure = True
        self.sender.may_send = lambda: self.sure

    def fate(self, *seqs, owner):
        """Another daemon has taken them over, or this one has."""
        for seq in seqs:
            self.books[seq - 1] = msgspec.structs.replace(self.books[seq - 1], owner=owner)

    def row(self, *args, **fields):
        super().row(*args, **fields)
        self.fate(len(self.books), owner=self.ME)
        return self.books[-1]

    async def pending_sms_of(self, owner, *, after, most):
        rows = await self.pending_sms(after=after, most=len(self.books))
        return [row for row in rows if row.owner == owner][:most]

    @property
    def own(self):
        return OwnTexts(self, self.ME)

    def inherit(self, *seqs):
        self.fate(*seqs, owner=self.ME)
        self.sender.adopt([self.books[seq - 1] for seq in seqs])


def test_who_is_not_sure_that_its_texts_are_its_own_sends_none_until_it_is():
    world = Shared()
    world.take("one")
    world.sure = False
    world.take("two")
    world.answer(THROTTLED)
    world.later(10)
    assert texts(world.link) == ["one"]
    world.sure = True
    world.later(1)
    assert texts(world.link) == ["one", "one", "two"]


def test_who_is_not_sure_gives_no_text_up_either():
    world = Shared()
    world.sure = False
    world.take("one", expires_at=1_000)
    world.later(5)
    assert world.settled == []
    world.sure = True
    world.later(1)
    assert world.states() == {1: OutboxState.EXPIRED}


@pytest.mark.anyio
async def test_texts_that_another_daemon_has_taken_over_are_forgotten():
    world = Shared()
    world.take("flying", "answered")
    world.answer(at=1)
    world.link.room = 0
    world.take("waiting", "mine")
    world.sure = False
    world.fate(1, 3, owner=8)
    await world.sender.disown(world.own)
    assert world.sender.in_memory == 1
    world.sure, world.link.room = True, 9
    world.answer()  # Too late: whoever has it sends it again.
    world.later(10)
    assert texts(world.link) == ["flying", "answered", "mine"]
    assert world.states() == {2: OutboxState.ACCEPTED}


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["lost", "refused for now"])
async def test_a_text_that_was_on_its_way_when_it_was_taken_over_is_not_sent_again(end):
    world = Shared()
    world.take("flying")
    world.fate(1, owner=8)
    await world.sender.disown(world.own)
    if end == "lost":
        world.lose()
    else:
        world.answer(BUSY)
    world.later(1_000)
    assert texts(world.link) == ["flying"]
    assert world.settled == []


@pytest.mark.anyio
async def test_one_that_waits_to_be_tried_again_is_forgotten_when_it_was_taken_over():
    world = Shared()
    world.take("one", "two")
    world.answer(BUSY)
    world.fate(1, owner=8)
    await world.sender.disown(world.own)
    world.later(RETRY_AFTER_S[0])
    assert texts(world.link) == ["one", "two"]
    assert world.sender.in_memory == 1


@pytest.mark.anyio
async def test_books_that_cannot_be_read_are_asked_again_before_anything_is_forgotten():
    world = Shared(FakeLink(room=0))
    world.take("one")

    class Away:
        async def pending_sms(self, *, after, most):
            raise Unavailable("away")

    with pytest.raises(Unavailable):
        await world.sender.disown(Away())
    assert world.sender.in_memory == 1


@pytest.mark.anyio
async def test_among_thousands_that_wait_those_that_are_ours_stay():
    world = Shared(FakeLink(room=0))
    world.take(*map(str, range(2 * BACKLOG_SLICE + 10)))
    lost = [1, BACKLOG_SLICE, BACKLOG_SLICE + 1, 2 * BACKLOG_SLICE + 10]
    world.fate(*lost, owner=8)
    await world.sender.disown(world.own)
    assert world.sender.in_memory == 2 * BACKLOG_SLICE + 10 - len(lost)


def test_texts_of_the_dead_are_sent_among_our_own_in_their_place():
    world = Shared(FakeLink(room=0))
    rows = [world.row(text) for text in ("theirs", "ours")]
    world.sender.take(rows[1:])
    world.inherit(1)
    world.link.room = 9
    world.later(1)
    assert texts(world.link) == ["theirs", "ours"]
    world.answer()
    world.answer()
    assert set(world.states()) == {1, 2}


@pytest.mark.anyio
async def test_a_text_of_the_dead_that_the_backlog_comes_to_later_is_sent_once():
    world = Shared()
    world.sender.behind = True
    for text in ("ours", "theirs", "ours too"):
        world.row(text)
    world.inherit(2)
    await world.sender.refill(world.own)
    assert sorted(texts(world.link)) == ["ours", "ours too", "theirs"]
    assert world.sender.in_memory == 3


def test_there_is_room_for_texts_of_the_dead_as_long_as_memory_is_half_empty():
    world = Shared(FakeLink(room=0))
    world.take(*["x"] * (MEMORY_MAX // 2 - 1))
    assert world.sender.has_room
    world.take("x")
    assert not world.sender.has_room
