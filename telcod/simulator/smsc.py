"""An SMSC to play and test against: binds, texts, store and forward, faults on demand.

An asyncio server over smpplib's codec; it shares no protocol code with telcod's SMPP link.  It
reads no clock and owns no task: everything happens when bytes come in, or when it is told to.
"""

import asyncio
import itertools
import ssl
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from smpplib import consts

from telcod.simulator import smsc_text as texts
from telcod.simulator import smsc_wire as wire
from telcod.simulator.smsc_behaviour import (
    STATUS_ALREADY_BOUND,
    STATUS_BIND_FAILED,
    STATUS_COMMAND_LENGTH,
    STATUS_COMMAND_UNKNOWN,
    STATUS_DESTINATION,
    STATUS_NOT_BOUND,
    STATUS_OK,
    STATUS_PASSWORD,
    STATUS_SYSTEM_ID,
    Behaviour,
    BindMode,
    Fault,
    FaultKind,
    ReceiptForm,
)
from telcod.simulator.smsc_connection import Connection
from telcod.simulator.smsc_log import Conversation
from telcod.simulator.smsc_messages import Sent, Submitted
from telcod.simulator.watch import WAIT_S, Watch

SMSC_SYSTEM_ID: Final = "SIMSMSC"
UNBIND_WAIT_S: Final = 2.0  # How long `stop` waits for the peers' unbind_resp.
GARBAGE: Final = b"\xff" * 64  # As a command_length: 4 GiB.
MESSAGE_ID_FIRST: Final = 1_000_000_010  # Ten digits, and letters when written in hex.
OPERATION: Final = "ussd_service_op"  # What has it is USSD and no text.
RECEIPT_STAMP: Final = "2001010000"  # YYMMDDhhmm; the simulator reads no clock.
MODES: Final = {f"bind_{mode}": mode for mode in BindMode}


class SimulatedSmsc:
    """An SMSC on a TCP port; see `Behaviour` for its habits and `Fault` for its illnesses.

    `async with SimulatedSmsc() as smsc:` starts and stops it.  Port 0 takes a free one; `port`
    then says which, and stays the same over `stop` and `start`.
    """

    def __init__(
        self,
        *,
        system_id: str = "telcod",
        password: str = "secret",
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        behaviour: Behaviour | None = None,
        stamp: Callable[[], str] = lambda: RECEIPT_STAMP,
    ) -> None:
        self.system_id = system_id
        self.host = host
        self.port = port
        self.behaviour = behaviour or Behaviour()
        self.watch = Watch()
        self.conversation = Conversation()
        self.mailbox = texts.Mailbox()
        self.submitted: list[Submitted] = []
        self.receipts: list[Sent] = []
        self.stray_responses = 0
        self._password = password
        self._ssl_context = ssl_context
        self._stamp = stamp
        self._server: asyncio.Server | None = None
        self._connections: list[Connection] = []
        self._numbers = itertools.count(1)
        self._message_ids = itertools.count(MESSAGE_ID_FIRST)
        self._references = itertools.count(1)
        self._turn = 0
        self._queue: deque[Sent] = deque()
        self._refused: list[Sent] = []
        self._held: list[tuple[Connection, bytes]] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self._begin_counting()

    # --- life -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Start listening."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Listen; again after `stop`, with queue and mailbox as they were.

        Raises:
            OSError: The port is taken.
        """
        await self.accept()

    async def stop(self, *, abrupt: bool = False, wait_s: float = UNBIND_WAIT_S) -> None:
        """Stop listening and end every connection: by unbind, or just cut if `abrupt`.

        A connection whose unbind is not answered within `wait_s` seconds is cut as well.
        """
        self.refuse()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if not abrupt:
            try:
                await self.unbind(wait_s=wait_s)
            except TimeoutError:
                self.conversation.happened(0, "stopped", "not every peer answered the unbind")
        self.drop()
        await self.watch.until(lambda: not self._connections, what="the connections' end")

    async def accept(self) -> None:
        """Listen for connections, the first time or after `refuse`."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                self._connection, self.host, self.port, ssl=self._ssl_context
            )
            self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Stop listening; the connections stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def behave(self, behaviour: Behaviour) -> None:
        """Change the habits from now on; answers and faults are counted from here."""
        self.behaviour = behaviour
        self._begin_counting()

    async def outbind(self, host: str, port: int) -> None:
        """Connect to an ESME and ask it by outbind to bind as a receiver.

        Raises:
            OSError: Nobody listens there.
        """
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            self._connection, host, port, ssl=self._ssl_context
        )
        # smpplib has no class for outbind: system_id and password, two C-octet strings.
        body = b"".join(f"{word}\0".encode() for word in (SMSC_SYSTEM_ID, self._password))
        connection.write_raw(wire.frame("outbind", body, sequence=1), "outbind", SMSC_SYSTEM_ID)

    # --- what a test or a person does --------------------------------------------------------

    def send_text(
        self,
        msisdn: str,
        short_code: str,
        text: str,
        *,
        data_coding: int | None = None,
        long: texts.Long | str = texts.Long.UDH8,
        reference: int | None = None,
        order: Sequence[int] | None = None,
        **fields: Any,
    ) -> list[Sent]:
        """Send a phone's text to a short code, in parts if it is long.

        It is queued until an ESME is bound to take it.

        Args:
            msisdn: The phone, in international form without plus.
            short_code: Where the text goes.
            text: What was typed.
            data_coding: 0, 1, 3 or 8; None chooses as a phone does.
            long: How parts are marked.
            reference: Number common to the parts; None counts on.
            order: Indexes of the parts, from 0, in the order of sending; one left out is not
                sent, one named twice is sent twice.  None sends them as they are.
            fields: Further fields of the deliver_sm, by the spec's names.

        Raises:
            ValueError: The text does not fit the data_coding.
        """
        number = next(self._references) if reference is None else reference
        parts = texts.compose(
            text, data_coding=data_coding, long=texts.Long(long), reference=number
        )
        chosen = parts if order is None else [parts[index] for index in order]
        return [
            self.send_deliver(
                source_addr=msisdn,
                destination_addr=short_code,
                esm_class=part.esm_class,
                data_coding=part.data_coding,
                short_message=part.short_message,
                **dict[str, Any](part.tlvs),
                **fields,
            )
            for part in chosen
        ]

    def send_deliver(
        self, *, command: str = "deliver_sm", tlvs: tuple[wire.Tlv, ...] = (), **fields: Any
    ) -> Sent:
        """Send one deliver_sm (or data_sm) with the fields given, by the spec's names.

        Source and destination are by default an international and an unknown type of number, both
        of the ISDN plan.  A TLV that smpplib does not know for the command is given as octets.
        `tlvs` are appended as they are.

        Raises:
            ValueError: The command has no such field.
        """
        whole = {
            "source_addr_ton": consts.SMPP_TON_INTL,
            "source_addr_npi": consts.SMPP_NPI_ISDN,
            "dest_addr_ton": consts.SMPP_TON_UNK,
            "dest_addr_npi": consts.SMPP_NPI_ISDN,
        } | fields
        wire.encode(command, sequence=1, fields=whole, tlvs=tlvs)  # A wrong field is told here.
        sent = Sent(self.watch, command, whole, tlvs)
        self._queue.append(sent)
        self._pump()
        return sent

    def send_raw(self, data: bytes) -> None:
        """Write bytes as they are to every bound connection."""
        for connection in self.bound():
            connection.write_raw(data, "raw", data.hex(" "))

    def retry(self, *, unanswered: bool = False) -> int:
        """Send again what was refused for now, and with `unanswered` what waits for an answer.

        Returns:
            How many messages are sent again.
        """
        again = self._refused
        self._refused = []
        if unanswered:
            for connection in self._connections:
                again += connection.outstanding.values()
                connection.outstanding.clear()
        self._queue.extendleft(reversed(again))
        self._pump()
        return len(again)

    def release(self) -> None:
        """Send the responses held back by `Behaviour.hold_responses`."""
        held, self._held = self._held, []
        for connection, data in reversed(held) if self.behaviour.release_reversed else held:
            connection.write(data)

    def enquire_link(self) -> None:
        """Send an enquire_link on every bound connection."""
        for connection in self.bound():
            connection.enquiries.add(connection.request("enquire_link", {}))

    async def unbind(self, *, wait_s: float = WAIT_S) -> None:
        """Unbind every bound connection and wait until the peers have answered.

        Raises:
            TimeoutError: One did not within `wait_s` seconds; its connection stays.
        """
        leaving = self.bound()
        for connection in leaving:
            self._start_unbind(connection)
        await self.watch.until(
            lambda: not any(connection in self._connections for connection in leaving),
            what="unbind_resp",
            wait_s=wait_s,
        )

    def drop(self) -> None:
        """Cut every connection at once."""
        for connection in list(self._connections):
            connection.abort()

    # --- what can be seen ---------------------------------------------------------------------

    def bound(self) -> list[Connection]:
        """List the connections that are bound."""
        return [each for each in self._connections if each.mode is not None and each.open]

    @property
    def connection_count(self) -> int:
        """How many connections there are, bound or not."""
        return len(self._connections)

    @property
    def waiting(self) -> int:
        """How many messages to the ESME are neither settled nor on a connection."""
        return len(self._queue) + len(self._refused)

    def texts_to(self, msisdn: str) -> list[str]:
        """Give the texts that a number has received, long ones whole, oldest first."""
        return self.mailbox.texts_to(msisdn)

    async def wait_text(self, msisdn: str, n: int = 1, *, wait_s: float = WAIT_S) -> list[str]:
        """Wait until a number has received `n` texts in all, and give them.

        Raises:
            TimeoutError: They did not come within `wait_s` seconds.
        """
        await self.wait_until(
            lambda: len(self.texts_to(msisdn)) >= n, f"text {n} to {msisdn}", wait_s=wait_s
        )
        return self.texts_to(msisdn)

    async def wait_bound(self, count: int = 1, *, wait_s: float = WAIT_S) -> None:
        """Wait until `count` connections are bound.

        Raises:
            TimeoutError: They were not within `wait_s` seconds.
        """
        await self.wait_until(lambda: len(self.bound()) >= count, f"bind {count}", wait_s=wait_s)

    async def wait_until(
        self, condition: Callable[[], bool], what: str, *, wait_s: float = WAIT_S
    ) -> None:
        """Wait for anything that follows from what came in.

        Raises:
            TimeoutError: It did not come true within `wait_s` seconds.
        """
        await self.watch.until(condition, what=what, wait_s=wait_s)

    # --- what the connections tell ------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        """Take note of a connection just opened."""
        self._connections.append(connection)
        self.conversation.happened(connection.number, "connected")
        self.watch.changed()

    def received(self, connection: Connection, pdu: wire.WirePdu) -> None:
        """Act on a PDU: answer it, and fall ill if its number has come up."""
        self._counts[pdu.command] += 1
        self._counts[""] += 1
        faults = self._due_faults(pdu)
        skip = any(fault.before_answer for fault in faults)
        if not connection.muted and not skip:
            self._act(connection, pdu)
        for fault in faults:
            self._fall_ill(connection, fault.kind)
        self.watch.changed()

    def broken(self, connection: Connection, reason: str) -> None:
        """Refuse bytes that are no PDUs, and close."""
        self.conversation.happened(connection.number, "broken", reason)
        connection.refuse(0, STATUS_COMMAND_LENGTH)
        connection.close()

    def lost(self, connection: Connection) -> None:
        """Queue again what the connection left unanswered."""
        self.conversation.happened(connection.number, "lost")
        self._connections.remove(connection)
        left = list(connection.outstanding.values())
        connection.outstanding.clear()
        if self.behaviour.retry_unanswered:
            self._queue.extendleft(reversed(left))
        else:
            for sent in left:
                sent.settled = True
        self._pump()
        self.watch.changed()

    # --- rules ---------------------------------------------------------------------------------

    def _connection(self) -> Connection:
        return Connection(self, next(self._numbers))

    def _begin_counting(self) -> None:
        self._counts: Counter[str] = Counter()
        self._binds_answered = 0
        self._submits_answered = 0

    def _act(self, connection: Connection, pdu: wire.WirePdu) -> None:
        if pdu.is_response:
            self._take_response(connection, pdu)
        elif pdu.command in MODES:
            self._answer_bind(connection, pdu)
        elif pdu.command == "enquire_link":
            if self.behaviour.answer_enquire_link:
                connection.respond(pdu)
        elif pdu.command == "unbind":
            if self.behaviour.answer_unbind:
                connection.respond(pdu)
                connection.close()
        elif pdu.command in {"submit_sm", "data_sm"}:
            self._answer_submit(connection, pdu)
        else:
            connection.refuse(pdu.sequence, STATUS_COMMAND_UNKNOWN)

    def _answer_bind(self, connection: Connection, pdu: wire.WirePdu) -> None:
        mode = MODES[pdu.command]
        status = self._bind_status(connection, pdu, mode)
        if status != STATUS_OK:
            connection.respond(pdu, status=status)
            return
        version = self.behaviour.sc_interface_version
        fields = {"system_id": SMSC_SYSTEM_ID, "sc_interface_version": version}
        connection.mode = mode
        connection.respond(pdu, fields=fields)
        if self.behaviour.enquire_link_s is not None:
            self._later(self.behaviour.enquire_link_s, lambda: self._probe(connection))
        self._pump()

    def _bind_status(self, connection: Connection, pdu: wire.WirePdu, mode: BindMode) -> int:
        if pdu.problem:
            return STATUS_COMMAND_LENGTH
        if connection.mode is not None:
            return STATUS_ALREADY_BOUND
        if mode not in self.behaviour.bind_modes:
            return STATUS_BIND_FAILED
        if pdu.fields.get("system_id") != self.system_id:
            return STATUS_SYSTEM_ID
        if pdu.fields.get("password", "") != self._password:
            return STATUS_PASSWORD
        number, answers = self._binds_answered, self.behaviour.bind_answers
        self._binds_answered += 1
        return answers[number] if number < len(answers) else self.behaviour.bind_status

    def _answer_submit(self, connection: Connection, pdu: wire.WirePdu) -> None:
        refusal = self._submit_refusal(connection, pdu)
        if refusal != STATUS_OK:
            connection.respond(pdu, status=refusal)
            return
        status = self._submit_status(pdu)
        if status not in {STATUS_OK, None}:
            self._note_submit(connection, pdu, status, "")
            self._send_response(connection, connection.response(pdu, status=status or STATUS_OK))
            return
        message_id = next(self._message_ids)
        written_id = format(message_id, self.behaviour.message_id_format)
        submitted = self._note_submit(connection, pdu, status, written_id)
        if self.behaviour.receipt_first:
            self._send_receipt(submitted, message_id)
        if status is not None:
            response = connection.response(pdu, fields={"message_id": written_id})
            self._send_response(connection, response)
        if not self.behaviour.receipt_first:
            self._send_receipt(submitted, message_id)

    def _submit_status(self, pdu: wire.WirePdu) -> int | None:
        if OPERATION in pdu.fields:
            return self.behaviour.ussd_status
        number, answers = self._submits_answered, self.behaviour.submit_answers
        self._submits_answered += 1
        return answers[number] if number < len(answers) else self.behaviour.submit_status

    def _submit_refusal(self, connection: Connection, pdu: wire.WirePdu) -> int:
        if not connection.transmits and (pdu.command, connection.mode) != (
            "data_sm",
            BindMode.RECEIVER,
        ):
            return STATUS_NOT_BOUND
        if pdu.problem:
            return STATUS_COMMAND_LENGTH
        if not pdu.fields.get("destination_addr"):
            return STATUS_DESTINATION
        return STATUS_OK

    def _note_submit(
        self, connection: Connection, pdu: wire.WirePdu, status: int | None, message_id: str
    ) -> Submitted:
        fields, coding = pdu.fields, pdu.fields.get("data_coding", 0)
        concat, body = _concat(pdu)
        text = texts.decode_text(body, coding)
        submitted = Submitted(
            connection.number, pdu.sequence, message_id, status, fields, text, concat
        )
        self.submitted.append(submitted)
        # One left unanswered was taken all the same: an ESME that sends it again makes a double.
        if status in {STATUS_OK, None} and OPERATION not in fields:
            source, destination = fields.get("source_addr", ""), fields["destination_addr"]
            self.mailbox.add(texts.Part(source, destination, coding, body, concat))
        return submitted

    def _send_response(self, connection: Connection, data: bytes) -> None:
        for _ in range(2 if self.behaviour.duplicate_responses else 1):
            self._held.append((connection, data))
        if len(self._held) >= self.behaviour.hold_responses:
            self.release()

    def _send_receipt(self, submitted: Submitted, message_id: int) -> None:
        asked = submitted.fields.get("registered_delivery", 0) & 0x03
        delivered = self.behaviour.receipt_delivered
        if not self.behaviour.receipts or asked not in ({1} if delivered else {1, 2}):
            return
        written_id = format(message_id, self.behaviour.receipt_id_format)
        form = self.behaviour.receipt_form
        fields: dict[str, Any] = {
            "source_addr": submitted.fields["destination_addr"],
            "destination_addr": submitted.fields.get("source_addr", ""),
            "esm_class": texts.ESM_RECEIPT,
        }
        if form is not ReceiptForm.TLV:
            fields["short_message"] = texts.receipt_text(
                written_id, stamp=self._stamp(), delivered=delivered, text=submitted.text
            )
        if form is not ReceiptForm.TEXT:
            fields["receipted_message_id"] = written_id
            fields["message_state"] = (
                consts.SMPP_MESSAGE_STATE_DELIVERED
                if delivered
                else consts.SMPP_MESSAGE_STATE_UNDELIVERABLE
            )
        self.receipts.append(self.send_deliver(**fields))

    def _take_response(self, connection: Connection, pdu: wire.WirePdu) -> None:
        if pdu.command == "unbind_resp" and connection.unbinding:
            connection.close()
        elif pdu.sequence in connection.enquiries:
            connection.enquiries.discard(pdu.sequence)
        elif (sent := connection.outstanding.pop(pdu.sequence, None)) is not None:
            self._take_answer(sent, pdu.status)
        else:
            self.stray_responses += 1

    def _take_answer(self, sent: Sent, status: int) -> None:
        sent.statuses.append(status)
        if status in self.behaviour.retried_statuses:
            self._refused.append(sent)
            if self.behaviour.retry_pause_s is not None:
                self._later(self.behaviour.retry_pause_s, lambda: self._retry_one(sent))
        else:
            sent.settled = True
        self._pump()

    def _retry_one(self, sent: Sent) -> None:
        if sent in self._refused:  # `retry` may have been quicker.
            self._refused.remove(sent)
            self._queue.append(sent)
            self._pump()

    def _pump(self) -> None:
        """Write queued messages to the receiving connections in turn, as their windows allow."""
        while self._queue:
            ready = [
                connection
                for connection in self._connections
                if connection.receives and len(connection.outstanding) < self.behaviour.window
            ]
            if not ready:
                return
            connection = ready[self._turn % len(ready)]
            self._turn += 1
            sent = self._queue.popleft()
            sent.attempts += 1
            sequence = connection.request(sent.command, sent.fields, sent.tlvs)
            connection.outstanding[sequence] = sent

    def _start_unbind(self, connection: Connection) -> None:
        connection.request("unbind", {})
        connection.unbinding = True

    def _probe(self, connection: Connection) -> None:
        if not connection.open:
            return
        if connection.enquiries:
            self.conversation.happened(connection.number, "silent", "enquire_link unanswered")
            connection.abort()
            return
        connection.enquiries.add(connection.request("enquire_link", {}))
        if self.behaviour.enquire_link_s is not None:
            self._later(self.behaviour.enquire_link_s, lambda: self._probe(connection))

    def _later(self, pause_s: float, act: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(pause_s, run)
        self._timers.add(timer)

    def _due_faults(self, pdu: wire.WirePdu) -> list[Fault]:
        return [
            fault
            for fault in self.behaviour.faults
            if fault.command in {None, pdu.command}
            and fault.after_pdus == self._counts[fault.command or ""]
        ]

    def _fall_ill(self, connection: Connection, kind: FaultKind) -> None:
        self.conversation.happened(connection.number, "fault", kind)
        match kind:
            case FaultKind.DISCONNECT:
                connection.abort()
            case FaultKind.GARBAGE:
                connection.write_raw(GARBAGE, "garbage", GARBAGE.hex(" "))
            case FaultKind.HALF_PDU:
                whole = wire.encode("deliver_sm", sequence=1, fields={"short_message": b"HALF"})
                half = whole[: len(whole) // 2]
                connection.write_raw(half, "half a PDU", half.hex(" "))
                connection.muted = True
            case FaultKind.UNBIND:
                self._start_unbind(connection)
            case FaultKind.MUTE:
                connection.muted = True


def _concat(pdu: wire.WirePdu) -> tuple[texts.Concat | None, bytes]:
    """Find out which part a message is, from its header or its SAR TLVs."""
    if pdu.fields.get("esm_class", 0) & texts.UDHI:
        return texts.split_udh(pdu.user_data)
    sar = [
        pdu.fields.get(name)
        for name in ("sar_msg_ref_num", "sar_total_segments", "sar_segment_seqnum")
    ]
    # SMPP 3.4, 5.3.2.22: all three, or none counts.
    concat = None if None in sar else texts.Concat(*(number or 0 for number in sar))
    return concat, pdu.user_data
