"""E-mails: what waits in `outbox_mail` is brought to a mail server, until it is there (PAY-10).

At least once: a crash between the server's yes and our record sends one again, with the same
`Message-ID`, by which readers know it.  The rules say when one is tried again (`handlers.mails`);
a server that is away costs no e-mail a try.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final, NamedTuple, Protocol, Self

import aiosmtplib
import structlog

from telcod.clock import Clock, ClockGuard
from telcod.days import HOUR_MS
from telcod.engine import QUARANTINED
from telcod.errors import TelcodError
from telcod.rows import OutboxMail
from telcod.types import Answer, Channel, Request

TICK_S: Final = 1.0
SLICE: Final = 50
SET_ASIDE_MS: Final = HOUR_MS
"""How long one is left alone whose outcome broke its rules: it's in quarantine, for a person."""
ANSWER_S: Final = 30.0
AWAY_MIN_S: Final = 1.0
AWAY_MAX_S: Final = 60.0
"""A server that can't be reached is tried again after so long, at first and at most."""
SENT: Final = "sent"
FAILED: Final = "failed"
LATER: Final = "later"
_PERMANENT: Final = range(500, 600)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_log = structlog.get_logger("telcod.mail")

Submit = Callable[[Request], Awaitable[Answer]]


class PendingMails(Protocol):
    """What the mailer needs of the books to read."""

    async def pending_mails(self, *, now_ms: int, most: int) -> Sequence[OutboxMail]:
        """E-mails whose moment to be tried has come, the longest due first."""
        ...


class MailServer(NamedTuple):
    """Who takes e-mails, and who they are from.

    `tls` is `tls` (from the first octet), `starttls` (asked for, and insisted on) or `none`;
    `context` says whose certificates are believed (None: the system's).  No repr shows `password`.
    """

    host: str
    port: int
    sender: str
    sender_name: str = ""
    tls: str = "starttls"
    user: str = ""
    password: str = ""
    context: ssl.SSLContext | None = None
    answer_s: float = ANSWER_S

    def __repr__(self) -> str:
        return f"MailServer({self.host}:{self.port})"


class ServerAway(TelcodError):
    """The mail server can't be reached, or lets us not in; no e-mail is to blame."""

    next_step = "Look at [mail]; what waits is sent when the server is back."


class Mailer:
    """One for a daemon; `run` in a task.

    Args:
        server: Who takes e-mails.
        pending: The books, to read.
        submit: The books, to write.
        clock: What is due is due by its wall clock.
        guard: While the clock has jumped nothing is sent because of its moment (DESIGN 4).
    """

    def __init__(
        self,
        server: MailServer,
        pending: PendingMails,
        submit: Submit,
        clock: Clock,
        guard: ClockGuard,
    ) -> None:
        self._server: Final = server
        self._pending: Final = pending
        self._submit: Final = submit
        self._clock: Final = clock
        self._guard: Final = guard
        self._aside: Final[dict[int, int]] = {}  # by number: until when, wall milliseconds

    async def run(self) -> None:
        """Send for ever; cancel to stop."""
        away_s = 0.0
        while True:
            try:
                full = await self.tick() == SLICE
                away_s = 0.0
            except TelcodError as error:
                full = False
                away_s = min(AWAY_MAX_S, away_s * 2 or AWAY_MIN_S)
                _log.warning("mail.waits", reason=str(error), next_s=away_s)
            if not full:
                await asyncio.sleep(away_s or TICK_S)

    async def tick(self) -> int:
        """Send what is due now; how many e-mails the books know more about.

        Raises:
            ServerAway: The server can't be reached; what is left is still due.
            TelcodError: The books can't be read or written.
        """
        if self._guard.doubts(self._clock):
            return 0
        due = await self._due()
        if not due:
            return 0
        async with _Connection(self._server) as connection:
            for mail in due:
                fate, why = await connection.send(mail)
                _log.info("mail.tried", mail=mail.seq, kind=mail.kind, fate=fate, reason=why)
                request = Request("mail.outcome", args=(str(mail.seq), fate), channel=Channel.CLOCK)
                answer = await self._submit(request)
                if answer.outcome == QUARANTINED:
                    # It has left, and the books still say that it waits.
                    self._aside[mail.seq] = self._clock.wall_ms() + SET_ASIDE_MS
                if why == _CUT:
                    raise ServerAway("the mail server has cut the line")
        return len(due)

    async def _due(self) -> Sequence[OutboxMail]:
        """What is to be tried now, but for what broke within the last hour.

        Raises:
            TelcodError: The books can't be read.
        """
        now_ms = self._clock.wall_ms()
        for seq in [each for each, until_ms in self._aside.items() if until_ms <= now_ms]:
            del self._aside[seq]
        most = SLICE + len(self._aside)
        due = await self._pending.pending_mails(now_ms=now_ms, most=most)
        return [mail for mail in due if mail.seq not in self._aside][:SLICE]


_CUT: Final = "cut"


class _Connection:
    """One connection to the server, for a slice of e-mails."""

    def __init__(self, server: MailServer) -> None:
        self._server: Final = server
        self._smtp: Final = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password or None,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=server.context,
            timeout=server.answer_s,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._smtp.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            self._smtp.close()
            raise ServerAway(f"the mail server can't be used: {_short(error)}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._smtp.quit()
        except (aiosmtplib.SMTPException, OSError):  # it hung up first, which is all we wanted
            self._smtp.close()

    async def send(self, mail: OutboxMail) -> tuple[str, str]:
        """What became of an e-mail: `sent`, `failed` for good or `later`, and why."""
        try:
            message = message_of(mail, self._server)
        except (ValueError, IndexError, MessageError) as error:
            # What is no address can't be sent to; nor may it ever make a header of its own.
            return FAILED, _short(error)
        try:
            await self._smtp.send_message(
                message, sender=self._server.sender, recipients=[mail.recipient]
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            code = error.recipients[0].code
            return (FAILED if code in _PERMANENT else LATER), f"recipient {code}"
        except aiosmtplib.SMTPSenderRefused as error:
            # The server does not like who we say we are: that's for a person to mend, so it waits.
            _log.error("mail.sender_refused", code=error.code)
            return LATER, f"sender {error.code}"
        except aiosmtplib.SMTPResponseException as error:
            return (FAILED if error.code in _PERMANENT else LATER), f"server {error.code}"
        except aiosmtplib.SMTPNotSupported as error:
            return FAILED, _short(error)
        except (aiosmtplib.SMTPException, OSError):
            return LATER, _CUT
        return SENT, ""


def message_of(mail: OutboxMail, server: MailServer) -> EmailMessage:
    """An e-mail of the outbox as it goes out: plain text, UTF-8.

    Raises:
        ValueError, IndexError, MessageError: Its recipient is no address, or a field holds a line's
            end.
    """
    local, _, domain = server.sender.rpartition("@")
    recipient = Address(addr_spec=mail.recipient)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(server.sender_name, local, domain)
    message["To"] = recipient
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(_EPOCH + timedelta(milliseconds=mail.at))
    message["Message-ID"] = f"<{mail.kind}.{mail.seq}.{mail.at}@{domain}>"
    # Nobody's holiday notice answers it (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body + "\n", charset="utf-8", cte="quoted-printable")
    return message


def _short(error: BaseException) -> str:
    """Why, for the log: without what the server or an address said, which may be personal."""
    return type(error).__name__
