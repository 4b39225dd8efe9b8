"""Online payment put together: gateway, cashier, look-ups, pages, e-mails (PAY-1…13).

Part of the composition root: `telcod.app` makes one `Epay` and runs what it holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Protocol, Self

from litestar.handlers import HTTPRouteHandler

from telcod.clock import ClockGuard
from telcod.epay import api, notifications
from telcod.epay.cashier import Cashier
from telcod.epay.hosted import HostedGateway
from telcod.epay.lookup import LookUps
from telcod.epay.signatures import secret_bytes
from telcod.epay.site.routes import Site, SiteSettings
from telcod.mail import Mailer, MailServer
from telcod.passwords import MEMORY_KIB
from telcod.rows import PAYMENT_PASSWORD, OutboxMail, PaymentPassword
from telcod.settings import EpaySettings
from telcod.vault import Vault
from telcod.web.ports import Backend
from telcod.web.shortcut import Full


class Reader(Protocol):
    """What online payment reads of the books; `SqliteReader` does."""

    def due_payments(self, *, now_ms: int, most: int) -> Awaitable[list[str]]:
        """See `Store.due_payments`."""
        ...

    def pending_mails(self, *, now_ms: int, most: int) -> Awaitable[list[OutboxMail]]:
        """See `Store.pending_mails`."""
        ...

    def one(self, table: Any, key: Any) -> Awaitable[Any]:
        """A row by its one-column key."""
        ...


class Epay:
    """Online payment of one daemon: mount `http_routes()`, and `async with epay:` run `run()`.

    Args:
        settings: The gateway; None: nobody pays by card, and only e-mails are sent.
        backend: The daemon.
        guard: While the clock has jumped nothing happens by it.
        vault: Makes the tokens of forms.
        reader: Reads the books, once they are open.
        site: The pages; None: there are none, payments come from portals only.
        mail: Who takes e-mails; None: they wait in the books.
        memory_kib: Of argon2id, for look-ups; tests take less.
    """

    def __init__(
        self,
        settings: EpaySettings | None,
        backend: Backend,
        guard: ClockGuard,
        vault: Vault,
        reader: Callable[[], Reader],
        *,
        site: SiteSettings | None = None,
        mail: MailServer | None = None,
        memory_kib: int = MEMORY_KIB,
    ) -> None:
        self._books: Final = _Books(reader)
        self._stack: Final = AsyncExitStack()
        clock = backend.clock
        self._routes: Sequence[HTTPRouteHandler] = ()
        self._gateway: HostedGateway | None = None
        self._look_ups: LookUps | None = None
        self.cashier: Cashier | None = None
        self._full: Full | None = None
        self.mailer: Final = (
            None if mail is None else Mailer(mail, self._books, backend.submit, clock, guard)
        )
        if settings is None:
            return
        self._gateway = HostedGateway(
            settings.gateway_url,
            settings.gateway_secret,
            connect_s=settings.connect_s,
            answer_s=settings.answer_s,
        )
        self.cashier = Cashier(self._gateway, backend.submit, self._books, clock, guard)
        self._full = Full(api.PORTALS, self.cashier.full)
        self._look_ups = LookUps(self._books.read_hash, memory_kib=memory_kib)
        look_up = self._look_ups.look_up
        keys = [secret_bytes(secret.reveal()) for secret in settings.webhook_secrets]
        self._routes = (
            *api.routes(self.cashier, look_up),
            *notifications.routes(keys, per_s=settings.notifications_per_s),
            *(() if site is None else Site(site, self.cashier, look_up, vault, clock).routes()),
        )

    async def __aenter__(self) -> Self:
        if self._gateway is not None:
            await self._stack.enter_async_context(self._gateway)
        if self._look_ups is not None:
            self._stack.callback(self._look_ups.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def shortcut(self, path: str) -> Full | None:
        """A portal that floods is refused before its request is read."""
        return self._full if path == api.PAYMENTS else None

    def http_routes(self) -> Sequence[HTTPRouteHandler]:
        """PAYAPI, the gateway's notifications, the pages."""
        return self._routes

    async def run(self) -> None:
        """Ask the gateway what is to be asked and send what is to be sent, until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self.cashier is not None:
                group.create_task(self.cashier.run(), name="cashier")
            if self.mailer is not None:
                group.create_task(self.mailer.run(), name="mailer")
            await asyncio.Event().wait()


class _Books:
    """The reader, which is opened after the routes are made."""

    def __init__(self, reader: Callable[[], Reader]) -> None:
        self._reader: Final = reader

    async def due_payments(self, *, now_ms: int, most: int) -> list[str]:
        return await self._reader().due_payments(now_ms=now_ms, most=most)

    async def pending_mails(self, *, now_ms: int, most: int) -> list[OutboxMail]:
        return await self._reader().pending_mails(now_ms=now_ms, most=most)

    async def read_hash(self, msisdn: int) -> str:
        row = await self._reader().one(PAYMENT_PASSWORD, msisdn)
        return row.hash if isinstance(row, PaymentPassword) else ""
