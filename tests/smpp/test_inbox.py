"""From a deliver_sm to the writer and back: who is answered, when, and with what."""

from concurrent.futures import Future
from typing import Any

import pytest
import structlog

from telcod.dispatch import IGNORED_ROUTE, RECEIPT_ROUTE
from telcod.engine import PART_ROUTE, QUARANTINED
from telcod.errors import Overloaded, StoreFailed, Unavailable
from telcod.metrics import Metrics, TextResult
from telcod.smpp.consts import CommandStatus
from telcod.smpp.inbox import HASHES_WAITING_MAX, SENDER_WAITING_MAX, Inbox
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.pdu import DataSm, DeliverSm
from telcod.smpp.redelivery import Redelivery
from telcod.types import Answer, SecretNeeded
from telcod.vault import Vault
from tests.world import KEY, shipped_rules

OK = int(CommandStatus.ESME_ROK)
TRY_LATER = int(CommandStatus.ESME_RX_T_APPN)
NO_SUCH_NUMBER = int(CommandStatus.ESME_RINVDSTADR)
A = 84903000001


class FakeLink:
    """Remembers the answers; a connection may be gone."""

    short_codes = ("1566", "9223")

    def __init__(self, name="a"):
        self.name = name
        self.settings = LinkSettings(name=name, host="h", system_id="s", password="p")
        self.answers = []
        self.gone = set()

    def respond(self, connection, sequence, status, *, data_sm=False):
        if connection in self.gone:
            return False
        self.answers.append((sequence, status))
        return True


class World:
    """An inbox with a writer that commits when it is told to."""

    def __init__(self):
        self.link: Any = FakeLink()
        self.posted = []  # (request, sink)
        self.full = False
        self.hashes = []  # (secret, future)
        self.soon: Any = []
        self.now_s = 0.0
        self.seq = 0
        self.redelivery = Redelivery()
        self.metrics = Metrics(process=False)
        for connection in (1, 2):
            self.redelivery.connection_up(connection)
        self.rules = shipped_rules()
        self.inbox = Inbox(
            self,
            lambda: self.rules.dispatcher,
            Vault(KEY),
            self,
            self.redelivery,
            self.metrics,
            clock=lambda: self.now_s,
            connection_id=lambda link, connection: connection,
            call_soon_threadsafe=lambda call, *args: self.soon.append((call, args)),
        )

    def post(self, request, sink):
        if not self.full:
            self.posted.append((request, sink))
        return not self.full

    def submit(self, secret):
        self.hashes.append((secret, Future()))
        return self.hashes[-1][1]

    def text(self, text, *, code="1566", source=str(A), sequence=1, connection=1, **fields):
        fields.setdefault("source_addr_ton", 1)
        body = DeliverSm(
            source_addr=source,
            destination_addr=code,
            short_message=text.encode() if isinstance(text, str) else text,
            **fields,
        )
        self.inbox.take(self.link, connection, sequence, body)

    @property
    def request(self):
        return self.posted[-1][0]

    def commit(self, result=None):
        request, sink = self.posted.pop(0)
        self.seq += 1
        sink(request, result or Answer("done", "text", seq=self.seq))

    def hashed(self, result="$argon2id$x", *, error=None):
        _, future = self.hashes.pop(0)
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
        call, args = self.soon.pop(0)
        call(*args)

    def count(self, result):
        return self.metrics.texts_received[result].n

    @property
    def answers(self):
        return self.link.answers


@pytest.fixture
def world():
    return World()


# ------------------------------------------------------------------------------------ the plain way


@pytest.mark.rule("SMPP-2")
def test_a_text_is_answered_after_its_commit_and_not_before(world):
    world.text("KT", sequence=7)
    assert world.answers == []
    assert (world.request.route, world.request.sender) == ("package.show", A)
    assert world.request.mo.stored_text == "KT"
    world.commit()
    assert world.answers == [(7, OK)]
    assert world.count(TextResult.ANSWERED) == 1


@pytest.mark.rule("SMPP-2")
def test_answers_go_to_the_sequence_they_belong_to(world):
    for sequence in (5, 6, 7):
        world.text(f"B 090300000{sequence}", sequence=sequence)
    second = world.posted.pop(1)
    second[1](second[0], Answer("done", seq=1))
    world.commit()
    world.commit()
    assert world.answers == [(6, OK), (5, OK), (7, OK)]


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("error", [Overloaded("full"), Unavailable("stops"), StoreFailed("disk")])
def test_what_was_not_kept_is_left_with_the_smsc_and_new_when_it_comes_again(world, error):
    world.text("KT", sequence=1)
    world.commit(error)
    world.now_s = 100.0
    world.text("KT", sequence=2)
    world.commit()
    assert world.answers == [(1, TRY_LATER), (2, OK)]
    result = TextResult.OVERLOADED if isinstance(error, Overloaded) else TextResult.UNAVAILABLE
    assert world.count(result) == 1


@pytest.mark.rule("SMPP-2")
def test_a_full_queue_is_said_at_once(world):
    world.full = True
    world.text("KT")
    assert world.answers == [(1, TRY_LATER)]
    assert len(world.redelivery) == 0


@pytest.mark.rule("SMPP-2")
def test_a_data_sm_is_taken_like_a_deliver_sm(world):
    body = DataSm(source_addr=str(A), source_addr_ton=1, destination_addr="1566")
    world.inbox.take(world.link, 1, 3, body)
    world.commit()
    assert world.answers == [(3, OK)]


@pytest.mark.rule("SMPP-2")
def test_a_handler_that_broke_is_counted_and_answered(world):
    world.text("KT")
    world.commit(Answer(QUARANTINED, "sorry", seq=1))
    assert world.answers == [(1, OK)]
    assert world.count(TextResult.QUARANTINED) == 1


# --------------------------------------------------------------------------------- whom, and whence


@pytest.mark.rule("SMPP-2")
def test_a_text_to_another_short_code_is_refused_for_good(world):
    with structlog.testing.capture_logs() as lines:
        world.text("KT", code="9090")
    assert world.answers == [(1, NO_SUCH_NUMBER)]
    assert world.posted == []
    assert lines[0]["event"] == "text.misrouted"


@pytest.mark.rule("KW-3")
@pytest.mark.parametrize(
    ("source", "ton"),
    [("1566", 0), ("9090", 3), ("MobiFone", 5), ("Tong dai", 0), ("12345678901", 5), ("", 0)],
)
def test_short_codes_names_and_nobody_are_taken_and_never_answered(world, source, ton):
    world.text("KT", source=source, source_addr_ton=ton)
    assert world.request.route == IGNORED_ROUTE
    assert world.request.mo.stored_text == ""
    world.commit(Answer("silence", seq=1))
    assert world.answers == [(1, OK)]
    assert world.count(TextResult.SILENT) == 1


@pytest.mark.rule("KW-4")
def test_a_foreign_number_is_asked_for_its_text_and_is_nobody_s_subscriber(world):
    world.text("KT", source="447700900123")
    assert world.request.sender == 0
    assert world.request.mo.source == "447700900123"
    assert world.request.route == "package.show"


@pytest.mark.rule("NUM-1", "NUM-2")
@pytest.mark.parametrize(
    ("source", "ton", "sender"),
    [("84903000001", 1, A), ("0903000001", 2, A), ("903000001", 2, A), ("+84903000001", 0, A)],
)
def test_senders_are_known_in_any_form(world, source, ton, sender):
    world.text("KT", source=source, source_addr_ton=ton)
    assert world.request.sender == sender
    assert world.request.mo.source == str(sender)


@pytest.mark.rule("SMPP-4")
def test_a_receipt_is_handed_on_with_its_id_and_its_state(world):
    for number, (state, word) in enumerate(
        [("DELIVRD", "delivered"), ("UNDELIV", "undelivered"), ("ENROUTE", "on_the_way")]
    ):
        world.text(f"id:x{number} stat:{state}", esm_class=0x04, sequence=number)
        assert world.request.route == RECEIPT_ROUTE
        assert world.request.args == ("a", f"x{number}", word)


@pytest.mark.rule("SMPP-3", "PAY-1")
def test_a_part_is_handed_on_sealed(world):
    world.text(b"\5\0\3\7\2\1MK abc", esm_class=0x40, code="9223")
    mo = world.request.mo
    assert world.request.route == PART_ROUTE
    assert mo.concat == (7, 2, 1)
    assert mo.stored_text == ""
    assert b"abc" not in mo.sealed
    assert Vault(KEY).open(mo.sealed) == b"MK abc"


# ------------------------------------------------------------------------------------ redeliveries


@pytest.mark.rule("SMPP-2")
def test_a_redelivery_gets_the_stored_verdict_and_runs_nothing(world):
    world.text("KT", sequence=1)
    world.commit()
    world.redelivery.connection_down(1, now=1.0)
    world.text("KT", sequence=9, connection=2)
    assert world.posted == []
    assert world.answers == [(1, OK), (9, OK)]
    assert world.count(TextResult.REDELIVERED) == 1


@pytest.mark.rule("SMPP-2")
def test_an_honest_repeat_runs_again(world):
    for sequence in (1, 2):
        world.text("KT", sequence=sequence)
        world.commit()
    assert world.answers == [(1, OK), (2, OK)]
    assert world.count(TextResult.REDELIVERED) == 0


@pytest.mark.rule("SMPP-2")
def test_copies_of_a_text_that_is_being_carried_out_are_answered_with_it(world):
    world.text("KT", sequence=1)
    world.link.gone.add(1)
    world.redelivery.connection_down(1, now=0.0)
    world.text("KT", sequence=2, connection=2)
    assert world.answers == []
    world.commit()
    assert world.answers == [(2, OK)]
    world.text("KT", sequence=3, connection=2)
    assert len(world.posted) == 1


@pytest.mark.rule("SMPP-2")
def test_copies_of_a_text_that_is_refused_are_refused_with_it(world):
    world.text("KT", sequence=1)
    world.redelivery.connection_down(1, now=0.0)
    world.text("KT", sequence=2, connection=2)
    world.commit(Overloaded("full"))
    assert world.answers == [(1, TRY_LATER), (2, TRY_LATER)]


@pytest.mark.rule("SMPP-2")
def test_a_text_whose_reading_breaks_leaves_nothing_that_a_later_copy_would_wait_for(world):
    world.rules = None
    with pytest.raises(AttributeError):
        world.text("KT", sequence=1)
    assert len(world.redelivery) == 0
    world.rules = shipped_rules()
    world.now_s = 60.0
    world.text("KT", sequence=2)
    world.commit()
    assert world.answers == [(2, OK)]


# --------------------------------------------------------------------------------------- passwords


@pytest.mark.rule("PAY-1")
def test_a_password_is_hashed_first_and_its_text_is_kept_nowhere(world):
    world.text("MK abcd12", code="9223")
    assert world.posted == []
    assert [secret for secret, _ in world.hashes] == ["ABCD12"]
    world.hashed("$argon2id$h")
    assert world.request.secret_hash == "$argon2id$h"
    assert world.request.mo.stored_text == ""
    assert "abcd12" not in repr(world.request).lower()
    world.commit()
    assert world.answers == [(1, OK)]


@pytest.mark.rule("PAY-1", "SMPP-3")
def test_a_password_found_in_the_last_part_is_hashed_and_the_part_asked_again(world):
    world.text(b"\5\0\3\7\2\2 abcd12", esm_class=0x40, code="9223")
    world.commit(SecretNeeded("ABCD12"))
    assert world.answers == []
    world.hashed()
    assert world.request.route == PART_ROUTE
    assert world.request.secret_hash == "$argon2id$x"
    world.commit()
    assert world.answers == [(1, OK)]


@pytest.mark.rule("PAY-1", "SMPP-2")
def test_a_flood_of_passwords_is_left_with_the_smsc(world):
    for sequence in range(HASHES_WAITING_MAX + 3):
        world.text(f"MK abcd{sequence}", code="9223", sequence=sequence, source=str(A + sequence))
    assert world.answers == [(HASHES_WAITING_MAX + more, TRY_LATER) for more in range(3)]
    world.hashed()
    world.text("MK zzzz", code="9223", sequence=999)
    assert len(world.hashes) == HASHES_WAITING_MAX


@pytest.mark.rule("SMPP-2")
def test_a_sender_who_floods_waits_for_himself_and_for_nobody_else(world):
    for sequence in range(SENDER_WAITING_MAX + 2):
        world.text(f"KT {sequence}", sequence=sequence)
    assert world.answers == [(SENDER_WAITING_MAX + more, TRY_LATER) for more in range(2)]
    world.text("KT", source=str(A + 1), sequence=900)
    assert len(world.posted) == SENDER_WAITING_MAX + 1
    world.commit()
    world.text("KT", sequence=901)
    assert (901, TRY_LATER) not in world.answers


@pytest.mark.rule("PAY-1", "SMPP-2")
def test_a_password_that_could_not_be_hashed_is_left_with_the_smsc(world):
    world.text("MK abcd12", code="9223")
    world.hashed(error=MemoryError())
    assert world.answers == [(1, TRY_LATER)]
    assert world.posted == []


@pytest.mark.rule("PAY-1")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("MK", "9223"),
        ("MK a b", "9223"),
        ("MKabcd12", "9223"),
        ("abcd12", "9223"),
        ("MK x", "1566"),
    ],
)
def test_what_may_hold_a_password_is_kept_nowhere(world, text, code):
    world.text(text, code=code)
    assert world.hashes == []
    assert world.request.mo.stored_text == ""
    assert "abcd12" not in repr(world.request).lower()
