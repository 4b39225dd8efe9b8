"""From a deliver_sm to the engine, and the response back after COMMIT (SMPP-2, SMPP-3, KW, PAY-1).

The way of one text: known already? → read → keyword → (a password is hashed, off the writer) →
engine → COMMIT → deliver_sm_resp. No task and no future per message: what must be remembered until
the commit is a small `_Ticket`.
"""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Final, Protocol

import msgspec
import structlog

from telcod.assembly import STORED_TEXT_CHARS_MAX
from telcod.dispatch import IGNORED_ROUTE, RECEIPT_ROUTE, Dispatcher
from telcod.engine import PART_ROUTE, QUARANTINED, Result
from telcod.errors import ESME_ROK, Overloaded, TelcodError, fate_of
from telcod.metrics import Metrics, TextResult
from telcod.msisdn import NumberError, from_address
from telcod.smpp.consts import CommandStatus
from telcod.smpp.incoming import Piece, Receipt, Whole, identity, read_incoming
from telcod.smpp.link import Link
from telcod.smpp.pdu import DataSm, DeliverSm
from telcod.smpp.redelivery import Record, Redelivery
from telcod.types import Again, Mo, Request, SecretNeeded
from telcod.vault import Vault

HASHES_WAITING_MAX: Final = 64
SENDER_WAITING_MAX: Final = 32
"""Texts of one sender that wait for their commit; beyond them he waits for himself, not others."""
SOURCE_DIGITS_MIN: Final = 7
UNANSWERED: Final = (
    NumberError.NAME,
    NumberError.SHORT_CODE,
)  # KW-3: short codes and names are never answered.

_log = structlog.get_logger("telcod.smpp.inbox")


class Writer(Protocol):
    """What the inbox needs of the engine."""

    def post(self, request: Request, sink: Callable[[Request, Result], None]) -> bool:
        """See `Engine.post`."""


class Hasher(Protocol):
    """Hashes passwords on a thread of its own."""

    def submit(self, secret: str) -> Future[str]:
        """Begin to hash; argon2id takes tens of milliseconds."""


class _Ticket(msgspec.Struct, gc=False):
    """Where the response goes, and the evidence that it belongs to."""

    link: Link
    connection: int
    sequence: int
    data_sm: bool
    record: Record
    sender: str
    taken_s: float = 0.0


class Inbox:
    """Takes received messages of all links.

    Args:
        writer: The engine.
        dispatcher: Gives the dispatcher in force; it changes with a reload.
        vault: For fingerprints and sealed parts.
        hasher: For passwords.
        redelivery: The evidence, shared by all links.
        metrics: Counts texts.
        clock: Monotonic seconds.
        connection_id: The number that the journal knows a connection by.
        call_soon_threadsafe: Brings the result of a hash back to the loop's thread.
    """

    def __init__(
        self,
        writer: Writer,
        dispatcher: Callable[[], Dispatcher],
        vault: Vault,
        hasher: Hasher,
        redelivery: Redelivery,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        connection_id: Callable[[Link, int], int],
        call_soon_threadsafe: Callable[..., object],
    ) -> None:
        self._writer: Final = writer
        self._dispatcher: Final = dispatcher
        self._vault: Final = vault
        self._hasher: Final = hasher
        self._redelivery: Final = redelivery
        self._metrics: Final = metrics
        self._clock: Final = clock
        self._connection_id: Final = connection_id
        self._call_soon_threadsafe: Final = call_soon_threadsafe
        self._hashes_waiting = 0
        # By address as it came; only senders of whom something waits, so the windows bound it.
        self._waiting: dict[str, int] = {}

    def take(self, link: Link, connection: int, sequence: int, body: DeliverSm | DataSm) -> None:
        """Take one message; it will be answered by `link.respond`, after COMMIT."""
        data_sm = isinstance(body, DataSm)
        short_code = self._dispatcher().short_code_or_none(body.destination_addr)
        if short_code not in link.short_codes:
            # No route for it here: said for good, or the SMSC would try for days.
            _log.warning(
                "text.misrouted", link=link.name, destination_addr=body.destination_addr[:21]
            )
            self._metrics.texts_received[TextResult.MISROUTED].inc()
            link.respond(connection, sequence, CommandStatus.ESME_RINVDSTADR, data_sm=data_sm)
            return
        sender = body.source_addr
        waiting = self._waiting.get(sender, 0)
        if waiting >= SENDER_WAITING_MAX:
            self._metrics.texts_received[TextResult.OVERLOADED].inc()
            link.respond(connection, sequence, CommandStatus.ESME_RX_T_APPN, data_sm=data_sm)
            return
        number = self._connection_id(link, connection)
        fingerprint = self._vault.fingerprint(identity(body))
        now_s = self._clock()
        record, again = self._redelivery.take(fingerprint, number, now=now_s)
        ticket = _Ticket(link, connection, sequence, data_sm, record, sender, now_s)
        self._waiting[sender] = waiting + 1
        if again:
            self._take_again(ticket)
            return
        try:
            request, secret = self._request(link, body, number, fingerprint, now_s)
        except BaseException:
            # Or the next copy would wait for this one for ever.
            self._redelivery.refused(record)
            self._answered(ticket)
            raise
        if secret:
            self._hash(request, secret, ticket)
        else:
            self._post(request, ticket)

    def _take_again(self, ticket: _Ticket) -> None:
        """The stored verdict and no second reply.

        While the first copy is being carried out, wait for it.
        """
        self._metrics.redeliveries.inc()
        self._metrics.texts_received[TextResult.REDELIVERED].inc()
        record = ticket.record
        _log.info("text.redelivered", link=ticket.link.name, journal=record.seq)
        if record.seq:
            self._respond(ticket, ESME_ROK)
        else:
            record.followers = (*record.followers, ticket)

    def _request(
        self,
        link: Link,
        body: DeliverSm | DataSm,
        connection: int,
        fingerprint: bytes,
        now_s: float,
    ) -> tuple[Request, str]:
        """The request that a message makes, and the password in it, if any.

        Never both in one value.
        """
        destination = body.destination_addr
        short_code = self._dispatcher().short_code_or_none(destination) or destination
        address = from_address(body.source_addr, body.source_addr_ton, body.source_addr_npi)
        if isinstance(address, NumberError):
            sender = 0
            source = "".join(char for char in body.source_addr if char in "0123456789")
        else:
            sender, source = int(address), str(address)
        incoming = read_incoming(body, link.settings.default_alphabet)
        ignored = not sender and (address in UNANSWERED or len(source) < SOURCE_DIGITS_MIN)
        if isinstance(incoming, Whole) and not ignored:
            parsed = self._dispatcher().parse(destination, incoming.text)
            kept = "" if parsed.secret_bearing else incoming.text[:STORED_TEXT_CHARS_MAX]
            origin = source or body.source_addr[:21]
            mo = Mo(connection, origin, fingerprint, kept, taken_s=now_s)
            request = Request(parsed.route, sender, parsed.args, short_code=short_code, mo=mo)
            return request, parsed.secret
        mo = Mo(connection, source or body.source_addr[:21], fingerprint, "", taken_s=now_s)
        if isinstance(incoming, Receipt):
            state = "delivered" if incoming.delivered else "undelivered"
            args = (link.name, incoming.message_id, state if incoming.final else "on_the_way")
            return Request(RECEIPT_ROUTE, args=args, short_code=short_code, mo=mo), ""
        if ignored or not isinstance(incoming, Piece):
            return Request(IGNORED_ROUTE, short_code=short_code, mo=mo), ""
        mo = msgspec.structs.replace(
            mo,
            concat=incoming.concat,
            sealed=self._vault.seal(incoming.data),
            data_coding=incoming.data_coding,
            destination=destination,
        )
        return Request(PART_ROUTE, sender, short_code=short_code, mo=mo), ""

    def _post(self, request: Request, ticket: _Ticket) -> None:
        if not self._writer.post(request, partial(self._done, ticket)):
            self._refuse(ticket, Overloaded("too many requests are waiting"))

    def _hash(self, request: Request, secret: str, ticket: _Ticket) -> None:
        """A password is hashed on a thread of its own; a flood of them is refused, not queued."""
        if self._hashes_waiting >= HASHES_WAITING_MAX:
            self._refuse(ticket, Overloaded("too many passwords wait to be hashed"))
            return
        self._hashes_waiting += 1
        future = self._hasher.submit(secret)
        future.add_done_callback(
            lambda done: self._call_soon_threadsafe(self._hashed, request, ticket, done)
        )

    def _hashed(self, request: Request, ticket: _Ticket, done: Future[str]) -> None:
        self._hashes_waiting -= 1
        if done.cancelled() or done.exception() is not None:
            self._refuse(ticket, Overloaded("a password could not be hashed"))
            return
        self._post(msgspec.structs.replace(request, secret_hash=done.result()), ticket)

    def _done(self, ticket: _Ticket, request: Request, result: Result) -> None:
        """After COMMIT, on the loop's thread: the only place from which a text is answered OK."""
        if isinstance(result, SecretNeeded):
            self._hash(request, result.secret, ticket)
            return
        if isinstance(result, TelcodError):
            self._refuse(ticket, result)
            return
        if isinstance(result, Again):
            self._metrics.redeliveries.inc()
            counted, ticket.record.evidence = TextResult.REDELIVERED, result.connection
        else:
            counted = TextResult.ANSWERED if result.text else TextResult.SILENT
        ticket.record.seq = result.seq
        self._metrics.texts_received[
            TextResult.QUARANTINED if result.outcome == QUARANTINED else counted
        ].inc()
        self._metrics.text_seconds.observe(self._clock() - ticket.taken_s)
        self._respond(ticket, ESME_ROK)
        followers, ticket.record.followers = ticket.record.followers, ()
        for follower in followers:
            self._respond(follower, ESME_ROK)

    def _answered(self, ticket: _Ticket) -> None:
        left = self._waiting[ticket.sender] - 1
        if left:
            self._waiting[ticket.sender] = left
        else:
            del self._waiting[ticket.sender]

    def _respond(self, ticket: _Ticket, status: int) -> None:
        self._answered(ticket)
        written = ticket.link.respond(
            ticket.connection, ticket.sequence, status, data_sm=ticket.data_sm
        )
        self._redelivery.answered(ticket.record, written=written, now=self._clock())

    def _refuse(self, ticket: _Ticket, error: TelcodError) -> None:
        """Nothing was kept: the SMSC keeps the message and tries again."""
        overloaded = isinstance(error, Overloaded)
        self._metrics.texts_received[
            TextResult.OVERLOADED if overloaded else TextResult.UNAVAILABLE
        ].inc()
        self._redelivery.refused(ticket.record)
        status = fate_of(error).smpp_status
        for waiting in (ticket, *ticket.record.followers):
            self._answered(waiting)
            waiting.link.respond(
                waiting.connection, waiting.sequence, status, data_sm=waiting.data_sm
            )
        ticket.record.followers = ()
