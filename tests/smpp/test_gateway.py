"""What joins links and books: numbers of connections, evidence that outlives a kill, the edge."""

import asyncio
from typing import Any

import pytest
import structlog

from telcod.clock import ManualClock
from telcod.engine import INHERIT_ROUTE, INHERITED_MAX
from telcod.errors import Unavailable
from telcod.metrics import Metrics
from telcod.ports import AGAIN, BOOT_SHIFT, DOUBT_S
from telcod.rows import MO, SMSC_CONNECTION, OutboxSms, SmscConnection
from telcod.smpp.consts import CommandStatus, TlvTag
from telcod.smpp.gateway import Gateway
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.pdu import DeliverSm
from telcod.smpp.redelivery import STABLE_S, Redelivery
from telcod.smpp.tlv import Tlv
from telcod.smpp.ussd_door import Aside
from telcod.types import Answer, Channel
from tests.world import START_MS
from tests.world import World as Books

A = 84903000001
TRY_LATER = int(CommandStatus.ESME_RX_T_APPN)
KT = DeliverSm(source_addr=str(A), destination_addr="1566", short_message=b"KT")


class FakeLink:
    def __init__(self, name="a", *, kinds=1, ussd=""):
        self.name = name
        self.settings = LinkSettings(name=name, host="smsc", system_id="s", password="p", ussd=ussd)
        self.kinds = kinds
        self.up = 0
        self.answers = []
        self.cuts = 0

    def cut(self):
        self.cuts += 1

    @property
    def bound(self):
        return self.up == self.kinds

    def respond(self, connection, sequence, status, *, data_sm=False):
        self.answers.append((connection, sequence, status))
        return True


class FakeSender:
    def __init__(self):
        self.heard = []
        self.times = 0
        self.fails = 0
        self.refilled = asyncio.Event()

    def on_submit_done(self, *what):
        self.heard.append(what)

    def on_submit_unknown(self, *what):
        self.heard.append(what)

    def on_ready(self, *what):
        self.heard.append(what)

    def on_time(self):
        self.times += 1

    async def refill(self, reader):
        if self.fails:
            self.fails -= 1
            raise Unavailable("the file is locked")
        self.refilled.set()


class World:
    """A gateway over books in memory; what it notes goes into them at once."""

    def __init__(self, books=None, *, boot=1):
        self.books = books or Books()
        self.clock = ManualClock(self.books.clock.wall_ms())
        self.books.clock = self.clock
        self.books.restart()
        self.told: list[str] = []
        self.noted = []
        self.redelivery = Redelivery()
        self.gateway: Any = Gateway(
            self,
            self.redelivery,
            Metrics(process=False),
            self.clock,
            boot=boot,
            told=self.told.append,
        )
        self.gateway.sender = self.sender = self.fake_sender()
        self.doubts = self.gateway.recover(self.books.store)
        self.link = FakeLink()

    def fake_sender(self) -> Any:
        return FakeSender()

    def note_connection(self, row):
        self.noted.append(row)
        self.books.batcher.run([], connections=[row])

    def connect(self, connection, link=None):
        link = link or self.link
        link.up += 1
        self.gateway.on_connection(link, connection, True)
        return self.gateway.connection_id(link, connection)

    def disconnect(self, connection, link=None):
        link = link or self.link
        link.up -= 1
        self.gateway.on_connection(link, connection, False)

    def text(self, number, text="KT"):
        """A text comes in on a connection, is carried out, and answered."""
        request = self.books.text_request(A, text, connection=number)
        now_s = self.clock.monotonic_s()
        record, again = self.redelivery.take(request.mo.fingerprint, number, now=now_s)
        if not again:
            record.seq = self.books.batcher.run([request]).results[0].seq
        self.redelivery.answered(record, written=True, now=now_s)
        return again

    def later(self, seconds):
        self.clock.advance(int(seconds * 1_000))
        self.gateway.tick()

    def killed(self):
        """Start again on the same books."""
        return World(self.books, boot=2)

    def connections(self):
        return {row.id: row for row in self.books.store.scan(SMSC_CONNECTION)}


@pytest.fixture
def world():
    made = World()
    made.books.import_({"msisdn": A})
    return made


@pytest.mark.rule("SMPP-1", "CLI-1")
def test_a_link_is_told_once_when_all_its_connections_are_bound_and_once_when_not(world):
    link = FakeLink("split", kinds=2)
    world.connect(1, link)
    assert world.told == []
    world.connect(2, link)
    assert world.told == ["link split is bound to smsc:2775"]
    world.disconnect(1, link)
    world.disconnect(2, link)
    assert world.told[1:] == ["link split is no longer bound to smsc:2775"]


@pytest.mark.rule("SMPP-2")
def test_numbers_of_connections_are_unique_over_links_and_starts(world):
    other = FakeLink("b")
    numbers = [world.connect(1), world.connect(1, other), world.connect(2)]
    again = world.killed()
    numbers.append(again.connect(1))
    assert len(set(numbers)) == len(numbers)
    assert {number >> BOOT_SHIFT for number in numbers} == {1, 2}


@pytest.mark.rule("SMPP-2")
def test_evidence_of_a_connection_is_in_the_books(world):
    number = world.connect(1)
    up_at = world.clock.wall_ms()
    world.text(number)
    world.text(number, "KT W")
    world.later(STABLE_S)
    assert world.connections()[number].confirmed_seq == 2
    world.disconnect(1)
    row = world.connections()[number]
    assert (row.link, row.up_at) == ("a", up_at)
    assert row.down_at == world.clock.wall_ms()
    assert row.confirmed_seq == 2


@pytest.mark.rule("SMPP-2")
def test_what_became_stable_just_before_the_connection_went_is_in_no_doubt(world):
    number = world.connect(1)
    world.text(number)
    world.clock.advance(int(STABLE_S * 1_000))
    world.disconnect(1)
    assert world.connections()[number].confirmed_seq == 1
    assert world.text(world.connect(2)) is False


@pytest.mark.rule("SMPP-2")
def test_after_an_answered_unbind_nothing_is_in_doubt_not_even_after_a_restart(world):
    number = world.connect(1)
    world.text(number, "KT")
    world.text(number, "KT W")
    world.gateway.on_unbound(world.link, 1)
    world.disconnect(1)
    assert world.connections()[number].confirmed_seq == 2
    again = world.killed()
    assert again.doubts == 0
    assert again.text(again.connect(1), "KT W") is False


@pytest.mark.rule("SMPP-2")
def test_after_a_kill_what_was_not_confirmed_is_known_again_and_only_that(world):
    number = world.connect(1)
    world.text(number, "KT")
    world.later(STABLE_S)
    world.text(number, "KT W")
    world.text(number, "KT B")
    again = world.killed()
    assert again.doubts == 2
    number = again.connect(1)
    assert again.text(number, "KT W") is True
    assert again.text(number, "KT B") is True
    assert again.text(number, "KT") is False
    assert again.text(number, "KT W") is False


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize(("pause_s", "doubts"), [(DOUBT_S - 10, 1), (DOUBT_S + 1, 0)])
def test_after_a_kill_doubt_ends_ten_minutes_after_the_text(world, pause_s, doubts):
    world.text(world.connect(1))
    world.clock.advance(int(pause_s * 1_000))
    again = world.killed()
    assert again.doubts == doubts
    again.clock.advance(11_000)
    again.gateway.tick()
    assert again.text(again.connect(1)) is False


@pytest.mark.rule("SMPP-2")
def test_a_kill_closes_the_connections_that_were_open(world):
    number = world.connect(1)
    again = world.killed()
    assert again.connections()[number].down_at == again.clock.wall_ms()
    assert again.killed().doubts == 0


@pytest.mark.rule("SMPP-2")
def test_a_quiet_connection_s_old_mark_does_not_make_the_start_read_the_whole_journal():
    world = World()
    world.books.import_({"msisdn": A})
    old = SmscConnection(5, "a", START_MS, down_at=0, confirmed_seq=0, last_seq=0)
    busy = SmscConnection(6, "a", START_MS, down_at=0, confirmed_seq=40, last_seq=0)
    world.books.batcher.run([], connections=[old, busy])
    for _ in range(45):
        world.books.run(world.books.text_request(A, "KT", connection=6))
        world.clock.advance(60_000)
    world.books.run(world.books.text_request(A, "KT", connection=5))
    looked_at = []

    class Journal:
        def __init__(self, store):
            self.store = store

        def next_seqs(self):
            return self.store.next_seqs()

        def scan(self, table, *, after=0):
            for row in self.store.scan(table, after=after):
                if table is MO:
                    looked_at.append(row.seq)
                yield row

    gateway = Gateway(
        world, Redelivery(), Metrics(process=False), world.clock, boot=3, told=world.told.append
    )
    assert gateway.recover(Journal(world.books.store)) == 6  # 41 to 45, and the last.
    assert len(looked_at) < 30


@pytest.mark.rule("SMPP-2")
def test_whatever_breaks_with_one_text_the_smsc_keeps_it(world):
    class Broken:
        def take(self, link, connection, sequence, body):
            raise KeyError("what")

    world.gateway.inbox = Broken()
    with structlog.testing.capture_logs() as lines:
        world.gateway.on_deliver(world.link, 1, 7, KT)
    assert world.link.answers == [(1, 7, TRY_LATER)]
    assert lines[0]["event"] == "text.broke"


@pytest.mark.rule("SMPP-2")
def test_nonsense_is_logged_by_its_command_and_counted(world):
    with structlog.testing.capture_logs() as lines:
        world.gateway.on_malformed(world.link, 0x05, "short_message: ends too early")
    assert lines[0] == {
        "event": "pdu.malformed",
        "log_level": "warning",
        "link": "a",
        "command_id": "0x00000005",
        "reason": "short_message: ends too early",
    }


class Door:
    """Takes what says USSD; the rest is the inbox's."""

    def __init__(self):
        self.taken = []
        self.ready = []

    def take(self, link, connection, sequence, body):
        self.taken.append(sequence)
        return bool(body.tlvs)

    def on_ready(self, link):
        self.ready.append(link)


class Inbox:
    def __init__(self):
        self.taken = []

    def take(self, link, connection, sequence, body):
        self.taken.append(sequence)


@pytest.mark.rule("SMPP-7")
def test_a_link_with_a_profile_offers_its_messages_to_ussd_first(world):
    door, inbox = Door(), Inbox()
    world.gateway.ussd, world.gateway.inbox = door, inbox
    speaks, silent = FakeLink("u", ussd="standard"), FakeLink("s")
    ussd = DeliverSm(tlvs=(Tlv(TlvTag.USSD_SERVICE_OP, b"\1"),))
    for sequence, (link, body) in enumerate([(speaks, ussd), (speaks, KT), (silent, ussd)], 1):
        world.gateway.on_deliver(link, 1, sequence, body)
    assert door.taken == [1, 2]
    assert inbox.taken == [2, 3]


@pytest.mark.rule("SMPP-7")
def test_without_ussd_everything_is_the_inbox_s(world):
    world.gateway.inbox = Inbox()
    world.gateway.on_deliver(FakeLink("u", ussd="standard"), 1, 1, KT)
    assert world.gateway.inbox.taken == [1]


@pytest.mark.rule("SMPP-2", "SMPP-7")
def test_whatever_breaks_with_one_input_the_smsc_keeps_it(world):
    door: Any = Door()
    door.ready = None
    door.taken = None
    world.gateway.ussd = door
    link = FakeLink("u", ussd="standard")
    with structlog.testing.capture_logs() as lines:
        world.gateway.on_deliver(link, 1, 7, KT)
    assert link.answers == [(1, 7, TRY_LATER)]
    assert lines[0]["event"] == "text.broke"


@pytest.mark.rule("SMPP-7")
def test_whoever_submits_aside_is_told_and_the_sender_is_not(world):
    told: list = []
    world.gateway.on_submit_done(world.link, Aside(told.append), 0x58, "")
    world.gateway.on_submit_unknown(world.link, Aside(told.append))
    assert told == [0x58, None]
    assert world.sender.heard == []


@pytest.mark.rule("SMPP-7")
def test_screens_have_room_before_texts(world):
    door: Any = Door()
    world.gateway.ussd = door
    order: list = []
    door.on_ready = lambda link: order.append("ussd")
    world.gateway.sender.on_ready = lambda link: order.append("texts")
    world.gateway.on_ready(world.link)
    assert order == ["ussd", "texts"]


@pytest.mark.rule("SMPP-5")
def test_answers_and_room_are_the_sender_s(world):
    world.gateway.on_submit_done(world.link, "token", 0, "m1")
    world.gateway.on_submit_unknown(world.link, "token")
    world.gateway.on_ready(world.link)
    link = world.link
    assert world.sender.heard == [(link, "token", 0, "m1"), (link, "token"), (link,)]


@pytest.mark.rule("SMPP-5")
def test_a_tick_lets_the_sender_try_again(world):
    world.gateway.tick()
    assert world.sender.times == 1


@pytest.mark.anyio
@pytest.mark.rule("SMPP-5")
async def test_books_that_cannot_be_read_for_once_end_nothing(world):
    sender = world.gateway.sender
    sender.fails = 1
    running = asyncio.create_task(world.gateway.run(None))
    async with asyncio.timeout(5):
        await sender.refilled.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.fixture
def anyio_backend():
    return "asyncio"


# --------------------------------------------------------- several daemons share the books


class SharedSender(FakeSender):
    def __init__(self, slices=9):
        super().__init__()
        self.adopted = []
        self.slices = slices

    @property
    def has_room(self):
        return len(self.adopted) < self.slices

    def adopt(self, rows):
        self.adopted.append([row.seq for row in rows])


class Estate:
    """What the engine gives of the texts of the dead: by daemon, slice after slice."""

    def __init__(self, **slices):
        self.slices = {name[1:]: list(each) for name, each in slices.items()}
        self.asked = []

    async def submit(self, request):
        assert (request.route, request.channel) == (INHERIT_ROUTE, Channel.CLOCK)
        [owner] = request.args
        self.asked.append(owner)
        left = self.slices[owner]
        return Answer("inherited", data={"rows": left.pop(0) if left else []})


def sms(first, count=1):
    values: dict[str, Any] = dict.fromkeys(OutboxSms.__struct_fields__, 0)
    return [OutboxSms(**values | {"seq": seq}) for seq in range(first, first + count)]


@pytest.mark.anyio
async def test_texts_of_the_dead_are_taken_over_slice_by_slice(world):
    world.gateway.sender = sender = SharedSender()
    world.gateway.inherit({4, 3})
    estate = Estate(_3=[sms(1, INHERITED_MAX), sms(5_000, 2)], _4=[])
    with structlog.testing.capture_logs() as lines:
        await world.gateway.take_over(estate.submit)
    assert estate.asked == ["3", "3", "4"]
    assert [rows[-1] for rows in sender.adopted] == [INHERITED_MAX, 5_001]
    assert [(line["of"], line["count"], line["last"]) for line in lines] == [
        (3, INHERITED_MAX, INHERITED_MAX),
        (3, 2, 5_001),
    ]


@pytest.mark.anyio
async def test_texts_of_the_dead_wait_in_the_books_while_there_is_no_room(world):
    world.gateway.sender = SharedSender(slices=1)
    world.gateway.inherit({3})
    estate = Estate(_3=[sms(1, INHERITED_MAX), sms(5_000, 2)])
    await world.gateway.take_over(estate.submit)
    await world.gateway.take_over(estate.submit)
    assert estate.asked == ["3"]


@pytest.mark.anyio
async def test_who_lives_after_all_is_not_taken_over_any_more(world):
    world.gateway.sender = SharedSender()
    world.gateway.inherit({3})
    world.gateway.inherit(())
    await world.gateway.take_over(Estate().submit)


def test_after_it_was_taken_for_dead_its_connections_are_in_the_books_again(world):
    number = world.connect(1)
    world.noted.clear()
    world.gateway.note_all()
    assert [(row.id, row.down_at) for row in world.noted] == [(1 << BOOT_SHIFT, 0), (number, 0)]


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize(
    ("shared", "stalled_s", "taken"), [(True, 3, []), (True, 2, [1]), (False, 9, [1])]
)
def test_who_stood_still_takes_nothing_that_may_have_come_again_elsewhere(
    world, shared, stalled_s, taken
):
    world.gateway.inbox = inbox = Inbox()
    world.gateway.shared = shared
    world.gateway.links = (world.link,)
    world.clock.advance(stalled_s * 1_000)
    with structlog.testing.capture_logs() as lines:
        world.gateway.on_deliver(world.link, 1, 1, KT)
    assert inbox.taken == taken
    assert world.link.answers == [], "and says nothing: the SMSC may have its answer"
    assert world.link.cuts == (not taken)
    assert [line["event"] for line in lines] == ([] if taken else ["daemon.stalled"])


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("read", [True, False])
def test_a_text_that_came_again_from_another_daemon_is_its_own_evidence(world, read):
    evidence = (1 << BOOT_SHIFT) | AGAIN | 1
    number = world.connect(1)
    record, _ = world.redelivery.take(b"f" * 16, number, now=world.clock.monotonic_s())
    record.seq, record.evidence = 40, evidence
    world.redelivery.answered(record, written=True, now=world.clock.monotonic_s())
    if read:
        world.later(STABLE_S)
    else:
        world.disconnect(1)
    row = world.connections()[evidence]
    assert row.down_at == world.clock.wall_ms()
    assert row.confirmed_seq == (40 if read else 39)
    # A number of another daemon's says nothing of ours.
    assert world.connections()[number].confirmed_seq < 40
