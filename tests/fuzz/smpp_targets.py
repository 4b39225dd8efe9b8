"""What an SMSC can send: octets to PDUs, PDUs to a session, messages to texts."""

from telcod.smpp.bodies import Outbind
from telcod.smpp.consts import HEADER_BYTES, PDU_BYTES_MAX, CommandId, CommandStatus, TlvTag
from telcod.smpp.events import BindKind, BindSettings, Delivered, SubmitDone, SubmitUnknown
from telcod.smpp.framing import Framer, FramingLost
from telcod.smpp.incoming import Piece, Receipt, Whole, identity, message_octets, read_incoming
from telcod.smpp.layout import LAYOUTS
from telcod.smpp.pdu import (
    BadPdu,
    BindTransceiverResp,
    DataSm,
    DeliverSm,
    Pdu,
    SubmitSm,
    Tlv,
    decode,
    encode,
    is_request,
    response_id,
    tlv_or_none,
)
from telcod.smpp.session import Session, State
from telcod.smpp.table_codec import decode_body
from telcod.smpp.timers import Timers
from telcod.text import parse_udh
from tests.fuzz.bites import Bites, cut

ALPHABETS = ("gsm7", "gsm7-packed", "latin1", "ascii")
COMMANDS = tuple(LAYOUTS)
REASON_CHARS_MAX = 200
RESPONSE_BIT = 0x80000000
WINDOW, INBOUND_WINDOW = 3, 4
VERSION_34 = (Tlv(TlvTag.SC_INTERFACE_VERSION, b"\x34"),)
TEXT = SubmitSm(source_addr="1566", destination_addr="84903123456", short_message=b"hi")


# -- framing


def framing(data):
    """Any cutting of a stream gives the same PDUs, and no more is held than one PDU and a read."""
    bites = Bites(data)
    sizes, stream = Bites(bites.some()), bites.rest()
    whole = _pdus([stream])
    assert whole == _pdus(cut(stream, sizes))
    pdus, lost, partial = whole
    if not lost:
        assert partial < PDU_BYTES_MAX
    for pdu in pdus:
        _check_reason(pdu)


def _pdus(pieces):
    """PDUs, the length that lost the framing (0: none did), and how many octets wait."""
    framer, found = Framer(), list[Pdu | BadPdu]()
    for piece in pieces:
        framer.feed(piece)
        try:
            found += framer.pdus()
        except FramingLost as error:
            return found, error.length or -1, 0
    return found, 0, framer.partial_bytes


def _check_reason(pdu):
    """A reason may be logged, so it is short and has nothing in it that a peer wrote."""
    if isinstance(pdu, BadPdu):
        assert pdu.error_status in set(CommandStatus)
        assert pdu.error_status != CommandStatus.ESME_ROK
        assert pdu.reason.isascii()
        assert pdu.reason.isprintable()
        assert len(pdu.reason) <= REASON_CHARS_MAX


# -- the codec


def pdu(data):
    """A frame is a PDU or a bad one; a PDU written again is the same, by the table as well."""
    _check_reason(decode(data))
    bites = Bites(data)
    frame = _frame(bites.one_of(COMMANDS), bites.uint(), bites.uint(4), bites.rest())
    found = decode(frame)
    _check_reason(found)
    if isinstance(found, BadPdu):
        return
    assert decode_body(found.command_id, found.command_status, frame) == found.body
    both = getattr(found.body, "short_message", b"") and (
        tlv_or_none(found.body.tlvs, TlvTag.MESSAGE_PAYLOAD) is not None
        if hasattr(found.body, "tlvs")
        else False
    )
    sequence = found.sequence_number & 0x7FFFFFFF or 1
    status = 0 if is_request(found.command_id) else found.command_status
    try:
        again = encode(found.body, command_status=status, sequence_number=sequence)
    except ValueError:
        if not both:
            raise
        return
    assert decode(again) == Pdu(found.command_id, status, sequence, found.body)


def _frame(command_id, status, sequence, body):
    body = body[: PDU_BYTES_MAX - HEADER_BYTES]
    words = (HEADER_BYTES + len(body), command_id, status, sequence)
    return b"".join(word.to_bytes(4, "big") for word in words) + body


# -- the session


def session(data):
    """Whatever a peer says, each request gets one answer, as the table says; no response gets one.

    The bytes are a dialogue: what the peer sends, what we send, and time.
    """
    bites = Bites(data)
    scene = _Scene(bites)
    steps = 0
    while bites.left and steps < 200:
        steps += 1
        scene.step()
    scene.close()


class _Scene:
    """A session, and what is known of it from outside."""

    def __init__(self, bites):
        self.bites = bites
        self.now = 0.0
        bind = BindSettings(
            kind=bites.one_of(tuple(BindKind)),
            system_id="telcod",
            password="secret",
            window=WINDOW,
            inbound_window=INBOUND_WINDOW,
        )
        timers = Timers(throttle_base_s=1, throttle_factor=2, throttle_max_s=8)
        awaits = bites.flag()
        self.session = Session(bind, timers, now=0.0, awaits_outbind=awaits)
        self.tokens = 0
        self.done = []
        self.waiting = []
        sent = self.sent()
        assert len(sent) == (not awaits)
        if sent and bites.flag():
            body = BindTransceiverResp("smsc", VERSION_34)
            frame = bytearray(encode(body, sequence_number=sent[0].sequence_number))
            frame[4:8] = response_id(sent[0].command_id).to_bytes(4, "big")
            self.session.receive(decode(bytes(frame)), 0.0)
            assert self.session.state not in {State.OPEN, State.BINDING, State.CLOSED}

    def step(self):
        bites = self.bites
        match bites.below(10):
            case 0 | 1 | 2 | 3:
                self.hear(decode(self.frame()))
            case 4:
                self.hear(decode(bites.some()))
            case 5:
                self.submit()
            case 6:
                self.respond()
            case 7:
                self.now += bites.uint()
                self.note(self.session.handle_timer(self.now))
                self.sent()
            case 8:
                self.session.note_partial(bites.uint(), progressed=bites.flag(), now=self.now)
            case 9:
                self.seldom(bites.below(8))
        self.check()

    def frame(self):
        """A frame whose length is right; its sequence is one of ours more often than not."""
        bites = self.bites
        sequence = bites.uint() if bites.flag() else bites.uint(4)
        return _frame(
            bites.one_of(COMMANDS), bites.one_of((0, 0, 8, 20, 88)), sequence, bites.some()
        )

    def hear(self, pdu):
        closed = self.session.state is State.CLOSED
        event = self.session.receive(pdu, self.now)
        self.note([event])
        answers = [each for each in self.sent() if each.command_id >= RESPONSE_BIT]
        if closed or pdu.command_id >= RESPONSE_BIT:
            assert not answers
            return
        if isinstance(event, Delivered):
            self.waiting.append((event.sequence, event.is_data_sm))
            assert not answers
            return
        one_way = {CommandId.ALERT_NOTIFICATION}
        if isinstance(getattr(pdu, "body", None), Outbind) or pdu.command_id == CommandId.OUTBIND:
            # Taken or refused by the end of the connection in OPEN; out of place, refused.
            assert len(answers) <= 1
            return
        assert len(answers) == (pdu.command_id not in one_way)
        for answer in answers:
            assert answer.command_id == response_id(pdu.command_id)
            assert answer.sequence_number == pdu.sequence_number
            if isinstance(pdu, BadPdu):
                assert answer.command_status == pdu.error_status

    def submit(self):
        free = self.session.has_room(self.now)
        token = self.tokens
        assert self.session.submit(TEXT, token, self.now) == free
        self.tokens += free
        assert [type(each.body) for each in self.sent()] == [SubmitSm] * free

    def respond(self):
        if not self.waiting:
            assert not self.session.respond(self.bites.uint(), 0)
            return
        sequence, data_sm = self.waiting.pop(self.bites.below(len(self.waiting)))
        closed = self.session.state is State.CLOSED
        assert self.session.respond(sequence, 0, is_data_sm=data_sm) is not closed
        expected = CommandId.DATA_SM_RESP if data_sm else CommandId.DELIVER_SM_RESP
        assert [(each.command_id, each.sequence_number) for each in self.sent()] == (
            [] if closed else [(expected, sequence)]
        )

    def seldom(self, what):
        if what == 0:
            self.session.drain()
        elif what == 1:
            self.session.unbind(self.now)
        elif what == 2:
            self.session.framing_lost()
            assert self.session.state is State.CLOSED
        self.sent()

    def note(self, events):
        for event in events:
            outcome = getattr(event, "outcome", None) or event
            if isinstance(outcome, SubmitUnknown):
                self.done.append((outcome.token, "unknown"))
            elif isinstance(outcome, SubmitDone):
                self.done.append((outcome.token, "late" if outcome.late else "done"))
                assert not outcome.late or (outcome.token, "unknown") in self.done

    def sent(self):
        framer = Framer()
        framer.feed(self.session.data_to_send())
        pdus = list(framer.pdus())
        assert framer.partial_bytes == 0
        assert not [pdu for pdu in pdus if isinstance(pdu, BadPdu)]
        return pdus

    def check(self):
        session = self.session
        assert (session.deadline() is None) == (session.state is State.CLOSED)
        assert session.outstanding <= WINDOW
        assert session.unanswered == len(self.waiting) <= INBOUND_WINDOW
        assert len(self.done) == len(set(self.done))

    def close(self):
        """At the end each submit is known to be done, or known to be unknown, once."""
        self.note(self.session.close())
        first = [token for token, what in self.done if what != "late"]
        assert sorted(first) == list(range(self.tokens))


# -- messages


def incoming(data):
    """Any message is a text, a part of one or a receipt, and what it holds can be kept."""
    bites = Bites(data)
    alphabet = bites.one_of(ALPHABETS)
    body = message(bites)
    found = read_incoming(body, alphabet)
    octets = len(message_octets(body))
    match found:
        case Whole(text):
            text.encode()  # The books keep UTF-8, which has no half pairs.
            assert len(text) <= octets * 8 // 7 + 1
        case Piece(concat, coding, piece):
            assert 1 <= concat.part <= concat.total <= 255
            assert coding in {0, 8}
            assert len(piece) <= 4 * octets + 4
        case Receipt(message_id, delivered, final):
            assert final or not delivered
            message_id.encode()
    # The same message again is known as that.
    assert identity(message(Bites(data[1:]))) == identity(body)
    header, user_data = parse_udh(message_octets(body))
    assert user_data == message_octets(body)[header.octets :]
    if header.concat is not None:
        assert 1 <= header.concat.part <= header.concat.total


def message(bites):
    """A deliver_sm or data_sm: any class, coding and user data, with some TLVs that count."""
    fields = {
        "esm_class": bites.uint(),
        "data_coding": bites.one_of((0, 0, 8, 8, 3, 4, 5, bites.uint())),
        "source_addr_ton": bites.one_of((1, 2, 5, bites.uint())),
        "source_addr_npi": bites.one_of((1, 0, 14, bites.uint())),
        "source_addr": _address(bites),
        "destination_addr": _address(bites),
    }
    tags = (*TlvTag, bites.uint(2))
    tlvs = tuple(Tlv(int(bites.one_of(tags)), bites.some()) for _ in range(bites.below(5)))
    if bites.flag():
        payload = Tlv(TlvTag.MESSAGE_PAYLOAD, bites.rest())
        return DataSm(**fields, tlvs=(*tlvs, payload))
    return DeliverSm(**fields, tlvs=tlvs, short_message=bites.rest()[:254])


def _address(bites):
    return bites.octets(bites.below(21)).replace(b"\0", b"").decode("latin-1")
