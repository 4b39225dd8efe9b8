"""An SMSC with moods: slow, silent, throttling, restarting, sending again what was not answered.

It stores and forwards as the real ones do: a text stays its own until somebody answers ESME_ROK,
and comes again after a lost connection, an answer that asks to try later, or its own timer.  What
it takes for phones it keeps, so that at the end everybody can be asked what he has received.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from telcod.smpp.consts import CommandId, CommandStatus, TlvTag
from telcod.smpp.framing import Framer
from telcod.smpp.pdu import (
    BadPdu,
    BindTransceiver,
    BindTransceiverResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    SubmitSm,
    SubmitSmResp,
    Tlv,
    Unbind,
    UnbindResp,
    encode,
    encode_header,
    tlv_or_none,
)

OK = 0
WINDOW = 10
RETRY_S = 1.0
PENDING_S = 5.5  # What takes longer may be sent again, and telcod must know it.
CROSSED_CHANCE = 0.5
UDHI = 0x40
RECEIPT_CLASS = 0x04
TRY_LATER = frozenset(
    {
        int(CommandStatus.ESME_RX_T_APPN),
        int(CommandStatus.ESME_RMSGQFUL),
        int(CommandStatus.ESME_RTHROTTLED),
        int(CommandStatus.ESME_RSYSERR),
    }
)


@dataclass(eq=False)
class Outgoing:
    """A message for telcod, and what was answered."""

    body: DeliverSm
    statuses: list[int] = field(default_factory=list)
    sent: int = 0
    sent_at: float = 0.0
    crossed: bool = False  # It was sent again just before its answer came.
    overdue: bool = False  # It was sent again because no answer came.
    settled_at: float = -1.0
    given_up: bool = False  # Sent, never answered, and by now too old to be sent again.

    @property
    def settled(self):
        return self.settled_at >= 0


@dataclass(eq=False)
class Taken:
    """What came from telcod for a phone: one submit."""

    at_s: float
    reference: int
    destination: str
    part: int
    total: int
    octets: bytes
    coding: int
    status: int | None  # None: taken, and never answered.
    port: int  # Of the SMSC that took it.
    heard_s: float | None = None  # When telcod's line had the answer, if it had.

    def hear(self, at_s):
        """Its answer has arrived."""
        self.heard_s = at_s if self.heard_s is None else self.heard_s


class Mood:
    """How it is at the moment.  Chances are from 0 to 1, times in seconds."""

    def __init__(self):
        self.answer_s = 0.02
        self.slow_chance = 0.0  # Answered after telcod has given the submit up.
        self.silent_chance = 0.0  # Taken, never answered.
        self.throttle_chance = 0.0
        self.error_chance = 0.0
        self.refuse_chance = 0.0  # For good.
        self.twice_chance = 0.0  # Answered twice.
        self.bind_refused_chance = 0.0
        self.half_way_chance = 0.0  # The line is cut after the first part of a long text.
        self.receipt_s = 1.0
        self.receipt_bad_chance = 0.0
        self.mute = False  # Reads, and says nothing.


class SimSmsc:
    """One SMSC at one address."""

    def __init__(self, network, rng, trace, *, host, port):
        self.network = network
        self.loop = network.loop
        self.rng = rng
        self.trace = trace
        self.mood = Mood()
        self.host = host
        self.port = port
        self.response_wait_s = 12.0
        self.may_cross = lambda: True
        self.links = []
        self.waiting: deque[Outgoing] = deque()
        self.resting = 0  # Refused for now; they come back into `waiting`.
        self.messages = []
        self.taken = []
        self.unanswered = 0  # Submits whose sender cannot know what became of them.
        self.ids = 0
        self.open()

    # -- what the world does

    def open(self):
        self.network.listen(self.host, self.port, lambda: SmscLink(self))

    def restart(self, away_s):
        """Cut all, and hear nobody for a while."""
        self.network.deafen(self.host, self.port)
        for link in list(self.links):
            link.transport.line.cut()
        self.loop.at(away_s, self.open)

    def unbind(self):
        """Ask all peers to leave, in good order."""
        for link in list(self.links):
            if link.bound and not self.mood.mute:
                link.leave()

    def deliver(self, *bodies):
        """Messages for telcod, to be sent when there is room."""
        messages = [Outgoing(body) for body in bodies]
        self.messages += messages
        self.waiting.extend(messages)
        self.pump()
        return messages

    def give_up_what_was_sent(self):
        """As after hours without telcod: nobody knows what became of what was sent."""
        kept: deque[Outgoing] = deque()
        for message in self.waiting:
            if message.sent:
                message.given_up = True
            else:
                kept.append(message)
        self.waiting = kept

    @property
    def is_done(self):
        return all(message.settled or message.given_up for message in self.messages)

    # -- what links tell

    def pump(self):
        ready = [link for link in self.links if link.takes]
        while self.waiting and ready:
            link = ready[self.rng.randrange(len(ready))]
            link.send(self.waiting.popleft())
            ready = [link for link in ready if link.takes]

    def hears_late(self, message, status):
        """An answer after its timer: good, unless the message has been sent again meanwhile."""
        if status == OK and message in self.waiting:
            self.waiting.remove(message)
            message.statuses.append(status)
            message.settled_at = self.loop.time()

    def refused(self, message):
        """It goes again in a moment."""
        self.resting += 1
        self.loop.at(RETRY_S * (0.5 + self.rng.random()), self._again, message)

    def _again(self, message):
        self.resting -= 1
        if not message.settled:
            self.waiting.append(message)
        self.pump()

    def crosses(self, message):
        """Whether its timer ran out while a late answer was on its way."""
        pending_s = self.loop.time() - message.sent_at - 2 * self.network.latency_s
        if pending_s < PENDING_S or message.crossed or self.rng.random() >= CROSSED_CHANCE:
            return False
        message.crossed = True
        return True

    def lost(self, link):
        self.links.remove(link)
        left = [message for message in link.outstanding.values() if not message.settled]
        link.outstanding.clear()
        self.waiting.extendleft(reversed(left))
        self.pump()

    def take(self, link, sequence, body):
        """A text for a phone."""
        mood, rng = self.mood, self.rng
        status = self._status()
        answer_s = rng.random() * mood.answer_s
        if status == OK and rng.random() < mood.slow_chance:
            answer_s += 9.0 + rng.random() * 6.0
        silent = status == OK and rng.random() < mood.silent_chance
        taken = _taken(self.loop.time(), body, None if silent else status, self.port)
        self.taken.append(taken)
        self.ids += 1
        message_id = f"{self.port}{self.ids}"
        self.trace(
            "smsc takes", self.port, taken.reference, taken.destination, taken.part, taken.status
        )
        if not silent:
            response = encode(
                SubmitSmResp(message_id if status == OK else ""),
                command_status=status,
                sequence_number=sequence,
            )
            for _ in range(2 if rng.random() < mood.twice_chance else 1):
                self.loop.at(answer_s, link.answer, response, taken)
        if status == OK and body.registered_delivery:
            self.loop.at(rng.random() * mood.receipt_s, self._receipt, body, message_id)

    def _status(self):
        mood, draw = self.mood, self.rng.random()
        for chance, status in (
            (mood.throttle_chance, CommandStatus.ESME_RTHROTTLED),
            (mood.error_chance, CommandStatus.ESME_RSYSERR),
            (mood.refuse_chance, CommandStatus.ESME_RINVDSTADR),
        ):
            if draw < chance:
                return int(status)
            draw -= chance
        return OK

    def _receipt(self, body, message_id):
        bad = self.rng.random() < self.mood.receipt_bad_chance
        state = "UNDELIV" if bad else "DELIVRD"
        said = f"id:{message_id} sub:001 dlvrd:001 submit date:2603021000 stat:{state} err:000"
        self.deliver(
            DeliverSm(
                source_addr=body.destination_addr,
                destination_addr=body.source_addr,
                esm_class=RECEIPT_CLASS,
                short_message=said.encode(),
            )
        )


class SmscLink:
    """One connection of a peer: an `asyncio.Protocol`."""

    def __init__(self, smsc):
        self.smsc = smsc
        self.transport: Any = None
        self.bound = False
        self.outstanding: dict[int, Outgoing] = {}
        self._late: dict[int, Outgoing] = {}
        self._framer = Framer()
        self._sequence = 0

    @property
    def takes(self):
        return self.bound and len(self.outstanding) < WINDOW and not self.smsc.mood.mute

    def connection_made(self, transport):
        self.transport = transport
        self.smsc.links.append(self)

    def connection_lost(self, exc):
        self.bound = False
        self.smsc.lost(self)

    def pause_writing(self):
        pass

    def resume_writing(self):
        pass

    def data_received(self, data):
        self._framer.feed(data)
        for pdu in self._framer.pdus():
            assert not isinstance(pdu, BadPdu), pdu
            self._receive(pdu.body, pdu.sequence_number, pdu.command_status)

    def say(self, frame):
        if not self.smsc.mood.mute:
            self.transport.write(frame)

    def answer(self, frame, taken):
        """Answer a submit; whether telcod hears it is known when it has arrived."""
        if not self.smsc.mood.mute:
            self.transport.write(frame, arrived=taken.hear)

    def send(self, message):
        sequence = self._next()
        message.sent += 1
        message.sent_at = self.smsc.loop.time()
        self.outstanding[sequence] = message
        self.smsc.trace("smsc sends", message.body.source_addr, message.body.short_message.hex())
        self.say(encode(message.body, sequence_number=sequence))
        self.smsc.loop.at(self.smsc.response_wait_s, self._overdue, sequence, message)

    def leave(self):
        self.bound = False
        self.say(encode(Unbind(), sequence_number=self._next()))

    def _next(self):
        self._sequence += 1
        return self._sequence

    def _overdue(self, sequence, message: Outgoing):
        """Its own timer: it sends it again, on whatever connection there is."""
        if self.outstanding.get(sequence) is not message:
            return
        del self.outstanding[sequence]
        message.overdue = True
        self._late[sequence] = message
        if not message.settled:
            self.smsc.waiting.appendleft(message)
        self.smsc.pump()

    def _receive(self, body, sequence, status):
        smsc = self.smsc
        if isinstance(body, BindTransceiver):
            self._bind(sequence)
        elif isinstance(body, DeliverSmResp) or (body is None and sequence in self.outstanding):
            self._answered(sequence, status)
        elif isinstance(body, SubmitSm):
            smsc.take(self, sequence, body)
        elif isinstance(body, EnquireLink):
            self.say(encode(EnquireLinkResp(), sequence_number=sequence))
        elif isinstance(body, Unbind):
            self.bound = False
            self.say(encode(UnbindResp(), sequence_number=sequence))
        elif isinstance(body, UnbindResp):
            self.transport.close()

    def _bind(self, sequence):
        smsc = self.smsc
        if smsc.mood.mute:
            return
        if smsc.rng.random() < smsc.mood.bind_refused_chance:
            status = int(CommandStatus.ESME_RBINDFAIL)
            self.say(encode_header(CommandId.BIND_TRANSCEIVER_RESP, status, sequence))
            return
        version = Tlv(TlvTag.SC_INTERFACE_VERSION, b"\x34")
        self.bound = True
        self.say(encode(BindTransceiverResp("SIM", (version,)), sequence_number=sequence))
        smsc.pump()

    def _answered(self, sequence, status):
        message = self.outstanding.pop(sequence, None)
        smsc = self.smsc
        if message is None:
            smsc.hears_late(self._late.pop(sequence, None), status)
            return
        smsc.trace("smsc hears", message.body.source_addr, status)
        if status == OK and self.takes and smsc.may_cross() and smsc.crosses(message):
            self.send(message)
            return
        message.statuses.append(status)
        if status == OK or status not in TRY_LATER:
            if not message.settled:
                message.settled_at = smsc.loop.time()
        elif (message.overdue or message.crossed) and not smsc.may_cross():
            # A daemon that stops refuses the copy of what it has just done: nobody can know.
            message.given_up = True
        elif not message.settled:
            smsc.refused(message)
        smsc.pump()


def _taken(at_s, body, status, port):
    reference = tlv_or_none(body.tlvs, TlvTag.USER_MESSAGE_REFERENCE)
    octets, part, total = body.short_message, 1, 1
    if body.esm_class & UDHI:
        total, part = octets[4], octets[5]
        octets = octets[6:]
    number = int.from_bytes(reference) if reference is not None else 0
    return Taken(
        at_s, number, body.destination_addr, part, total, octets, body.data_coding, status, port
    )
