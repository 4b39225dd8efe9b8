"""The life of one SMPP connection as ESME: a state machine without socket, clock or log.  Pure.

Time comes in as `now` (seconds, monotonic), PDUs come in by `receive`, bytes come out of
`data_to_send()`.  The driver's whole duty:

- hand every PDU to `receive`, and act on the event it returns;
- after each read say by `note_partial` whether half a PDU is waiting;
- call `handle_timer` at `deadline()`, and act on its events;
- write `data_to_send()`, and close the connection once `state` is CLOSED;
- when the connection is gone, call `close()`, and act on its events.

The session answers by itself whatever needs no decision of ours; only a message (`Delivered`) waits
for `respond`.  Every request of the peer gets exactly one answer, and no response ever does.
"""

from collections import OrderedDict
from struct import Struct
from typing import Any, Final

from telcod.smpp.consts import (
    HEADER_BYTES,
    RESPONSE_BIT,
    SEQUENCE_NUMBER_MAX,
    CommandId,
    CommandStatus,
    InterfaceVersion,
    TlvTag,
    response_id,
)
from telcod.smpp.counters import Counters
from telcod.smpp.events import (
    BIND_KINDS,
    BindKind,
    BindRefused,
    BindSettings,
    Bound,
    Death,
    Delivered,
    Event,
    LinkDead,
    Malformed,
    OutbindTaken,
    Outcome,
    PeerUnbound,
    SubmitDone,
    SubmitUnknown,
    Unbound,
)
from telcod.smpp.pace import Pace
from telcod.smpp.pdu import (
    BadPdu,
    BindResp,
    DataSm,
    DeliverSm,
    Outbind,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    encode,
    tlv_or_none,
)
from telcod.smpp.states import ADMITTED, BOUND, CROSSED, SENDING, SLOW, TRANSITIONS, State, Step
from telcod.smpp.timers import Timers

__all__ = [
    "LATE_MAX",
    "BindKind",
    "BindRefused",
    "BindSettings",
    "Bound",
    "Death",
    "Delivered",
    "Event",
    "LinkDead",
    "Malformed",
    "OutbindTaken",
    "Outcome",
    "PeerUnbound",
    "Session",
    "State",
    "SubmitDone",
    "SubmitUnknown",
    "Unbound",
]

LATE_MAX: Final = 1000
"""Submits given up as unknown whose late answer we still know; the oldest is forgotten first."""

_pack_header: Final = Struct(">IIII").pack
# deliver_sm_resp and data_sm_resp: the message_id is one NUL octet (4.6.2).
_pack_message_resp: Final = Struct(">IIIIx").pack
_MESSAGE_RESP_BYTES: Final = HEADER_BYTES + 1

# Plain integers: this is the path of every message, and IntEnum members cost more to handle.
_ROK: Final = int(CommandStatus.ESME_ROK)
_NO_SEQUENCE: Final = -1  # A sequence_number is unsigned, so no peer can name this one.
_DELIVER_SM: Final = int(CommandId.DELIVER_SM)
_DELIVER_SM_RESP: Final = int(CommandId.DELIVER_SM_RESP)
_DATA_SM: Final = int(CommandId.DATA_SM)
_DATA_SM_RESP: Final = int(CommandId.DATA_SM_RESP)
_SUBMIT_SM: Final = int(CommandId.SUBMIT_SM)
_SUBMIT_SM_RESP: Final = int(CommandId.SUBMIT_SM_RESP)
_ENQUIRE_LINK: Final = int(CommandId.ENQUIRE_LINK)
_ENQUIRE_LINK_RESP: Final = int(CommandId.ENQUIRE_LINK_RESP)
_UNBIND: Final = int(CommandId.UNBIND)
_UNBIND_RESP: Final = int(CommandId.UNBIND_RESP)
_GENERIC_NACK: Final = int(CommandId.GENERIC_NACK)
_OUTBIND: Final = int(CommandId.OUTBIND)


class Session:
    """One connection's protocol.  It sends its bind at once, or after the peer's outbind.

    Args:
        bind: What to bind with.
        timers: The waits; see `Timers`.
        now: When the connection was made.
        pace: The link's, if it has several connections or lives longer than this one.
        counters: The link's, likewise.
        awaits_outbind: The SMSC connected to us; bind only when it says outbind.
        first_sequence: The first sequence_number used.

    Raises:
        ValueError: A field of `bind` does not fit its PDU.
    """

    def __init__(
        self,
        bind: BindSettings,
        timers: Timers,
        *,
        now: float,
        pace: Pace | None = None,
        counters: Counters | None = None,
        awaits_outbind: bool = False,
        first_sequence: int = 1,
    ) -> None:
        self.bind: Final = bind
        self.state = State.OPEN
        self.counters: Final = Counters() if counters is None else counters
        self.pace: Final = Pace(timers) if pace is None else pace
        self.peer_version = int(InterfaceVersion.V3_3)
        self._timers = timers
        self._out: list[bytes] = []
        self._sequence = first_sequence - 1
        self._pending: dict[int, tuple[Any, float]] = {}
        self._late: OrderedDict[int, tuple[Any, float]] = OrderedDict()
        # Sequence to how many: peers that number everything 0 exist, and each gets its answers.
        self._inbound: dict[int, int] = {}
        self._unanswered = 0
        self._draining = False
        self._opened_at = self._heard_at = self._active_at = now
        self._bind_sequence = self._unbind_sequence = self._probe_sequence = _NO_SEQUENCE
        self._unbind_at = 0.0
        self._probe_at: float | None = None
        self._partial_at: float | None = None
        if not awaits_outbind:
            self._send_bind()

    # What the driver asks.

    @property
    def peer_takes_tlvs(self) -> bool:
        """Whether optional parameters may be sent: not to a peer before v3.4 (3.4)."""
        return self.bind.tlvs_always or self.peer_version >= InterfaceVersion.V3_4

    @property
    def outstanding(self) -> int:
        """How many submits wait for their response."""
        return len(self._pending)

    @property
    def unanswered(self) -> int:
        """How many messages of the peer wait for `respond`."""
        return self._unanswered

    def data_to_send(self) -> bytes:
        """Take what is to be written; empty when there is nothing."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def deadline(self) -> float | None:
        """Say when `handle_timer` wants to be called next; None when the session is closed.

        It moves whenever something is received or sent; a driver may call `handle_timer` too early,
        at no harm, but must not be late.
        """
        timers, state = self._timers, self.state
        if state is State.CLOSED:
            return None
        if state is State.OPEN or state is State.BINDING:
            due = self._opened_at + timers.session_init_s
        elif state is State.UNBINDING:
            due = self._unbind_at + timers.unbind_wait_s
        elif self._probe_at is not None:
            due = self._probe_at + timers.response_wait_s
        else:
            due = self._heard_at + timers.enquire_link_s
        if self._partial_at is not None:
            due = min(due, self._partial_at + timers.partial_pdu_s)
        for _, sent_at in self._pending.values():
            due = min(due, sent_at + timers.response_wait_s)
            break  # Ordered by time: the first is the oldest.
        if timers.inactivity_s and state in BOUND:
            due = min(due, self._active_at + timers.inactivity_s)
        return due

    def has_room(self, now: float) -> bool:
        """Tell whether `submit` would take one now."""
        outstanding = len(self._pending)
        return (
            self.state in SENDING
            and outstanding < self.bind.window
            and not self._draining
            and self.pace.is_free(now)
            and not (outstanding and self.pace.probing)
        )

    # What the driver does.

    def submit(self, body: SubmitSm, token: Any, now: float) -> bool:  # Opaque.
        """Send a message, unless there is no room for it.

        Args:
            body: The message.
            token: Comes back with its `SubmitDone` or `SubmitUnknown`.
            now: The time.

        Returns:
            False when nothing was sent: not bound to send, window, rate, pause, or draining.

        Raises:
            ValueError: The message does not fit a submit_sm, or has TLVs that the peer does not
                take.  A caller's bug; nothing was sent.
        """
        if not self.has_room(now):
            return False
        if body.tlvs and not self.peer_takes_tlvs:
            raise ValueError("tlvs: the peer is older than v3.4")
        sequence = self._next_sequence()
        frame = encode(body, sequence_number=sequence)
        self._send(_SUBMIT_SM, frame)
        self._pending[sequence] = (token, now)
        self.pace.spend(now)
        self._active_at = now
        return True

    def respond(self, sequence: int, status: int, *, is_data_sm: bool = False) -> bool:
        """Answer a `Delivered`.

        Returns:
            False when nothing was sent: the session is closed, or nothing with that sequence waits.
        """
        waiting = self._inbound.get(sequence)
        if waiting is None or self.state is State.CLOSED:
            return False
        if waiting == 1:
            del self._inbound[sequence]
        else:
            self._inbound[sequence] = waiting - 1
        self._unanswered -= 1
        self._answer(_DATA_SM if is_data_sm else _DELIVER_SM, status, sequence)
        return True

    def drain(self) -> None:
        """Take no more work, ours or the peer's; what is under way goes on."""
        self._draining = True

    def unbind(self, now: float) -> None:
        """End the session in good order; one that is not bound simply ends."""
        if self.state in BOUND:
            self._unbind_sequence = self._next_sequence()
            self._send_header(_UNBIND, _ROK, self._unbind_sequence)
            self._unbind_at = now
            self._move(Step.UNBIND_SENT)
        elif self.state is State.OPEN or self.state is State.BINDING:
            self._move(Step.ENDED)

    def note_partial(self, partial_bytes: int, *, progressed: bool, now: float) -> None:
        """Say after a read how many octets of a PDU wait for the rest; `progressed`: one ended."""
        if not partial_bytes:
            self._partial_at = None
        elif progressed or self._partial_at is None:
            self._partial_at = now

    def framing_lost(self) -> LinkDead:
        """Take it that the stream cannot be cut any more: tell the peer, and end (2.8, 4.3)."""
        self.counters.malformed += 1
        if self.state is not State.CLOSED:
            # The sequence_number of a PDU whose length lies is not to be believed either.
            self._send_header(_GENERIC_NACK, CommandStatus.ESME_RINVCMDLEN, 0)
        return self._die(Death.FRAMING_LOST)

    def close(self) -> list[Event]:
        """Take it that the connection is gone.  Every submit without an answer is now unknown."""
        if self.state is not State.CLOSED:
            self._move(Step.ENDED)
        events: list[Event] = [SubmitUnknown(token) for token, _ in self._pending.values()]
        self.counters.unknown += len(events)
        self._pending.clear()
        self._late.clear()
        self._inbound.clear()
        self._unanswered = 0
        return events

    def handle_timer(self, now: float) -> list[Event]:
        """Do what is due.  Whatever is not due is not done, so it may be called at any time."""
        timers, state = self._timers, self.state
        if state is State.CLOSED:
            return []
        if state is State.OPEN or state is State.BINDING:
            if now >= self._opened_at + timers.session_init_s:
                return [self._die(Death.SESSION_INIT)]
        elif state is State.UNBINDING and now >= self._unbind_at + timers.unbind_wait_s:
            return [self._die(Death.UNBIND_UNANSWERED)]
        if self._partial_at is not None and now >= self._partial_at + timers.partial_pdu_s:
            return [self._die(Death.PARTIAL_PDU)]
        if self._probe_at is not None and now >= self._probe_at + timers.response_wait_s:
            return [self._die(Death.SILENT)]
        events = self._give_up_overdue(now)
        if state in BOUND:
            if events or now >= self._heard_at + timers.enquire_link_s:
                self._probe(now)
            if timers.inactivity_s and now >= self._active_at + timers.inactivity_s:
                self.unbind(now)
        return events

    # What the peer does.

    def receive(self, pdu: Pdu | BadPdu, now: float) -> Event | None:
        """Take one PDU of the peer: answer what needs no decision, and say what it means.

        Never raises, whatever the PDU.  A closed session ignores it.
        """
        if self.state is State.CLOSED:
            return None
        self._heard_at = now  # 4.11: whatever arrives whole shows that the peer is alive.
        self._probe_at = None
        if isinstance(pdu, BadPdu):
            return self._receive_bad(pdu, now)
        command_id, status, sequence, body = pdu
        self.counters.pdus_in[command_id] += 1
        if type(body) is DeliverSm or type(body) is DataSm:
            return self._receive_message(command_id, sequence, body, now)
        if command_id >= RESPONSE_BIT:
            return self._receive_response(command_id, status, sequence, body, now)
        return self._receive_request(command_id, sequence, body, now)

    def _receive_message(
        self, command_id: int, sequence: int, body: DeliverSm | DataSm, now: float
    ) -> Delivered | None:
        if self.state not in ADMITTED[command_id]:
            self._refuse(command_id, sequence)
            return None
        self._active_at = now
        if self._draining or self._unanswered >= self.bind.inbound_window:
            self.counters.overloaded += 1
            self._answer(command_id, CommandStatus.ESME_RX_T_APPN, sequence)
            return None
        self._inbound[sequence] = self._inbound.get(sequence, 0) + 1
        self._unanswered += 1
        return Delivered(sequence, body, command_id == _DATA_SM)

    def _receive_request(
        self, command_id: int, sequence: int, body: object, now: float
    ) -> Event | None:
        if self.state not in ADMITTED.get(command_id, frozenset()):
            self._refuse(command_id, sequence)
            return None
        if command_id == _ENQUIRE_LINK:
            self._answer(command_id, _ROK, sequence)
            return None
        self._active_at = now
        if command_id == _UNBIND:
            self._answer(command_id, _ROK, sequence)
            self._move(Step.ENDED)
            return PeerUnbound()
        if isinstance(body, Outbind):
            if self.bind.outbind_password not in ("", body.password):
                return self._die(Death.OUTBIND_REFUSED)
            self._send_bind()
            return OutbindTaken(body.system_id)
        return None  # alert_notification has no response (4.12.1), and we asked for none.

    def _receive_response(
        self, command_id: int, status: int, sequence: int, body: object, now: float
    ) -> Outcome | None:
        """`body` is None when only the header could be read."""
        if command_id == _SUBMIT_SM_RESP:
            message_id = body.message_id if isinstance(body, SubmitSmResp) else ""
            return self._receive_outcome(status, sequence, message_id, now)
        if command_id == _GENERIC_NACK:
            return self._receive_nack(status, sequence, now)
        bind_id = BIND_KINDS[self.bind.kind].command_id
        if (
            command_id == bind_id | RESPONSE_BIT
            and self.state is State.BINDING
            and sequence == self._bind_sequence
        ):
            return self._receive_bind_resp(status, body)
        if (
            command_id == _UNBIND_RESP
            and self.state is State.UNBINDING
            and sequence == self._unbind_sequence
        ):
            self._move(Step.ENDED)
            return Unbound()
        if command_id != _ENQUIRE_LINK_RESP or sequence != self._probe_sequence:
            self.counters.unexpected += 1
        return None

    def _receive_outcome(
        self, status: int, sequence: int, message_id: str, now: float
    ) -> SubmitDone | None:
        pending, late = self._pending.pop(sequence, None), False
        if pending is None:
            pending, late = self._late.pop(sequence, None), True
        if pending is None:
            self.counters.unexpected += 1
            return None
        token, sent_at = pending
        self.counters.late += late
        if status in SLOW:
            self.counters.throttled += 1
            self.pace.throttled(sent_at, now)
        else:
            self.pace.succeeded(sent_at, now)
        self._active_at = now
        return SubmitDone(token, status, message_id, late)

    def _receive_nack(self, status: int, sequence: int, now: float) -> Outcome | None:
        # A nack that says OK says nothing: the request was not done.
        status = status or int(CommandStatus.ESME_RUNKNOWNERR)
        if self.state is State.BINDING and sequence == self._bind_sequence:
            return self._receive_bind_resp(status, None)
        if self.state is State.UNBINDING and sequence == self._unbind_sequence:
            self._move(Step.ENDED)
            return Unbound()
        if sequence == self._probe_sequence and sequence not in self._pending:
            return None  # It does not know enquire_link, but it lives.
        return self._receive_outcome(status, sequence, "", now)

    def _receive_bind_resp(self, status: int, body: object) -> Bound | BindRefused:
        if status != _ROK:
            self._move(Step.ENDED)
            return BindRefused(status)
        system_id = ""
        if isinstance(body, BindResp):
            system_id = body.system_id
            version = tlv_or_none(body.tlvs, TlvTag.SC_INTERFACE_VERSION)
            if version:
                self.peer_version = version[0]
        self.counters.binds += 1
        self._move(BIND_KINDS[self.bind.kind].step)
        return Bound(system_id, self.peer_version)

    def _receive_bad(self, pdu: BadPdu, now: float) -> Malformed:
        self.counters.malformed += 1
        command_id, status, sequence, error_status, reason = pdu
        outcome: Outcome | None = None
        if command_id >= RESPONSE_BIT:
            # Never answered, or two peers could nack one another's nacks for ever.  Its header is
            # good: a submit_sm_resp that garbles its message_id still says what became of it.
            outcome = self._receive_response(command_id, status, sequence, None, now)
        elif command_id == _OUTBIND and self.state is State.OPEN:
            outcome = self._die(Death.OUTBIND_REFUSED)
        elif command_id != CommandId.ALERT_NOTIFICATION:
            self._answer(command_id, error_status, sequence)
        return Malformed(command_id, reason, outcome)

    # What the session does by itself.

    def _refuse(self, command_id: int, sequence: int) -> None:
        self.counters.wrong_state += 1
        if command_id == CommandId.ALERT_NOTIFICATION:
            return
        status = CommandStatus.ESME_RINVBNDSTS
        if self.state is State.UNBINDING and command_id in CROSSED:
            status = CommandStatus.ESME_RX_T_APPN
        self._answer(command_id, status, sequence)

    def _answer(self, command_id: int, status: int, sequence: int) -> None:
        """Answer a request by a header, and a NUL message_id where every answer has one (4.6.2)."""
        if command_id == _DELIVER_SM:
            answer = _DELIVER_SM_RESP
        elif command_id == _DATA_SM:
            answer = _DATA_SM_RESP
        else:
            self._send_header(response_id(command_id), status, sequence)
            return
        self._send(answer, _pack_message_resp(_MESSAGE_RESP_BYTES, answer, status, sequence))

    def _send_header(self, command_id: int, status: int, sequence: int) -> None:
        self._send(command_id, _pack_header(HEADER_BYTES, command_id, status, sequence))

    def _send(self, command_id: int, frame: bytes) -> None:
        self.counters.pdus_out[command_id] += 1
        self._out.append(frame)

    def _send_bind(self) -> None:
        self._bind_sequence = self._next_sequence()
        frame = encode(self.bind.body(), sequence_number=self._bind_sequence)
        self._send(BIND_KINDS[self.bind.kind].command_id, frame)
        self._move(Step.BIND_SENT)

    def _probe(self, now: float) -> None:
        if self._probe_at is None:
            self._probe_at = now
            self._probe_sequence = self._next_sequence()
            self._send_header(_ENQUIRE_LINK, _ROK, self._probe_sequence)

    def _give_up_overdue(self, now: float) -> list[Event]:
        overdue = []
        for sequence, (_, sent_at) in self._pending.items():
            if now < sent_at + self._timers.response_wait_s:
                break  # Ordered by time: the rest is younger.
            overdue.append(sequence)
        events: list[Event] = []
        for sequence in overdue:
            pending = self._late[sequence] = self._pending.pop(sequence)
            events.append(SubmitUnknown(pending[0]))
        while len(self._late) > LATE_MAX:
            self._late.popitem(last=False)
        self.counters.unknown += len(events)
        return events

    def _next_sequence(self) -> int:
        """3.2: 1 to 0x7FFFFFFF, then from the start; one that still waits is passed over."""
        while True:
            self._sequence = self._sequence + 1 if self._sequence < SEQUENCE_NUMBER_MAX else 1
            if self._sequence not in self._pending:
                break
        if self._late:
            self._late.pop(self._sequence, None)
        return self._sequence

    def _die(self, reason: Death) -> LinkDead:
        if self.state is not State.CLOSED:
            self._move(Step.ENDED)
        return LinkDead(reason)

    def _move(self, step: Step) -> None:
        self.state = TRANSITIONS[self.state, step]
